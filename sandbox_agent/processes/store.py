"""What lies beneath the logs: the newest entries of each in memory, the others in the spool, none beyond the server."""

from __future__ import annotations

import logging
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, cast

from sandbox_agent.journal.memory import MemoryStore
from sandbox_agent.journal.segment import Segment
from sandbox_agent.journal.store import Create, Drop, StoredJournal, Trim, Write
from sandbox_agent.processes.spool import BLOCK, Spool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox_agent.journal import Sender
    from sandbox_agent.journal.store import Operation, StoredRow

logger = logging.getLogger(__name__)

HOT_BYTES = 512 << 10
"""Kept in memory of a log that is being written; half of it is left when the rest goes to the spool."""
COLD_BYTES = 16 << 10
"""Kept in memory of one that has ended."""


class _Row:
    """One segment: itself, or where it is in the spool."""

    __slots__ = ("at", "created_ms", "first", "last", "lengths", "segment", "sender", "size", "steady_ms")

    def __init__(self, segment: Segment, steady_ms: int) -> None:
        self.first = segment.first
        self.last = segment.last
        self.size = segment.size
        self.created_ms = segment.created_ms
        self.sender: Sender = segment.sender
        self.steady_ms = steady_ms
        self.segment: Segment | None = segment
        self.at = -1
        self.lengths: tuple[int, ...] = ()

    @property
    def block(self) -> int:
        return self.at - self.at % BLOCK

    def cool(self, at: int) -> None:
        """It is in the spool from now on."""
        if self.segment is not None:
            self.lengths = tuple(map(len, self.segment.payloads))
        self.segment = None
        self.at = at


@dataclass(slots=True)
class _Kept:
    name: str
    head: int = 0
    size: int = 0
    rows: list[_Row] = field(default_factory=list)
    hot: int = 0  # bytes in memory
    cold: int = 0  # rows in the spool; they come before the others
    block: int = -1  # of the spool, the one being filled
    used: int = BLOCK  # bytes of it
    rows_in: dict[int, int] = field(default_factory=dict)  # by block


class LogStore(MemoryStore):
    """Carried out at once, on the loop: the spool is in the kernel's memory, or on its way to the disk."""

    def __init__(self, spool: Spool | None = None) -> None:
        super().__init__()
        self._spool = spool or Spool()
        self._logs: dict[int, _Kept] = {}
        self._numbers: dict[str, int] = {}
        self.full = False
        """Whether the spool takes no more: what is not within a log's limit cannot be kept for anybody."""

    def size(self, journal: int) -> int:
        """Bytes kept of a log."""
        kept = self._logs.get(journal)
        return kept.size if kept else 0

    def commit(self, batch: Sequence[Operation]) -> None:
        for operation in batch:
            match operation:
                case Write(journal=journal, segment=segment):
                    self._write(self._logs[journal], _Row(segment, operation.steady_ms))
                case Create(journal=journal, name=name):
                    self._logs[journal] = _Kept(name)
                    self._numbers[name] = journal
                case Trim():
                    self._cut(operation)
                case Drop(journal=journal):
                    kept = self._logs.pop(journal)
                    self._numbers.pop(kept.name, None)
                    self._forget(kept, len(kept.rows))
                case _:
                    pass

    def _write(self, kept: _Kept, row: _Row) -> None:
        kept.rows.append(row)
        kept.head = row.last
        kept.size += row.size
        kept.hot += row.size
        if kept.hot > HOT_BYTES:
            self._cool(kept, HOT_BYTES // 2)

    def ended(self, journal: int) -> None:
        """Nothing more is to be expected: memory need not hold it."""
        if journal in self._logs:
            self._cool(self._logs[journal], COLD_BYTES)

    def _cool(self, kept: _Kept, keep: int) -> None:
        """Moves the oldest rows in memory to the spool until ``keep`` bytes are left."""
        if kept.hot <= keep:
            return
        stop = kept.cold
        hot = kept.hot
        while hot > keep:
            hot -= kept.rows[stop].size
            stop += 1
        try:
            while kept.cold < stop:
                self._fill(kept, stop)
            self.full = False
        except OSError as error:
            if not self.full:
                logger.warning("logs stay in memory: %s", error)
            self.full = True

    def _fill(self, kept: _Kept, stop: int) -> None:
        """Writes as many rows as the block has room for."""
        if kept.rows[kept.cold].size > BLOCK - kept.used:
            kept.block = self._spool.allocate()
            kept.used = 0
            kept.rows_in[kept.block] = 0
        payloads: list[bytes] = []
        rows: list[_Row] = []
        used = kept.used
        for row in kept.rows[kept.cold : stop]:
            if row.size > BLOCK - used or row.segment is None:
                break
            payloads += row.segment.payloads
            rows.append(row)
            used += row.size
        if not rows:
            raise OSError(f"an entry is larger than {BLOCK} bytes")
        self._spool.write(kept.block + kept.used, payloads)
        for row in rows:
            row.cool(kept.block + kept.used)
            kept.used += row.size
            kept.hot -= row.size
        kept.rows_in[kept.block] += len(rows)
        kept.cold += len(rows)

    def _cut(self, trim: Trim) -> None:
        kept = self._logs.get(trim.journal)
        if kept is not None and (count := trim.takes(cast("Sequence[StoredRow]", kept.rows), len(kept.rows) + 1)):
            kept.size -= trim.removed
            self._forget(kept, count)

    def _forget(self, kept: _Kept, count: int) -> None:
        """The oldest ``count`` rows are gone."""
        for row in kept.rows[:count]:
            if row.segment is not None:
                kept.hot -= row.size
                continue
            kept.rows_in[row.block] -= 1
            if not kept.rows_in[row.block]:
                del kept.rows_in[row.block]
                self._spool.release(row.block)
                if row.block == kept.block:
                    kept.block, kept.used = -1, BLOCK
        kept.cold = max(0, kept.cold - count)
        del kept.rows[:count]

    def find(self, name: str) -> StoredJournal | None:
        number = self._numbers.get(name)
        if number is None:
            return None
        kept = self._logs[number]
        first = kept.rows[0].first if kept.rows else kept.head + 1
        return StoredJournal(number, first, kept.head, kept.size, kept.size)

    def read(self, journal: int, after: int, max_bytes: int) -> list[Segment]:
        kept = self._logs.get(journal)
        if kept is None:
            return []
        start = stop = bisect_left(kept.rows, after + 1, key=attrgetter("last"))
        size = 0
        while stop < len(kept.rows) and size < max_bytes:
            size += kept.rows[stop].size
            stop += 1
        found: list[Segment] = []
        for block, group in groupby(kept.rows[start:stop], key=lambda row: -1 if row.segment else row.block):
            rows = list(group)
            found += self._fetch(rows) if block >= 0 else [row.segment for row in rows if row.segment]
        return found

    def _fetch(self, rows: list[_Row]) -> list[Segment]:
        """Rows that lie one after the other."""
        begin = rows[0].at
        data = self._spool.read(begin, rows[-1].at + rows[-1].size - begin)
        found = []
        for row in rows:
            at, payloads = row.at - begin, list[bytes]()
            for length in row.lengths:
                payloads.append(data[at : at + length])
                at += length
            found.append(Segment(row.first, row.created_ms, row.sender, payloads))
        return found

    def close(self) -> None:
        self._spool.close()
