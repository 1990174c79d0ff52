"""What agents can do with whole sessions beyond prompts: fork, list, close, delete (ACP's ``sessionCapabilities``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.acp.roles import RpcError
from sandbox_agent.journal import Reset
from sandbox_agent.problems import InvalidRequest, SandboxAgentError
from sandbox_agent.sessions.core import now_ms
from sandbox_agent.sessions.handshake import Greeting, ask
from sandbox_agent.wire.sessions import AgentSessionList

if TYPE_CHECKING:
    from sandbox_agent.acp.connection import AgentConnection
    from sandbox_agent.journal import Journal
    from sandbox_agent.sessions.core import Core
    from sandbox_agent.sessions.records import SessionRow
    from sandbox_agent.wire.sessions import SessionForkRequest

FAREWELL_S = 1.0
"""Longest wait for an agent to close or delete a session whose process is ended next."""


def greeted(row: SessionRow) -> Greeting:
    """What the agent said it can do, when it was last started."""
    return Greeting(info=row.agent_info, capabilities=row.agent_capabilities or {})


def forked(row: SessionRow, session_id: str, request: SessionForkRequest) -> SessionRow:
    """The row of a session that goes on from another."""
    now = now_ms()
    titled = {"title": request.title, "titled_by": "client"} if request.title is not None else {}
    return msgspec.structs.replace(
        row,
        id=session_id,
        created_at_ms=now,
        updated_at_ms=now,
        forked_from=row.id,
        continuity=None,
        error=None,
        last_sequence=0,
        mcp=(),
        skills=(),
        **titled,
    )


async def copy(source: Journal, target: Journal) -> None:
    """All entries of one journal that are there now, into another."""
    await source.durable()
    cursor, end = 0, source.head
    while cursor < end:
        found = await source.read(cursor)
        if isinstance(found, Reset):
            cursor = found.first - 1
            continue
        if not found:
            return
        for segment in found:
            await target.writable.wait()
            target.extend(segment.payloads, segment.sender)
            cursor = segment.last


async def farewell(core: Core, connection: AgentConnection) -> None:
    """The session is destroyed: have the agent close it and forget it, as far as it can and answers soon."""
    greeting, params = greeted(core.row), {"sessionId": core.row.agent_session_id}
    if core.row.agent_session_id is None:
        return
    for method, able in (("session/close", greeting.can("close")), ("session/delete", greeting.can("delete"))):
        if not able:
            continue
        try:
            await connection.request(method, params, deadline=FAREWELL_S)
        except RpcError:
            continue
        except SandboxAgentError:
            return  # it does not answer, or has ended


async def agent_sessions(core: Core, connection: AgentConnection, cursor: str | None) -> AgentSessionList:
    """A page of the sessions the agent has for the session's folder. Raises ``InvalidRequest`` when it lists none."""
    row = core.row
    if not greeted(row).can("list"):
        raise InvalidRequest(f"{row.agent} does not list its sessions", agent=row.agent)
    params = {"cwd": row.cwd} | ({"cursor": cursor} if cursor is not None else {})
    result = await ask(connection, "session/list", params, agent=row.agent, deadline=core.settings.session_deadline)
    sessions, following = result.get("sessions"), result.get("nextCursor")
    return AgentSessionList(
        items=tuple(one for one in sessions if isinstance(one, dict)) if isinstance(sessions, list) else (),
        next_cursor=following if isinstance(following, str) else None,
    )
