"""Reading a file, or bytes, in order through one large block, so that a thousand small reads are one system call."""

from __future__ import annotations

import os

BLOCK = 1 << 20
_GAP = 1 << 16
"""Who reads on within this reads in order; who jumps further gets what was asked for and no more."""


class Window:
    """``source`` is bytes, or a descriptor that is read by position only: nobody else's place in it changes."""

    def __init__(self, source: int | bytes, block: int = BLOCK) -> None:
        self.fd = -1 if isinstance(source, bytes) else source
        self.size = len(source) if isinstance(source, bytes) else os.fstat(source).st_size
        self._block = block
        self._start = 0
        self._data = source if isinstance(source, bytes) else b""

    def get(self, offset: int, size: int) -> bytes:
        """``size`` bytes at ``offset``; fewer at the end."""
        block, start = self.reach(offset, size)
        return block[start : start + size]

    def reach(self, offset: int, size: int) -> tuple[bytes, int]:
        """A block that has ``size`` bytes from ``offset`` on, as far as there are so many; and where in it."""
        start = offset - self._start
        if (start >= 0 and start + size <= len(self._data)) or self.fd < 0:
            return self._data, start
        goes_on = 0 <= start <= len(self._data) + _GAP
        self._data = os.pread(self.fd, max(size, self._block) if goes_on else size, offset)
        self._start = offset
        return self._data, 0
