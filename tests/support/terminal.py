"""A client of a process's terminal, as a program that knows nothing but the protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from sandbox_agent.processes.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import httpx2

DEADLINE = 60.0


class Viewer:
    """One connection: what came over it, and the screen that a person would see."""

    def __init__(
        self, url: str, name: str, headers: dict[str, str] | None = None, *, unix: str | None = None, **query: int | str
    ) -> None:
        """``unix`` is the path of the socket on which the server listens in place of a port."""
        asked = "&".join(f"{key}={value}" for key, value in query.items())
        address = f"{url.replace('http', 'ws', 1)}/v1/processes/{name}/terminal/ws?{asked}"
        self._open = contextlib.ExitStack()
        options: dict[str, Any] = {"max_size": None, "ping_interval": None, "compression": None}
        where = {"sock": _unix_socket(unix)} if unix else {}
        self.socket = self._open.enter_context(connect(address, additional_headers=headers, **options, **where))
        self.ready: dict[str, Any] = json.loads(self.socket.recv(DEADLINE))
        assert self.ready["type"] == "ready"
        self.frames: list[dict[str, Any]] = []
        self.data = bytearray()
        """Output of the process; what only draws the screen is not part of it."""
        self.screen = Screen(self.ready["cols"], self.ready["rows"])
        self.pieces = 0
        self._drawn = bool(self.ready["repaint"])
        if self._drawn:
            self.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._open.close()

    def read(self, deadline: float = DEADLINE) -> bool:
        """Take one message; False at the end of the connection."""
        try:
            message = self.socket.recv(deadline)
        except ConnectionClosed:
            return False
        if isinstance(message, str):
            frame = json.loads(message)
            self.frames.append(frame)
            if frame["type"] == "ready":
                self._drawn = frame["repaint"]
            return True
        self.screen.feed(message)
        self.pieces += 1
        if self._drawn:
            self._drawn = False
        else:
            self.data += message
        return True

    def until(self, condition: Callable[[Viewer], object]) -> None:
        """Read until ``condition`` holds."""
        end = time.monotonic() + DEADLINE
        while not condition(self):
            left = end - time.monotonic()
            assert left > 0, (self.screen.text(), self.frames)
            with contextlib.suppress(TimeoutError):
                assert self.read(left), (self.screen.text(), self.frames)

    def until_text(self, text: str) -> None:
        """Read until the process has written ``text``, which may have been drawn already."""
        self.until(lambda viewer: text.encode() in viewer.data or any(text in line for line in viewer.screen.display))

    def all(self) -> bytes:
        """Everything until the server closes."""
        while self.read():
            pass
        return bytes(self.data)

    def say(self, **frame: Any) -> None:
        self.socket.send(json.dumps(frame))

    def type(self, keys: str) -> None:
        self.say(type="input", data=keys)

    def type_bytes(self, keys: bytes) -> None:
        self.say(type="input", data=base64.b64encode(keys).decode(), encoding="base64")

    def resize(self, cols: int, rows: int) -> None:
        self.say(type="resize", cols=cols, rows=rows)
        self.screen.resize(rows, cols)


def _unix_socket(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    return made


def start(client: httpx2.Client, command: str, *args: str, **options: Any) -> str:
    """A program on a terminal; its process's id."""
    answer = client.post("/v1/processes", json={"command": command, "args": args, "tty": True} | options)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])
