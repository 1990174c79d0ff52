"""What a process wrote: a journal whose entries are reads of its output, bounded, each with the stream it is from."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from sandbox_agent.journal import Reset, Retention, Sender

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from sandbox_agent.journal import Journal, Journals, Segment
    from sandbox_agent.wire.processes import ProcessLogsStream

Stream: TypeAlias = Literal["stdout", "stderr", "pty"]

#: A segment's sender is the stream it came from.
SENDERS: dict[Stream, Sender] = {"stdout": Sender.AGENT, "stderr": Sender.CLIENT, "pty": Sender.SERVER}
STREAMS: dict[Sender, Stream] = {sender: stream for stream, sender in SENDERS.items()}


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A part of a log: segments of one entry each; ``reset`` when some of what was asked for is gone."""

    segments: list[Segment]
    reset: bool


class ProcessLog:
    """The log of one process: any number of readers, each at its own pace.

    ``journal`` is the plain journal below: its payloads are the bytes that were read, one entry a segment.
    """

    def __init__(self, journal: Journal, limit: int) -> None:
        self.journal = journal
        self._limit = limit
        journal.retention = Retention(max_bytes=limit)

    @classmethod
    async def open(cls, journals: Journals, name: str, limit: int) -> ProcessLog:
        return cls(await journals.open(name), limit)

    @property
    def limit(self) -> int:
        """Bytes that are kept, about; may be changed at any time."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self.journal.retention = Retention(max_bytes=limit)

    def append(self, stream: Stream, data: bytes) -> int:
        """Adds an entry, also after `close` (a daemon's late words); its sequence."""
        journal = self.journal
        if not journal.closed:
            return journal.append(data, SENDERS[stream])
        journal.reopen()
        try:
            return journal.append(data, SENDERS[stream])
        finally:
            journal.close()

    def close(self) -> None:
        """The process has ended: followers end once they have had everything."""
        self.journal.close()

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

    async def follow(self, after: int, stream: ProcessLogsStream = "combined") -> AsyncIterator[list[Segment] | Reset]:
        """All entries beyond ``after``, those to come as well, until the process has ended and all is read.

        A cursor beyond the newest entry is from another process of that name: it counts as too old.
        """
        if after > self.journal.head:
            yield Reset(after, self.journal.first)
            after = self.journal.first - 1
        batches = cast("AsyncGenerator[list[Segment] | Reset, None]", self.journal.follow(after))
        async with aclosing(batches):
            async for batch in batches:
                if isinstance(batch, Reset):
                    yield batch
                elif found := _of(stream, batch):
                    yield found


def _of(stream: ProcessLogsStream, segments: list[Segment]) -> list[Segment]:
    if stream == "combined":
        return segments
    sender = SENDERS[stream]
    return [segment for segment in segments if segment.sender == sender]
