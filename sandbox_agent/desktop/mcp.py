"""The desktop's tools over the Model Context Protocol. Pure protocol: one JSON-RPC message in, one out, or none.

https://modelcontextprotocol.io/specification/2025-11-25: a server that has tools and nothing else keeps no session,
asks its client nothing and tells it nothing, so a request and its answer are all there is. What is needed of the
protocol is four methods; the `mcp` package, whose client our tests use, would bring a web framework and a validator
that cost more memory than all of the server.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox_agent import __version__
from sandbox_agent.desktop.tools import Image, Tools
from sandbox_agent.problems import Problem

if TYPE_CHECKING:
    from sandbox_agent.desktop.service import Desktop
    from sandbox_agent.desktop.tools import Content, Tool
    from sandbox_agent.wire.base import JsonObject

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32600, -32601, -32602
_INSTRUCTIONS = (
    "A desktop with a screen, a mouse and a keyboard. Take a screenshot first; x and y are pixels of it, here and in "
    "what tools tell. After acting, wait until the screen is idle and take another one."
)


class _Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class McpServer:
    """Answers messages. ``caller`` tells callers apart, each has a last screenshot of its own."""

    def __init__(self, desktop: Desktop) -> None:
        self._tools = Tools(desktop)

    async def answer(self, message: JsonObject, caller: str = "") -> JsonObject | None:
        """The answer to a request; None to notifications and answers, which there is nothing to do about."""
        if message.get("jsonrpc") != "2.0":
            return _error(None, INVALID_REQUEST, "a JSON-RPC 2.0 message is expected")
        number, method, params = message.get("id"), message.get("method"), message.get("params") or {}
        if number is None or method is None:
            return None
        if isinstance(number, bool) or not isinstance(number, str | int | float) or not isinstance(method, str):
            return _error(None, INVALID_REQUEST, "id must be a string or a number, method a string")
        if not isinstance(params, dict):
            return _error(number, INVALID_PARAMS, "params must be an object")
        try:
            return {"jsonrpc": "2.0", "id": number, "result": await self._result(method, params, caller)}
        except _Refused as refused:
            return _error(number, refused.code, str(refused))

    async def _result(self, method: str, params: JsonObject, caller: str) -> JsonObject:
        match method:
            case "initialize":
                wanted = params.get("protocolVersion")
                return {
                    "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[-1],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "sandbox-agent-desktop", "title": "Desktop", "version": __version__},
                    "instructions": _INSTRUCTIONS,
                }
            case "ping":
                return {}
            case "tools/list":
                return {"tools": [_described(tool) for tool in self._offered()]}
            case "tools/call":
                return await self._call(params, caller)
        raise _Refused(METHOD_NOT_FOUND, f"there is no method {method!r}")

    def _offered(self) -> list[Tool]:
        """All tools that could work here."""
        usable = importlib.util.find_spec("dbus_fast") is not None
        return [tool for tool in self._tools.by_name.values() if usable or tool.name != "tree"]

    async def _call(self, params: JsonObject, caller: str) -> JsonObject:
        name, arguments = params.get("name"), params.get("arguments") or {}
        if not isinstance(name, str) or name not in self._tools.by_name:
            raise _Refused(INVALID_PARAMS, f"there is no tool {name!r}")
        if not isinstance(arguments, dict):
            raise _Refused(INVALID_PARAMS, "arguments must be an object")
        try:
            return {"content": _blocks(await self._tools.call(caller, name, arguments)), "isError": False}
        except msgspec.ValidationError as error:  # told as a result, so that the model sees it and tries again
            return _fault(f"invalid arguments: {error}")
        except Problem as problem:
            return _fault(f"{problem.detail}{f' ({problem.hint})' if problem.hint else ''}")


def _blocks(content: Content) -> list[JsonObject]:
    return [
        {"type": "image", "data": part.data, "mimeType": part.media}
        if isinstance(part, Image)
        else {"type": "text", "text": part.text}
        for part in content
    ]


def _fault(text: str) -> JsonObject:
    return {"content": [{"type": "text", "text": text}], "isError": True}


def _error(number: Any, code: int, message: str) -> JsonObject:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}


def _described(tool: Tool) -> JsonObject:
    (schema,), components = msgspec.json.schema_components((tool.arguments,), ref_template="#/$defs/{name}")
    own = dict(components.pop(schema["$ref"].rpartition("/")[2]))
    own["properties"] = {name: value for name, value in own["properties"].items() if name != "do"}
    own["required"] = [name for name in own.get("required", ()) if name != "do"]
    own.pop("title", None)
    if components:
        own["$defs"] = components
    return {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": own,
        "annotations": {"readOnlyHint": tool.looks},
    }
