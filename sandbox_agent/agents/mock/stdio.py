"""JSON-RPC 2.0 over stdio, as ACP has it: one object a line, requests in both directions."""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock

from .quickjson import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
AUTH_REQUIRED = -32000
RESOURCE_NOT_FOUND = -32002


class RpcFault(Exception):
    """Becomes the error of the response to the request being handled."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def encode(message: Any) -> bytes:
    """JSON without spaces; a lone surrogate becomes its escape, which is the JSON for it."""
    return dumps(message).encode("utf-8", "backslashreplace")


class Peer:
    """The client at the other end. Its methods may be called from any thread; each line is written whole."""

    def __init__(self) -> None:
        self._writing = allocate_lock()
        self._asking = allocate_lock()
        self._asked = 0
        self._replies: dict[Any, Callable[[dict[str, Any]], None]] = {}

    def messages(self) -> Iterator[dict[str, Any]]:
        """What the client sends, until it closes our stdin. A line that is no JSON object is answered here."""
        for line in sys.stdin.buffer:
            try:
                message = loads(line)
            except ValueError:
                message = None
            if isinstance(message, dict):
                yield message
            elif line.strip():
                self.error(None, PARSE_ERROR, "Parse error")

    def write(self, data: bytes) -> None:
        """Bytes as they are; blocks while the client does not read."""
        with self._writing:
            rest = memoryview(data)
            while rest:
                try:
                    rest = rest[os.write(1, rest) :]
                except BrokenPipeError:
                    os._exit(1)

    def send(self, message: dict[str, Any]) -> None:
        self.write(encode(message) + b"\n")

    def result(self, request_id: Any, result: Any) -> None:
        self.send({"jsonrpc": "2.0", "id": request_id, "result": result})

    def error(self, request_id: Any, code: int, message: str, data: Any = None) -> None:
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        self.send({"jsonrpc": "2.0", "id": request_id, "error": error})

    def update(self, session_id: str, update: dict[str, Any]) -> None:
        """A `session/update`: the way an agent tells everything that happens in a turn."""
        params = {"sessionId": session_id, "update": update}
        self.send({"jsonrpc": "2.0", "method": "session/update", "params": params})

    def request(self, method: str, params: Any, reply: Callable[[dict[str, Any]], None]) -> None:
        """Ask the client; ``reply`` gets its whole response, in the thread that reads."""
        with self._asking:
            request_id = self._asked
            self._asked += 1
            self._replies[request_id] = reply
        self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})

    def settle(self, response: dict[str, Any]) -> None:
        """Hand a response of the client to whoever asked."""
        reply = self._replies.pop(response.get("id"), None)
        if reply is not None:
            reply(response)
