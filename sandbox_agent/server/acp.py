"""`/v1/acp`: the raw bridge. Envelopes go through as the bytes they came as."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.journal import Reset
from sandbox_agent.problems import NotAcceptable
from sandbox_agent.server import negotiate, sse
from sandbox_agent.server.call import Answer, EventStream
from sandbox_agent.wire.acp import AcpServerListResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox_agent.journal import Journal
    from sandbox_agent.server.call import Call

HOLD_SECONDS = 25.0
"""How long a POST waits for the agent's response; after that it arrives on the event stream only."""


class AcpQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``agent`` starts that agent on a server id that is not live."""

    agent: str | None = None


async def list_servers(call: Call) -> Answer:
    return Answer(body=AcpServerListResponse(servers=tuple(call.sandbox.servers.list())))


def _require(call: Call, media: str) -> None:
    if not call.accepts(media):
        message = f"accept must allow {media}"
        raise NotAcceptable(message, details={"message": message})


async def post(call: Call) -> Answer:
    _require(call, negotiate.JSON)
    response = await call.sandbox.servers.post(
        call.params["server_id"], call.body, agent=call.query.agent or None, hold=call.hold(HOLD_SECONDS)
    )
    return Answer(202) if response is None else Answer(body=response)


async def stream(call: Call) -> EventStream:
    _require(call, negotiate.EVENT_STREAM)
    after = call.last_event_id()
    journal = await call.sandbox.servers.journal(call.params["server_id"])
    outlet = sse.Outlet()
    return EventStream(raw_events(journal, after, outlet), outlet)


async def raw_events(journal: Journal, after: int | None, outlet: sse.Outlet) -> AsyncIterator[sse.Events]:
    """Batches of framed envelopes; segments are framed once for all readers, large ones not even that."""
    async for batch in sse.follow(journal, after, take=lambda segment: outlet.offer(segment.frames())):
        if isinstance(batch, Reset):
            yield sse.reset_event(batch.after, batch.first)
            continue
        yield sse.joined([piece for segment in batch for piece in segment.frames()])


async def delete(call: Call) -> Answer:
    await call.sandbox.servers.delete(call.params["server_id"])
    return Answer(204)
