"""MCP servers as they are configured, in ACP's form."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox_agent.config.mcp import converted, shown, unusable
from sandbox_agent.wire.config import LocalMcpServer, RemoteMcpServer

if TYPE_CHECKING:
    from sandbox_agent.config.mcp import Converted

HOME = Path("/project")


def convert(entry: dict[str, Any], directory: Path = HOME, **environ: str) -> Converted:
    return converted("x", msgspec.convert(entry, LocalMcpServer | RemoteMcpServer), directory, environ)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"command": "mcp"}, ["mcp"]),
        ({"command": "mcp", "args": ["a b"]}, ["mcp", "a b"]),
        ({"command": ["npx", "-y", "mcp"], "args": ["c"]}, ["npx", "-y", "mcp", "c"]),
        ({"command": "npx -y 'my mcp'"}, ["npx", "-y", "my mcp"]),
        ({"command": "my mcp", "args": ["a"]}, ["my mcp", "a"]),
        ({"command": "./bin/mcp"}, ["/project/bin/mcp"]),
        ({"command": "/bin/mcp"}, ["/bin/mcp"]),
    ],
)
def test_a_local_server_is_its_words(entry: dict[str, Any], words: list[str]) -> None:
    server, problem = convert({"type": "local", "env": {"A": "b"}, **entry})
    assert server == {"name": "x", "command": words[0], "args": words[1:], "env": [{"name": "A", "value": "b"}]}
    assert problem is None


def test_a_local_server_starts_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a folder").mkdir()
    entry = {"type": "local", "command": ["sh", "-c", 'pwd; echo "$0"', "$HOME 'x"], "cwd": "a folder"}
    server, _ = convert(entry, tmp_path)
    assert server is not None
    run = subprocess.run([server["command"], *server["args"]], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [str(tmp_path / "a folder"), "$HOME 'x"]


@pytest.mark.parametrize("transport", [None, "http", "streamable-http", "sse"])
def test_a_remote_server_has_a_transport_and_headers(transport: str | None) -> None:
    entry = {"type": "remote", "url": "http://x", "transport": transport, "headers": {"A": "b"}}
    entry |= {"envHeaders": {"X-Key": "KEY"}, "bearerTokenEnvVar": "BEARER"}
    server, problem = convert(entry, KEY="k", BEARER="t")
    assert server == {
        "type": "sse" if transport == "sse" else "http",
        "name": "x",
        "url": "http://x",
        "headers": [
            {"name": "A", "value": "b"},
            {"name": "X-Key", "value": "k"},
            {"name": "Authorization", "value": "Bearer t"},
        ],
    }
    assert problem is None


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"type": "local", "command": "a 'b"}, "cannot be split"),
        ({"type": "local", "command": ""}, "is empty"),
        ({"type": "local", "command": []}, "is empty"),
        ({"type": "remote", "url": "u", "transport": "pigeon"}, "'pigeon' is none of http and sse"),
        ({"type": "remote", "url": "u", "bearerTokenEnvVar": "TOKEN"}, "variable TOKEN for its header Authorization"),
        ({"type": "remote", "url": "u", "envHeaders": {"X": "KEY"}}, "variable KEY for its header X is not set"),
    ],
)
def test_what_cannot_be_offered_says_why(entry: dict[str, Any], told: str) -> None:
    server, problem = convert(entry)
    assert server is None
    assert told in (problem or "")


def test_what_acp_has_no_member_for_is_told() -> None:
    assert "timeoutMs cannot be told" in (convert({"type": "local", "command": "x", "timeoutMs": 5}).problem or "")
    remote = {"type": "remote", "url": "u", "timeoutMs": 5, "oauth": {"clientId": "c"}}
    assert "timeoutMs and oauth" in (convert(remote).problem or "")


def test_an_agent_takes_stdio_and_what_it_says() -> None:
    stdio, http = {"name": "x", "command": "y"}, {"type": "http", "name": "x", "url": "u"}
    assert unusable(stdio, None) is None
    assert unusable(http, {"mcpCapabilities": {"http": True}}) is None
    for capabilities in (None, {}, {"mcpCapabilities": None}, {"mcpCapabilities": {"sse": True, "http": False}}):
        assert "over http" in (unusable(http, capabilities) or "")


def test_values_of_headers_and_variables_are_not_shown() -> None:
    server = {"name": "x", "command": "y", "args": [], "env": [{"name": "KEY", "value": "secret"}]}
    assert "secret" not in str(shown(server))
    assert shown(server)["env"][0]["name"] == "KEY"
    assert server["env"][0]["value"] == "secret", "the server itself is as it was"
