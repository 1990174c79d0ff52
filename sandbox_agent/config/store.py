"""The files ``<directory>/.sandbox-agent/config/mcp.json`` and ``skills.json``: a JSON object by name each.

Values are kept as the bytes that came, so that members unknown to us survive. Files are replaced in one step, and only
their owner may read them, as they may hold keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from sandbox_agent.problems import InvalidRequest, NotFound
from sandbox_agent.wire.config import LocalMcpServer, RemoteMcpServer, SkillsConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind: TypeAlias = Literal["mcp", "skills"]
Config: TypeAlias = "LocalMcpServer | RemoteMcpServer | SkillsConfig"
Entries: TypeAlias = "dict[str, msgspec.Raw]"

_FOLDER = Path(".sandbox-agent", "config")
_SHAPES: Mapping[str, msgspec.json.Decoder[Config]] = {
    "mcp": msgspec.json.Decoder(LocalMcpServer | RemoteMcpServer),
    "skills": msgspec.json.Decoder(SkillsConfig),
}
_file = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Found:
    """One entry that holds for a directory, and the directory it stands in. ``problem``: why it cannot be used."""

    name: str
    directory: Path
    config: Config | None
    problem: str | None = None


class DirectoryConfig:
    """``home`` is where relative directories start. All file work is done in threads."""

    def __init__(self, home: Path | None = None) -> None:
        self._home = home or Path.home()
        self._locks: weakref.WeakValueDictionary[Path, asyncio.Lock] = weakref.WeakValueDictionary()

    async def get(self, kind: Kind, directory: str, name: str) -> bytes:
        """The entry as it was put. Raises ``InvalidRequest`` and ``NotFound``."""
        file = self._file(kind, directory, name)
        entries = await asyncio.to_thread(_read, file)
        if name not in entries:
            raise NotFound(f"{directory} has no {kind} entry {name!r}", directory=directory, name=name)
        return msgspec.json.format(bytes(entries[name]), indent=0)

    async def put(self, kind: Kind, directory: str, name: str, raw: bytes) -> None:
        """Keep an entry; raises ``InvalidRequest`` for one of another shape."""
        file = self._file(kind, directory, name)
        decoded(kind, raw)
        await self._change(file, lambda entries: entries | {name: msgspec.Raw(raw)})

    async def delete(self, kind: Kind, directory: str, name: str) -> None:
        """Raises ``InvalidRequest`` and ``NotFound``."""
        file = self._file(kind, directory, name)

        def without(entries: Entries) -> Entries:
            if name not in entries:
                raise NotFound(f"{directory} has no {kind} entry {name!r}", directory=directory, name=name)
            return {key: value for key, value in entries.items() if key != name}

        await self._change(file, without)

    async def reaching(self, kind: Kind, cwd: str) -> list[Found]:
        """What holds in ``cwd``: the entries of it and of every folder above, the nearest of each name."""
        return await asyncio.to_thread(_reaching, kind, Path(cwd))

    def _file(self, kind: Kind, directory: str, name: str) -> Path:
        if not directory.strip() or "\0" in directory:
            raise InvalidRequest("directory must name a folder")
        if not name.strip():
            raise InvalidRequest(f"{'mcpName' if kind == 'mcp' else 'skillName'} must not be blank")
        path = Path(directory)
        if not path.is_absolute() and ".." in path.parts:
            raise InvalidRequest(f"directory {directory!r} leads out of the home folder")
        return self._home / path / _FOLDER / f"{kind}.json"

    async def _change(self, file: Path, change: Callable[[Entries], Entries]) -> None:
        lock = self._locks.setdefault(file, asyncio.Lock())
        async with lock:
            await asyncio.to_thread(lambda: _write(file, change(_read(file))))


def decoded(kind: Kind, raw: bytes | msgspec.Raw) -> Config:
    """The entry's struct; raises ``InvalidRequest`` with the place of what is wrong."""
    if not bytes(raw).strip():
        raise InvalidRequest("the request body is empty, JSON is expected")
    try:
        return _SHAPES[kind].decode(raw)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"invalid {kind} configuration: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the {kind} configuration is not JSON: {error}") from error


def _read(file: Path) -> Entries:
    """Raises ``InvalidRequest`` for a file that is damaged: it is never written over."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}", file=str(file)) from error
    try:
        return _file.decode(data) if data.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"{file} is not a JSON object: {error}", hint="correct or remove that file", file=str(file)
        ) from error


def _write(file: Path, entries: Entries) -> None:
    data = msgspec.json.format(msgspec.json.encode(entries), indent=2) + b"\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        number, made = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # made with 0600
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be written: {error.strerror}", file=str(file)) from error
    try:
        with os.fdopen(number, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        Path(made).replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            Path(made).unlink()
        raise InvalidRequest(f"{file} cannot be written: {error.strerror}", file=str(file)) from error


def _reaching(kind: Kind, cwd: Path) -> list[Found]:
    found: dict[str, Found] = {}
    for directory in (cwd, *cwd.parents):
        file = directory / _FOLDER / f"{kind}.json"
        for entry in _entries(kind, directory, file):
            found.setdefault(entry.name, entry)
    return list(found.values())


def _entries(kind: Kind, directory: Path, file: Path) -> list[Found]:
    try:
        about = file.stat()
    except OSError:
        return []
    if (problem := _distrusted(about)) is not None:
        return [Found(str(file), directory, None, problem)]
    try:
        entries = _read(file)
    except InvalidRequest as error:
        return [Found(str(file), directory, None, error.detail)]
    return [_entry(kind, directory, name, raw) for name, raw in entries.items()]


def _entry(kind: Kind, directory: Path, name: str, raw: msgspec.Raw) -> Found:
    try:
        return Found(name, directory, decoded(kind, raw))
    except InvalidRequest as error:
        return Found(name, directory, None, error.detail)


def _distrusted(about: os.stat_result) -> str | None:
    """What is configured is run: a file which others may have written, in a shared folder say, is not obeyed."""
    if about.st_uid not in {0, os.geteuid()}:
        return "it belongs to another user, so it is not used"
    if about.st_mode & (stat.S_IWOTH | stat.S_IWGRP) and about.st_gid != os.getegid():
        return "others may write it, so it is not used"
    if about.st_mode & stat.S_IWOTH:
        return "everybody may write it, so it is not used"
    return None
