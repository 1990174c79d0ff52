"""From an MCP server as it is configured to ACP's ``McpServer``. Pure values in, values out.

https://agentclientprotocol.com/protocol/session-setup#mcp-servers: stdio works with every agent, http and sse with
those that say so in ``mcpCapabilities``.
"""

from __future__ import annotations

import os.path
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox_agent.wire.config import LocalMcpServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.config import RemoteMcpServer

REMOTE = ("http", "sse")
_TRANSPORTS = {
    None: "http",
    "": "http",
    "http": "http",
    "streamable-http": "http",
    "streamable_http": "http",
    "streamableHttp": "http",
    "sse": "sse",
}
# ACP's stdio form has no folder to start in.
_IN_FOLDER = ("/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh")


class Converted(NamedTuple):
    """``server`` is ``None`` where it cannot be offered; ``problem`` then says why, else what does not reach it."""

    server: JsonObject | None
    problem: str | None = None


def converted(
    name: str, config: LocalMcpServer | RemoteMcpServer, directory: Path, environ: Mapping[str, str]
) -> Converted:
    """The ACP form. ``directory`` is where relative folders start, ``environ`` what ``envHeaders`` are read from."""
    if isinstance(config, LocalMcpServer):
        return _local(name, config, directory)
    return _remote(name, config, environ)


def usable(capabilities: Mapping[str, Any] | None) -> list[str]:
    """The transports an agent said it can use."""
    offered = (capabilities or {}).get("mcpCapabilities")
    offered = offered if isinstance(offered, dict) else {}
    return ["stdio", *(kind for kind in REMOTE if offered.get(kind) is True)]


def unusable(server: JsonObject, capabilities: Mapping[str, Any] | None) -> str | None:
    """Why an agent cannot be given this server; ``None`` when it can."""
    kind, kinds = server.get("type", "stdio"), usable(capabilities)
    return None if kind in kinds else f"the agent takes no MCP servers over {kind}, only over {', '.join(kinds)}"


def shown(server: JsonObject) -> JsonObject:
    """The server as it may stand in a journal: values of its variables and headers may be keys."""
    hidden = {
        member: [{"name": pair.get("name"), "value": "[redacted]"} for pair in server[member] if isinstance(pair, dict)]
        for member in ("env", "headers")
        if isinstance(server.get(member), list)
    }
    return server | hidden


def _local(name: str, config: LocalMcpServer, directory: Path) -> Converted:
    words = [config.command] if isinstance(config.command, str) else list(config.command)
    if isinstance(config.command, str) and not config.args and any(map(str.isspace, config.command)):
        try:
            words = shlex.split(config.command)
        except ValueError as error:
            return Converted(None, f"its command cannot be split into words: {error}")
    words += config.args
    if not words or not words[0].strip():
        return Converted(None, "its command is empty")
    if "/" in words[0]:
        words[0] = _within(directory, words[0])
    if config.cwd:
        words = [*_IN_FOLDER, _within(directory, config.cwd), *words]
    env = [{"name": key, "value": value} for key, value in (config.env or {}).items()]
    server = {"name": name, "command": words[0], "args": words[1:], "env": env}
    return Converted(server, _left_to_the_agent(config))


def _remote(name: str, config: RemoteMcpServer, environ: Mapping[str, str]) -> Converted:
    kind = _TRANSPORTS.get(config.transport)
    if kind is None:
        return Converted(None, f"its transport {config.transport!r} is none of http and sse")
    headers = dict(config.headers or {})
    read = dict(config.env_headers or {})
    if config.bearer_token_env_var:
        read["Authorization"] = config.bearer_token_env_var
    for header, variable in read.items():
        value = environ.get(variable)
        if not value:
            return Converted(None, f"the variable {variable} for its header {header} is not set")
        bearer = header == "Authorization" and variable == config.bearer_token_env_var
        headers[header] = f"Bearer {value}" if bearer else value
    pairs = [{"name": key, "value": value} for key, value in headers.items()]
    server = {"type": kind, "name": name, "url": config.url, "headers": pairs}
    return Converted(server, _left_to_the_agent(config))


def _left_to_the_agent(config: LocalMcpServer | RemoteMcpServer) -> str | None:
    """ACP has no member for these: the agent's own settings hold."""
    told = [
        name for name, value in (("timeoutMs", config.timeout_ms), ("oauth", getattr(config, "oauth", None))) if value
    ]
    return f"{' and '.join(told)} cannot be told to an agent; its own settings hold" if told else None


def _within(directory: Path, path: str) -> str:
    return os.path.normpath(directory / Path(path).expanduser())
