"""The sessions service: all sessions there are, by id; those in use are in memory, the others on disk alone."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox_agent.agents.credentials import secrets as secrets_in
from sandbox_agent.problems import Conflict, InvalidRequest, SessionAlreadyExists, SessionNotFound
from sandbox_agent.sessions.core import Core, SessionOptions, now_ms
from sandbox_agent.sessions.errands import Errands
from sandbox_agent.sessions.mcp import mcp_servers
from sandbox_agent.sessions.outfit import Wardrobe
from sandbox_agent.sessions.policy import as_policy
from sandbox_agent.sessions.private import Redactor, pairs, private_of
from sandbox_agent.sessions.records import SessionRecords, SessionRow
from sandbox_agent.sessions.session import Session, info_of
from sandbox_agent.sessions.verbs import agent_sessions, forked
from sandbox_agent.wire.sessions import PermissionListResponse, PromptListResponse, SessionListResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sandbox_agent.acp.servers import AcpServers
    from sandbox_agent.agents import Agents
    from sandbox_agent.files import Files
    from sandbox_agent.journal import Journal, Journals
    from sandbox_agent.processes import Processes
    from sandbox_agent.sessions.options import Choice
    from sandbox_agent.sessions.private import Private
    from sandbox_agent.sessions.records import Position
    from sandbox_agent.sessions.view import Told
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.sessions import (
        AgentSessionList,
        PermissionAnswer,
        PermissionInfo,
        PromptInfo,
        PromptRequest,
        SessionCreateRequest,
        SessionForkRequest,
        SessionInfo,
        SessionUpdateRequest,
    )
    from sandbox_agent.wire.transcript import Transcript

MAX_PAGE = 1000
KEPT_IN_MEMORY = 256
"""Sessions without a process that stay in memory; the longest unused go first."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_KEY_LIMIT = 255


class Sessions:
    """All sessions of one store.

    ``emit(name, data)`` is told ``session_created``, ``turn_started``, ``turn_ended``, ``permission_asked`` and
    ``permission_resolved``, with ids and states only.
    """

    def __init__(
        self,
        *,
        journals: Journals,
        servers: AcpServers,
        agents: Agents,
        options: SessionOptions | None = None,
        wardrobe: Wardrobe | None = None,
        files: Files | None = None,
        processes: Processes | None = None,
        emit: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> None:
        self._journals = journals
        self._servers = servers
        self._agents = agents
        self._options = options or SessionOptions()
        self._wardrobe = wardrobe or Wardrobe.at_home(agents, servers.supervisor)
        self._files = files
        self._processes = processes
        self._emit = emit
        self._records = SessionRecords(journals.records)
        self._live: dict[str, Session] = {}
        self._creating: set[str] = set()
        self._making: set[Session] = set()
        self._stopping = False
        self._secrets: set[str] = set()
        self._loading: dict[str, asyncio.Lock] = {}

    async def start(self) -> None:
        """Take up what the last run left: running prompts are failed, queued ones run, permissions are cancelled."""
        left = [row.info.session_id for row in await self._records.open_prompts()]
        left += [row.info.session_id for row in await self._records.open_permissions()]
        for session_id in dict.fromkeys(left):
            if await self._records.session(session_id) is None:
                await self._records.delete_session(session_id)
            else:
                await self._session(session_id)
        await self._records.durable()

    async def stop(self) -> None:
        """End all agents. What ran is marked, what is queued runs after the next start."""
        self._stopping = True
        await asyncio.gather(
            *(session.close(keep=True) for session in list(self._live.values())),
            *(session.close(keep=False) for session in list(self._making)),
        )
        self._live.clear()
        await self._records.durable()

    @property
    def busy(self) -> bool:
        """Whether any prompt runs or waits."""
        return any(session.queue.busy for session in self._live.values())

    # -- sessions

    async def create(self, request: SessionCreateRequest) -> SessionInfo:
        """A new session with its agent running. When anything of it fails, nothing of it is left."""
        session_id = _id(request.id)
        cwd = await asyncio.to_thread(_directory, request.cwd)
        servers = mcp_servers(request.mcp_servers)
        private = private_of(request)
        # Unknown or not installed: said before anything is made.
        await self._agents.command(request.agent, env=private.env, base_url=private.base_url)
        row = _row(session_id, cwd, servers, request)
        asked: dict[Choice, str | None] = {
            "model": request.model,
            "mode": request.mode,
            "thought_level": request.thought_level,
        }
        choices = {choice: value for choice, value in asked.items() if value is not None}
        # "Ask" means that a person is asked: an agent that would decide by itself is set to ask, if not told otherwise.
        lenient = row.permission_policy.default == "allow_all"
        asking = None if lenient or request.mode else (await self._agents.known(request.agent)).asking_mode
        return await self._create(row, private, lambda session: session.start(choices, asking_mode=asking))

    async def fork(self, session_id: str, request: SessionForkRequest) -> SessionInfo:
        """A new session that goes on from where this one stands; ``continuity`` says how its agent knows.

        Its events begin with a copy of this one's. Raises ``Conflict`` while a prompt runs or waits.
        """
        source = await self._session(session_id)
        if source.queue.busy:
            raise Conflict(f"session {session_id} works on a prompt", hint="wait for it, or cancel it")
        row, private, journal = source.core.row, source.core.private, source.core.journal
        return await self._create(forked(row, _id(request.id), request), private, lambda session: session.fork(journal))

    async def agent_sessions(self, session_id: str, *, cursor: str | None = None) -> AgentSessionList:
        """The sessions that the agent itself has for this session's folder."""
        session = await self._session(session_id)
        return await agent_sessions(session.core, await session.link.ensure(), cursor)

    async def list(self, *, limit: int = 100, cursor: str | None = None) -> SessionListResponse:
        """A page of sessions, newest first."""
        rows = await self._records.sessions(limit=_limit(limit) + 1, after=_position(cursor))
        infos = [self._info_of(row) for row in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return SessionListResponse(
            items=tuple(infos), next_cursor=_cursor((last.created_at_ms, last.id)) if last else None
        )

    async def get(self, session_id: str) -> SessionInfo:
        session = await self._session(session_id)
        await session.link.answered()
        await session.outfit.watch.look()
        return self._info(session)

    async def update(self, session_id: str, request: SessionUpdateRequest) -> SessionInfo:
        """Change what is given; the answer holds the effective values."""
        session = await self._session(session_id)
        await session.update(request)
        return self._info(session)

    async def delete(self, session_id: str) -> None:
        """End the session's agent and remove all of it."""
        session = await self._session(session_id)
        if self._live.pop(session_id, None) is None:
            raise SessionNotFound(f"there is no session {session_id}", sessionId=session_id)
        self._creating.add(session_id)
        try:
            await session.close(keep=False)
            await session.outfit.take_off()
            session.core.persist = False
            await self._records.delete_session(session_id)
            await self._journals.delete(_journal_name(session_id))
            await self._records.durable()
        finally:
            self._creating.discard(session_id)

    # -- prompts

    async def prompt(self, session_id: str, request: PromptRequest, *, idempotency_key: str | None) -> PromptInfo:
        """Accept a prompt: it is on disk, and runs when its turn comes."""
        if idempotency_key is not None and not _is_key(idempotency_key):
            raise InvalidRequest(f"an Idempotency-Key has 1 to {_KEY_LIMIT} printable ASCII characters")
        session = await self._session(session_id)
        return await session.prompt(request, idempotency_key)

    async def prompt_info(self, session_id: str, prompt_id: str) -> PromptInfo:
        return await (await self._session(session_id)).queue.info(prompt_id)

    async def prompts(self, session_id: str, *, limit: int = 100, cursor: str | None = None) -> PromptListResponse:
        """A page of the session's prompts, oldest first."""
        session = await self._session(session_id)
        rows = await self._records.prompts(session_id, limit=_limit(limit) + 1, after=_position(cursor))
        more = len(rows) > limit
        rows = rows[:limit]
        last = (rows[-1].ordinal, f"{session.core.id}/{rows[-1].info.id}") if more else None
        return PromptListResponse(items=tuple(row.info for row in rows), next_cursor=_cursor(last) if last else None)

    async def wait_prompt(self, session_id: str, prompt_id: str, timeout: float) -> PromptInfo:  # noqa: ASYNC109 - the answer to waiting too long is the prompt as it is
        """The prompt when it is final, or as it is after ``timeout`` seconds."""
        return await (await self._session(session_id)).queue.wait(prompt_id, timeout)

    async def cancel(self, session_id: str) -> SessionInfo:
        """End the running turn and empty the queue; returns when the turn is over, within the grace period."""
        session = await self._session(session_id)
        await session.queue.cancel()
        return self._info(session)

    # -- what was said

    async def journal(self, session_id: str) -> Journal:
        return (await self._session(session_id)).core.journal

    async def transcript(self, session_id: str) -> Transcript:
        """The transcript, without the secrets that the agent was given."""
        session = await self._session(session_id)
        return session.core.redact(await session.view.snapshot())

    async def follow_transcript(self, session_id: str, after: int) -> AsyncIterator[Told]:
        """A snapshot first where ``after`` is 0 or unknown, then what changed, until the session ends."""
        session = await self._session(session_id)
        async for told in session.view.follow(after):
            yield session.core.redact(told)

    # -- permissions

    async def permissions(self, session_id: str, *, pending_only: bool = False) -> PermissionListResponse:
        """The session's permission requests, oldest first."""
        session = await self._session(session_id)
        await self._records.durable()  # who has seen a request finds it again, whatever becomes of this server
        if pending_only:
            return PermissionListResponse(items=tuple(session.desk.pending))
        return PermissionListResponse(items=tuple(row.info for row in await self._records.permissions(session_id)))

    async def answer(
        self, session_id: str, permission_id: str, answer: PermissionAnswer, *, by: str | None
    ) -> PermissionInfo:
        """The first answer counts; a later one is a ``Conflict`` that carries it."""
        return await (await self._session(session_id)).desk.answer(permission_id, answer, by=by)

    # -- keeping them

    async def _create(
        self, row: SessionRow, private: Private, begin: Callable[[Session], Awaitable[None]]
    ) -> SessionInfo:
        """A new session under an id that is free. When anything of it fails, nothing of it is left."""
        if self._stopping:
            raise Conflict("the server is being stopped", sessionId=row.id)
        taken = SessionAlreadyExists(f"there is a session {row.id} already", sessionId=row.id)
        if row.id in self._creating:
            raise taken
        self._creating.add(row.id)
        try:
            if await self._records.session(row.id) is not None:
                raise taken
            session = await self._make(row, private, begin)
        finally:
            self._creating.discard(row.id)
        session.core.tell("session_created")
        return self._info(session)

    async def _make(self, row: SessionRow, private: Private, begin: Callable[[Session], Awaitable[None]]) -> Session:
        await self._records.delete_session(row.id)  # what a crash in the middle of a delete may have left
        await self._journals.delete(_journal_name(row.id))
        session = await self._build(row, private)
        self._making.add(session)
        try:
            await begin(session)
        except BaseException:
            await asyncio.shield(self._unmake(session))
            raise
        finally:
            self._making.discard(session)
        session.core.persist = True
        session.core.change()
        if private:
            self._records.put_private(row.id, private)
        self._live[row.id] = session
        await self._records.durable()
        self._make_room()
        return session

    async def _unmake(self, session: Session) -> None:
        await session.close(keep=False)
        await session.outfit.take_off()
        await self._records.delete_session(session.core.id)
        await self._journals.delete(session.core.journal.name)

    async def _build(self, row: SessionRow, private: Private) -> Session:
        journal = await self._journals.open(_journal_name(row.id), self._options.retention)
        core = Core(row, journal, self._records, self._options, self._emit, private=private)
        core.redact = Redactor(self._given(core))
        errands = Errands(core, self._files, self._processes) if self._files and self._processes else None
        return Session(core, errands, servers=self._servers, agents=self._agents, wardrobe=self._wardrobe)

    async def _session(self, session_id: str) -> Session:
        """The session, from disk if need be. Raises ``SessionNotFound``."""
        if (live := self._touched(session_id)) is not None:
            return live
        lock = self._loading.setdefault(session_id, asyncio.Lock())
        try:
            async with lock:
                if (live := self._touched(session_id)) is not None:
                    return live
                row = await self._records.session(session_id) if session_id not in self._creating else None
                if row is None:
                    raise SessionNotFound(f"there is no session {session_id}", sessionId=session_id)
                session = await self._build(row, await self._records.private(session_id))
                await session.restore()
                self._live[session_id] = session
        finally:
            if not lock.locked():
                self._loading.pop(session_id, None)
        self._make_room()
        return session

    def _given(self, core: Core) -> frozenset[str]:
        """The secrets that a session's agent gets to see."""
        row, private = core.row, core.private
        given = self._agents.secrets(row.agent, private.env, private.base_url) | secrets_in(pairs(row.mcp_servers))
        self._secrets |= given
        return given

    def secrets(self) -> frozenset[str]:
        """All that agents of sessions were given in this run: for the logs to leave out."""
        return frozenset(self._secrets | self._wardrobe.lent)

    def _touched(self, session_id: str) -> Session | None:
        session = self._live.pop(session_id, None)
        if session is not None:
            self._live[session_id] = session  # the newest used stands last
        return session

    def _make_room(self) -> None:
        idle = [session for session in self._live.values() if session.idle and not session.core.journal.followed]
        for session in idle[: max(0, len(idle) - KEPT_IN_MEMORY)]:
            session.core.change()
            session.core.journal.close()
            del self._live[session.core.id]

    def _info(self, session: Session) -> SessionInfo:
        return session.info(persisted=self._journals.health.persisted)

    def _info_of(self, row: SessionRow) -> SessionInfo:
        live = self._live.get(row.id)
        return self._info(live) if live is not None else info_of(row, persisted=self._journals.health.persisted)


def _row(session_id: str, cwd: str, servers: tuple[JsonObject, ...], request: SessionCreateRequest) -> SessionRow:
    now = now_ms()
    return SessionRow(
        id=session_id,
        agent=request.agent,
        cwd=cwd,
        created_at_ms=now,
        updated_at_ms=now,
        permission_policy=as_policy(request.permission_policy),
        title=request.title,
        titled_by="client" if request.title is not None else None,
        mcp_servers=servers,
        desktop=request.desktop,
        skill_sources=request.skills,
    )


def _id(given: str | None) -> str:
    session_id = given if given is not None else f"ses_{secrets.token_hex(10)}"
    if not _ID.fullmatch(session_id) or set(session_id) == {"."}:
        raise InvalidRequest("a session id has 1 to 128 letters, digits, dots, dashes and underscores")
    return session_id


def _journal_name(session_id: str) -> str:
    return f"session/{session_id}"


def _directory(cwd: str | None) -> str:
    path = Path.cwd() if cwd is None else Path(cwd)
    if not path.is_absolute():
        raise InvalidRequest(f"cwd {cwd!r} is not absolute")
    if "\0" in str(path) or not path.is_dir():
        raise InvalidRequest(f"cwd {cwd!r} is no directory", hint=f"mkdir -p {cwd}")
    return str(path)


def _is_key(key: str) -> bool:
    return 0 < len(key) <= _KEY_LIMIT and key.isascii() and key.isprintable()


def _limit(limit: int) -> int:
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidRequest(f"limit must be from 1 to {MAX_PAGE}")
    return limit


def _cursor(position: Position) -> str:
    return base64.urlsafe_b64encode(f"{position[0]},{position[1]}".encode()).decode().rstrip("=")


def _position(cursor: str | None) -> Position | None:
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        ordinal, comma, key = text.partition(",")
        if comma and key and abs(int(ordinal)) < 1 << 63:
            return int(ordinal), key
    except (ValueError, binascii.Error):
        pass
    raise InvalidRequest("this cursor is not one of ours", hint="pass nextCursor of the page before as it is")
