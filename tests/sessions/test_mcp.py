"""MCP servers a session is given: completed to ACP's form, or refused by place and name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.journal import Sender
from sandbox_agent.problems import InvalidRequest
from sandbox_agent.sessions.mcp import check_transports, mcp_servers

if TYPE_CHECKING:
    from .conftest import World

STDIO = {"name": "files", "command": "/bin/mcp"}
MARKED = [{"name": "SANDBOX_AGENT_MCP", "value": "[redacted]"}]


def test_lists_that_acp_wants_are_filled_in_and_pairs_may_be_an_object() -> None:
    remote = {"type": "http", "name": "web", "url": "http://x", "headers": {"A": "b"}, "_meta": {"kept": 1}}
    assert mcp_servers((STDIO, remote)) == (
        {"name": "files", "command": "/bin/mcp", "args": [], "env": []},
        {**remote, "headers": [{"name": "A", "value": "b"}]},
    )


def test_a_stdio_server_is_passed_on_without_a_type() -> None:
    assert "type" not in mcp_servers(({**STDIO, "type": "stdio"},))[0]


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ({"command": "x"}, "has no name"),
        ({"name": "", "command": "x"}, "has no name"),
        ({"name": "x"}, "has no command"),
        ({"name": "x", "command": ["a"]}, "has no command"),
        ({"name": "x", "type": "http"}, "has no url"),
        ({"name": "x", "type": "carrier-pigeon"}, "has type 'carrier-pigeon'"),
        ({**STDIO, "args": "a b"}, r"\.args"),
        ({**STDIO, "args": [1]}, r"\.args"),
        ({**STDIO, "env": ["A=b"]}, r"\.env"),
        ({**STDIO, "env": {"A": 1}}, r"\.env"),
        ({"name": "x", "type": "sse", "url": "u", "headers": "h"}, r"\.headers"),
    ],
)
def test_what_is_no_server_is_refused_by_its_place(server: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=r"mcpServers\[1\].*" + told):
        mcp_servers((STDIO, server))


def test_a_transport_the_agent_cannot_use_is_refused_with_those_it_can() -> None:
    servers = mcp_servers((STDIO, {"type": "sse", "name": "web", "url": "http://x"}))
    check_transports(servers, {"mcpCapabilities": {"sse": True}}, agent="x")
    for capabilities in (None, {}, {"mcpCapabilities": []}, {"mcpCapabilities": {"sse": False}}):
        with pytest.raises(InvalidRequest, match=r"cannot use MCP server 'web' over sse \(hint: it uses stdio\)"):
            check_transports(servers, capabilities, agent="x")


async def test_the_agent_is_given_the_servers_at_first_and_after_a_restart(world: World) -> None:
    session = await world.create(mcp_servers=(STDIO,))
    await world.prompt(session.id, "[[say hi]]")
    await world.restart()
    await world.prompt(session.id, "[[say hi]]")
    told = [
        json.loads(payload)
        for sender, payload in await world.events(session.id)
        if sender is Sender.CLIENT and b"mcpServers" in payload
    ]
    assert [(one["method"], one["params"]["mcpServers"]) for one in told] == [
        ("session/new", [{**STDIO, "args": [], "env": MARKED}]),
        ("session/resume", [{**STDIO, "args": [], "env": MARKED}]),
    ]
