"""A session's events and transcript: JSON pages, server-sent events, exports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from sandbox_agent.journal import Reset, Sender
from sandbox_agent.render import to_html, to_markdown, to_notebook, to_text
from sandbox_agent.server import negotiate, sse
from sandbox_agent.server.call import Answer, EventStream
from sandbox_agent.wire.sessions import EventPage, SessionEvent
from sandbox_agent.wire.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sandbox_agent.journal import Journal, Segment
    from sandbox_agent.server.call import Call, Outcome
    from sandbox_agent.sessions import Sessions

Cursor = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_SENDERS = {sender: sender.name.lower() for sender in Sender}
_PAGE_BYTES = 8 << 20
"""A page ends early when its payloads come to more than this, so that huge events do not make huge answers."""
_UPSERT_BYTES_A_SECOND = 8 << 20


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Events after the cursor, at most ``limit`` a page."""

    after: Cursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class TranscriptQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``format`` exports; ``after`` is the cursor of a stream of upserts."""

    format: Literal["json", "md", "html", "ipynb", "text"] = "json"
    after: Cursor | None = None


async def events(call: Call) -> Outcome:
    session = call.params["id"]
    journal = await call.sandbox.sessions.journal(session)
    if call.wants(negotiate.EVENT_STREAM):
        last = call.last_event_id()
        after = call.query.after if last is None else last
        return EventStream(event_stream(call.sandbox.sessions, session, journal, after))
    return Answer(body=await page(session, journal, call.query.after, call.query.limit))


async def page(session: str, journal: Journal, after: int | None, limit: int) -> EventPage:
    """One page from the cursor on; without one, from the oldest event kept."""
    start = journal.first - 1 if after is None else after
    reset = start > journal.head
    if reset:
        start = journal.first - 1
    items: list[SessionEvent] = []
    size = 0
    while len(items) < limit and size < _PAGE_BYTES:
        batch = await journal.read(start, max_bytes=_PAGE_BYTES - size)
        if isinstance(batch, Reset):
            reset, start = True, batch.first - 1
            continue
        if not batch:
            break
        for event in (event for segment in batch for event in _events(session, segment)):
            if len(items) == limit or size >= _PAGE_BYTES:
                break
            items.append(event)
            size += len(memoryview(event.payload))
        start = items[-1].sequence
    return EventPage(items=tuple(items), next_after=start, has_more=start < journal.visible, reset=reset)


def _events(session: str, segment: Segment) -> Iterator[SessionEvent]:
    for sequence, payload in enumerate(segment.payloads, segment.first):
        yield SessionEvent(
            sequence=sequence,
            session_id=session,
            created_at_ms=segment.created_ms,
            sender=_SENDERS[segment.sender],  # type: ignore[arg-type]
            payload=msgspec.Raw(payload),
        )


async def event_stream(sessions: Sessions, session: str, journal: Journal, after: int | None) -> AsyncIterator[bytes]:
    """Batches of framed events; a reset carries the transcript, so that a reader can start over from it."""
    async for batch in sse.follow(journal, after):
        if isinstance(batch, Reset):
            transcript = await sessions.transcript(session)
            yield sse.reset_event(batch.after, batch.first, transcript=transcript)
        else:
            yield b"".join([framed(session, segment) for segment in batch])


def framed(session: str, segment: Segment) -> bytes:
    """A segment's events, framed. The envelope is built around the payload's own bytes."""
    middle = b',"sessionId":%s,"createdAtMs":%d,"sender":"%s","payload":' % (
        msgspec.json.encode(session),
        segment.created_ms,
        _SENDERS[segment.sender].encode(),
    )
    return b"".join(
        [
            b'id: %d\nevent: message\ndata: {"sequence":%d%s%s}\n\n' % (sequence, sequence, middle, payload)
            for sequence, payload in enumerate(segment.payloads, segment.first)
        ]
    )


async def transcript(call: Call) -> Outcome:
    session = call.params["id"]
    sessions = call.sandbox.sessions
    if call.query.format == "json" and call.wants(negotiate.EVENT_STREAM):
        last = call.last_event_id()
        await sessions.get(session)
        return EventStream(transcript_stream(sessions, session, call.query.after if last is None else last))
    return _exported(await sessions.transcript(session), call.query.format)


def _exported(folded: Transcript, form: str) -> Answer:
    match form:
        case "md":
            return Answer(body=to_markdown(folded).encode(), media="text/markdown; charset=utf-8")
        case "html":
            return Answer(body=to_html(folded, page=True).encode(), media="text/html; charset=utf-8")
        case "text":
            return Answer(body=to_text(folded).encode(), media="text/plain; charset=utf-8")
        case "ipynb":
            return Answer(body=msgspec.json.encode(to_notebook(folded)), media="application/x-ipynb+json")
    return Answer(body=folded)


async def transcript_stream(sessions: Sessions, session: str, after: int | None) -> AsyncIterator[bytes]:
    """A snapshot when there is no cursor or it is too old, then upserts as items change."""
    async for change in sessions.follow_transcript(session, after or 0):
        if isinstance(change, Transcript):
            yield sse.event("snapshot", msgspec.json.encode(change), sequence=change.sequence)
        else:
            body = msgspec.json.encode(change)
            yield sse.event("upsert", body, sequence=change.sequence)
            # A long item that grows is told whole each time: the longer it is, the more growth is told at once.
            await asyncio.sleep(len(body) / _UPSERT_BYTES_A_SECOND)
