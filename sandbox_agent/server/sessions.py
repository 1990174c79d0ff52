"""`/v1/sessions`: durable sessions, their prompts and permissions. Events and transcripts are in `session_events`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from sandbox_agent.problems import InvalidRequest
from sandbox_agent.server.call import Answer

if TYPE_CHECKING:
    from sandbox_agent.server.call import Call

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
ENDED = frozenset({"completed", "cancelled", "failed"})


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``cursor`` is the last page's ``nextCursor``."""

    limit: Limit = 100
    cursor: str | None = None


class PermissionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``pending`` leaves out those that were answered."""

    pending: bool = False


class AgentSessionsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``cursor`` is the last page's ``nextCursor``, which the agent made."""

    cursor: str | None = None


async def create(call: Call) -> Answer:
    info = await call.sandbox.sessions.create(call.body)
    return Answer(201, info, headers=(("Location", f"{call.path.rstrip('/')}/{info.id}"),))


async def list_sessions(call: Call) -> Answer:
    return Answer(body=await call.sandbox.sessions.list(limit=call.query.limit, cursor=call.query.cursor))


async def get(call: Call) -> Answer:
    return Answer(body=await call.sandbox.sessions.get(call.params["id"]))


async def update(call: Call) -> Answer:
    return Answer(body=await call.sandbox.sessions.update(call.params["id"], call.body))


async def delete(call: Call) -> Answer:
    await call.sandbox.sessions.delete(call.params["id"])
    return Answer(204)


async def fork(call: Call) -> Answer:
    info = await call.sandbox.sessions.fork(call.params["id"], call.body)
    sessions = call.path.rstrip("/").rsplit("/", 2)[0]
    return Answer(201, info, headers=(("Location", f"{sessions}/{info.id}"),))


async def agent_sessions(call: Call) -> Answer:
    return Answer(body=await call.sandbox.sessions.agent_sessions(call.params["id"], cursor=call.query.cursor))


async def prompt(call: Call) -> Answer:
    """202 with the job; 200 when ``Prefer: wait`` held until it ended."""
    key = call.headers.get("Idempotency-Key")
    if key is not None and not 1 <= len(key) <= 255:  # noqa: PLR2004 - as long as a header may sensibly be
        raise InvalidRequest("Idempotency-Key must have 1 to 255 characters")
    session = call.params["id"]
    info = await call.sandbox.sessions.prompt(session, call.body, idempotency_key=key)
    hold = call.hold(0.0)
    if hold > 0 and info.state not in ENDED:
        info = await call.sandbox.sessions.wait_prompt(session, info.id, hold)
    return Answer(
        200 if info.state in ENDED else 202, info, headers=(("Location", f"{call.path.rstrip('/')}/{info.id}"),)
    )


async def prompts(call: Call) -> Answer:
    return Answer(
        body=await call.sandbox.sessions.prompts(call.params["id"], limit=call.query.limit, cursor=call.query.cursor)
    )


async def get_prompt(call: Call) -> Answer:
    session, prompt_id = call.params["id"], call.params["prompt_id"]
    hold = call.hold(0.0)
    if hold > 0:
        return Answer(body=await call.sandbox.sessions.wait_prompt(session, prompt_id, hold))
    return Answer(body=await call.sandbox.sessions.prompt_info(session, prompt_id))


async def cancel(call: Call) -> Answer:
    return Answer(body=await call.sandbox.sessions.cancel(call.params["id"]))


async def permissions(call: Call) -> Answer:
    return Answer(body=await call.sandbox.sessions.permissions(call.params["id"], pending_only=call.query.pending))


async def answer_permission(call: Call) -> Answer:
    info = await call.sandbox.sessions.answer(call.params["id"], call.params["request_id"], call.body, by=call.by)
    return Answer(body=info)
