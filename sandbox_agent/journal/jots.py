"""What was shown before it was committed: a file beside the database that a restart reads.

A segment's row, or a new journal's name, is appended here by one ``write`` on the event loop, which is enough to
survive the death of the process (``kill -9``), as a commit that is not synchronised is; the writer's thread commits it
with others a little later. To and fro between the threads, and a transaction for each event, cost several times as
much.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from typing import TYPE_CHECKING

from sandbox_agent.journal.store import Create, Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The file's bytes at most; then the writer has to get on first.
MOST_BYTES = 1 << 20
#: A disk under pressure makes even such a write wait. One that took the loop so long is the last for a while: for so
#: many times as long as it took.
SLOW_S = 0.01
REST = 100

# After a CRC of all that follows: how much follows the head, lengths and data; then the row's numbers. Where the
# first entry's would be 0, the data is the name of a new journal.
_HEAD = struct.Struct("<IIQQQQQB")
_CRC_BYTES = 4


def pack(jot: Row | Create) -> bytes:
    """One jot."""
    if isinstance(jot, Create):
        name = jot.name.encode()
        rest = _HEAD.pack(0, len(name), jot.journal, 0, 0, 0, 0, 0) + name
    else:
        journal, first, created_ms, steady_ms, total, sender, lengths, data = jot
        head = _HEAD.pack(len(lengths), len(data), journal, first, created_ms, steady_ms, total, sender)
        rest = b"".join((head, lengths, data))
    return zlib.crc32(rest).to_bytes(_CRC_BYTES, "little") + rest


def parse(content: bytes) -> Iterator[Row | Create]:
    """The jots in ``content``, up to the first that is not whole: the last one may be torn (by a power cut)."""
    at = 0
    while (head_at := at + _CRC_BYTES) + _HEAD.size <= len(content):
        some, more, journal, first, created_ms, steady_ms, total, sender = _HEAD.unpack_from(content, head_at)
        data_at = head_at + _HEAD.size + some
        end = data_at + more
        crc = zlib.crc32(content[head_at:end]).to_bytes(_CRC_BYTES, "little")
        if end > len(content) or content[at:head_at] != crc:
            return
        data = content[data_at:end]
        if first:
            yield Row(journal, first, created_ms, steady_ms, total, sender, content[data_at - some : data_at], data)
        else:
            yield Create(journal, data.decode())
        at = end


class Jots:
    """The file at ``path``, made with mode 0600. Raises OSError when it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size
        self._rests_until = 0.0

    def read(self) -> list[Row | Create]:
        """What the last server jotted down and may not have committed."""
        return list(parse(os.pread(self._fd, self._size, 0)))

    def ready(self, now: float) -> bool:
        """Whether there is room, and the disk is not slow at this moment (of the monotonic clock)."""
        return self._size <= MOST_BYTES and now >= self._rests_until

    def took(self, begun: float) -> None:
        """What has to do with a jot was written since ``begun``."""
        ended = time.monotonic()
        if ended - begun > SLOW_S:
            self._rests_until = ended + REST * (ended - begun)

    def add(self, jot: bytes) -> bool:
        """False when it was not kept: the disk is full, most likely."""
        try:
            written = os.write(self._fd, jot)
        except OSError:
            return False
        if written < len(jot):
            os.ftruncate(self._fd, self._size)
            return False
        self._size += written
        return True

    def clear(self) -> None:
        """All of it was committed."""
        if self._size:
            os.ftruncate(self._fd, 0)
            self._size = 0

    def close(self) -> None:
        os.close(self._fd)
