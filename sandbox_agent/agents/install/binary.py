"""Agents that come as an archive with a program in it, or as the bare program."""

from __future__ import annotations

import asyncio
import hashlib
import stat
import tarfile
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sandbox_agent.agents.install.store import LAUNCHER, Receipt, write_script
from sandbox_agent.agents.install.versions import this_platform
from sandbox_agent.wire.agents import AgentInstallArtifact

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.agents.catalogue import BinarySource
    from sandbox_agent.agents.install.job import Job

_LARGEST = 2 << 30
_TIMEOUT = 60.0
_ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz")


async def install(job: Job, sources: dict[str, BinarySource], build: Path) -> Receipt:
    """Download, check, unpack. Raises InstallFailed."""
    source = sources.get(this_platform())
    if source is None:
        raise job.failed(
            f"there is no release for {this_platform()}", hint=f"there are for {', '.join(sorted(sources))}"
        )
    name = PurePosixPath(unquote(urlsplit(source.archive).path)).name or "download"
    file = build / "download"
    job.tell("download", f"downloading {name}", 0.05)
    digest = await _download(job, source.archive, file)
    if source.sha256 is not None and digest != source.sha256.lower():
        raise job.failed(
            f"{name} has the digest {digest}, not {source.sha256}",
            hint="the release was altered, or the registry is out of date: do not use it before you know which",
        )
    if source.sha256 is None:
        job.tell("download", f"{name} came without a digest to check it against; its own is {digest}")
    job.tell("setup", f"unpacking {name}", 0.8)
    folder = build / "files"
    program = folder / source.cmd.replace("\\", "/")
    if not program.resolve().is_relative_to(folder.resolve()):
        raise job.failed(f"its program {source.cmd} is not inside of the archive")
    try:
        await asyncio.to_thread(_unpack, file, name, folder, program)
    except (tarfile.TarError, zipfile.BadZipFile, OSError, ValueError) as error:
        raise job.failed(f"{name} cannot be unpacked: {error}") from error
    if not program.is_file():
        raise job.failed(f"{name} has no program {source.cmd}")
    program.chmod(0o755)
    write_script(build / LAUNCHER, [program, *source.args], env=job.spec.env | source.env)
    made = AgentInstallArtifact(kind="agent_process", path=str(program), source="binary", version=job.spec.version)
    return Receipt(agent=job.spec.id, version=job.spec.version, locked=source.sha256 is not None, artifacts=(made,))


async def _download(job: Job, url: str, file: Path) -> str:
    """Its SHA-256."""
    import httpx2  # noqa: PLC0415 -- heavy, and only for this

    digest = hashlib.sha256()
    came = 0
    try:
        async with (
            httpx2.AsyncClient(follow_redirects=True, timeout=_TIMEOUT) as client,
            client.stream("GET", url) as answer,
        ):
            answer.raise_for_status()
            total = int(answer.headers.get("content-length", 0))
            with file.open("wb") as opened:
                async for chunk in answer.aiter_bytes():
                    came += len(chunk)
                    if came > _LARGEST:
                        raise job.failed(f"the release is larger than {_LARGEST >> 30} GiB")
                    digest.update(chunk)
                    await asyncio.to_thread(opened.write, chunk)
                    if total:
                        job.tell("download", f"{came >> 20} of {total >> 20} MiB", 0.05 + 0.7 * came / total)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        detail = f"downloading from {urlsplit(url).hostname} failed: {error or type(error).__name__}"
        raise job.failed(detail, hint="check the network and its proxy settings") from error
    return digest.hexdigest()


def _unpack(file: Path, name: str, folder: Path, program: Path) -> None:
    """Nothing leaves the folder: both formats are read member by member with names that stay inside."""
    folder.mkdir()
    lower = name.lower()
    if not lower.endswith(_ARCHIVES):
        program.parent.mkdir(parents=True, exist_ok=True)
        file.rename(program)
        return
    if lower.endswith(".zip"):
        _unzip(file, folder)
    else:
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter="data")
    file.unlink()


def _unzip(file: Path, folder: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            place = (folder / member.filename).resolve()
            if not place.is_relative_to(folder.resolve()) or stat.S_ISLNK(mode):
                raise ValueError(f"member {member.filename!r} is a link or leaves the folder")
        for member in archive.infolist():
            archive.extract(member, folder)
            if (member.external_attr >> 16) & stat.S_IXUSR:
                (folder / member.filename).chmod(0o755)
