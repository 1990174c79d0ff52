"""A file without a name for what logs do not keep in memory: it is gone with the server, however that ends."""

from __future__ import annotations

import heapq
import os
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK = 4 << 20
_LEAST_FREE = 256 << 20  # of the file system: it is there for the user's work first
_MOST_BUFFERS = 64


class Spool:
    """Blocks of a temporary file, given out and taken back. Methods raise OSError."""

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._fd = -1
        self._end = 0  # blocks the file reaches over
        self._free: list[int] = []

    @property
    def size(self) -> int:
        """Bytes of the blocks that are given out."""
        return (self._end - len(self._free)) * BLOCK

    def allocate(self) -> int:
        """Where a block begins. The first ones are taken first, so that the file can become shorter again."""
        if self._fd < 0:
            with tempfile.TemporaryFile(dir=self._folder, prefix="sandbox-agent-") as file:
                self._fd = os.dup(file.fileno())
        room = os.fstatvfs(self._fd)
        if room.f_bavail * room.f_frsize < _LEAST_FREE:
            raise OSError("the file system of temporary files is almost full")
        if self._free:
            return heapq.heappop(self._free) * BLOCK
        self._end += 1
        return (self._end - 1) * BLOCK

    def release(self, at: int) -> None:
        """A block is needed no more."""
        heapq.heappush(self._free, at // BLOCK)
        if len(self._free) * 2 > self._end:
            self._shorten()

    def _shorten(self) -> None:
        free = set(self._free)
        end = self._end
        while end and end - 1 in free:
            end -= 1
            free.discard(end)
        if end < self._end:
            self._end = end
            self._free = sorted(free)
            os.ftruncate(self._fd, end * BLOCK)

    def write(self, at: int, payloads: Sequence[bytes]) -> None:
        """The payloads one after the other, within one block."""
        buffers = payloads if len(payloads) <= _MOST_BUFFERS else [b"".join(payloads)]
        size = sum(map(len, buffers))
        written = os.pwritev(self._fd, buffers, at)
        if written < size:
            rest = memoryview(b"".join(buffers))
            while written < size:
                written += os.pwrite(self._fd, rest[written:], at + written)

    def read(self, at: int, size: int) -> bytes:
        data = os.pread(self._fd, size, at)
        if len(data) != size:
            raise OSError(f"{size - len(data)} bytes of the spool are missing")
        return data

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
