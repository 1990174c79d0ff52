"""The log of a process: what is kept, or followed as server-sent events until after the exit."""

from __future__ import annotations

import asyncio
import binascii
from typing import TYPE_CHECKING, Annotated

import msgspec

from sandbox_agent.journal import Reset
from sandbox_agent.processes.log import STREAMS
from sandbox_agent.server import sse
from sandbox_agent.server.call import Answer, EventStream
from sandbox_agent.wire.processes import ProcessLogsStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sandbox_agent.journal import Segment
    from sandbox_agent.processes import Process
    from sandbox_agent.server.call import Call, Outcome

Cursor = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_IN_THREAD_BYTES = 1 << 18


class LogsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of ``stream`` after number ``since``, of these the last ``tail``; ``follow`` goes on with what comes.

    Without ``stream`` it is ``combined``, or ``pty`` for a process with a terminal.
    """

    stream: ProcessLogsStream | None = None
    tail: Cursor | None = None
    follow: bool = False
    since: Cursor | None = None


async def logs(call: Call) -> Outcome:
    process = call.sandbox.processes.get(call.params["id"])
    query: LogsQuery = call.query
    wanted = query.stream or ("pty" if process.tty else "combined")
    last = call.last_event_id()
    after = await process.log.cursor(wanted, tail=query.tail, since=query.since if last is None else last)
    if query.follow:
        return EventStream(stream(process, wanted, after))
    excerpt = await process.log.excerpt(wanted, after=after)
    opening = b'{"processId":%s,"stream":"%s",%s"entries":[' % (
        msgspec.json.encode(process.id),
        wanted.encode(),
        b'"reset":true,' if excerpt.reset else b"",
    )
    if sum(segment.size for segment in excerpt.segments) < _IN_THREAD_BYTES:
        return Answer(body=_page(opening, excerpt.segments))
    return Answer(body=await asyncio.to_thread(_page, opening, excerpt.segments))


def _page(opening: bytes, segments: list[Segment]) -> bytes:
    return b"".join([opening, b",".join(entry for segment in segments for entry in entries(segment)), b"]}"])


def entries(segment: Segment) -> Iterator[bytes]:
    """Its `ProcessLogEntry`s as JSON."""
    middle = b',"stream":"%s","timestampMs":%d,"data":"' % (STREAMS[segment.sender].encode(), segment.created_ms)
    for sequence, payload in enumerate(segment.payloads, segment.first):
        data = binascii.b2a_base64(payload, newline=False)
        yield b'{"sequence":%d%b%b","encoding":"base64"}' % (sequence, middle, data)


def framed(segment: Segment) -> bytes:
    """Its entries as events."""
    return b"".join([b"id: %d\nevent: log\ndata: %b\n\n" % pair for pair in enumerate(entries(segment), segment.first)])


async def stream(process: Process, wanted: ProcessLogsStream, after: int) -> AsyncIterator[bytes]:
    """Batches of framed entries: what is kept, what comes, and an ``exit`` with the process at the end."""
    async for batch in process.log.follow(after, wanted):
        if isinstance(batch, Reset):
            yield sse.reset_event(batch.after, batch.first)
        else:
            yield b"".join([framed(segment) for segment in batch])
    await process.wait()
    yield sse.event("exit", msgspec.json.encode(process.info()))
