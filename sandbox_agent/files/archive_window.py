"""Reading a file, or memory, in order through one large block, so that a thousand small reads are one system call."""

from __future__ import annotations

import os
from typing import TypeAlias

BLOCK = 1 << 20
_GAP = 1 << 16
"""Who reads on within this reads in order; who jumps further gets what was asked for and no more."""

Block: TypeAlias = bytes | memoryview
"""A piece of what is read: of memory it is a view, for which nothing is copied."""


class Window:
    """``source`` is memory, or a descriptor that is read by position only: nobody else's place in it changes."""

    def __init__(self, source: int | Block, block: int = BLOCK) -> None:
        self.fd = source if isinstance(source, int) else -1
        self._data: Block = b"" if isinstance(source, int) else memoryview(source)
        self.size = os.fstat(source).st_size if isinstance(source, int) else len(source)
        self._block = block
        self._start = 0

    def get(self, offset: int, size: int) -> bytes:
        """``size`` bytes at ``offset``; fewer at the end."""
        return bytes(self.view(offset, size))

    def view(self, offset: int, size: int) -> Block:
        """The same, without a copy where it is in memory."""
        start = offset - self._start
        if start >= 0 and start + size <= len(self._data):
            return self._data[start : start + size]
        block, start = self.reach(offset, size)
        return block[start : start + size]

    def reach(self, offset: int, size: int) -> tuple[Block, int]:
        """A block that has ``size`` bytes from ``offset`` on, as far as there are so many; and where in it."""
        start = offset - self._start
        if (start >= 0 and start + size <= len(self._data)) or self.fd < 0:
            return self._data, start
        goes_on = 0 <= start <= len(self._data) + _GAP
        self._data = os.pread(self.fd, max(size, self._block) if goes_on else size, offset)
        self._start = offset
        return self._data, 0
