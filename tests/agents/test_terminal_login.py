"""Logging in to an agent in one of our terminals."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, Self

import pytest

from sandbox_agent.agents import Agents
from sandbox_agent.agents.terminal_login import TerminalLogins, Way, ways
from sandbox_agent.journal import Reset
from sandbox_agent.problems import InvalidRequest, UnsupportedAgent
from sandbox_agent.processes import Processes
from sandbox_agent.supervisor import Command, Supervisor
from sandbox_agent.wire.agents import AgentLoginRequest

from ..support.shared import recording

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sandbox_agent.processes import Process

AGENT = """
import json, os, sys
if "--login" in sys.argv:
    size = os.get_terminal_size()
    name = input(f"name on {size.columns}x{size.lines}? ")
    print("welcome", name, os.environ["EXTRA"], flush=True)
    sys.exit(0)
for line in sys.stdin:
    request = json.loads(line)
    terminal = (request["params"]["clientCapabilities"].get("auth") or {}).get("terminal")
    methods = json.loads(os.environ["METHODS"]) if terminal else []
    result = {"protocolVersion": 1, "agentCapabilities": {}, "authMethods": methods}
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
"""
TERMINAL = {"id": "shell", "name": "Log in", "type": "terminal", "args": ["--login"], "env": {"EXTRA": "friend"}}
BROWSER = {"id": "browser", "name": "Browser", "description": "Opens a browser"}


class Desk:
    """The service over an agent that offers these ways."""

    def __init__(self, folder: Path, methods: list[dict[str, Any]]) -> None:
        program = folder / "agent.py"
        program.write_text(AGENT)
        entry = {"command": sys.executable, "args": [str(program)], "env": {"METHODS": json.dumps(methods)}}
        self.supervisor = Supervisor()
        self.processes = Processes(self.supervisor)
        agents = Agents(config={"agents": {"lock": entry}}, install_root=folder / "bin")
        self.logins = TerminalLogins(agents, self.supervisor, self.processes)

    async def __aenter__(self) -> Self:
        await self.supervisor.start()
        await self.processes.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.processes.close()
        await self.supervisor.stop()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with Desk(tmp_path, [BROWSER, TERMINAL]) as desk:
        yield desk


async def shown(process: Process, wanted: bytes) -> None:
    """Until this is on the terminal."""
    seen = b""
    async with asyncio.timeout(60):
        async for batch in process.log.follow(0):
            assert not isinstance(batch, Reset)
            seen += b"".join(payload for segment in batch for payload in segment.payloads)
            if wanted in seen:
                return
    raise AssertionError(f"it only showed {seen!r}")


async def test_a_person_logs_in_on_a_terminal(desk: Desk) -> None:
    """The agent's own program, with the arguments and the environment of its way, of the size that was asked for."""
    process = await desk.logins.start("lock", AgentLoginRequest(cols=91, rows=33))
    info = process.info()
    assert (info.tty, info.interactive, info.owner, info.cols, info.rows) == (True, True, "system", 91, 33)
    await shown(process, b"name on 91x33?")
    await desk.processes.input(process.id, b"Ada\n")
    await shown(process, b"welcome Ada friend")
    assert (await process.wait()).success


async def test_a_way_is_chosen_by_its_id(desk: Desk) -> None:
    process = await desk.logins.start("lock", AgentLoginRequest(method="shell"))
    assert process.request.args[-1] == "--login"
    for method in ("browser", "none"):
        with pytest.raises(InvalidRequest, match="it offers shell"):
            await desk.logins.start("lock", AgentLoginRequest(method=method))
    with pytest.raises(UnsupportedAgent):
        await desk.logins.start("nobody", AgentLoginRequest())


async def test_an_agent_without_such_a_way_says_what_else_to_do(tmp_path: Path) -> None:
    async with Desk(tmp_path, [BROWSER]) as desk:
        with pytest.raises(InvalidRequest, match="Opens a browser"):
            await desk.logins.start("lock", AgentLoginRequest())
        assert not desk.processes.list()


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("kimi", Way("login", ("/opt/agents/py-kimi/venv/bin/kimi", "login"), {})),
        ("copilot", Way("copilot-login", (".../copilot", "login"), {})),
        ("pi", Way("pi_terminal_login", ("agent", "acp", "--terminal-login"), {})),
        ("qwen", Way("openai", ("agent", "acp", "--auth-type=openai"), {})),
        ("codex", None),
        ("opencode", None),
    ],
)
def test_the_ways_of_real_agents_are_understood(name: str, way: Way | None) -> None:
    """Each in the form that was recorded of it."""
    lines = [json.loads(line)["msg"] for line in recording(f"{name}/no_credentials").read_text().splitlines()]
    methods = next(line["result"]["authMethods"] for line in lines if "authMethods" in line.get("result", {}))
    found = ways(methods, Command(("agent", "acp")))
    if way is None:
        assert found == []
        return
    (one,) = found
    program = f".../{one.argv[0].rpartition('/')[2]}" if way.argv[0].startswith("...") else one.argv[0]
    assert Way(one.id, (program, *one.argv[1:]), one.env) == way


def test_what_is_no_way_is_passed_over() -> None:
    odd: list[Any] = [None, {}, {"id": 1, "type": "terminal"}, {"id": "x", "_meta": {"terminal-auth": {"command": 1}}}]
    assert ways(odd, Command(("agent",))) == []
    bare = [{"id": "x", "type": "terminal", "args": "odd", "env": []}]
    assert ways(bare, Command(("agent",))) == [Way("x", ("agent",), {})]
