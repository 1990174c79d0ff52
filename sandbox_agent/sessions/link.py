"""A session's agent process: started when it is needed, given its memory back, and listened to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sandbox_agent.problems import AgentProcessExited, InvalidRequest, ModeNotSupported, StreamError, Timeout
from sandbox_agent.sessions import events, handshake
from sandbox_agent.sessions.due_mode import DueMode
from sandbox_agent.sessions.errands import offer
from sandbox_agent.sessions.mcp import check_transports
from sandbox_agent.sessions.options import CHOICES, AgentOptions, plan
from sandbox_agent.sessions.outfit import shown_servers
from sandbox_agent.sessions.restore import CONTINUITY, Replay, last_prompt, priming, ways
from sandbox_agent.sessions.updates import interesting
from sandbox_agent.sessions.verbs import farewell
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sandbox_agent.acp.connection import AgentConnection
    from sandbox_agent.acp.envelope import Envelope
    from sandbox_agent.acp.roles import AgentExit
    from sandbox_agent.acp.servers import AcpServers
    from sandbox_agent.agents import Agents
    from sandbox_agent.sessions.core import Core
    from sandbox_agent.sessions.desk import PermissionDesk
    from sandbox_agent.sessions.errands import Errands
    from sandbox_agent.sessions.handshake import Greeting
    from sandbox_agent.sessions.options import Choice
    from sandbox_agent.sessions.outfit import Outfit
    from sandbox_agent.sessions.restore import Way
    from sandbox_agent.sessions.updates import ToolCalls
    from sandbox_agent.sessions.view import TranscriptView

T = TypeVar("T")

_WHY = {
    "session/resume": "the agent resumed the session",
    "session/load": "the agent loaded the session",
    "session/fork": "the agent forked the session",
    "session/new": "the agent could do neither resume nor load it",
}


class AgentLink:
    """Takes part in the connection as ACP's client; the callbacks run in the order of the stream."""

    def __init__(
        self,
        core: Core,
        view: TranscriptView,
        desk: PermissionDesk,
        tools: ToolCalls,
        outfit: Outfit,
        *,
        errands: Errands | None,
        servers: AcpServers,
        agents: Agents,
    ) -> None:
        self._core = core
        self._view = view
        self._desk = desk
        self._tools = tools
        self._outfit = outfit
        self._errands = errands
        self._servers = servers
        self._agents = agents
        self._lock = asyncio.Lock()
        self._connection: AgentConnection | None = None
        self._opening: AgentConnection | None = None
        self._replay: Replay | None = None
        self._wanted = AgentOptions()
        self._due = DueMode(core, self._choose)
        self._keyed: frozenset[str] = frozenset()
        self._over = False

    @property
    def connection(self) -> AgentConnection | None:
        """The connection, while its agent lives."""
        live = self._connection
        return live if live is not None and live.exit is None else None

    # -- starting

    async def create(self) -> None:
        """Start the agent with a new session of its own. On failure nothing of it is left running."""
        async with self._lock:
            connection, greeting = await self._open()
            try:
                row = self._core.row
                check_transports(row.mcp_servers, greeting.capabilities, agent=row.agent)
                await self._begin(connection, greeting)
            except BaseException:
                await self._discard(connection)
                raise
            self._connected(connection)

    async def ensure(self) -> AgentConnection:
        """The connection to the agent, which is started and restored if it does not run, in the mode that is due.

        Raises the problem it failed with; then nothing of it is left running.
        """
        async with self._lock:
            await self._due.settled()
            connection = await self._living()
            self._due.ask_if_due(connection)
            await self._due.settled()
            return connection

    async def fork(self) -> None:
        """Start the agent with a fork of the session that the row names, or with a new one that is told of it."""
        async with self._lock:
            connection = await self._restore(fork=True)
            self._connected(connection)
            await self._choose_again(connection)
            self._due.ask_if_due(connection)

    async def dismiss(self) -> None:
        """The session is destroyed: let a living agent do away with what it keeps of it."""
        if (live := self.connection) is not None:
            await farewell(self._core, live)

    async def close(self, *, for_good: bool = False) -> None:
        """End the agent's process tree; ``for_good``: and start no other."""
        self._over = self._over or for_good
        for connection in (self._opening, self._connection):
            if connection is not None:
                await self._discard(connection)
        self._connection = None

    async def choose(self, choice: Choice, value: str) -> str | None:
        """Set model, mode or thought level; the value that stands then."""
        if choice != "mode":
            return await self._choose(await self.ensure(), choice, value)
        async with self._lock:
            await self._due.answered()
            connection = await self._living()  # whose other mode is not asked for any more
        stands = await self._choose(connection, choice, value)
        if stands == value:
            self._due.forget()
        return stands

    def ask_for_mode(self, mode: str) -> None:
        """Have the agent go into this mode before any turn; that is not waited for here."""
        connection = self.connection
        if connection is not None and mode != self._core.row.options.current("mode"):
            self._due.ask(connection, mode)

    async def answered(self) -> None:
        """What the session tells of its mode is the agent's own word, if it gives any."""
        await self._due.answered()

    def prompting(self) -> None:
        """A prompt is about to be sent: what comes from now on is news."""
        self._replay = None

    async def _living(self) -> AgentConnection:
        """The connection, with the agent restored if it does not run; the mode that is due is not asked for yet."""
        if (live := self.connection) is not None:
            return live
        await self._end_quietly()
        connection = await self._restore()
        self._connected(connection)
        await self._choose_again(connection)
        return connection

    async def _open(self) -> tuple[AgentConnection, Greeting]:
        core, settings = self._core, self._core.settings
        agent = core.row.agent
        if self._over:
            raise AgentProcessExited(f"session {core.id} is being closed", agent=agent)
        await self._outfit.prepare()
        private = core.private
        command = await self._agents.command(agent, env=private.env, base_url=private.base_url)
        self._keyed = self._agents.keyed(agent, command)
        command = replace(command, cwd=core.row.cwd)
        connection = await self._servers.open_session(core.id, agent, command, self)
        self._opening = connection
        try:
            offered = offer(self._agents.spec(agent).unoffered) if self._errands is not None else None
            greeting = await handshake.initialize(connection, agent, settings.initialize_deadline, offered)
            if private.auth_method is not None:
                method = handshake.chosen_method(greeting, private.auth_method, agent=agent)
                await self._authenticate(connection, method)
        except BaseException:
            await self._discard(connection)
            raise
        core.change(agent_info=greeting.info, agent_capabilities=greeting.capabilities)
        return connection, greeting

    async def _authenticate(self, connection: AgentConnection, method: str) -> None:
        deadline = self._core.settings.session_deadline
        await handshake.authenticate(connection, method, agent=self._core.row.agent, deadline=deadline)

    async def _let_in(
        self, connection: AgentConnection, greeting: Greeting, ask: Callable[[], Coroutine[Any, Any, T]]
    ) -> T:
        """Ask; where the agent wants to be told first to use the key that it was given, tell it and ask again."""
        try:
            return await ask()
        except StreamError as refused:
            method = handshake.key_method(refused, greeting, self._keyed)
            if method is None or self._core.private.auth_method is not None:
                raise
            await self._authenticate(connection, method)
            return await ask()

    def _connected(self, connection: AgentConnection) -> None:
        self._connection, self._opening = connection, None
        self._outfit.watch.agent_pid = connection.child.pid
        self.look_after()
        if self._core.row.error is not None:
            self._core.change(error=None)

    async def _begin(self, connection: AgentConnection, greeting: Greeting, forked_from: str | None = None) -> None:
        row = self._core.row
        new_session = partial(
            handshake.new_session,
            connection,
            greeting,
            agent=row.agent,
            cwd=row.cwd,
            mcp_servers=self._outfit.servers(greeting.capabilities),
            deadline=self._core.settings.session_deadline,
            forked_from=forked_from,
        )
        agent_session_id, options = await self._let_in(connection, greeting, new_session)
        self._core.change(agent_session_id=agent_session_id)
        self._core.set_options(options)

    def look_after(self) -> None:
        """See which MCP servers the agent has started meanwhile."""
        if self._outfit.watch.active:
            spawn_task(self._outfit.watch.look(), name=f"look for MCP servers of {self._core.id}")

    async def _discard(self, connection: AgentConnection) -> None:
        self._outfit.watch.end()
        self._due.ending(connection)
        if self._opening is connection:
            self._opening = None
        await asyncio.shield(connection.close(self._core.settings.end_grace))

    async def _end_quietly(self) -> None:
        """What is left of a tree whose leader is gone."""
        if self._connection is not None:
            await self._discard(self._connection)
            self._connection = None

    # -- restoring

    async def _restore(self, *, fork: bool = False) -> AgentConnection:
        """Each way the agent offers, best first. One on which it hangs or dies is not tried on the same process."""
        core = self._core
        before, agent_session_id = core.row.standing, core.row.agent_session_id
        core.change(due_mode=before.current("mode"))
        connection, greeting = await self._open()
        left, told = list(ways(greeting, agent_session_id, fork=fork)), []
        try:
            while True:
                way = left.pop(0)
                try:
                    await self._go(way, connection, greeting)
                except (StreamError, Timeout, AgentProcessExited) as problem:
                    told.append(problem.detail)
                    if not left:
                        raise
                    if not isinstance(problem, StreamError) or connection.exit is not None:
                        await self._discard(connection)
                        connection, greeting = await self._open()
                    continue
                break
        except BaseException:
            await self._discard(connection)
            raise
        why = "the agent has no fork of it" if fork and way == "session/new" else _WHY[way]
        await self._restored(way, "; ".join([*told, why]))
        self._wanted = before
        return connection

    async def _go(self, way: Way, connection: AgentConnection, greeting: Greeting) -> None:
        if way in {"session/new", "session/fork"}:
            origin = self._core.row.agent_session_id if way == "session/fork" else None
            await self._begin(connection, greeting, origin)
            return
        row, settings = self._core.row, self._core.settings
        servers = self._outfit.servers(greeting.capabilities)
        params = handshake.placed(row.cwd, servers, row.agent_session_id)
        shown = handshake.placed(row.cwd, tuple(shown_servers(servers)), row.agent_session_id)
        if way == "session/load":
            self._replay = Replay(last_prompt(await self._view.snapshot()))
        try:
            ask = partial(
                handshake.ask,
                connection,
                way,
                params,
                agent=row.agent,
                deadline=settings.session_deadline,
                greeting=greeting,
                shown=shown,
            )
            result = await self._let_in(connection, greeting, ask)
            if self._replay is not None:
                self._replay.answered()
                await self._replay.settled(settings.replay_quiet)
        except BaseException:
            self._replay = None
            raise
        self._core.set_options(AgentOptions.of(result))

    async def _restored(self, way: Way, reason: str) -> None:
        row = self._core.row
        continuity = CONTINUITY[way] if row.remembers else "native"
        if continuity == "rebootstrapped" and priming(await self._view.snapshot(), 1) is None:
            continuity = "lost"
        tell = continuity == "rebootstrapped" or (row.priming and continuity != "lost")
        self._core.change(continuity=continuity, priming=tell)
        if way != "session/fork":  # which is told already
            self._core.note(events.restored(continuity, reason))

    async def _choose_again(self, connection: AgentConnection) -> None:
        """A restored agent may have gone back to its defaults: what stood before is asked for again.

        Without the model or the thought level that stood, prompts go on; without the mode they do not.
        """
        for choice in CHOICES:
            value, state = self._wanted.current(choice), self._core.row.options
            wanted = value if value != state.current(choice) else None
            if choice == "mode" and wanted in state.available("mode"):
                continue  # it is due
            if choice == "mode":
                self._due.forget()
            if wanted is not None:
                await self._try_again(connection, choice, wanted)

    async def _try_again(self, connection: AgentConnection, choice: Choice, value: str) -> None:
        try:
            stands = await self._choose(connection, choice, value)
            detail = f"it stands at {stands}" if stands != value else None
        except (StreamError, Timeout, InvalidRequest, ModeNotSupported) as problem:
            detail = problem.detail
        if detail is not None:
            word = choice.replace("_", " ")
            self._core.note(events.notice("warning", f"The {word} {value} could not be set again", detail))

    async def _choose(self, connection: AgentConnection, choice: Choice, value: str) -> str | None:
        row = self._core.row
        change = plan(row.options, choice, value, agent=row.agent, session_id=row.agent_session_id or "")
        if change is None:
            return value
        before = row.options
        result = await handshake.ask(
            connection,
            change.method,
            change.params,
            agent=row.agent,
            deadline=self._core.settings.session_deadline,
        )
        self._core.set_options(change.settled(before, self._core.row.options, result))
        return change.effective(self._core.row.options)

    # -- the client's role in the connection

    def accept(self, envelope: Envelope) -> bool:
        return self._replay is None or envelope.method != "session/update" or self._replay.accept(envelope.raw)

    def on_notification(self, sequence: int, envelope: Envelope) -> None:  # noqa: ARG002 - the role's form
        self._view.grew(len(envelope.raw))
        if envelope.method != "session/update":
            return
        update = interesting(envelope.raw)
        if update is None:
            return
        self._tools.update(update)
        self._core.set_options(self._core.row.options.after_update(update))
        title = update.get("title")
        if update.get("sessionUpdate") == "session_info_update" and isinstance(title, str):
            self._entitle(title)

    def on_request(self, sequence: int, envelope: Envelope) -> bool:  # noqa: ARG002 - the role's form
        connection = self._connection or self._opening
        if connection is None:
            return False
        if envelope.method == "session/request_permission":
            self._desk.asked(connection, envelope)
            return True
        return self._errands is not None and self._errands.asked(connection, envelope)

    def on_exit(self, exit: AgentExit) -> None:  # noqa: A002, ARG002 - the role's form
        self._outfit.watch.end()
        self._replay = None
        self._tools.clear()
        self._desk.cancel_all("agent_exited")
        if self._errands is not None:
            spawn_task(self._errands.end(), name=f"end the commands of {self._core.id}")

    def _entitle(self, title: str) -> None:
        if title and self._core.row.titled_by != "client" and title != self._core.row.title:
            self._core.change(title=title, titled_by="agent")
