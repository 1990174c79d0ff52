"""What is uploaded, read piece by piece: bytes, files, file objects, and folders as tar archives."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox_agent.client.progress import Meter

PIECE: Final = 1 << 18
"""Bytes in a piece, about."""

BLOCK: Final = 512
"""Of a tar archive (POSIX.1-2017, pax)."""


@runtime_checkable
class Readable(Protocol):
    """An open file, or what can be read like one: in pieces of text, which goes as UTF-8, or of bytes."""

    def read(self, size: int, /) -> str | bytes: ...


Content: TypeAlias = str | bytes | bytearray | memoryview | Path | Readable | Iterable[bytes]
"""What can be written: text, bytes, a file of this machine by its ``Path``, an open file, or pieces of bytes."""


class _Metered:
    repeatable = True
    """Whether it can be read again from its start."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def sent(self, count: int) -> None:
        self._meter.add(count)


class BytesBody(_Metered):
    """Bytes that are in memory anyway."""

    def __init__(self, data: bytes | bytearray | memoryview, meter: Meter) -> None:
        super().__init__(meter)
        self._data = memoryview(data).cast("B")
        self.size: int | None = len(self._data)

    def chunks(self) -> Iterator[bytes]:
        self._meter.restart()
        for start in range(0, len(self._data), PIECE):
            yield bytes(self._data[start : start + PIECE])


class FileBody(_Metered):
    """A file of this machine, as long as it is when it is begun."""

    def __init__(self, path: Path, meter: Meter) -> None:
        super().__init__(meter)
        self._path = path
        self.size: int | None = path.stat().st_size
        meter.total = self.size

    def chunks(self) -> Iterator[bytes]:
        self._meter.restart()
        with self._path.open("rb") as file:
            yield from _exactly(file, self.size or 0, self._path)


class StreamBody(_Metered):
    """An open file, from where it stands."""

    def __init__(self, file: Any, meter: Meter) -> None:
        super().__init__(meter)
        self._file = file
        self.repeatable = hasattr(file, "seekable") and file.seekable()
        self._start = file.tell() if self.repeatable else 0
        self.size: int | None = None

    def chunks(self) -> Iterator[bytes]:
        self._meter.restart()
        if self.repeatable:
            self._file.seek(self._start)
        while piece := self._file.read(PIECE):
            yield piece.encode() if isinstance(piece, str) else piece


class PiecesBody(_Metered):
    """Pieces that somebody makes; they can be asked for once."""

    repeatable = False

    def __init__(self, pieces: Iterable[bytes], meter: Meter) -> None:
        super().__init__(meter)
        self._pieces = pieces
        self.size: int | None = None

    def chunks(self) -> Iterator[bytes]:
        return iter(self._pieces)


class FolderBody(_Metered):
    """A folder as a tar archive that is made as it is sent: what lies in it, not the folder itself.

    Links to files are followed; links to folders and what is neither file nor folder are ``skipped``.
    """

    def __init__(self, folder: Path, meter: Meter) -> None:
        super().__init__(meter)
        self._folder = folder
        self.size: int | None = None
        self.files = 0
        self.bytes = 0
        self.skipped: list[str] = []

    def chunks(self) -> Iterator[bytes]:
        self._meter.restart()
        self.files, self.bytes, self.skipped = 0, 0, []
        pending = bytearray()
        for piece in self._pieces(self._folder, ""):
            pending += piece
            if len(pending) >= PIECE:
                yield bytes(pending)
                pending.clear()
        yield bytes(pending) + bytes(2 * BLOCK)

    def _pieces(self, folder: Path, prefix: str) -> Iterator[bytes]:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield _header(name, entry.stat(), tarfile.DIRTYPE)
                yield from self._pieces(Path(entry.path), f"{name}/")
            elif entry.is_file():
                yield from self._file(Path(entry.path), name)
            else:
                self.skipped.append(entry.path)

    def _file(self, path: Path, name: str) -> Iterator[bytes]:
        with path.open("rb") as file:
            info = os.fstat(file.fileno())
            yield _header(name, info, tarfile.REGTYPE)
            yield from _exactly(file, info.st_size, path)
        yield bytes(-info.st_size % BLOCK)
        self.files += 1
        self.bytes += info.st_size


AnyBody: TypeAlias = BytesBody | FileBody | StreamBody | PiecesBody


def body_of(data: Content, meter: Meter) -> AnyBody:
    """The body for what a user gives. May block: it looks at files."""
    match data:
        case str():
            return BytesBody(data.encode("utf-8", "surrogateescape"), meter)
        case bytes() | bytearray() | memoryview():
            return BytesBody(data, meter)
        case Path():
            return FileBody(data, meter)
    if isinstance(data, Readable):
        return StreamBody(data, meter)
    if isinstance(data, Iterable):
        return PiecesBody(data, meter)
    raise TypeError(f"cannot write a {type(data).__name__}: give text, bytes, a Path, an open file or pieces of bytes")


def _header(name: str, info: os.stat_result, kind: bytes) -> bytes:
    """Owners are left out: they mean nothing elsewhere."""
    member = tarfile.TarInfo(f"{name}/" if kind == tarfile.DIRTYPE else name)
    member.type = kind
    member.size = info.st_size if kind == tarfile.REGTYPE else 0
    member.mode = stat.S_IMODE(info.st_mode)
    member.mtime = info.st_mtime
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _exactly(file: IO[bytes], size: int, path: Path) -> Iterator[bytes]:
    """So many bytes of a file, whatever is added to it meanwhile."""
    left = size
    while left:
        piece = file.read(min(PIECE, left))
        if not piece:
            raise OSError(f"{path} became shorter while it was being read")
        left -= len(piece)
        yield piece
