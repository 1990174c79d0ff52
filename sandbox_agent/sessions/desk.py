"""The permissions of one session: asked by the agent, decided by policy or a person, each exactly once."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from sandbox_agent.problems import NotFound, Problem
from sandbox_agent.sessions import events, permissions
from sandbox_agent.sessions.core import now_ms
from sandbox_agent.sessions.policy import decide, option_for
from sandbox_agent.sessions.records import PermissionRow
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.acp.connection import AgentConnection
    from sandbox_agent.acp.envelope import Envelope
    from sandbox_agent.sessions.core import Core
    from sandbox_agent.sessions.policy import Verdict
    from sandbox_agent.sessions.updates import ToolCalls
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.sessions import (
        CancelReason,
        PermissionAnswer,
        PermissionInfo,
        PermissionOption,
        Reply,
    )

_REPLIES: dict[str, Reply] = {"allow": "once", "deny": "reject"}


class _Request(msgspec.Struct):
    """``session/request_permission``, as far as it can be read."""

    tool_call: object = msgspec.field(name="toolCall", default=None)
    options: object = None


class _RequestEnvelope(msgspec.Struct):
    params: _Request = msgspec.field(default_factory=_Request)


class Asked(NamedTuple):
    """A request the agent waits for."""

    row: PermissionRow
    request_id: bytes
    connection: AgentConnection


class PermissionDesk:
    """``current_prompt`` tells which prompt runs; ``changed`` is called when something began or ceased to wait."""

    def __init__(self, core: Core, tools: ToolCalls) -> None:
        self._core = core
        self._tools = tools
        self._ordinal = 0
        self._pending: dict[str, Asked] = {}
        self._deciding: set[asyncio.Task[None]] = set()
        self.closed = False
        self.current_prompt: Callable[[], str | None] = lambda: None

    def restore(self, ordinal: int) -> None:
        """Go on counting after ``ordinal``."""
        self._ordinal = ordinal

    @property
    def pending(self) -> list[PermissionInfo]:
        return [asked.row.info for asked in self._pending.values()]

    def asked(self, connection: AgentConnection, envelope: Envelope) -> None:
        """The agent asks. While a cancel is under way it is answered at once: cancelled."""
        try:
            request = msgspec.json.decode(envelope.raw, type=_RequestEnvelope).params
        except msgspec.DecodeError:
            request = _Request()
        call: JsonObject = request.tool_call if isinstance(request.tool_call, dict) else {}
        self._ordinal += 1
        info = permissions.asked(
            f"perm_{self._ordinal}",
            self._core.id,
            options=request.options,
            tool_call=self._tools.shown(call),
            prompt_id=self.current_prompt(),
            now_ms=now_ms(),
        )
        asked = Asked(PermissionRow(ordinal=self._ordinal, info=info), envelope.id or b"null", connection)
        policy = self._core.row.permission_policy
        if self.closed:
            self._resolve(asked, None, by="cancel", reason="turn_cancelled")
            self._answer_later(asked.connection, [asked])
        elif policy.default == "ask" and not policy.rules:
            self._wait_for_person(asked)
        else:
            task = spawn_task(self._judge(asked, self._tools.judged(call)), name=f"policy of {info.id}")
            self._deciding.add(task)
            task.add_done_callback(self._deciding.discard)

    async def answer(self, permission_id: str, answer: PermissionAnswer, *, by: str | None) -> PermissionInfo:
        """A person's answer. It is on disk before the agent hears it."""
        asked = self._pending.get(permission_id)
        if asked is None:
            row = await self._core.records.permission(self._core.id, permission_id)
            if row is None:
                raise NotFound(f"session {self._core.id} has no permission {permission_id!r}", sessionId=self._core.id)
            raise permissions.already_resolved(row.info)
        option = permissions.chosen(asked.row.info, answer)
        info = self._resolve(asked, option, by="client", name=by)
        await self._tell_agent(asked.connection, asked.request_id, info)
        return info

    def cancel_all(self, reason: CancelReason) -> list[Asked]:
        """Everything that waits is cancelled; what the agent has to be told is returned."""
        waiting = list(self._pending.values())
        for asked in waiting:
            self._resolve(asked, None, by="cancel", reason=reason)
        return waiting

    async def tell_cancelled(self, waiting: list[Asked]) -> None:
        """Answer the agent's requests that were cancelled."""
        for asked in waiting:
            with contextlib.suppress(Problem):  # the agent is gone: nobody waits
                await asked.connection.respond(asked.request_id, {"outcome": {"outcome": "cancelled"}})

    async def _judge(self, asked: Asked, call: JsonObject) -> None:
        row = self._core.row
        verdict = await asyncio.to_thread(decide, row.permission_policy, call, row.cwd)
        option = self._option(asked.row.info, verdict)
        if self.closed or asked.connection.exit is not None:
            gone = asked.connection.exit is not None
            self._resolve(asked, None, by="cancel", reason="agent_exited" if gone else "turn_cancelled")
            await self.tell_cancelled([asked])
        elif verdict.decision == "ask" or (verdict.decision == "allow" and option is None):
            self._wait_for_person(asked)
        else:
            info = self._resolve(asked, option, by="policy", rule=verdict.label)
            await self._tell_agent(asked.connection, asked.request_id, info)

    def _option(self, info: PermissionInfo, verdict: Verdict) -> PermissionOption | None:
        reply = _REPLIES.get(verdict.decision)
        return option_for(reply, info.options) if reply else None

    def _wait_for_person(self, asked: Asked) -> None:
        info = asked.row.info
        self._pending[info.id] = asked
        self._core.records.put_permission(asked.row)
        self._core.note(events.permission(info))
        self._core.change()
        self._core.tell("permission_asked", permissionId=info.id, promptId=info.prompt_id)

    def _resolve(
        self,
        asked: Asked,
        option: PermissionOption | None,
        *,
        by: Literal["client", "policy", "cancel"],
        name: str | None = None,
        rule: str | None = None,
        reason: CancelReason | None = None,
    ) -> PermissionInfo:
        info = permissions.resolved(asked.row.info, option, by=by, now_ms=now_ms(), name=name, rule=rule, reason=reason)
        self._pending.pop(info.id, None)
        self._core.records.put_permission(PermissionRow(ordinal=asked.row.ordinal, info=info))
        self._core.note(events.permission(info))
        self._core.change()
        self._core.tell(
            "permission_resolved",
            permissionId=info.id,
            promptId=info.prompt_id,
            state=info.state,
            reply=info.reply,
            resolvedBy=by,
            rule=rule,
        )
        return info

    async def _tell_agent(self, connection: AgentConnection, request_id: bytes, info: PermissionInfo) -> None:
        await self._core.records.durable()
        with contextlib.suppress(
            Problem
        ):  # the agent is gone: its turn ends for that reason, the answer stays on record
            await connection.respond(request_id, permissions.outcome(info))

    def _answer_later(self, connection: AgentConnection, waiting: list[Asked]) -> None:
        spawn_task(self.tell_cancelled(waiting), name=f"cancel permissions of {connection.server_id}")
