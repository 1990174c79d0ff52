"""Reading a file in order through one large block, so that a thousand small reads are one system call."""

from __future__ import annotations

import os

BLOCK = 1 << 20


class Window:
    """``fd`` is read by position only; nobody else's place in it changes."""

    def __init__(self, fd: int, block: int = BLOCK) -> None:
        self.fd = fd
        self.size = os.fstat(fd).st_size
        self._block = block
        self._start = 0
        self._data = b""

    def get(self, offset: int, size: int) -> bytes:
        """``size`` bytes at ``offset``; fewer at the file's end."""
        start = offset - self._start
        if start >= 0 and start + size <= len(self._data):
            return self._data[start : start + size]
        if size >= self._block:
            return os.pread(self.fd, size, offset)
        self._data = os.pread(self.fd, self._block, offset)
        self._start = offset
        return self._data[:size]
