"""What a session keeps beside its journal, as small durable records.

A session, a prompt and a permission are one row each. ``open`` rows name the prompts and permissions that are not
final yet, so that a start after a crash reads those and not every row there ever was. All writes go through one
ordered queue: a row written before another is on disk before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from sandbox_agent.sessions.options import AgentOptions
from sandbox_agent.sessions.private import Private
from sandbox_agent.sessions.prompts import FINAL
from sandbox_agent.wire.base import JsonObject
from sandbox_agent.wire.config import SkillSource
from sandbox_agent.wire.sessions import (
    Continuity,
    McpStatus,
    PermissionInfo,
    PermissionPolicy,
    PromptInfo,
    SkillStatus,
)

if TYPE_CHECKING:
    from sandbox_agent.journal import Records


class SessionRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session as it is kept. ``remembers`` is true once a prompt reached an agent: there is something to restore.

    ``options`` is what the agent says; ``due_mode`` is a mode it was asked for and has not confirmed.

    ``priming`` is true from a new start of the agent until it was told the transcript. ``skill_sources`` is what was
    asked for, ``skills`` and ``mcp`` what became of it.
    """

    id: str
    agent: str
    cwd: str
    created_at_ms: int
    updated_at_ms: int
    permission_policy: PermissionPolicy
    title: str | None = None
    titled_by: Literal["client", "agent"] | None = None
    mcp_servers: tuple[JsonObject, ...] = ()
    desktop: bool = False
    mcp: tuple[McpStatus, ...] = ()
    skill_sources: tuple[SkillSource, ...] = ()
    skills: tuple[SkillStatus, ...] = ()
    forked_from: str | None = None
    agent_session_id: str | None = None
    continuity: Continuity | None = None
    options: AgentOptions = AgentOptions()
    due_mode: str | None = None
    agent_info: JsonObject | None = None
    agent_capabilities: JsonObject | None = None
    error: JsonObject | None = None
    last_sequence: int = 0
    remembers: bool = False
    priming: bool = False

    @property
    def standing(self) -> AgentOptions:
        """What turns run under: none begins before the mode that is due is confirmed."""
        return self.options if self.due_mode is None else self.options.with_value("mode", self.due_mode)


class PromptRow(msgspec.Struct, frozen=True, kw_only=True):
    ordinal: int
    info: PromptInfo


class PermissionRow(msgspec.Struct, frozen=True, kw_only=True):
    ordinal: int
    info: PermissionInfo


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """Names a row that is not final."""

    session_id: str
    key: str


Position: TypeAlias = tuple[int, str]

_SESSION, _PROMPT, _PERMISSION, _KEY = "session", "session-prompt", "session-permission", "session-prompt-key"
_OPEN_PROMPT, _OPEN_PERMISSION = "session-open-prompt", "session-open-permission"
_CHECKPOINT, _PRIVATE = "session-transcript", "session-private"


class SessionRecords:
    """The rows of all sessions."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def durable(self) -> bool:
        """Wait until all that was put is on disk; false when it cannot be."""
        return await self._records.durable()

    # sessions, newest first

    def put_session(self, row: SessionRow) -> None:
        self._records.put(_SESSION, row.id, msgspec.json.encode(row), ordinal=row.created_at_ms)

    async def session(self, session_id: str) -> SessionRow | None:
        value = await self._records.get(_SESSION, session_id)
        return msgspec.json.decode(value, type=SessionRow) if value is not None else None

    def put_private(self, session_id: str, private: Private) -> None:
        self._records.put(_PRIVATE, session_id, msgspec.json.encode(private))

    async def private(self, session_id: str) -> Private:
        value = await self._records.get(_PRIVATE, session_id)
        return msgspec.json.decode(value, type=Private) if value is not None else Private()

    async def sessions(self, *, limit: int, after: Position | None) -> list[SessionRow]:
        found = await self._records.list(_SESSION, after=after, limit=limit, descending=True)
        return [msgspec.json.decode(record.value, type=SessionRow) for record in found]

    async def delete_session(self, session_id: str) -> None:
        """The session's rows all go, its own first: a crash midway leaves no session, only rows nobody asks for."""
        self._records.delete(_SESSION, session_id)
        self._records.delete(_PRIVATE, session_id)
        self._records.delete(_CHECKPOINT, session_id)
        for kind in (_PROMPT, _PERMISSION, _KEY, _OPEN_PROMPT, _OPEN_PERMISSION):
            for record in await self._records.list(kind, scope=session_id):
                self._records.delete(kind, record.key)

    # prompts, oldest first

    def put_prompt(self, row: PromptRow) -> None:
        info = row.info
        key = f"{info.session_id}/{info.id}"
        self._records.put(_PROMPT, key, msgspec.json.encode(row), scope=info.session_id, ordinal=row.ordinal)
        if info.state in FINAL:
            self._records.delete(_OPEN_PROMPT, key)
        elif info.state == "queued":
            self._put_open(_OPEN_PROMPT, info.session_id, key, row.ordinal)

    async def prompt(self, session_id: str, prompt_id: str) -> PromptRow | None:
        return await self._prompt(f"{session_id}/{prompt_id}")

    async def prompts(self, session_id: str, *, limit: int, after: Position | None) -> list[PromptRow]:
        found = await self._records.list(_PROMPT, scope=session_id, after=after, limit=limit)
        return [msgspec.json.decode(record.value, type=PromptRow) for record in found]

    async def open_prompts(self, session_id: str | None = None) -> list[PromptRow]:
        rows = [await self._prompt(entry.key) for entry in await self._open(_OPEN_PROMPT, session_id)]
        return [row for row in rows if row is not None and row.info.state not in FINAL]

    async def last_ordinal(self, session_id: str) -> tuple[int, int]:
        """The highest ordinals of the session's prompts and permissions."""
        newest = [
            await self._records.list(kind, scope=session_id, limit=1, descending=True)
            for kind in (_PROMPT, _PERMISSION)
        ]
        prompts, permissions = (found[0].ordinal if found else 0 for found in newest)
        return prompts, permissions

    # idempotency keys

    def put_key(self, session_id: str, key: str, prompt_id: str) -> None:
        self._records.put(_KEY, f"{session_id}/{key}", prompt_id.encode(), scope=session_id)

    async def key(self, session_id: str, key: str) -> str | None:
        value = await self._records.get(_KEY, f"{session_id}/{key}")
        return value.decode() if value is not None else None

    # permissions, oldest first

    def put_permission(self, row: PermissionRow) -> None:
        info = row.info
        key = f"{info.session_id}/{info.id}"
        self._records.put(_PERMISSION, key, msgspec.json.encode(row), scope=info.session_id, ordinal=row.ordinal)
        if info.state == "pending":
            self._put_open(_OPEN_PERMISSION, info.session_id, key, row.ordinal)
        else:
            self._records.delete(_OPEN_PERMISSION, key)

    async def permission(self, session_id: str, permission_id: str) -> PermissionRow | None:
        return await self._permission(f"{session_id}/{permission_id}")

    async def permissions(self, session_id: str) -> list[PermissionRow]:
        found = await self._records.list(_PERMISSION, scope=session_id)
        return [msgspec.json.decode(record.value, type=PermissionRow) for record in found]

    async def open_permissions(self, session_id: str | None = None) -> list[PermissionRow]:
        rows = [await self._permission(entry.key) for entry in await self._open(_OPEN_PERMISSION, session_id)]
        return [row for row in rows if row is not None and row.info.state == "pending"]

    # transcript checkpoints

    def put_checkpoint(self, session_id: str, sequence: int, state: bytes) -> None:
        self._records.put(_CHECKPOINT, session_id, state, ordinal=sequence)

    async def checkpoint(self, session_id: str) -> bytes | None:
        return await self._records.get(_CHECKPOINT, session_id)

    def _put_open(self, kind: str, session_id: str, key: str, ordinal: int) -> None:
        value = msgspec.json.encode(Open(session_id=session_id, key=key))
        self._records.put(kind, key, value, scope=session_id, ordinal=ordinal)

    async def _open(self, kind: str, session_id: str | None) -> list[Open]:
        found = await self._records.list(kind, scope=session_id)
        return [msgspec.json.decode(record.value, type=Open) for record in found]

    async def _prompt(self, key: str) -> PromptRow | None:
        value = await self._records.get(_PROMPT, key)
        return msgspec.json.decode(value, type=PromptRow) if value is not None else None

    async def _permission(self, key: str) -> PermissionRow | None:
        value = await self._records.get(_PERMISSION, key)
        return msgspec.json.decode(value, type=PermissionRow) if value is not None else None
