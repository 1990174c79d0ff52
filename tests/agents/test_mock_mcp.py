"""The mock agent starts the MCP servers it is given and calls their tools."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .driver import mock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .driver import Agent

SERVER = str(Path(__file__).parents[1] / "support" / "mcp_server.py")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with mock(env={"SANDBOX_AGENT_MOCK_STATE": str(tmp_path / "state")}) as agent:
        agent.call("initialize", protocolVersion=1)
        yield agent


def start(agent: Agent, cwd: Path, *servers: dict[str, Any]) -> Agent:
    made = agent.call("session/new", cwd=str(cwd), mcpServers=list(servers))
    agent.session = made["result"]["sessionId"]
    return agent


def tiny(**more: Any) -> dict[str, Any]:
    return {"name": "tiny", "command": sys.executable, "args": [SERVER], "env": []} | more


def test_a_tool_is_called_with_the_servers_environment(agent: Agent, tmp_path: Path) -> None:
    start(agent, tmp_path, tiny(env=[{"name": "MCP_TEXT", "value": "from the environment"}]))
    assert agent.prompt("[[mcp]]").text() == "tiny: shout, die"
    turn = agent.prompt('[[mcp name=tiny tool=shout args={"text": "hello"}]]')
    assert (turn.text(), turn.statuses) == ("HELLO", ["in_progress", "completed"])
    assert agent.prompt("[[mcp name=tiny tool=shout]]").text() == "from the environment"


def test_a_server_that_dies_fails_its_calls_alone(agent: Agent, tmp_path: Path) -> None:
    start(agent, tmp_path, tiny(), tiny(name="other"))
    assert agent.prompt("[[mcp name=tiny tool=die]]").statuses == ["in_progress", "failed"]
    assert agent.prompt("[[mcp]]").text() == "tiny: it ended with code 7\nother: shout, die"


def test_a_server_that_cannot_start_is_told(agent: Agent, tmp_path: Path) -> None:
    start(agent, tmp_path, tiny(command="/nowhere/mcp"), {"type": "sse", "name": "web", "url": "http://x"})
    told = agent.prompt("[[mcp]]").text()
    assert "tiny: it did not start: No such file" in told
    assert "web: it is no stdio server" in told


def test_without_servers_there_are_none(agent: Agent, tmp_path: Path) -> None:
    assert start(agent, tmp_path).prompt("[[mcp]]").text() == "no MCP servers"


@pytest.mark.parametrize(
    ("fault", "methods"), [("no_fork", ["session/fork"]), ("no_close", ["session/close", "session/delete"])]
)
def test_an_agent_may_lack_the_verbs_of_sessions(tmp_path: Path, fault: str, methods: list[str]) -> None:
    with mock(fault, env={"SANDBOX_AGENT_MOCK_STATE": str(tmp_path / "state")}) as agent:
        told = agent.call("initialize", protocolVersion=1)["result"]["agentCapabilities"]["sessionCapabilities"]
        assert not {f"session/{verb}" for verb in told} & set(methods)
        start(agent, tmp_path)
        for method in methods:
            assert agent.call(method, sessionId=agent.session, cwd=str(tmp_path))["error"]["code"] == -32601


def test_an_agent_may_take_text_alone_and_stdio_alone(tmp_path: Path) -> None:
    with mock("only_text,no_remote_mcp") as agent:
        told = agent.call("initialize", protocolVersion=1)["result"]["agentCapabilities"]
        assert not any(told["promptCapabilities"].values())
        assert not any(told["mcpCapabilities"].values())
