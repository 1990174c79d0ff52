"""The /v1/acp service: agent servers by the name their client chose, raw bridges over one connection each."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING

from sandbox_agent.acp.connection import LAUNCH_DEADLINE, AgentConnection, parse_client
from sandbox_agent.problems import Conflict, InvalidRequest, SessionNotFound
from sandbox_agent.tasks import spawn_task
from sandbox_agent.wire.acp import AcpServerInfo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox_agent.acp.roles import ClientRole
    from sandbox_agent.journal import Journal, Journals, Retention
    from sandbox_agent.supervisor import Command, Supervisor

_BRIDGE = "acp/"
_SESSION = "session/"
_DELETE_WAIT = 0.05  # s a DELETE waits to answer after the fact; the ending goes on by itself
_LINGER = 2.0  # s the readers of a deleted server have to take its last words
_DEAD_OPEN = 64  # journals of dead servers held open, so that their readers wait for a new process


class AcpServers:
    """All agent servers, of raw bridges and of sessions.

    ``launch`` finds the command of an agent by its id, and raises UnsupportedAgent, AgentNotInstalled and the like.
    """

    def __init__(
        self,
        journals: Journals,
        supervisor: Supervisor,
        launch: Callable[[str], Awaitable[Command]],
        *,
        launch_deadline: float | None = LAUNCH_DEADLINE,
        retention: Retention | None = None,
    ) -> None:
        self._journals = journals
        self._supervisor = supervisor
        self._launch = launch
        self._launch_deadline = launch_deadline
        self._retention = retention
        self._live: dict[str, AgentConnection] = {}
        self._dead: dict[str, Journal] = {}  # of bridges, oldest first
        self._retiring: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}
        self._starting: set[str] = set()
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    @property
    def supervisor(self) -> Supervisor:
        return self._supervisor

    async def post(self, server_id: str, raw: bytes, *, agent: str | None, hold: float | None) -> bytes | None:
        """Pass a client's message to its server, which is started first when there is none and ``agent`` says which.

        The raw response to a request, None for anything else and for what takes longer than ``hold`` seconds.
        Raises InvalidRequest, Conflict (another agent lives there), UnsupportedAgent, AgentNotInstalled,
        AgentProcessExited, Timeout.
        """
        envelope = parse_client(raw)
        connection = self._live.get(server_id)
        if connection is None:
            async with self._lock(server_id):
                connection = self._live.get(server_id) or await self._bootstrap(server_id, agent)
        if agent and agent != connection.agent:
            detail = f"server {server_id} runs {connection.agent}, not {agent}"
            raise Conflict(detail, hint="use another server id, or DELETE this one first", agent=connection.agent)
        return await connection.forward(envelope, hold=hold)

    async def journal(self, server_id: str) -> Journal:
        """What the server's agent wrote, while it lives and afterwards. Raises SessionNotFound, as 0.4.2 calls it."""
        if (connection := self._live.get(server_id)) is not None:
            return connection.journal
        async with self._lock(server_id):  # a client opens its stream while its first POST starts the agent
            if (connection := self._live.get(server_id)) is not None:
                return connection.journal
            if server_id not in self._retiring:
                if (journal := self._dead.get(server_id)) is not None:
                    return journal
                if await self._journals.exists(_BRIDGE + server_id):
                    return await self._open_dead(server_id)
            if await self._journals.exists(_SESSION + server_id):  # a session keeps its own, whatever becomes of agents
                return await self._journals.open(_SESSION + server_id)
        raise SessionNotFound(f"no ACP server {server_id}", serverId=server_id)

    async def delete(self, server_id: str) -> None:
        """End the server's agent and forget its journal; a session keeps its own. Nothing happens where none is.

        Answers at once: the agent's tree, and what its readers still have to read, go in the background.
        """
        connection = self._live.pop(server_id, None)
        if connection is None and (server_id in self._retiring or server_id in self._starting):
            return  # gone already; or not there yet, and then this DELETE came before
        ended, hurry = asyncio.Event(), asyncio.Event()
        task = spawn_task(self._retire(server_id, connection, ended, hurry), name=f"retire {server_id}")
        self._retiring[server_id] = (task, hurry)
        await _within(_DELETE_WAIT, ended)

    def list(self) -> list[AcpServerInfo]:
        """The servers that live, oldest first."""
        return [
            AcpServerInfo(server_id=one.server_id, agent=one.agent, created_at_ms=one.created_at_ms)
            for one in self._live.values()
        ]

    async def open_session(self, server_id: str, agent: str, command: Command, handler: ClientRole) -> AgentConnection:
        """A session's connection: its journal is the session's, and holds what we send as well. Raises Conflict."""
        async with self._lock(server_id):
            await self._retired(server_id)
            if server_id in self._live:
                raise Conflict(f"there is an ACP server {server_id} already", serverId=server_id)
            journal = await self._journals.open(_SESSION + server_id)
            return await self._start(server_id, agent, command, journal, handler=handler)

    async def stop(self) -> None:
        """End all agents; their journals stay."""
        await asyncio.gather(*(connection.close() for connection in list(self._live.values())))
        for _, hurry in self._retiring.values():
            hurry.set()
        await asyncio.gather(*(task for task, _ in list(self._retiring.values())))

    def _lock(self, server_id: str) -> asyncio.Lock:
        lock = self._locks.get(server_id)
        if lock is None:
            lock = self._locks[server_id] = asyncio.Lock()
        return lock

    async def _bootstrap(self, server_id: str, agent: str | None) -> AgentConnection:
        if not agent:
            detail = f"no ACP server {server_id} runs; the first POST names its agent"
            raise InvalidRequest(detail, hint="add ?agent=ID", serverId=server_id)
        if not server_id:
            raise InvalidRequest("the server id is empty")
        self._starting.add(server_id)
        try:
            command = await self._launch(agent)
            await self._retired(server_id)
            if await self._journals.exists(_SESSION + server_id):
                raise Conflict(f"{server_id} is a session", hint=f"POST /v1/sessions/{server_id}/prompts")
            journal = self._dead.pop(server_id, None) or await self._open_bridge(server_id)
            return await self._start(server_id, agent, command, journal, handler=None)
        finally:
            self._starting.discard(server_id)

    async def _open_bridge(self, server_id: str) -> Journal:
        return await self._journals.open(_BRIDGE + server_id, self._retention)

    async def _start(
        self, server_id: str, agent: str, command: Command, journal: Journal, *, handler: ClientRole | None
    ) -> AgentConnection:
        connection = await AgentConnection.open(
            server_id=server_id,
            agent=agent,
            command=command,
            supervisor=self._supervisor,
            journal=journal,
            record_clients=handler is not None,
            handler=handler,
            launch_deadline=self._launch_deadline,
            on_exit=self._exited,
        )
        self._live[server_id] = connection
        return connection

    def _exited(self, connection: AgentConnection) -> None:
        """A server that died is listed no more; its journal waits for a new process, with its readers."""
        if self._live.get(connection.server_id) is not connection:
            return
        del self._live[connection.server_id]
        if connection.journal.name.startswith(_BRIDGE):
            self._keep_dead(connection.server_id, connection.journal)

    async def _open_dead(self, server_id: str) -> Journal:
        journal = await self._open_bridge(server_id)
        self._keep_dead(server_id, journal)
        return journal

    def _keep_dead(self, server_id: str, journal: Journal) -> None:
        self._dead[server_id] = journal
        while len(self._dead) > _DEAD_OPEN:
            self._dead.pop(next(iter(self._dead))).close()

    async def _retire(
        self, server_id: str, connection: AgentConnection | None, ended: asyncio.Event, hurry: asyncio.Event
    ) -> None:
        try:
            if connection is not None:
                await connection.close()
                ended.set()
                if not connection.journal.name.startswith(_BRIDGE):
                    return
            name = _BRIDGE + server_id
            journal = connection.journal if connection else self._dead.pop(server_id, None)
            if journal is not None:
                journal.close()
                await journal.durable()
                await _within(_LINGER, hurry)
            if journal is not None or await self._journals.exists(name):
                await self._journals.delete(name)
        finally:
            ended.set()
            del self._retiring[server_id]

    async def _retired(self, server_id: str) -> None:
        """Until a deleted server of this name is gone for good."""
        if (retiring := self._retiring.get(server_id)) is not None:
            task, hurry = retiring
            hurry.set()
            await asyncio.shield(task)


async def _within(seconds: float, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
