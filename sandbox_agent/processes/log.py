"""What a process wrote: a journal whose entries are reads of its output, bounded, each with the stream it is from."""

from __future__ import annotations

from collections import deque
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

    async def excerpt(
        self, stream: ProcessLogsStream = "combined", *, tail: int | None = None, since: int | None = None
    ) -> Excerpt:
        """What is kept now: entries after ``since``, of these the last ``tail``."""
        wanted = None if stream == "combined" else SENDERS[stream]
        after = self.journal.first - 1 if since is None else since
        if tail is not None and wanted is None:
            after = max(after, self.journal.head - tail)
        found: deque[Segment] = deque(maxlen=tail)
        reset = False
        while batch := await self.journal.read(after):
            if isinstance(batch, Reset):
                after, reset = batch.first - 1, True
                continue
            found.extend(segment for segment in batch if wanted is None or segment.sender == wanted)
            after = batch[-1].last
        return Excerpt(list(found), reset)

    async def follow(self, after: int) -> AsyncIterator[list[Segment] | Reset]:
        """All entries beyond ``after``, those to come as well, until the process has ended and all is read."""
        batches = cast("AsyncGenerator[list[Segment] | Reset, None]", self.journal.follow(after))
        async with aclosing(batches):
            async for batch in batches:
                yield batch
