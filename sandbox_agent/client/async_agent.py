"""The SDK's entrance for code on an event loop."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING, Any, Self

from sandbox_agent.client import api, discovery, installs, programs
from sandbox_agent.client.acp import AsyncAcpServer
from sandbox_agent.client.async_desktop import AsyncDesktop
from sandbox_agent.client.async_driver import AsyncDriver
from sandbox_agent.client.async_session import AsyncSession
from sandbox_agent.client.base import AgentBase
from sandbox_agent.client.calls import perform
from sandbox_agent.client.closing import AsyncClosing
from sandbox_agent.client.fs import AsyncFileSystem
from sandbox_agent.client.local import start_server
from sandbox_agent.client.processes import AsyncProcesses
from sandbox_agent.client.requests import create_request
from sandbox_agent.client.results import AgentList
from sandbox_agent.client.target import Target, parse_url
from sandbox_agent.client.terminal import AsyncTerminal
from sandbox_agent.problems import SandboxAgentError
from sandbox_agent.wire.agents import AgentInstallRequest, AgentLoginRequest
from sandbox_agent.wire.doctor import DoctorRequest

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    import httpx2

    from sandbox_agent.client.local import LocalServer
    from sandbox_agent.client.process_results import RunResult
    from sandbox_agent.client.requests import Policy
    from sandbox_agent.client.results import AgentInfo, DoctorReport, HealthResponse, SessionInfo
    from sandbox_agent.wire.acp import AcpServerInfo
    from sandbox_agent.wire.agents import AgentInstallResponse, InstallProgress
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.config import McpServerConfig, SkillsConfig, SkillSource


class AsyncSandboxAgent(AgentBase, AsyncClosing):
    """A client of one Sandbox Agent server, for code on an event loop: servers, notebook cells with ``await``.

    Use :meth:`connect` or :meth:`start`; the constructor takes a URL as it is and asks nobody. ``transport`` is an
    `httpx2` transport to speak through, ``verify`` what that library takes for certificates. ``give_up_after`` bounds
    how long event streams try to reconnect, in seconds; without it they do so until they are closed.

    >>> import asyncio
    >>> from sandbox_agent import AsyncSandboxAgent
    >>> async def main():
    ...     async with await AsyncSandboxAgent.start() as agent:
    ...         session = await agent.create_session("mock")
    ...         return (await session.prompt("[[say hello]]")).text
    >>> asyncio.run(main())
    'hello'
    """

    def __init__(
        self,
        base_url: str | Target,
        token: str | None = None,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        verify: bool | str | ssl.SSLContext = True,
        give_up_after: float | None = None,
        server: LocalServer | None = None,
    ) -> None:
        self._target = base_url if isinstance(base_url, Target) else parse_url(base_url, token)
        self._give_up_after = give_up_after
        self.server = server
        exited = server.exited if server is not None else lambda: None
        self._driver = AsyncDriver(self._target, handler=transport, verify=verify, exited=exited)

    @classmethod
    async def connect(
        cls,
        base_url: str | None = None,
        token: str | None = None,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        verify: bool | str | ssl.SSLContext = True,
        give_up_after: float | None = None,
    ) -> Self:
        """A client of a server that runs, found in this order.

        1. ``base_url``: a server's, or a Jupyter Server's that has the extension (as it prints it, with its token)
        2. ``SANDBOX_AGENT_URL`` and ``SANDBOX_AGENT_TOKEN``
        3. the Jupyter Server that started this kernel, below JupyterHub too
        4. a server that this process started, by :meth:`start` or by the magics
        5. a server of this user's on this machine

        Raises :class:`NoServerFound`, which tells what was tried and the command that helps;
        :class:`ServerUnreachable` and :class:`TokenInvalid` for a URL that was named.
        """
        tried: list[tuple[discovery.Candidate, SandboxAgentError]] = []
        for candidate in discovery.candidates(base_url, token):
            client = cls(candidate.target, transport=transport, verify=verify, give_up_after=give_up_after)
            try:
                await client._driver.run(perform(api.health(), patience=0))
            except SandboxAgentError as error:
                await client.close()
                tried.append((candidate, error))
                if not discovery.goes_on(candidate, error):
                    break
            else:
                return client
        raise discovery.explain(tried)

    @classmethod
    async def start(
        cls,
        *,
        data_dir: str | Path | None = None,
        config: str | Path | None = None,
        arguments: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 - the child's, which is ended then
        give_up_after: float | None = None,
    ) -> Self:
        """Run a server of its own on this machine and return its client.

        It ends with :meth:`close`, and with this process however that ends. Sessions stay in ``data_dir``, by default
        below the user's data directory, where the next ``start()`` finds them. ``arguments`` are further ones of
        `sandbox-agent server`, ``environ`` is added to its environment. ``server`` is then the process and its logs.

        Raises :class:`ServerStartFailed` with the server's last lines.
        """
        server = await asyncio.to_thread(
            start_server, data_dir=data_dir, config=config, arguments=arguments, environ=environ, timeout=timeout
        )
        return cls(server.target, give_up_after=give_up_after, server=server)

    async def close(self) -> None:
        """Close every connection and stream, and end a server that was started; any number of times."""
        await self._driver.close()
        if self.server is not None:
            await asyncio.to_thread(self.server.stop)

    def _closed_now(self) -> bool:
        return self._driver.closed

    async def health(self) -> HealthResponse:
        """Raises when the server does not serve; ``persisted`` is false while it cannot write to its disk."""
        return await self._driver.run(perform(api.health()))

    async def agents(self, *, config: bool = False, no_cache: bool = False) -> AgentList:
        """The agents the server knows; with ``config`` their versions and options too, which takes longer."""
        return AgentList((await self._driver.run(perform(api.agents(config=config, no_cache=no_cache)))).agents)

    async def agent(self, agent_id: str, *, config: bool = True, no_cache: bool = False) -> AgentInfo:
        """One agent."""
        return await self._driver.run(perform(api.agent(agent_id, config=config, no_cache=no_cache)))

    async def install_agent(
        self,
        agent_id: str,
        *,
        reinstall: bool = False,
        agent_version: str | None = None,
        agent_process_version: str | None = None,
        on_progress: Callable[[InstallProgress], object] | None = None,
    ) -> AgentInstallResponse:
        """See :meth:`SandboxAgent.install_agent`."""
        request = AgentInstallRequest(
            reinstall=reinstall or None, agent_version=agent_version, agent_process_version=agent_process_version
        )
        if on_progress is None:
            return await self._driver.run(perform(api.install_agent(agent_id, request)))
        return await self._driver.run(installs.install(agent_id, request), on_progress)

    async def login(self, agent_id: str, *, method: str | None = None, cols: int = 80, rows: int = 24) -> AsyncTerminal:
        """See :meth:`SandboxAgent.login`."""
        request = AgentLoginRequest(method=method, cols=cols, rows=rows)
        info = await self._driver.run(perform(api.login(agent_id, request)))
        return await AsyncTerminal(self._driver, info, owned=True).connect()

    async def doctor(self, agents: Sequence[str] | None = None, *, offline: bool = False) -> DoctorReport:
        """See :meth:`SandboxAgent.doctor`."""
        request = DoctorRequest(agents=None if agents is None else tuple(agents), offline=offline)
        return await self._driver.run(perform(api.doctor(request)))

    async def get_mcp_config(self, directory: str | Path, name: str) -> JsonObject:
        """An MCP server as it is configured for a folder. Raises :class:`NotFound`."""
        return await self._driver.run(perform(api.config("mcp", str(directory), name)))

    async def set_mcp_config(
        self, directory: str | Path, name: str, config: Mapping[str, Any] | McpServerConfig
    ) -> None:
        """Have every session in a folder, or below it, use an MCP server, of type ``local`` or ``remote``."""
        await self._driver.run(perform(api.set_config("mcp", str(directory), name, config)))

    async def delete_mcp_config(self, directory: str | Path, name: str) -> None:
        """Raises :class:`NotFound`."""
        await self._driver.run(perform(api.delete_config("mcp", str(directory), name)))

    async def get_skills_config(self, directory: str | Path, name: str) -> JsonObject:
        """Skills as they are configured for a folder. Raises :class:`NotFound`."""
        return await self._driver.run(perform(api.config("skills", str(directory), name)))

    async def set_skills_config(
        self, directory: str | Path, name: str, config: Mapping[str, Any] | SkillsConfig
    ) -> None:
        """Have every session in a folder, or below it, use the skills of some ``sources``."""
        await self._driver.run(perform(api.set_config("skills", str(directory), name, config)))

    async def delete_skills_config(self, directory: str | Path, name: str) -> None:
        """Raises :class:`NotFound`."""
        await self._driver.run(perform(api.delete_config("skills", str(directory), name)))

    async def create_session(
        self,
        agent: str,
        *,
        cwd: str | Path | None = None,
        model: str | None = None,
        mode: str | None = None,
        thought_level: str | None = None,
        permission_policy: Policy = "ask",
        mcp_servers: Sequence[Mapping[str, Any]] = (),
        desktop: bool = False,
        skills: Sequence[Mapping[str, Any] | SkillSource] = (),
        title: str | None = None,
        env: Mapping[str, str] | None = None,
        base_url: str | None = None,
        auth_method: str | None = None,
        id: str | None = None,  # noqa: A002 - the wire's name
    ) -> AsyncSession:
        """Start an agent on a new session.

        ``cwd`` is where it works: by default this process's own directory, or the server's when that is on another
        machine. ``permission_policy`` is ``ask`` (the default), ``allow_edits``, ``allow_all``, ``deny``, or a
        :class:`PermissionPolicy` with rules. ``mcp_servers`` are ACP `McpServer` objects, ``skills``
        sources such as ``{"type": "github", "source": "owner/name"}``; those configured for ``cwd`` come to them.
        With an ``id`` of your own
        a second session of that id raises :class:`SessionAlreadyExists`.
        """
        request = create_request(
            agent,
            cwd=cwd,
            local=self._target.local,
            model=model,
            mode=mode,
            thought_level=thought_level,
            permission_policy=permission_policy,
            mcp_servers=mcp_servers,
            desktop=desktop,
            skills=skills,
            title=title,
            env=env,
            base_url=base_url,
            auth_method=auth_method,
            session_id=id,
        )
        return self._session(await self._driver.run(programs.create_session(request)))

    async def get_session(self, session_id: str) -> AsyncSession:
        """A session by its id. Raises :class:`SessionNotFound`."""
        return self._session(await self._driver.run(perform(api.session(session_id))))

    async def resume_session(self, session_id: str) -> AsyncSession:
        """A session by its id, with its agent brought back if that has ended.

        Whatever was before it (a restarted kernel, another program, a killed server) it goes on where it was;
        ``info.continuity`` tells how the agent got its memory back.
        """
        return self._session(await self._driver.run(programs.resume_session(session_id)))

    async def list_sessions(self, *, limit: int | None = None, cursor: str | None = None) -> AsyncSessionList:
        """The sessions of the server, newest first. Iterating asks for further pages as it goes.

        ``limit`` is the size of a page; ``cursor`` is where one starts (``next_cursor`` of the one before).
        """
        page = await self._driver.run(perform(api.sessions(limit=limit, cursor=cursor)))
        return AsyncSessionList(self, tuple(self._session(info) for info in page.items), page.next_cursor, limit)

    async def destroy_session(self, session_id: str) -> None:
        """End a session and forget it, with its transcript."""
        await self._driver.run(programs.destroy_session(session_id))

    def acp(self, server_id: str) -> AsyncAcpServer:
        """The raw ACP bridge to one agent process."""
        return AsyncAcpServer(self._driver, server_id)

    async def list_acp_servers(self) -> tuple[AcpServerInfo, ...]:
        """The agent processes that run."""
        return (await self._driver.run(perform(api.acp_servers()))).servers

    @property
    def fs(self) -> AsyncFileSystem:
        """The files of the server: list, read, write, move, delete, upload, download, watch, search."""
        return AsyncFileSystem(self._driver)

    @property
    def desktop(self) -> AsyncDesktop:
        """The desktop of the server: the screen, the mouse, the keyboard, windows, the clipboard, programs."""
        return AsyncDesktop(self._driver)

    @property
    def processes(self) -> AsyncProcesses:
        """The processes of the server: start, list, logs, input, signals, limits."""
        return AsyncProcesses(self._driver)

    async def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the server's, for the command
        max_output_bytes: int | None = None,
        check: bool = False,
    ) -> RunResult:
        """Run a command in the sandbox to its end; see :meth:`SandboxAgent.run`."""
        return await self.processes.run(
            command, cwd=cwd, env=env, timeout=timeout, max_output_bytes=max_output_bytes, check=check
        )

    async def terminal(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        cols: int = 80,
        rows: int = 24,
    ) -> AsyncTerminal:
        """Start a program in a terminal of its own, and connect to it; see :meth:`SandboxAgent.terminal`."""
        argv = shlex.split(command) if isinstance(command, str) else command
        process = await self.processes.start(argv, cwd=cwd, env=env, tty=True, cols=cols, rows=rows)
        return await AsyncTerminal(self._driver, process.info, owned=True).connect()

    def _session(self, info: SessionInfo) -> AsyncSession:
        return AsyncSession(self._driver, info, give_up_after=self._give_up_after)


class AsyncSessionList:
    """A page of sessions. Iterating it goes on over the pages after it; ``items`` and ``len()`` are this page's."""

    def __init__(
        self, agent: AsyncSandboxAgent, items: tuple[AsyncSession, ...], next_cursor: str | None, limit: int | None
    ) -> None:
        self._agent = agent
        self._limit = limit
        self.items = items
        self.next_cursor = next_cursor

    async def next_page(self) -> AsyncSessionList | None:
        """The page after this, if there is one."""
        if self.next_cursor is None:
            return None
        return await self._agent.list_sessions(limit=self._limit, cursor=self.next_cursor)

    async def __aiter__(self) -> AsyncIterator[AsyncSession]:
        page: AsyncSessionList | None = self
        while page is not None:
            for item in page.items:
                yield item
            page = await page.next_page()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> AsyncSession:
        return self.items[index]

    def __repr__(self) -> str:
        more = ", and more" if self.next_cursor else ""
        return f"AsyncSessionList({list(self.items)!r}{more})"

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.sessions_html([item.info for item in self.items])
