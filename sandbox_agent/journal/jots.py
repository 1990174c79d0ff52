"""What was shown before it was committed: a file beside the database that a restart reads.

A small segment, or a new journal's name, is appended here by one ``write`` on the event loop, which is enough to
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

from sandbox_agent.journal.store import Create, Write, pack_lengths, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox_agent.journal.store import Jotted

#: The file's bytes at most; then the writer has to get on first.
MOST_BYTES = 1 << 20
#: Larger segments are committed at once: bulk, for which nobody waits.
LARGEST = 16 << 10
#: A disk under pressure makes even such a write wait. One that took the loop so long is the last for a while.
SLOW_S = 0.01
REST_S = 2.0

# After a CRC of all that follows: how much follows the head, lengths and data; then the row's numbers. Where the
# first entry's would be 0, the data is the name of a new journal.
_HEAD = struct.Struct("<IIQQQQQB")
_CRC_BYTES = 4


def pack(operation: Jotted) -> bytes:
    """One jot."""
    if isinstance(operation, Write):
        segment = operation.segment
        lengths = pack_lengths(segment.payloads)
        head = _HEAD.pack(
            len(lengths),
            segment.size,
            operation.journal,
            segment.first,
            segment.created_ms,
            operation.steady_ms,
            operation.total,
            segment.sender,
        )
        rest = b"".join([head, lengths, *segment.payloads])
    else:
        name = operation.name.encode()
        rest = _HEAD.pack(0, len(name), operation.journal, 0, 0, 0, 0, 0) + name
    return zlib.crc32(rest).to_bytes(_CRC_BYTES, "little") + rest


def parse(content: bytes) -> Iterator[Jotted]:
    """The jots in ``content``, up to the first that is not whole: the last one may be torn (by a power cut)."""
    at = 0
    while (head_at := at + _CRC_BYTES) + _HEAD.size <= len(content):
        some, more, journal, first, created_ms, steady_ms, total, sender = _HEAD.unpack_from(content, head_at)
        data_at = head_at + _HEAD.size + some
        end = data_at + more
        crc = zlib.crc32(content[head_at:end]).to_bytes(_CRC_BYTES, "little")
        if end > len(content) or content[at:head_at] != crc:
            return
        if first:
            segment = unpack(first, created_ms, sender, content[data_at - some : data_at], content[data_at:end])
            yield Write(journal, segment, steady_ms, total)
        else:
            yield Create(journal, content[data_at:end].decode())
        at = end


class Jots:
    """The file at ``path``, made with mode 0600. Raises OSError when it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size
        self._rests_until = 0.0

    def read(self) -> list[Jotted]:
        """What the last server jotted down and may not have committed."""
        return list(parse(os.pread(self._fd, self._size, 0)))

    def add(self, operation: Jotted) -> bool:
        """False when it was not kept: no room, too large, or the disk is slow now."""
        begun = time.monotonic()
        if operation.weight > LARGEST or self._size > MOST_BYTES or begun < self._rests_until:
            return False
        jot = pack(operation)
        try:
            written = os.write(self._fd, jot)
        except OSError:
            written = 0
        if (ended := time.monotonic()) - begun > SLOW_S:
            self._rests_until = ended + REST_S
        if written == len(jot):
            self._size += written
            return True
        if written:
            os.ftruncate(self._fd, self._size)
        return False

    def clear(self) -> None:
        """All of it was committed."""
        if self._size:
            os.ftruncate(self._fd, 0)
            self._size = 0

    def close(self) -> None:
        os.close(self._fd)
