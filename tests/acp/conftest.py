"""A bridge with everything beneath it, and agents of these tests' own."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from sandbox_agent.acp.connection import AgentConnection
from sandbox_agent.acp.servers import AcpServers
from sandbox_agent.journal import open_journals
from sandbox_agent.problems import UnsupportedAgent
from sandbox_agent.supervisor import Command, Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sandbox_agent.journal import Journal, Sender

FA = str(Path(__file__).parent / "agents" / "fa.py")
SCALE = float(os.environ.get("SANDBOX_AGENT_TEST_SCALE", "1"))


@pytest.fixture(scope="session")
def scale() -> float:
    """How much longer than usual the long tests are to run."""
    return SCALE


def fa(*flags: str, env: dict[str, str] | None = None) -> Command:
    return Command((sys.executable, "-I", "-S", FA, *flags), env=env or {})


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def eventually(condition: Callable[[], bool], within: float = 60.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  # other processes set no event of ours
            await asyncio.sleep(0.005)


async def entries(journal: Journal, after: int = 0) -> list[tuple[int, Sender, bytes]]:
    """All that readers may see now."""
    found = []
    while isinstance(segments := await journal.read(after), list) and segments:
        for segment in segments:
            found += [(segment.first + i, segment.sender, payload) for i, payload in enumerate(segment.payloads)]
        after = segments[-1].last
    return found


async def messages(journal: Journal) -> list[Any]:
    return [json.loads(payload) for _, _, payload in await entries(journal)]


async def exit_of(journal: Journal) -> dict[str, Any]:
    """The parameters of the agent's exit, once it is there."""
    async with asyncio.timeout(60):
        async for segments in journal.follow(0):
            assert isinstance(segments, list)
            for payload in (payload for segment in segments for payload in segment.payloads):
                message = json.loads(payload)
                if message.get("method") == "_adapter/agent_exited":
                    params: dict[str, Any] = message["params"]
                    return params
    raise AssertionError("the journal was closed without an exit")


class Bridge:
    """The service, on a store in memory or at ``where``. Agents: ``fa`` with flags, as in ``fa --hang``."""

    def __init__(self, where: str | Path = "memory:", **options: Any) -> None:
        self.supervisor = Supervisor()
        self.journals = open_journals(where)
        self.servers = AcpServers(self.journals, self.supervisor, self.launch, **options)
        self._ids = 0

    async def __aenter__(self) -> Self:
        await self.supervisor.start()
        await self.journals.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.servers.stop()
        await self.supervisor.stop(0.2)
        await self.journals.stop()

    async def launch(self, agent: str) -> Command:
        name, *flags = agent.split()
        if name != "fa":
            raise UnsupportedAgent(f"no agent {agent}", agent=agent)
        return fa(*flags)

    async def raw(
        self, body: bytes, *, server: str = "s", agent: str | None = "fa", hold: float | None = 60
    ) -> bytes | None:
        return await self.servers.post(server, body, agent=agent, hold=hold)

    async def call(self, method: str, params: Any = None, **where: Any) -> Any:
        """Post a request; its decoded response."""
        self._ids += 1
        own = self._ids
        body = {"jsonrpc": "2.0", "id": own, "method": method, "params": params}
        response = await self.raw(json.dumps(body).encode(), **where)
        assert response is not None
        message = json.loads(response)
        assert message["id"] == own
        return message.get("result", message.get("error"))

    async def messages(self, server: str = "s") -> list[Any]:
        return await messages(await self.servers.journal(server))


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    async with Bridge() as bridge:
        yield bridge
        children = bridge.supervisor.children()
    assert all(child.exit for child in children)
    assert bridge.supervisor.children() == []


class Recorder:
    """A role that notes what it is told, and lets a test decide."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, str | None]] = []
        self.answers = False
        self.refused: set[str] = set()
        self.exits: list[Any] = []

    def on_notification(self, sequence: int, envelope: Any) -> None:
        self.told.append(("notification", sequence, envelope.method))

    def on_request(self, sequence: int, envelope: Any) -> bool:
        self.told.append(("request", sequence, envelope.method))
        return self.answers

    def on_exit(self, exit: Any) -> None:  # noqa: A002  # the protocol's word
        self.exits.append(exit)

    def accept(self, envelope: Any) -> bool:
        return envelope.method not in self.refused


class Line:
    """One connection, outside of the registry."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    async def open(self, *flags: str, name: str = "line", **options: Any) -> AgentConnection:
        journal = await self.bridge.journals.open(name)
        return await AgentConnection.open(
            server_id=name,
            agent="fa",
            command=options.pop("command", fa(*flags)),
            supervisor=self.bridge.supervisor,
            journal=journal,
            **options,
        )


@pytest.fixture
def connect(bridge: Bridge) -> Callable[..., Any]:
    """Opens connections; the bridge's supervisor ends what a test leaves."""
    return Line(bridge).open
