"""Bytes of a pipe into lines, without I/O, in time linear in the bytes whatever the lines' length.

ACP frames messages by LF on the agent's standard streams (ACP, "Transports", stdio).
"""

from __future__ import annotations

from typing import Self

LINE_CAP = 256 << 20
_HEAD_KEPT = 4096
_LONG = 1000


class OversizedLine(bytes):
    """Stands in the place of a line over the cap: its first bytes, and how many there were."""

    size: int

    def __new__(cls, head: bytes, size: int) -> Self:
        line = super().__new__(cls, head)
        line.size = size
        return line


def _split(data: bytes) -> list[bytes]:
    """The parts between LFs. To split looks at each byte; where lines are long, a search for each takes a third."""
    end = data.find(b"\n")
    if 0 <= end < _LONG:
        return data.split(b"\n")
    lines = []
    start = 0
    while end >= 0:
        lines.append(data[start:end])
        start = end + 1
        end = data.find(b"\n", start)
    lines.append(data[start:])
    return lines


class LineFramer:
    """Feed it bytes as they come, cut anywhere; lines come out whole, in order, without their LF.

    A line over ``cap`` bytes is skipped: its bytes are dropped as they come, and an `OversizedLine` stands for it.
    """

    def __init__(self, cap: int = LINE_CAP) -> None:
        self._cap = cap
        self._parts: list[bytes] = []
        self._size = 0  # of the line begun, dropped bytes too

    @property
    def pending(self) -> int:
        """Bytes of the line begun so far."""
        return self._size

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete."""
        lines = _split(data)
        rest = lines.pop()
        if lines:
            if self._size:
                self._keep(lines[0])
                lines[0] = self._take()
            # a whole line within one read can only be over a cap smaller than reads are
            if len(data) > self._cap:
                lines = [self._checked(line) for line in lines]
        if rest:
            self._keep(rest)
        return lines

    def end(self) -> list[bytes]:
        """At the end of the stream: the line that was begun and has no LF."""
        return [self._take()] if self._size else []

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._cap:
            self._parts.append(part)
        elif len(self._parts) != 1 or len(self._parts[0]) > _HEAD_KEPT:
            self._parts = [b"".join([*self._parts, part])[:_HEAD_KEPT]]

    def _take(self) -> bytes:
        line = b"".join(self._parts)
        size, self._size = self._size, 0
        self._parts = []
        return line if size <= self._cap else OversizedLine(line[:_HEAD_KEPT], size)

    def _checked(self, line: bytes) -> bytes:
        if len(line) <= self._cap or isinstance(line, OversizedLine):
            return line
        return OversizedLine(line[:_HEAD_KEPT], len(line))
