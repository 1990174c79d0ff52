"""MCP servers a client gives for a session: checked lightly, completed to ACP's form, passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox_agent.problems import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox_agent.wire.base import JsonObject

_REMOTE = ("http", "sse")


def mcp_servers(given: tuple[JsonObject, ...]) -> tuple[JsonObject, ...]:
    """ACP ``McpServer`` objects; raises ``InvalidRequest`` for what is none. Lists ACP wants are filled in empty."""
    return tuple(_server(index, server) for index, server in enumerate(given))


def check_transports(servers: tuple[JsonObject, ...], capabilities: Mapping[str, Any] | None, *, agent: str) -> None:
    """Raise ``InvalidRequest`` for a transport the agent did not say it can use (``stdio`` always works)."""
    offered = (capabilities or {}).get("mcpCapabilities")
    offered = offered if isinstance(offered, dict) else {}
    for server in servers:
        kind = server.get("type")
        if kind in _REMOTE and offered.get(kind) is not True:
            usable = ", ".join(["stdio", *(name for name in _REMOTE if offered.get(name) is True)])
            raise InvalidRequest(
                f"{agent} cannot use MCP server {server['name']!r} over {kind}", hint=f"it uses {usable}", agent=agent
            )


def _server(index: int, server: JsonObject) -> JsonObject:
    where = f"mcpServers[{index}]"
    name, kind = server.get("name"), server.get("type", "stdio")
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"{where} has no name")
    if kind in _REMOTE:
        if not isinstance(server.get("url"), str):
            raise InvalidRequest(f"{where}, of type {kind}, has no url")
        return {**server, "headers": _pairs(where, "headers", server.get("headers"))}
    if kind != "stdio":
        raise InvalidRequest(f"{where} has type {kind!r}", hint="types are stdio, http and sse")
    if not isinstance(server.get("command"), str):
        raise InvalidRequest(f"{where} has no command")
    args = server.get("args") or []
    if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
        raise InvalidRequest(f"{where}.args is no list of texts")
    # ACP's stdio form is the one without a type; agents check for that.
    rest = {key: value for key, value in server.items() if key != "type"}
    return {**rest, "args": args, "env": _pairs(where, "env", server.get("env"))}


def _pairs(where: str, member: str, value: Any) -> list[JsonObject]:
    """``[{"name", "value"}]``, which may also be given as an object."""
    if isinstance(value, dict):
        value = [{"name": name, "value": text} for name, text in value.items()]
    value = value or []
    if not isinstance(value, list) or not all(
        isinstance(pair, dict) and isinstance(pair.get("name"), str) and isinstance(pair.get("value"), str)
        for pair in value
    ):
        raise InvalidRequest(f"{where}.{member} is no list of names and values")
    return value
