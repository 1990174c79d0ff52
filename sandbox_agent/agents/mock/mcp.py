"""The MCP servers the mock agent is given: programs it starts with the session, and those it reaches over HTTP.

https://modelcontextprotocol.io/specification/2025-06-18/basic/transports#stdio
"""

from __future__ import annotations

import json
import os
import subprocess
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .script import Step
    from .turn import Turn

VERSION = "2025-06-18"


class Gone(Exception):
    """The server does not run, or has ended."""


class Server:
    """One program; it is asked one thing at a time."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.name = str(config.get("name"))
        self._ids = 0
        self._greeted = False
        self._asking = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._fault = "it is no stdio server" if "command" not in config else ""
        if self._fault:
            return
        env = {pair["name"]: pair["value"] for pair in config.get("env") or []}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - what an agent is there for
                [config["command"], *config.get("args", [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **env},
            )
        except OSError as error:
            self._fault = f"it did not start: {error.strerror}"

    def tools(self) -> list[str]:
        return [tool["name"] for tool in self.ask("tools/list", {})["tools"]]

    def call(self, tool: str, arguments: Any) -> str:
        content = self.ask("tools/call", {"name": tool, "arguments": arguments})["content"]
        return "".join(block.get("text", "") for block in content)

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of a request. Raises `Gone`."""
        with self._asking:
            if not self._greeted:
                client = {"name": "mock", "version": "1"}
                self._request("initialize", {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": client})
                self._send({"method": "notifications/initialized"})
                self._greeted = True
            return self._request(method, params)

    def _request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._ids += 1
        self._send({"id": self._ids, "method": method, "params": params})
        assert self._process is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101
        while line := self._process.stdout.readline():
            message = json.loads(line)
            if message.get("id") == self._ids:
                return dict(message.get("result", {}))
        raise Gone(f"it ended with code {self._process.wait()}")

    def _send(self, message: dict[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            raise Gone(self._fault)
        try:
            self._process.stdin.write(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise Gone(f"it ended with code {self._process.wait()}") from None


class Remote(Server):
    """One that is reached over streamable HTTP, and answers with JSON."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._url = str(config.get("url"))
        self._headers = {pair["name"]: pair["value"] for pair in config.get("headers") or []}

    def _request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._ids += 1
        return dict(self._post({"id": self._ids, "method": method, "params": params}).get("result", {}))

    def _send(self, message: dict[str, Any]) -> None:
        self._post(message)

    def _post(self, message: dict[str, Any]) -> dict[str, Any]:
        from urllib.error import URLError  # noqa: PLC0415 -- most agents have no such server
        from urllib.request import Request, urlopen  # noqa: PLC0415 -- as above

        accept = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        body = json.dumps({"jsonrpc": "2.0"} | message).encode()
        try:
            with urlopen(Request(self._url, body, self._headers | accept)) as response:  # noqa: S310
                said = response.read()
        except URLError as error:
            raise Gone(f"it cannot be reached: {error}") from None
        return dict(json.loads(said)) if said else {}


def started(given: Any) -> dict[str, Server]:
    """Servers by name."""
    configs = [config for config in given if isinstance(config, dict)]
    return {str(one.get("name")): (Remote if one.get("type") == "http" else Server)(one) for one in configs}


def mcp(turn: Turn, step: Step) -> None:
    """Without a name: all servers and their tools. With one: call its ``tool`` with the JSON of ``args``."""
    fields = step.fields()
    servers = turn.session.servers
    if "name" not in fields:
        turn.say("\n".join(f"{name}: {_told(server)}" for name, server in servers.items()) or "no MCP servers")
        return
    name, tool = fields["name"], fields.get("tool", "")
    call = {"toolCallId": turn.tool_id(), "title": f"mcp__{name}__{tool}", "kind": "other"}
    turn.tell({"sessionUpdate": "tool_call", "status": "in_progress", **call})
    status = "completed"
    try:
        text = servers[name].call(tool, json.loads(fields.get("args", "{}"))) if name in servers else "unknown server"
    except Gone as gone:
        status, text = "failed", str(gone)
    content = [{"type": "content", "content": {"type": "text", "text": text}}]
    update = {"sessionUpdate": "tool_call_update", "toolCallId": call["toolCallId"], "status": status}
    turn.tell({**update, "content": content})
    turn.say(text)


def _told(server: Server) -> str:
    try:
        return ", ".join(server.tools())
    except Gone as gone:
        return str(gone)


VERBS: dict[str, Callable[[Turn, Step], Any]] = {"mcp": mcp}
