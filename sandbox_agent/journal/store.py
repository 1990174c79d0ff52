"""What lies beneath the journals: operations, and the protocol that each store carries them out by.

All operations go through one ordered queue and are carried out in batches, each batch as one transaction. Segments
are rows: one row holds a whole append batch (its payloads joined, their lengths beside them).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, TypeAlias

from sandbox_agent.journal.segment import Segment, Sender
from sandbox_agent.problems import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What an object in memory costs beside its bytes; counted so that a million tiny entries are not taken for nothing.
OVERHEAD = 64


class StoreFault(StoreUnavailable):
    """The store failed: a batch was rolled back and may be tried again, or something could not be read."""


class Operation:
    """One entry of the write queue. ``committed`` is called on the event loop once the store holds it."""

    __slots__ = ("unsafe", "weight")

    #: False for those that only pass through the queue.
    stored: ClassVar[bool] = True

    def __init__(self, weight: int = OVERHEAD) -> None:
        self.weight = weight  # bytes of memory held while it waits
        self.unsafe = False  # whether it waits for its commit and a crash would lose it

    def safe(self) -> None:
        """Called on the event loop: it survives a crash from now on, though it is not committed yet."""

    def committed(self) -> None:
        """Nothing to tell."""


class Create(Operation):
    """A new journal, number ``journal``, named ``name``."""

    __slots__ = ("journal", "name")

    def __init__(self, journal: int, name: str) -> None:
        super().__init__()
        self.journal = journal
        self.name = name


class Write(Operation):
    """One segment; ``steady_ms`` is what its age is measured from, ``total`` the journal's bytes up to its end.

    ``row`` is the store's: what it will keep, from when it has made it.
    """

    __slots__ = ("journal", "row", "segment", "steady_ms", "total")

    def __init__(self, journal: int, segment: Segment, steady_ms: int, total: int) -> None:
        self.weight = segment.size + OVERHEAD * len(segment.payloads)
        self.unsafe = False
        self.journal = journal
        self.segment = segment
        self.steady_ms = steady_ms
        self.total = total
        self.row: Row | None = None


class Trim(Operation):
    """Removes the oldest segments: ``excess`` bytes of them, and those older than ``before_ms``.

    None reaches beyond ``upto``. A store removes at most so much at once and sets ``more``. It calls ``announce``
    before it removes anything, so that no reader takes the hole for the whole; ``removed`` counts bytes.
    """

    __slots__ = ("before_ms", "excess", "first", "journal", "more", "removed", "upto")

    def __init__(self, journal: int, *, upto: int, excess: int, before_ms: int | None) -> None:
        super().__init__()
        self.journal = journal
        self.upto = upto
        self.excess = excess
        self.before_ms = before_ms
        self.first = 0
        self.removed = 0
        self.more = False

    def announce(self, first: int) -> None:
        """Called on the writer's thread: entries below ``first`` are about to go."""
        self.first = first

    def takes(self, rows: Sequence[StoredRow], limit: int) -> int:
        """How many of ``rows`` (the oldest, in order; ``limit`` of them asked for) must go; notes size and number."""
        count = removed = 0
        for row in rows:
            too_old = self.before_ms is not None and row.steady_ms < self.before_ms
            if row.last > self.upto or not (too_old or removed < self.excess):
                break
            count += 1
            removed += row.size
        self.removed = removed
        self.more = count == limit
        if count:
            self.announce(rows[count - 1].last + 1)
        return count


class Drop(Operation):
    """The journal's name is free at once; its segments are swept afterwards."""

    __slots__ = ("journal",)

    def __init__(self, journal: int) -> None:
        super().__init__()
        self.journal = journal


class Sweep(Operation):
    """Removes a part of a dropped journal's segments; ``more`` while some are left."""

    __slots__ = ("journal", "more")

    def __init__(self, journal: int) -> None:
        super().__init__()
        self.journal = journal
        self.more = False


class Put(Operation):
    """A record is set."""

    __slots__ = ("record",)

    def __init__(self, record: Record) -> None:
        super().__init__(len(record.value) + 4 * OVERHEAD)
        self.record = record


class Remove(Operation):
    """A record goes."""

    __slots__ = ("key", "kind")

    def __init__(self, kind: str, key: str) -> None:
        super().__init__()
        self.kind = kind
        self.key = key


class Settled(Operation):
    """What readers were shown while the store failed is stored, once this is."""

    __slots__ = ()


#: What may be jotted down.
Jotted: TypeAlias = Create | Write


class Row(NamedTuple):
    """A segment as a store keeps it: ``data`` is its payloads, joined, or where they are."""

    journal: int
    first: int
    created_ms: int
    steady_ms: int
    total: int
    sender: int
    lengths: bytes
    data: bytes


class StoredRow(NamedTuple):
    """What retention must know of a segment."""

    last: int
    size: int
    steady_ms: int


@dataclass(frozen=True, slots=True)
class Record:
    """A small durable document; records of a kind are ordered by (``ordinal``, ``key``)."""

    kind: str
    key: str
    scope: str
    ordinal: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Which records of a kind: of one ``scope`` or all, beyond ``after`` in the order of reading, at most ``limit``."""

    kind: str
    scope: str | None = None
    after: tuple[int, str] | None = None
    limit: int | None = None
    descending: bool = False


@dataclass(frozen=True, slots=True)
class StoredJournal:
    """A journal as the store knows it.

    ``total`` counts the bytes of all its payloads ever stored (from any start), ``size`` of those still kept.
    """

    journal: int
    first: int = 1
    head: int = 0
    total: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """What a store holds when it opens: the highest journal number, journals by name, those not wholly swept yet."""

    highest: int
    names: list[str]
    dropped: list[int]


class Store(Protocol):
    """A place that keeps journals and records. Its methods block; a ``threaded`` one is never called on the loop."""

    threaded: bool  # false: carried out at once, on the loop (memory)
    persistent: bool

    def open(self) -> Opened:
        """Raises ``StoreUnavailable`` with what to do about it."""

    def commit(self, batch: Sequence[Operation]) -> None:
        """Carries out the batch as one transaction, in order. Raises ``StoreFault``."""

    def jot(self, operation: Jotted) -> bool:
        """On the loop, in microseconds: has the operation survive a crash, though it will be committed later.

        False when it does not: it is too large, the disk is slow or full, or the store does not do so.
        """

    def clear_jots(self) -> None:
        """On the loop: all that was jotted down has been committed."""

    def tidy(self, *, idle: bool) -> bool:
        """Housekeeping between batches; true when an idle moment could be used for more."""

    def close(self) -> None: ...

    def find(self, name: str) -> StoredJournal | None: ...

    def read(self, journal: int, after: int, max_bytes: int) -> list[Segment]:
        """Segments that hold numbers > ``after``, until ``max_bytes`` are reached; the first may begin earlier."""

    def record(self, kind: str, key: str) -> Record | None: ...

    def records(self, page: Page) -> list[Record]: ...


def pack_lengths(payloads: Sequence[bytes]) -> bytes:
    """The lengths as little-endian 32-bit numbers."""
    if len(payloads) == 1:
        return len(payloads[0]).to_bytes(4, "little")
    return struct.pack(f"<{len(payloads)}I", *map(len, payloads))


def unpack_lengths(lengths: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(lengths) // 4}I", lengths)


def unpack(first: int, created_ms: int, sender: int, lengths: bytes, data: bytes) -> Segment:
    """The segment a row stands for."""
    payloads = []
    start = 0
    for size in unpack_lengths(lengths):
        payloads.append(data[start : start + size])
        start += size
    return Segment(first, created_ms, Sender(sender), payloads)
