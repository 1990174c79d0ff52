"""Sessions over the real pieces: agent processes, a supervisor, journals in SQLite; restarted at will."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.acp.servers import AcpServers
from sandbox_agent.agents import Agents
from sandbox_agent.files import Files
from sandbox_agent.journal import Reset, open_journals
from sandbox_agent.processes import Processes
from sandbox_agent.sessions import SessionOptions, Sessions
from sandbox_agent.supervisor import Supervisor
from sandbox_agent.wire.sessions import PermissionAnswer, PromptRequest, SessionCreateRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from sandbox_agent.journal import Sender
    from sandbox_agent.wire.sessions import PermissionInfo, PromptInfo, SessionInfo

PATIENCE = 60.0
"""Seconds after which a test gives up waiting for what should have come long before."""

QUICK = SessionOptions(cancel_grace=0.5, end_grace=0.5, replay_quiet=0.1)


class World:
    """One server's services, without HTTP, over one SQLite file that outlives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cwd = folder / "work"
        self.cwd.mkdir(exist_ok=True)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.running = False

    async def start(self, mock: str = "", options: SessionOptions = QUICK, config: Any = None) -> None:
        environ = {
            **os.environ,
            "SANDBOX_AGENT_MOCK": mock,
            "SANDBOX_AGENT_MOCK_STATE": str(self.folder / "mock"),
            "HOME": str(self.folder),
        }
        self.supervisor = Supervisor()
        self.journals = open_journals(self.folder / "sessions.db")
        self.agents = Agents(config=config, environ=environ, install_root=self.folder / "bin")
        self.servers = AcpServers(self.journals, self.supervisor, self.agents.command)
        self.processes = Processes(self.supervisor)
        self.files = Files(root=self.folder, home=self.folder)  # what recordings name is not to be written
        self.sessions = Sessions(
            journals=self.journals,
            servers=self.servers,
            agents=self.agents,
            options=options,
            files=self.files,
            processes=self.processes,
            emit=lambda name, data: self.told.append((name, data)),
        )
        await self.supervisor.start()
        await self.processes.open()
        await self.journals.start()
        await self.sessions.start()
        self.running = True

    async def stop(self) -> None:
        if self.running:
            self.running = False
            await self.sessions.stop()
            await self.servers.stop()
            await self.processes.close()
            self.files.close()
            await self.journals.stop()
            await self.supervisor.stop()

    async def die(self) -> None:
        """As a server killed in mid-work: nothing is told to anyone, what is on disk stays as it is."""
        self.running = False
        await self.journals.stop()
        await self.supervisor.stop()
        await self.processes.close()
        self.files.close()

    async def restart(self, mock: str = "", options: SessionOptions = QUICK) -> None:
        await self.stop()
        await self.start(mock, options)

    # what tests say often

    async def create(self, agent: str = "mock", **given: Any) -> SessionInfo:
        return await self.sessions.create(SessionCreateRequest(agent=agent, **({"cwd": str(self.cwd)} | given)))

    async def send(self, session_id: str, text: str, key: str | None = None) -> PromptInfo:
        return await self.sessions.prompt(session_id, PromptRequest(prompt=text), idempotency_key=key)

    async def ended(self, prompt: PromptInfo, seconds: float = PATIENCE) -> PromptInfo:
        info = await self.sessions.wait_prompt(prompt.session_id, prompt.id, seconds)
        assert info.state in {"completed", "cancelled", "failed"}, info
        return info

    async def prompt(self, session_id: str, text: str) -> PromptInfo:
        return await self.ended(await self.send(session_id, text))

    async def asked(self, session_id: str) -> PermissionInfo:
        """The permission the agent asks for now."""
        await self.until(lambda: self._pending(session_id))
        return (await self.sessions.permissions(session_id, pending_only=True)).items[0]

    async def answer(self, asked: PermissionInfo, reply: Any, by: str | None = None) -> PermissionInfo:
        return await self.sessions.answer(asked.session_id, asked.id, PermissionAnswer(reply=reply), by=by)

    async def texts(self, session_id: str) -> list[tuple[str, str]]:
        """What was said in the transcript: (role, text)."""
        transcript = await self.sessions.transcript(session_id)
        return [
            (item.role, "".join(block.get("text", "") for block in item.content))
            for item in transcript.items
            if hasattr(item, "role")
        ]

    async def events(self, session_id: str) -> list[tuple[Sender, bytes]]:
        journal = await self.sessions.journal(session_id)
        await journal.durable()
        found: list[tuple[Sender, bytes]] = []
        cursor = 0
        while segments := await journal.read(cursor):
            assert not isinstance(segments, Reset)
            found += [(segment.sender, payload) for segment in segments for payload in segment.payloads]
            cursor = segments[-1].last
        return found

    async def until(self, true: Callable[[], Awaitable[object]]) -> None:
        """Poll until it holds."""
        async with asyncio.timeout(PATIENCE):
            while not await true():  # noqa: ASYNC110 - what is waited for has no event of its own
                await asyncio.sleep(0.005)

    async def _pending(self, session_id: str) -> bool:
        return bool((await self.sessions.permissions(session_id, pending_only=True)).items)

    def agent_pids(self) -> list[int]:
        return [child.pid for child in self.supervisor.children()]


@pytest.fixture
async def stopped(tmp_path: Path) -> AsyncIterator[World]:
    """A world that is not started yet."""
    world = World(tmp_path)
    yield world
    await world.stop()


@pytest.fixture
async def world(stopped: World) -> World:
    await stopped.start()
    return stopped
