"""Skills in the folder an agent reads them from: links, made for sessions and removed with the last of them.

The user's repository is touched as little as can be. A link is made only where nothing stands; git is told to look
past it in ``info/exclude``, which is nobody's but this clone's; and what is removed is only what was made here and is
still as it was. Who needs which link is kept in files, as sessions outlive the server.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox_agent.config.skills import Skill


class Placed(NamedTuple):
    """``kept``: another one of that name stood there, and still does."""

    status: Literal["placed", "kept", "failed"]
    path: Path
    detail: str | None = None


class Record(msgspec.Struct, kw_only=True):
    """One link. ``exclude`` is the file of git's its line was added to."""

    path: str
    target: str
    sessions: list[str]
    exclude: str | None = None
    line: str | None = None


class SkillLinks:
    """``root`` is where it is kept who needs what. Blocking: call it in a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def place(self, session_id: str, folder: Path, skill: Skill) -> Placed:
        """Link a skill into ``folder`` for a session."""
        link = folder / skill.name
        with self._locked():
            record = self._record(link)
            try:
                if record is not None and _is_ours(link, record):
                    self._retarget(link, record, str(skill.folder))
                elif os.path.lexists(link):
                    return Placed("kept", link, "something of that name is there already; it stays as it is")
                else:
                    record = self._make(link, skill.folder, record)
            except OSError as error:
                return Placed("failed", link, f"{link} cannot be made: {error.strerror}")
            if session_id not in record.sessions:
                record.sessions.append(session_id)
            self._save(link, record)
        return Placed("placed", link)

    def release(self, session_id: str) -> None:
        """The session needs none any more; links that nobody needs go."""
        with self._locked():
            for file in self._root.glob("*.json"):
                record = _decoded(file)
                if record is None or session_id not in record.sessions:
                    continue
                record.sessions.remove(session_id)
                if record.sessions:
                    self._save(Path(record.path), record)
                else:
                    _remove(record)
                    file.unlink(missing_ok=True)
                    self._leave(Path(record.path))

    def _make(self, link: Path, target: Path, before: Record | None) -> Record:
        made = [folder for folder in link.parents if not folder.exists()]
        link.parent.mkdir(parents=True, exist_ok=True)
        self._put_made([*self._made(), *map(str, made)])
        link.symlink_to(target)
        file, line = _exclude(link)
        return Record(
            path=str(link),
            target=str(target),
            sessions=before.sessions if before else [],
            exclude=str(file) if file else before.exclude if before else None,
            line=line or (before.line if before else None),
        )

    def _leave(self, link: Path) -> None:
        """Folders that were made for links go with the last thing in them."""
        made = self._made()
        for folder in link.parents:
            if str(folder) in made:
                with contextlib.suppress(OSError):
                    folder.rmdir()
        self._put_made([folder for folder in made if Path(folder).exists()])

    def _made(self) -> list[str]:
        try:
            return msgspec.json.decode((self._root / "made").read_bytes(), type=list[str])
        except (OSError, msgspec.DecodeError):
            return []

    def _put_made(self, folders: list[str]) -> None:
        (self._root / "made.new").write_bytes(msgspec.json.encode(folders))
        (self._root / "made.new").replace(self._root / "made")

    def _retarget(self, link: Path, record: Record, target: str) -> None:
        if record.target == target:
            return
        beside = link.with_name(f".{link.name}.new")
        beside.unlink(missing_ok=True)
        beside.symlink_to(target)
        beside.replace(link)
        record.target = target

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _file(self, link: Path) -> Path:
        return self._root / f"{hashlib.sha256(os.fsencode(link)).hexdigest()[:24]}.json"

    def _record(self, link: Path) -> Record | None:
        return _decoded(self._file(link))

    def _save(self, link: Path, record: Record) -> None:
        file = self._file(link)
        beside = file.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(record))
        beside.replace(file)


def _decoded(file: Path) -> Record | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        return None


def _is_ours(link: Path, record: Record) -> bool:
    try:
        return str(link.readlink()) == record.target
    except OSError:
        return False


def _remove(record: Record) -> None:
    link = Path(record.path)
    if _is_ours(link, record):
        link.unlink()
    if record.exclude and record.line:
        _take_line(Path(record.exclude), record.line)


# git's info/exclude: https://git-scm.com/docs/gitignore


def _exclude(link: Path) -> tuple[Path | None, str | None]:
    """Have git look past the link; the file and the line, where one was added."""
    top = next((folder for folder in link.parents if os.path.lexists(folder / ".git")), None)
    info = _info(top / ".git") if top else None
    if top is None or info is None:
        return None, None
    line = "/" + re.sub(r"([\\*?\[ ])", r"\\\1", link.relative_to(top).as_posix())
    file = info / "exclude"
    try:
        text = file.read_bytes() if file.exists() else b""
        if line.encode() in text.splitlines():
            return None, None
        info.mkdir(exist_ok=True)
        with file.open("ab") as out:
            out.write((b"" if not text or text.endswith(b"\n") else b"\n") + line.encode() + b"\n")
    except OSError:
        return None, None  # then git shows the link as untracked, which is no fault
    return file, line


def _info(git: Path) -> Path | None:
    """The ``info`` folder; in a work tree ``.git`` is a file that leads to it."""
    if git.is_dir():
        return git / "info"
    try:
        told = git.read_text().strip()
        folder = git.parent / told.removeprefix("gitdir:").strip()
        common = folder / "commondir"
        return ((folder / common.read_text().strip()) if common.exists() else folder).resolve() / "info"
    except (OSError, UnicodeDecodeError):
        return None


def _take_line(file: Path, line: str) -> None:
    with contextlib.suppress(OSError):
        lines = file.read_bytes().splitlines(keepends=True)
        left = [one for one in lines if one.rstrip(b"\r\n") != line.encode()]
        if len(left) != len(lines):
            beside = file.with_name(".exclude.new")
            beside.write_bytes(b"".join(left))
            beside.replace(file)
