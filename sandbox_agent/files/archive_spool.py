"""Where an archive waits while it is checked, and taking its compression off, bounded while it happens.

Temporary files without names leave nothing behind, whatever ends the server.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from typing import TYPE_CHECKING, Literal, TypeAlias

from sandbox_agent.files.archive_plan import ArchiveError
from sandbox_agent.files.archive_tar import read_tar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from sandbox_agent.files.archive_plan import ArchiveLimits

Coding: TypeAlias = Literal["gzip", "zstd"]

_STEP = 1 << 20
IN_MEMORY = 4 << 20
_ZSTD_STEP = 256
"""A block of 3 bytes may stand for 128 KiB (RFC 8878, 3.1.1.2), and the library gives all that its input stands for."""
_ZSTD_WINDOW = 8 << 20  # what decoders should support (RFC 8878, 3.1.1.1.2), and up to level 19 need


def zstd_available() -> bool:
    """Whether Zstandard can be read: the ``zstandard`` package is an extra."""
    try:
        import zstandard  # noqa: F401, PLC0415 - an extra
    except ImportError:
        return False
    return True


def temporary(folder: int | None) -> IO[bytes]:
    """An unnamed file in the file system of the folder that ``folder`` is a descriptor of.

    Where nothing may be written there, it is in the system's own place for temporary files.
    """
    if folder is not None:
        try:
            return tempfile.TemporaryFile(dir=f"/proc/self/fd/{folder}", buffering=_STEP)
        except OSError:
            pass
    return tempfile.TemporaryFile(buffering=_STEP)


class Spool:
    """Takes what is sent, beginning with ``memory``; close it.

    Up to `IN_MEMORY` stay there, which spares them the way through a file and back. The file is in the file system of
    ``folder`` (a descriptor), once that is said.
    """

    def __init__(self, memory: bytearray | None = None) -> None:
        self.folder: int | None = None
        self._memory = bytearray() if memory is None else memory
        self._file: IO[bytes] | None = None

    def takes_at_once(self, chunk: bytes) -> bool:
        """Whether `write` would not touch a file."""
        return self._file is None and len(self._memory) + len(chunk) <= IN_MEMORY

    def write(self, chunk: bytes) -> None:
        if self.takes_at_once(chunk):
            self._memory += chunk
        else:
            (self._file or self.file()).write(chunk)

    def head(self, size: int) -> bytes:
        """How it begins."""
        source = self.source()
        return os.pread(source, size, 0) if isinstance(source, int) else bytes(source[:size])

    def source(self) -> int | memoryview:
        """All that was written: as memory, or the descriptor of a file of it."""
        return memoryview(self._memory) if self._file is None else self.file().fileno()

    def file(self) -> IO[bytes]:
        """The same as a file, whatever its size."""
        if self._file is None:
            self._file = temporary(self.folder)
            self._file.write(self._memory)
            self._memory = bytearray()
        self._file.flush()
        return self._file

    def close(self) -> None:
        self._memory = bytearray()
        if self._file is not None:
            self._file.close()


def expand(sent: IO[bytes], coding: Coding, into: IO[bytes], limits: ArchiveLimits) -> None:
    """Write what ``sent`` is the compressed form of.

    Raises ``ArchiveError`` when it is damaged, ends early, or expands beyond the limits, which names the member of
    the tar archive that goes beyond them.
    """
    size = sent.seek(0, os.SEEK_END)
    sent.seek(0)
    expanded = 0
    for piece in (_gunzip if coding == "gzip" else _unzstd)(sent):
        into.write(piece)
        expanded += len(piece)
        try:
            limits.check_expanded(size, expanded)
        except ArchiveError as error:
            into.flush()
            raise ArchiveError(error.reason, _last_member(into.fileno()), limit=error.limit) from error
    into.flush()


def _gunzip(sent: IO[bytes]) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=sent) as stream:
        try:
            while piece := stream.read(_STEP):
                yield piece
        except (OSError, EOFError, zlib.error) as error:
            raise ArchiveError(f"its gzip stream is damaged ({error})") from error


def _unzstd(sent: IO[bytes]) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415 - an extra, asked for by `zstd_available` before

    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    frame = decoder.decompressobj()
    fresh = True
    while data := sent.read(_ZSTD_STEP):
        while data:
            if frame.eof:
                frame, fresh = decoder.decompressobj(), True
            try:
                if piece := frame.decompress(data):
                    yield piece
            except zstandard.ZstdError as error:
                raise ArchiveError(f"its Zstandard stream is damaged ({error})") from error
            data, fresh = frame.unused_data if frame.eof else b"", False
    if not fresh and not frame.eof:
        raise ArchiveError("its Zstandard stream ends early")


def _last_member(fd: int) -> bytes | None:
    """The name of the member in which a tar archive that goes on has arrived."""
    last = None
    try:
        for member in read_tar(fd):
            last = member.name
    except ArchiveError as error:
        return error.member or last
    return last
