"""What the measuring programs speak: bodies over a plain socket, log streams, and a terminal's WebSocket.

Each is as little as it can be, so that the server is what is measured.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hosts import Server

PIECE = 1 << 20
_SILENCE = 5.0
"""Seconds without a byte, twice, after which nothing more of an ended process's log is waited for."""


def path(route: str, **query: str) -> str:
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    return f"{route}?{asked}"


class Connection:
    """One connection that is kept; requests one after the other."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(PIECE)
        self._left = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()

    def ask(self, method: str, target: str, body: bytes = b"", headers: str = "") -> tuple[int, int]:
        """Status and length of the answer's body, which is read and dropped."""
        self.send(method, target, len(body), headers, body)
        status, told = self.answer()
        return status, self.drop(told)

    def send(self, method: str, target: str, length: int, headers: str = "", body: bytes = b"") -> None:
        head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n{headers}\r\n"
        self.socket.sendall(head.encode() + body)

    def answer(self) -> tuple[int, dict[str, str]]:
        """Status and headers; what came of the body is kept."""
        data = self._left
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("the answer was cut")
            data += more
        head, _, self._left = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        named = (line.partition(":") for line in lines)
        return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in named}

    def drop(self, headers: dict[str, str]) -> int:
        """Read a body to its end and drop it; its length."""
        if headers.get("transfer-encoding") == "chunked":
            return sum(len(chunk) for chunk in self.chunks())
        length = int(headers.get("content-length", "0"))
        left = length - len(self._left)
        self._left = b""
        while left > 0:
            got = self.socket.recv_into(self._buffer, min(left, PIECE))
            if not got:
                raise ConnectionError(f"the body was cut {left} bytes before its end")
            left -= got
        return length

    def chunks(self) -> Iterator[bytes]:
        """The chunks of a chunked body (RFC 9112, 7.1)."""
        while True:
            size = int(self._line(), 16)
            data = self._exactly(size + 2)
            if not size:
                return
            yield data[:-2]

    def ready(self, seconds: float) -> bool:
        """Whether there is something to read within so long."""
        return bool(self._left) or bool(select.select([self.socket], [], [], seconds)[0])

    def rest(self) -> Iterator[bytes]:
        """All that comes until the connection is closed."""
        piece, self._left = self._left, b""
        while piece or (piece := self.socket.recv(PIECE)):
            yield piece
            piece = b""

    def _line(self) -> bytes:
        while (at := self._left.find(b"\r\n")) < 0:
            self._left += self._more()
        line, self._left = self._left[:at], self._left[at + 2 :]
        return line

    def _exactly(self, size: int) -> bytes:
        if len(self._left) >= size:
            data, self._left = self._left[:size], self._left[size:]
            return data
        parts, have = [self._left], len(self._left)
        while have < size:
            parts.append(self._more())
            have += len(parts[-1])
        data = b"".join(parts)
        self._left = data[size:]
        return data[:size]

    def _more(self) -> bytes:
        more = self.socket.recv(PIECE)
        if not more:
            raise ConnectionError("the body was cut")
        return more


def upload(server: Server, method: str, target: str, kind: str, body: bytes | memoryview) -> tuple[int, float]:
    """Status and seconds; a server that refuses may do so before all is sent."""
    with Connection(server) as connection:
        begun = time.perf_counter()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.send(method, target, len(body), f"Content-Type: {kind}\r\n")
            connection.socket.sendall(body)
        try:
            status = connection.answer()[0]
        except ConnectionError:
            status = 0
        return status, time.perf_counter() - begun


class Peak:
    """The most memory a server has while in the block, over what it had before."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._idle = server.memory_kib()
        self._most = self._idle
        self._thread = threading.Thread(target=self._look, daemon=True)

    @property
    def mib(self) -> float:
        return (self._most - self._idle) / 1024

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self._most = max(self._most, self._server.memory_kib())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()
        self._most = max(self._most, self._server.memory_kib())


class Log:
    """A process's log as it is followed; ``received`` counts the bytes that the process wrote."""

    def __init__(self, server: Server, process: str) -> None:
        self.received = 0
        self._server = server
        self._process = process
        self.last = time.perf_counter()
        self._connection = Connection(server)
        headers = "Accept: text/event-stream\r\n"
        self._connection.send("GET", path(f"/v1/processes/{process}/logs", follow="true"), 0, headers)
        status, told = self._connection.answer()
        if status != 200:
            raise RuntimeError(f"the log was answered {status}")
        chunked = told.get("transfer-encoding") == "chunked"
        self._pieces = self._connection.chunks() if chunked else self._connection.rest()

    def read(self, until: int, rate: float | None = None) -> None:
        """Until so many bytes are there, or all that comes after the process's end; ``rate`` is bytes/s."""
        begun = time.perf_counter()
        rest = b""
        with contextlib.suppress(ConnectionError):
            while self.received < until and self._goes_on() and (chunk := next(self._pieces, None)) is not None:
                rest = self._count(rest + chunk if rest else chunk)
                if rate is not None and (ahead := self.received / rate - (time.perf_counter() - begun)) > 0:
                    time.sleep(ahead)

    def _goes_on(self) -> bool:
        """Wait for more; false where the process has ended and nothing has come for long."""
        while not self._connection.ready(_SILENCE):
            _, body = self._server.request("GET", f"/v1/processes/{self._process}")
            if json.loads(body)["status"] == "exited" and not self._connection.ready(_SILENCE):
                return False
        return True

    def _count(self, data: bytes) -> bytes:
        """Count the data of whole events; what is left."""
        at = 0
        while (begin := data.find(b'"data":"', at)) >= 0 and (end := data.find(b'"', begin + 8)) >= 0:
            size = end - begin - 8
            self.received += size // 4 * 3 - data.count(b"=", end - 2, end)
            self.last = time.perf_counter()
            at = end
        return data[at:] if begin < 0 else data[begin:]

    def close(self) -> None:
        self._connection.socket.close()


class Terminal:
    """The WebSocket of a process's terminal (RFC 6455), with frames of up to 64 KiB."""

    def __init__(self, server: Server, process: str) -> None:
        self._connection = Connection(server)
        key = base64.b64encode(os.urandom(16)).decode()
        self._connection.socket.sendall(
            f"GET /v1/processes/{process}/terminal/ws HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        status, _ = self._connection.answer()
        if status != 101:
            raise RuntimeError(f"the terminal was answered {status}")

    def type(self, text: str) -> None:
        data = json.dumps({"type": "input", "data": text}).encode()
        mask = b"\0\0\0\0"  # a masked frame all the same
        self._connection.socket.sendall(struct.pack("!BB", 0x81, 0x80 | len(data)) + mask + data)

    def quiet(self, seconds: float) -> None:
        """Read until nothing has come for so long."""
        while select.select([self._connection.socket], [], [], seconds)[0]:
            self._connection.socket.recv(PIECE)

    def echo(self, key: str) -> None:
        """Type a key and wait until it is on the screen."""
        self.type(key)
        seen = b""
        while key.encode() not in seen[2:]:
            more = self._connection.socket.recv(65536)
            if not more:
                raise ConnectionError("the terminal was cut")
            seen += more

    def close(self) -> None:
        self._connection.socket.close()


def start(server: Server, command: str, *args: str, **options: Any) -> str:
    """A new process; its id."""
    status, body = server.request("POST", "/v1/processes", {"command": command, "args": args, **options})
    if status not in {200, 201}:
        raise RuntimeError(f"the process was answered {status}: {body.decode(errors='replace')}")
    return str(json.loads(body)["id"])
