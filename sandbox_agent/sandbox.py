"""The one place that builds all services, and starts and stops them in order."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox_agent.acp.servers import AcpServers
from sandbox_agent.agents import Agents
from sandbox_agent.agents.credentials import secrets
from sandbox_agent.agents.doctor import Doctor
from sandbox_agent.agents.install import Installer
from sandbox_agent.agents.probe import Probe
from sandbox_agent.agents.terminal_login import TerminalLogins
from sandbox_agent.desktop.service import Desktop
from sandbox_agent.files import Files
from sandbox_agent.files.archives import Archives
from sandbox_agent.files.search import Search
from sandbox_agent.files.watch import Watches
from sandbox_agent.journal import open_journals
from sandbox_agent.processes import Processes
from sandbox_agent.sessions import SessionOptions, Sessions
from sandbox_agent.sessions.outfit import Wardrobe
from sandbox_agent.supervisor import Supervisor
from sandbox_agent.tasks import spawn_task
from sandbox_agent.wire.health import HealthResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox_agent.config import DirectoryConfig
    from sandbox_agent.desktop.mcp import McpServer
    from sandbox_agent.journal import Journals, Retention
    from sandbox_agent.sessions.desktop_offer import DesktopOffer


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """How a sandbox is built.

    ``store`` is a path or a URL (`memory:`, `sqlite:///...`, `postgresql://...`); ``agents`` a configuration file or
    mapping of custom agents. ``adopt_orphans`` is for a process of our own: daemons that children leave behind are
    reaped by us then, which a host such as Jupyter must not have done to it. ``root`` is a folder that files are
    confined to; ``None`` leaves them to this user's rights.
    """

    store: Path | str = "memory:"
    agents: Path | Mapping[str, Any] | None = None
    retention: Retention | None = None
    sessions: SessionOptions = field(default_factory=SessionOptions)
    adopt_orphans: bool = False
    root: Path | None = None


class Sandbox:
    """All services over one store. Build it, ``start`` it on the loop that serves, ``stop`` it there."""

    supervisor: Supervisor
    journals: Journals
    agents: Agents
    doctor: Doctor
    logins: TerminalLogins
    servers: AcpServers
    directories: DirectoryConfig
    sessions: Sessions
    processes: Processes
    desktop: Desktop
    desktop_offer: DesktopOffer
    files: Files
    archives: Archives
    watches: Watches
    search: Search

    def __init__(self, config: SandboxConfig, *, emit: Callable[[str, dict[str, Any]], None] | None = None) -> None:
        self.config = config
        self.supervisor = Supervisor(adopt_orphans=config.adopt_orphans)
        self.processes = Processes(self.supervisor)
        self.desktop = Desktop(self.processes, os.environ)
        self.files = Files(config.root)
        self.archives = Archives(self.files.root)
        self.watches = Watches(self.files.root)
        self.search = Search(self.files.root, self.supervisor)
        self.journals = open_journals(config.store)
        self.agents = Agents(config=config.agents, running=self._uptime_ms, prober=Probe(self.supervisor))
        self.agents.installer = Installer(self.supervisor, root=self.agents.root, environ=self.agents.environ)
        self.logins = TerminalLogins(self.agents, self.supervisor, self.processes)
        data_dir = config.store.parent if isinstance(config.store, Path) else None
        self.doctor = Doctor(self.agents, self.supervisor, data_dir=data_dir)
        self.servers = AcpServers(
            self.journals,
            self.supervisor,
            self.agents.command,
            launch_deadline=config.sessions.initialize_deadline,
            retention=config.retention,
        )
        wardrobe = Wardrobe.at_home(self.agents, self.supervisor)
        self.directories = wardrobe.directories
        self.desktop_offer = wardrobe.desktop
        self.sessions = Sessions(
            journals=self.journals,
            servers=self.servers,
            agents=self.agents,
            options=config.sessions,
            wardrobe=wardrobe,
            files=self.files,
            processes=self.processes,
            emit=emit,
        )
        self._starting: asyncio.Task[None] | None = None
        self._running = False

    @cached_property
    def mcp(self) -> McpServer:
        """The desktop's tools for agents."""
        from sandbox_agent.desktop.mcp import McpServer  # noqa: PLC0415 - who asks for no tools does not pay for them

        return McpServer(self.desktop)

    async def start(self) -> None:
        """Start everything, once; whoever calls later gets the same outcome. Raises ``StoreUnavailable``."""
        if self._starting is None:
            self._starting = spawn_task(self._start(), name="start services")
        await asyncio.shield(self._starting)

    def _uptime_ms(self, agent: str) -> int | None:
        """For how long the oldest live server of an agent has been up."""
        made = [server.created_at_ms for server in self.servers.list() if server.agent == agent]
        return max(0, time.time_ns() // 1_000_000 - min(made)) if made else None

    async def _start(self) -> None:
        await self.supervisor.start()
        await self.processes.open()
        await self.journals.start()
        await self.sessions.start()
        self._running = True

    @property
    def running(self) -> bool:
        return self._running

    async def stop(self) -> None:
        """End all agents with what they started, then close the store: what they said last is in it."""
        if not self._running:
            return
        self._running = False
        await self.sessions.stop()
        await self.servers.stop()
        await self.desktop.recordings.close()
        await self.desktop.stop()
        await self.processes.close()
        await self.supervisor.stop()
        await self.journals.stop()
        self.files.close()

    def secrets(self) -> frozenset[str]:
        """Values that no log may hold: what agents were given of keys and tokens."""
        return self.sessions.secrets() | secrets(self.agents.environ)

    def health(self) -> HealthResponse:
        store = self.journals.health
        return HealthResponse(status="ok", persisted=store.persisted, problem=store.problem, hint=store.hint)
