"""One journal: numbered entries, appended by its producer, pulled by readers from their own cursors."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from operator import attrgetter
from typing import TYPE_CHECKING

from sandbox_agent.journal.segment import Reset, Retention, Segment, Sender
from sandbox_agent.journal.store import OVERHEAD, Trim, Write
from sandbox_agent.problems import SandboxAgentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sandbox_agent.journal.engine import Engine
    from sandbox_agent.journal.store import StoredJournal

#: What one read hands over, about; a segment is never cut for it.
READ_BYTES = 1 << 20
#: Batches above it become several segments, well below what a row may hold.
SEGMENT_BYTES = 64 << 20


class JournalClosed(SandboxAgentError):
    """An append to a journal that was closed, deleted, or whose store was stopped."""


class _Write(Write):
    __slots__ = ("_journal",)

    def __init__(self, journal: Journal, segment: Segment, steady_ms: int, total: int) -> None:
        super().__init__(journal.number, segment, steady_ms, total)
        self._journal = journal

    def safe(self) -> None:
        self._journal.show(self.segment, alone=True)

    def committed(self) -> None:
        self._journal.stored(self.segment)


class _Trim(Trim):
    __slots__ = ("_journal",)

    def __init__(self, journal: Journal, *, upto: int, excess: int, before_ms: int | None) -> None:
        super().__init__(journal.number, upto=upto, excess=excess, before_ms=before_ms)
        self._journal = journal

    def announce(self, first: int) -> None:
        super().announce(first)
        self._journal.first = max(self._journal.first, first)

    def committed(self) -> None:
        self._journal.trimmed(self)


class _Waiter:
    """A follower that has had everything up to ``after``."""

    __slots__ = ("after", "take", "woken")

    def __init__(self, after: int, take: Callable[[Segment], bool] | None) -> None:
        self.after = after
        self.take = take
        self.woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def takes(self, segment: Segment) -> bool:
        if self.take is None or segment.first != self.after + 1 or self.woken.done() or not self.take(segment):
            return False
        self.after = segment.last
        return True


class Journal:
    """Append-only and numbered from 1; numbers only grow, across restarts too, and none is given twice.

    Readers see an entry once it is stored (``visible``), so what they saw survives the death of the server; while the
    store cannot write, or is memory only, they see everything at once.
    """

    __slots__ = (
        "__weakref__",
        "_cached_bytes",
        "_closed",
        "_discarded",
        "_durable",
        "_engine",
        "_followers",
        "_forget",
        "_retain_after",
        "_retention",
        "_segments",
        "_stored_bytes",
        "_total",
        "_trim_at",
        "_trimming",
        "_waiters",
        "first",
        "head",
        "name",
        "number",
        "visible",
    )

    def __init__(self, name: str, engine: Engine, found: StoredJournal, forget: Callable[[Journal], None]) -> None:
        self.name = name
        self.number = found.journal
        self.first = found.first
        self.head = self.visible = self._durable = found.head
        self._engine = engine
        self._forget = forget
        self._retention = Retention()
        self._retain_after: int | None = None
        self._total = found.total
        self._stored_bytes = found.size
        self._trim_at: int | None = None
        self._trimming = False
        self._segments: list[Segment] = []  # the newest, up to head, without a hole
        self._cached_bytes = 0
        self._waiters: list[_Waiter] = []
        self._followers = 0
        self._closed = False
        self._discarded = False

    def __repr__(self) -> str:
        return f"<Journal {self.name} {self.first}..{self.head}>"

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def writable(self) -> asyncio.Event:
        """Cleared while the writer is behind by more than its budget: pause what produces until it is set."""
        return self._engine.writable

    @property
    def retain_after(self) -> int | None:
        """Retention never removes numbers above it; ``None`` puts no limit."""
        return self._retain_after

    @retain_after.setter
    def retain_after(self, sequence: int | None) -> None:
        self._retain_after = sequence
        self._trim_at = self._room()
        self._check()

    # Writing

    def append(self, payload: bytes, sender: Sender = Sender.AGENT) -> int:
        """Adds one entry; never blocks. The sequence it got."""
        return self.extend([payload], sender)

    def extend(self, payloads: list[bytes], sender: Sender = Sender.AGENT) -> int:
        """Adds a batch as one segment, which keeps the list itself; never blocks. The last sequence given."""
        if self._closed:
            raise JournalClosed(f"journal {self.name} is closed")
        if not payloads:
            return self.head
        engine = self._engine
        segment = Segment(self.head + 1, engine.clock.now_ms(), sender, payloads)
        if segment.size > SEGMENT_BYTES and len(payloads) > 1:
            half = len(payloads) // 2
            self.extend(payloads[:half], sender)
            return self.extend(payloads[half:], sender)
        if self._durable == self.head:
            engine.behind(self, waits=True)
        self.head = segment.last
        self._segments.append(segment)
        self._cached_bytes += segment.size + OVERHEAD * len(payloads)
        self._total += segment.size
        engine.submit(_Write(self, segment, engine.clock.steady_ms(), self._total))
        if engine.degraded:
            self.degrade()
        return self.head

    async def durable(self, sequence: int | None = None) -> bool:
        """Waits until ``sequence`` (or all so far) is on disk: true. False when it is not: degraded, memory only."""
        if not self._engine.store.persistent:
            return False
        wanted = self.head if sequence is None else sequence
        return self._durable >= wanted or (await self._engine.barrier() and self._durable >= wanted)

    def close(self) -> None:
        """No more appends; followers end once they have had everything."""
        self._closed = True
        self._wake()
        self._settle()

    def reopen(self) -> None:
        """Appends go on after ``close``."""
        self._closed = False

    def discard(self) -> None:
        """Deleted: nothing is left to read."""
        self._discarded = True
        self._segments.clear()
        self._cached_bytes = 0
        self.first = 1
        self.head = self.visible = self._durable = 0
        self._engine.behind(self, waits=False)
        self._engine.cached(self)
        self.close()

    # Reading

    async def read(self, after: int, *, max_bytes: int = READ_BYTES) -> list[Segment] | Reset:
        """Visible segments beyond ``after``, about ``max_bytes`` of them; ``[]`` when there are none.

        ``Reset`` when retention removed some of what was asked for.
        """
        while True:
            if after + 1 < self.first:
                return Reset(after, self.first)
            if after >= self.visible:
                return []
            window = self._segments[0].first if self._segments else self.head + 1
            if after + 1 >= window:
                return self._recent(after, max_bytes)
            if self._engine.stopped:
                return []
            found = await self._engine.call(self._engine.store.read, self.number, after, max_bytes)
            if after + 1 < self.first:
                continue
            while found and found[-1].last > self.visible:
                found.pop()
            if found:
                found[0] = found[0].after(after)
                return found
            # No row between the cursor and the window: numbers are not dense where a crash cost some.
            after = window - 1

    def _recent(self, after: int, max_bytes: int) -> list[Segment]:
        segments = self._segments
        if segments[-1].first == after + 1 and self.visible == self.head:
            return segments[-1:]  # the one that has just come, for a reader who had all others
        start = bisect_left(segments, after + 1, key=attrgetter("last"))
        size = 0
        found = []
        for index in range(start, len(segments)):
            segment = segments[index]
            if segment.last > self.visible:
                break
            found.append(segment)
            size += segment.size
            if size >= max_bytes:
                break
        if found:
            found[0] = found[0].after(after)
        return found

    async def follow(
        self, after: int, *, max_bytes: int = READ_BYTES, take: Callable[[Segment], bool] | None = None
    ) -> AsyncIterator[list[Segment] | Reset]:
        """All segments beyond ``after``, those to come as well, until the journal is closed and read to its end.

        A segment that comes while the follower waits is offered to ``take`` first, from within the append: to
        wake a task for it takes longer than to send it. What that takes (true) is not yielded.
        """
        self._followers += 1
        try:
            while True:
                found = await self.read(after, max_bytes=max_bytes) if after < self.visible else []
                if isinstance(found, Reset):
                    yield found
                    after = found.first - 1
                elif found:
                    yield found
                    after = found[-1].last
                elif self._closed and self.visible == self.head:
                    return
                else:
                    after = await self._news(after, take)
        finally:
            self._followers -= 1
            self._settle()

    async def _news(self, after: int, take: Callable[[Segment], bool] | None) -> int:
        """Until there is more than the follower has had, or the journal is closed; what it has had by then."""
        waiter = _Waiter(after, take)
        self._waiters.append(waiter)
        try:
            await waiter.woken
        finally:
            if not waiter.woken.done() or waiter.woken.cancelled():
                self._waiters = [other for other in self._waiters if other is not waiter]
        return waiter.after

    def _wake(self, alone: Segment | None = None) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if alone is not None and waiter.takes(alone):
                self._waiters.append(waiter)
            elif not waiter.woken.done():
                waiter.woken.set_result(None)

    # News from the store, on the event loop

    def show(self, segment: Segment, *, alone: bool = False) -> None:
        """The segment survives a crash: readers may see it. ``alone`` where it is not one of many shown at once."""
        if segment.last > self.visible and not self._discarded:
            self.visible = segment.last
            self._wake(segment if alone else None)

    def stored(self, segment: Segment) -> None:
        """The segment is in the store."""
        if self._discarded:
            return
        self._durable = max(self._durable, segment.last)
        if self._durable == self.head:
            self._engine.behind(self, waits=False)
        self.show(segment)
        self._stored_bytes += segment.size
        self._check()
        window = self._engine.limits.window_bytes
        self.evict(window * 4 if self._followers else window)
        self._engine.cached(self)
        self._settle()

    def degrade(self) -> None:
        """The store cannot write: show what is there."""
        if self.visible != self.head:
            self.visible = self.head
            self._wake()

    @property
    def followed(self) -> bool:
        """Whether somebody is reading on."""
        return self._followers > 0

    @property
    def cached_bytes(self) -> int:
        return self._cached_bytes

    def evict(self, keep: int) -> None:
        """Forgets the oldest segments that are stored; the newest stays unless nothing is to be kept."""
        segments = self._segments
        count = 0
        most = len(segments) - (1 if keep else 0)
        while self._cached_bytes > keep and count < most and segments[count].last <= self._durable:
            self._cached_bytes -= segments[count].size + OVERHEAD * len(segments[count].payloads)
            count += 1
        del segments[:count]

    def _settle(self) -> None:
        if self._closed and self._durable == self.head:
            self._forget(self)

    # Retention

    @property
    def retention(self) -> Retention:
        """How much is kept; may be set at any time."""
        return self._retention

    @retention.setter
    def retention(self, retention: Retention) -> None:
        self._retention = retention
        self._trim_at = self._room()
        self._check()
        self.age()

    def _room(self) -> int | None:
        # Some room above the limit, so that a full journal is not trimmed at every append.
        limit = self._retention.max_bytes
        return None if limit is None else limit + limit // 8

    def _check(self) -> None:
        if self._trim_at is not None and self._stored_bytes > self._trim_at:
            self._trim(before_ms=None)

    def age(self) -> None:
        """Removes what is older than retention allows, in the background."""
        if self._retention.max_age_s is not None and self.first <= self._durable:
            self._trim(before_ms=self._engine.clock.steady_ms() - int(self._retention.max_age_s * 1000))

    def _trim(self, *, before_ms: int | None) -> None:
        if self._trimming or self._discarded or self._engine.stopped:
            return
        limit = self._retention.max_bytes
        excess = 0 if limit is None else max(0, self._stored_bytes - limit)
        self._trimming = True
        self._engine.submit(_Trim(self, upto=self._removable(before_ms), excess=excess, before_ms=before_ms))

    def _removable(self, before_ms: int | None) -> int:
        """The last number that may go: by size the newest segment stays, however large; by age it may."""
        last = self._durable if before_ms is not None else self._durable - 1
        return last if self._retain_after is None else min(last, self._retain_after)

    def trimmed(self, trim: Trim) -> None:
        """Segments went from the store; forget them as well."""
        self._trimming = False
        if self._discarded:
            return
        self._stored_bytes -= trim.removed
        self.evict_below(self.first)
        self._trim_at = room = self._room()
        spared = trim.removed < trim.excess and not trim.more and trim.upto >= self._removable(trim.before_ms)
        if room is not None and spared:
            self._trim_at = room + self._stored_bytes  # what is left may not go: wait for more
        if trim.more:
            self._trim(before_ms=trim.before_ms)
        self._check()
        self._engine.cached(self)

    def evict_below(self, first: int) -> None:
        """Forgets segments below ``first``."""
        count = bisect_left(self._segments, first, key=attrgetter("last"))
        self._cached_bytes -= sum(s.size + OVERHEAD * len(s.payloads) for s in self._segments[:count])
        del self._segments[:count]
