"""The SDK's entrance for blocking code."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Self

from sandbox_agent.client import api, discovery, installs, programs
from sandbox_agent.client.acp import AcpServer
from sandbox_agent.client.base import AgentBase
from sandbox_agent.client.calls import perform
from sandbox_agent.client.closing import Closing
from sandbox_agent.client.desktop import Desktop
from sandbox_agent.client.fs import FileSystem
from sandbox_agent.client.local import start_server
from sandbox_agent.client.processes import Processes
from sandbox_agent.client.requests import create_request
from sandbox_agent.client.results import AgentList
from sandbox_agent.client.session import Session
from sandbox_agent.client.sync_driver import SyncDriver
from sandbox_agent.client.target import Target, parse_url
from sandbox_agent.client.terminal import Terminal
from sandbox_agent.problems import SandboxAgentError
from sandbox_agent.wire.agents import AgentInstallRequest, AgentLoginRequest
from sandbox_agent.wire.doctor import DoctorRequest

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping, Sequence
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


class SandboxAgent(AgentBase, Closing):
    """A client of one Sandbox Agent server, for blocking code: scripts, notebook cells, threads.

    Use :meth:`connect` or :meth:`start`; the constructor takes a URL as it is and asks nobody. ``transport`` is an
    `httpx2` transport to speak through, ``verify`` what that library takes for certificates. ``give_up_after`` bounds
    how long event streams try to reconnect, in seconds; without it they do so until they are closed.

    >>> from sandbox_agent import SandboxAgent
    >>> with SandboxAgent.start() as agent:
    ...     session = agent.create_session("mock")
    ...     session.prompt("[[say hello]]").text
    'hello'
    """

    def __init__(
        self,
        base_url: str | Target,
        token: str | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
        verify: bool | str | ssl.SSLContext = True,
        give_up_after: float | None = None,
        server: LocalServer | None = None,
    ) -> None:
        self._target = base_url if isinstance(base_url, Target) else parse_url(base_url, token)
        self._give_up_after = give_up_after
        self.server = server
        exited = server.exited if server is not None else lambda: None
        self._driver = SyncDriver(self._target, handler=transport, verify=verify, exited=exited)

    @classmethod
    def connect(
        cls,
        base_url: str | None = None,
        token: str | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
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
                client._driver.run(perform(api.health(), patience=0))
            except SandboxAgentError as error:
                client.close()
                tried.append((candidate, error))
                if not discovery.goes_on(candidate, error):
                    break
            else:
                return client
        raise discovery.explain(tried)

    @classmethod
    def start(
        cls,
        *,
        data_dir: str | Path | None = None,
        config: str | Path | None = None,
        arguments: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        give_up_after: float | None = None,
    ) -> Self:
        """Run a server of its own on this machine and return its client.

        It ends with :meth:`close`, and with this process however that ends. Sessions stay in ``data_dir``, by default
        below the user's data directory, where the next ``start()`` finds them. ``arguments`` are further ones of
        `sandbox-agent server`, ``environ`` is added to its environment. ``server`` is then the process and its logs.

        Raises :class:`ServerStartFailed` with the server's last lines.
        """
        server = start_server(data_dir=data_dir, config=config, arguments=arguments, environ=environ, timeout=timeout)
        return cls(server.target, give_up_after=give_up_after, server=server)

    def close(self) -> None:
        """Close every connection and stream, and end a server that was started; any number of times."""
        self._driver.close()
        if self.server is not None:
            self.server.stop()

    def _closed_now(self) -> bool:
        return self._driver.closed

    def health(self) -> HealthResponse:
        """Raises when the server does not serve; ``persisted`` is false while it cannot write to its disk."""
        return self._driver.run(perform(api.health()))

    def agents(self, *, config: bool = False, no_cache: bool = False) -> AgentList:
        """The agents the server knows; with ``config`` their versions and options too, which takes longer."""
        return AgentList(self._driver.run(perform(api.agents(config=config, no_cache=no_cache))).agents)

    def agent(self, agent_id: str, *, config: bool = True, no_cache: bool = False) -> AgentInfo:
        """One agent."""
        return self._driver.run(perform(api.agent(agent_id, config=config, no_cache=no_cache)))

    def install_agent(
        self,
        agent_id: str,
        *,
        reinstall: bool = False,
        agent_version: str | None = None,
        agent_process_version: str | None = None,
        on_progress: Callable[[InstallProgress], object] | None = None,
    ) -> AgentInstallResponse:
        """Install an agent where the server runs; what is there already is kept, unless ``reinstall`` says otherwise.

        ``agent_version`` is of the agent itself, ``agent_process_version`` of the program that speaks ACP for it;
        without them the versions are those that the server has locked. ``on_progress`` is called with each step, and
        with each line of what the programs that install write. Raises :class:`InstallFailed`.
        """
        request = AgentInstallRequest(
            reinstall=reinstall or None, agent_version=agent_version, agent_process_version=agent_process_version
        )
        if on_progress is None:
            return self._driver.run(perform(api.install_agent(agent_id, request)))
        return self._driver.run(installs.install(agent_id, request), on_progress)

    def login(self, agent_id: str, *, method: str | None = None, cols: int = 80, rows: int = 24) -> Terminal:
        """Log in to an agent: its own program for that, in a terminal of the sandbox, connected to.

        ``method`` is one of the ways that the agent names, by default its first for a terminal. Closing the terminal
        ends the program. Raises :class:`InvalidRequest`, whose hint says how else, for an agent that has none.
        """
        info = self._driver.run(perform(api.login(agent_id, AgentLoginRequest(method=method, cols=cols, rows=rows))))
        return Terminal(self._driver, info, owned=True).connect()

    def doctor(self, agents: Sequence[str] | None = None, *, offline: bool = False) -> DoctorReport:
        """Check the server's machine and its agents: each of ``agents`` (default: all) is greeted and ended again.

        With ``offline`` none is started. What is wrong comes with the command that mends it.
        """
        request = DoctorRequest(agents=None if agents is None else tuple(agents), offline=offline)
        return self._driver.run(perform(api.doctor(request)))

    def get_mcp_config(self, directory: str | Path, name: str) -> JsonObject:
        """An MCP server as it is configured for a folder. Raises :class:`NotFound`."""
        return self._driver.run(perform(api.config("mcp", str(directory), name)))

    def set_mcp_config(self, directory: str | Path, name: str, config: Mapping[str, Any] | McpServerConfig) -> None:
        """Have every session in a folder, or below it, use an MCP server, of type ``local`` or ``remote``."""
        self._driver.run(perform(api.set_config("mcp", str(directory), name, config)))

    def delete_mcp_config(self, directory: str | Path, name: str) -> None:
        """Raises :class:`NotFound`."""
        self._driver.run(perform(api.delete_config("mcp", str(directory), name)))

    def get_skills_config(self, directory: str | Path, name: str) -> JsonObject:
        """Skills as they are configured for a folder. Raises :class:`NotFound`."""
        return self._driver.run(perform(api.config("skills", str(directory), name)))

    def set_skills_config(self, directory: str | Path, name: str, config: Mapping[str, Any] | SkillsConfig) -> None:
        """Have every session in a folder, or below it, use the skills of some ``sources``."""
        self._driver.run(perform(api.set_config("skills", str(directory), name, config)))

    def delete_skills_config(self, directory: str | Path, name: str) -> None:
        """Raises :class:`NotFound`."""
        self._driver.run(perform(api.delete_config("skills", str(directory), name)))

    def create_session(
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
    ) -> Session:
        """Start an agent on a new session.

        ``cwd`` is where it works: by default this process's own directory, or the server's when that is on another
        machine. ``permission_policy`` is ``ask`` (the default), ``allow_edits``, ``allow_all``, ``deny``, or a
        :class:`PermissionPolicy` with rules. ``mcp_servers`` are ACP `McpServer` objects, ``skills``
        sources such as ``{"type": "github", "source": "owner/name"}``; those configured for ``cwd`` come to them.

        With ``desktop`` the agent can see and use the server's desktop.

        ``env`` is added to the agent's environment, for a key of this session's own; the server tells it nobody.
        ``base_url`` is a gateway to ask in place of the agent's provider, ``auth_method`` one of the ways to log in
        that the agent names when it refuses. With an ``id`` of your own a second session of that id raises
        :class:`SessionAlreadyExists`.
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
        return self._session(self._driver.run(programs.create_session(request)))

    def get_session(self, session_id: str) -> Session:
        """A session by its id. Raises :class:`SessionNotFound`."""
        return self._session(self._driver.run(perform(api.session(session_id))))

    def resume_session(self, session_id: str) -> Session:
        """A session by its id, with its agent brought back if that has ended.

        Whatever was before it (a restarted kernel, another program, a killed server) it goes on where it was;
        ``info.continuity`` tells how the agent got its memory back.
        """
        return self._session(self._driver.run(programs.resume_session(session_id)))

    def list_sessions(self, *, limit: int | None = None, cursor: str | None = None) -> SessionList:
        """The sessions of the server, newest first. Iterating asks for further pages as it goes.

        ``limit`` is the size of a page; ``cursor`` is where one starts (``next_cursor`` of the one before).
        """
        page = self._driver.run(perform(api.sessions(limit=limit, cursor=cursor)))
        return SessionList(self, tuple(self._session(info) for info in page.items), page.next_cursor, limit)

    def destroy_session(self, session_id: str) -> None:
        """End a session and forget it, with its transcript."""
        self._driver.run(programs.destroy_session(session_id))

    def acp(self, server_id: str) -> AcpServer:
        """The raw ACP bridge to one agent process."""
        return AcpServer(self._driver, server_id)

    def list_acp_servers(self) -> tuple[AcpServerInfo, ...]:
        """The agent processes that run."""
        return self._driver.run(perform(api.acp_servers())).servers

    @property
    def fs(self) -> FileSystem:
        """The files of the server: list, read, write, move, delete, upload, download, watch, search."""
        return FileSystem(self._driver)

    @property
    def desktop(self) -> Desktop:
        """The desktop of the server: the screen, the mouse, the keyboard, windows, the clipboard, programs."""
        return Desktop(self._driver)

    @property
    def processes(self) -> Processes:
        """The processes of the server: start, list, logs, input, signals, limits."""
        return Processes(self._driver)

    def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        max_output_bytes: int | None = None,
        check: bool = False,
    ) -> RunResult:
        """Run a command in the sandbox to its end.

        ``command`` is a line for the shell (``sh``), or a program and its arguments. It has no input; ``env`` is added
        to its environment. ``timeout`` is in seconds, at most the server's limit (without it, the server's default):
        when it runs out the command is ended with all it started, and ``timed_out`` says so. Output beyond
        ``max_output_bytes`` is dropped. With ``check``, anything but success raises :class:`CommandFailed`.

        >>> from sandbox_agent import SandboxAgent
        >>> with SandboxAgent.start() as agent:
        ...     agent.run("echo hello | tr a-z A-Z").stdout.strip()
        'HELLO'
        """
        return self.processes.run(
            command, cwd=cwd, env=env, timeout=timeout, max_output_bytes=max_output_bytes, check=check
        )

    def terminal(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        cols: int = 80,
        rows: int = 24,
    ) -> Terminal:
        """Start a program in a terminal of its own, and connect to it.

        ``command`` is a program with its arguments, as one text or as a sequence. Closing the terminal, or leaving its
        ``with`` block, ends the program. `Process.terminal` connects to one that runs.
        """
        argv = shlex.split(command) if isinstance(command, str) else command
        process = self.processes.start(argv, cwd=cwd, env=env, tty=True, cols=cols, rows=rows)
        return Terminal(self._driver, process.info, owned=True).connect()

    def _session(self, info: SessionInfo) -> Session:
        return Session(self._driver, info, give_up_after=self._give_up_after)


class SessionList:
    """A page of sessions. Iterating it goes on over the pages after it; ``items`` and ``len()`` are this page's."""

    def __init__(
        self, agent: SandboxAgent, items: tuple[Session, ...], next_cursor: str | None, limit: int | None
    ) -> None:
        self._agent = agent
        self._limit = limit
        self.items = items
        self.next_cursor = next_cursor

    def next_page(self) -> SessionList | None:
        """The page after this, if there is one."""
        if self.next_cursor is None:
            return None
        return self._agent.list_sessions(limit=self._limit, cursor=self.next_cursor)

    def __iter__(self) -> Iterator[Session]:
        page: SessionList | None = self
        while page is not None:
            yield from page.items
            page = page.next_page()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Session:
        return self.items[index]

    def __repr__(self) -> str:
        more = ", and more" if self.next_cursor else ""
        return f"SessionList({list(self.items)!r}{more})"

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.sessions_html([item.info for item in self.items])
