"""Where skills come from: folders of this machine, and git repositories, fetched once and kept.

A repository is kept as plain files, a folder for each commit, which never changes: what a running session was given
stays as it is while another one gets a newer commit. Fetched again after ``FRESH_S``; when that fails, the last commit
serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import shutil
import tempfile
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sandbox_agent.problems import SandboxAgentError
from sandbox_agent.supervisor import Command, PipeReader, SpawnFailed

if TYPE_CHECKING:
    from sandbox_agent.supervisor import Supervisor
    from sandbox_agent.wire.config import SkillSource

FRESH_S = 600.0
DEADLINE_S = 60.0

_COMMIT = re.compile(r"[0-9a-f]{40}")
_GITHUB = re.compile(r"(?:(?:https?://)?(?:www\.)?github\.com/)?([\w.-]+)/([\w.-]+?)(?:\.git)?/?")
_GIT = ("git", "-c", "core.hooksPath=/dev/null", "-c", "init.templateDir=", "-c", "advice.detachedHead=false")
_GIT_ENV = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
}
_TOLD = 2000


class Fetched(NamedTuple):
    """``called`` names the source in short; ``note`` tells when this is not the newest."""

    folder: Path
    called: str
    note: str | None = None


class FetchFailed(SandboxAgentError):
    """A source of skills cannot be had."""


class SkillSources:
    """``root`` is where repositories are kept."""

    def __init__(self, root: Path, supervisor: Supervisor) -> None:
        self._root = root
        self._supervisor = supervisor
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def fetch(self, source: SkillSource, directory: Path) -> Fetched:
        """The source's folder; relative ones start at ``directory``. Raises ``FetchFailed``."""
        if source.type == "local":
            return await asyncio.to_thread(_local, source, directory)
        if source.type not in {"git", "github"}:
            raise FetchFailed(f"skills of type {source.type!r} are unknown; types are github, git and local")
        url, called = _github(source.source) if source.type == "github" else (source.source, _last(source.source))
        for given in (url, source.ref or ""):
            if given.startswith("-"):
                raise FetchFailed(f"{given!r} names no repository and no ref")
        key = hashlib.sha256(f"{url}\0{source.ref or ''}".encode()).hexdigest()[:24]
        async with self._locks.setdefault(key, asyncio.Lock()):
            folder, note = await self._repository(self._root / key, url, source.ref)
        return await asyncio.to_thread(_below, Fetched(folder, called, note), source.subpath)

    async def _repository(self, kept: Path, url: str, ref: str | None) -> tuple[Path, str | None]:
        last, age = await asyncio.to_thread(_last_commit, kept)
        if last is not None and (age < FRESH_S or _COMMIT.fullmatch(ref or "")):
            return last, None
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._clone(kept, url, ref), None
        except (FetchFailed, TimeoutError) as error:
            why = str(error) if isinstance(error, FetchFailed) else f"{url} did not answer within {DEADLINE_S:g} s"
            if last is None:
                raise FetchFailed(why) from error
            return last, f"an older copy serves: {why}"

    async def _clone(self, kept: Path, url: str, ref: str | None) -> Path:
        await asyncio.to_thread(kept.mkdir, mode=0o700, parents=True, exist_ok=True)
        fresh = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=kept, prefix=".new-"))
        try:
            await self._git(fresh, "init", "-q")
            try:
                await self._git(fresh, "fetch", "-q", "--depth", "1", "--", url, ref or "HEAD")
                await self._git(fresh, "checkout", "-q", "FETCH_HEAD")
            except FetchFailed:
                if ref is None:
                    raise
                # A short commit, or a server that gives no single commits: all of it, then.
                await self._git(fresh, "fetch", "-q", "--tags", "--", url, "+refs/heads/*:refs/remotes/origin/*")
                await self._git(fresh, "checkout", "-q", "--detach", ref)
            commit = (await self._git(fresh, "rev-parse", "HEAD")).strip()
            return await asyncio.to_thread(_keep, fresh, kept, commit)
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True))

    async def _git(self, folder: Path, *words: str) -> str:
        command = Command(argv=(*_GIT, *words), env=_GIT_ENV, cwd=str(folder))
        try:
            child = await self._supervisor.spawn(command, owner=f"git {words[0]}", stdin=False)
        except SpawnFailed as error:
            raise FetchFailed(f"git is needed for skills from repositories: {error}") from error
        said: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}
        readers = [PipeReader(child.stdout_fd, said["out"].extend), PipeReader(child.stderr_fd, said["err"].extend)]
        try:
            ended = await child.wait()
            for reader in readers:
                reader.drain()
        finally:
            await asyncio.shield(child.end(grace=0.5))
            for reader in readers:
                reader.close()
            child.close_fds()
        if ended.code != 0:
            told = said["err"].decode(errors="replace").strip()[-_TOLD:]
            raise FetchFailed(f"git {words[0]} failed: {told or ended}")
        return said["out"].decode(errors="replace")


def _local(source: SkillSource, directory: Path) -> Fetched:
    folder = (directory / Path(source.source).expanduser()).resolve()
    return _below(Fetched(folder, folder.name), source.subpath)


def _github(source: str) -> tuple[str, str]:
    match = _GITHUB.fullmatch(source.strip())
    if match is None:
        raise FetchFailed(f"{source!r} is no repository of GitHub: write owner/name")
    return f"https://github.com/{match[1]}/{match[2]}.git", match[2]


def _last(url: str) -> str:
    return re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git") or "skill"


def _below(fetched: Fetched, subpath: str | None) -> Fetched:
    root = fetched.folder.resolve()
    folder = (root / (subpath or ".").lstrip("/")).resolve()
    if folder != root and root not in folder.parents:
        raise FetchFailed(f"subpath {subpath!r} leads out of {fetched.called}")
    if not folder.is_dir():
        raise FetchFailed(
            f"there is no folder {folder}" if not subpath else f"{fetched.called} has no folder {subpath}"
        )
    return fetched._replace(folder=folder, called=folder.name if subpath else fetched.called)


def _last_commit(kept: Path) -> tuple[Path | None, float]:
    """The folder of the newest commit, and its age in seconds."""
    current = kept / "current"
    try:
        folder = kept / current.read_text().strip()
        age = time.time() - current.stat().st_mtime
    except OSError:
        return None, 0.0
    return (folder, max(0.0, age)) if folder.is_dir() else (None, 0.0)


def _keep(fresh: Path, kept: Path, commit: str) -> Path:
    shutil.rmtree(fresh / ".git")
    folder = kept / commit
    with contextlib.suppress(OSError):  # there already
        fresh.rename(folder)
    current = kept / ".current"
    current.write_text(commit)
    current.replace(kept / "current")
    return folder
