"""What a process wrote: a journal whose entries are reads of its output, bounded, each with the stream it is from."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from sandbox_agent.journal import Journals, Limits, Reset, Retention, Sender
from sandbox_agent.processes.store import LogStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from sandbox_agent.journal import Journal, Segment
    from sandbox_agent.processes.spool import Spool
    from sandbox_agent.wire.processes import ProcessLogsStream

Stream: TypeAlias = Literal["stdout", "stderr", "pty"]

#: A segment's sender is the stream it came from.
SENDERS: dict[Stream, Sender] = {"stdout": Sender.AGENT, "stderr": Sender.CLIENT, "pty": Sender.SERVER}
STREAMS: dict[Sender, Stream] = {sender: stream for stream, sender in SENDERS.items()}


#: For followers that are behind, beyond the limit, in the temporary file.
HOLD_BYTES = 1 << 30
#: What an entry takes in memory, wherever its bytes are.
ENTRY_COST = 256
_WINDOW_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A part of a log: segments of one entry each; ``reset`` when some of what was asked for is gone."""

    segments: list[Segment]
    reset: bool


class Logs:
    """The logs of all processes: their newest entries in memory, the others in a temporary file."""

    def __init__(self, spool: Spool | None = None) -> None:
        self.store = LogStore(spool)
        self._journals = Journals(self.store, limits=Limits(window_bytes=_WINDOW_BYTES))

    async def start(self) -> None:
        await self._journals.start()

    async def stop(self) -> None:
        await self._journals.stop()
        self.store.close()

    async def open(self, name: str, limit: int) -> ProcessLog:
        """A log of ``limit`` bytes, about."""
        return ProcessLog(await self._journals.open(name), self.store, limit)

    async def delete(self, name: str) -> None:
        await self._journals.delete(name)


class _Reader:
    """Where a follower is; it is not passed by ``holding`` while there is room."""

    __slots__ = ("cursor", "holding")

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.holding = True


class ProcessLog:
    """The log of one process: any number of readers, each at its own pace.

    ``journal`` is the plain journal below: its payloads are the bytes that were read, one entry a segment. The oldest
    go when there is more than ``limit``, but not before who follows has had them, as long as ``HOLD_BYTES`` suffice.
    """

    def __init__(self, journal: Journal, store: LogStore, limit: int) -> None:
        self.journal = journal
        self._store = store
        self._readers: list[_Reader] = []
        self._untuned = 0
        self.limit = limit

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._store.size(self.journal.number)

    @property
    def limit(self) -> int:
        """Bytes that are kept for those to come, about, an entry counted as ``ENTRY_COST`` and its own."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._tune()

    def append(self, stream: Stream, data: bytes) -> int:
        """Adds an entry, also after `close` (a daemon's late words); its sequence."""
        journal = self.journal
        if journal.closed:
            journal.reopen()
            try:
                return journal.append(data, SENDERS[stream])
            finally:
                journal.close()
        head = journal.append(data, SENDERS[stream])
        self._untuned += len(data) + ENTRY_COST
        if self._untuned > self._limit // 16:
            self._tune()
        if self._readers and self.size > self._limit:
            self._hold()
        return head

    def close(self) -> None:
        """The process has ended: followers end once they have had everything."""
        self.journal.close()
        self._store.ended(self.journal.number)

    def clear(self) -> None:
        """Lets go of all entries, also the newest, which a limit of size leaves."""
        self.journal.retention = Retention(max_bytes=0, max_age_s=-1.0)

    def _tune(self) -> None:
        """Tells the journal how many bytes of payload the limit comes to."""
        journal = self.journal
        self._untuned = 0
        entries = journal.head + 1 - journal.first
        size = self.size
        share = size / (size + ENTRY_COST * entries) if entries else 1.0
        journal.retention = Retention(max_bytes=int(self._limit * share))

    def _hold(self) -> None:
        """Nothing goes that a follower still wants, while there is room for it."""
        most = 0 if self._store.full else self._limit + HOLD_BYTES
        holding = [reader for reader in self._readers if reader.holding]
        if holding and self.size > most:
            slowest = min(holding, key=_cursor)
            slowest.holding = False
            holding.remove(slowest)
        self.journal.retain_after = min(map(_cursor, holding)) if holding else None

    async def excerpt(self, stream: ProcessLogsStream = "combined", *, after: int) -> Excerpt:
        """What is kept now of the entries beyond ``after``."""
        found: list[Segment] = []
        reset = False
        while batch := await self.journal.read(after):
            if isinstance(batch, Reset):
                after, reset = batch.first - 1, True
                continue
            found += _of(stream, batch)
            after = batch[-1].last
        return Excerpt(found, reset)

    async def cursor(
        self, stream: ProcessLogsStream = "combined", *, tail: int | None = None, since: int | None = None
    ) -> int:
        """Where to begin to read: after ``since``, or after so much that ``tail`` entries are left."""
        oldest = self.journal.first - 1
        after = oldest if since is None else since
        if tail is None:
            return after
        if stream == "combined":
            return max(after, self.journal.head - tail)
        found = (await self.excerpt(stream, after=max(after, oldest))).segments
        if not tail:
            return max(after, self.journal.head)
        return max(after, found[-tail].first - 1) if len(found) >= tail else after

    async def last(self, limit: int | None) -> tuple[bytes, bool]:
        """The last ``limit`` bytes of all streams (or all there are), and whether there were more before them."""
        oldest, head = self.journal.first - 1, self.journal.head
        entries = 16
        while True:
            after = oldest if limit is None else max(oldest, head - entries)
            found = (await self.excerpt(after=after)).segments
            size = sum(segment.size for segment in found)
            if after == oldest or (limit is not None and size >= limit):
                break
            entries *= 4
        data = b"".join(payload for segment in found for payload in segment.payloads)
        if limit is not None and size > limit:
            return data[size - limit :], True
        return data, after > 0

    async def follow(self, after: int, stream: ProcessLogsStream = "combined") -> AsyncIterator[list[Segment] | Reset]:
        """All entries beyond ``after``, those to come as well, until the process has ended and all is read.

        A cursor beyond the newest entry is from another process of that name: it counts as too old.
        """
        if after > self.journal.head:
            yield Reset(after, self.journal.first)
            after = self.journal.first - 1
        reader = _Reader(after)
        self._readers.append(reader)
        batches = cast("AsyncGenerator[list[Segment] | Reset, None]", self.journal.follow(after))
        try:
            async with aclosing(batches):
                async for batch in batches:
                    if isinstance(batch, Reset):
                        yield batch
                        reader.cursor = batch.first - 1
                    else:
                        if found := _of(stream, batch):
                            yield found
                        reader.cursor = batch[-1].last
                    reader.holding = True
                    self._hold()
        finally:
            self._readers.remove(reader)
            self._hold()


def _cursor(reader: _Reader) -> int:
    return reader.cursor


def _of(stream: ProcessLogsStream, segments: list[Segment]) -> list[Segment]:
    if stream == "combined":
        return segments
    sender = SENDERS[stream]
    return [segment for segment in segments if segment.sender == sender]
