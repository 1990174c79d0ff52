"""A viewer of the desktop's stream in Python, and a program to look at."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import av
from PIL import Image
from websockets.asyncio.client import connect

from .server import poll

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import httpx2
    from websockets.asyncio.client import ClientConnection

    from .server import Server

DEADLINE = 60.0
PROGRAM = Path(__file__).with_name("painted.py")
RED, BLUE = (255, 0, 0), (0, 0, 255)


def near(pixel: tuple[int, ...], colour: tuple[int, ...]) -> bool:
    """Whether they are the same but for what a lossy picture loses."""
    return all(abs(a - b) <= 24 for a, b in zip(pixel, colour, strict=True))


@dataclass
class Painted:
    """`painted.py` on the desktop: a button, a red square that F2 makes blue, and an account of what it gets."""

    out: Path
    x: int = 0
    y: int = 0

    @property
    def button(self) -> tuple[int, int]:
        return self.x + 70, self.y + 40

    @property
    def square(self) -> tuple[int, int]:
        return self.x + 250, self.y + 150

    def told(self, kind: str) -> list[dict[str, Any]]:
        lines = [line for line in self.out.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]

    def typed(self) -> str:
        return "".join(entry["char"] for entry in self.told("KeyPress"))


@contextlib.contextmanager
def painted(client: httpx2.Client, folder: Path) -> Iterator[Painted]:
    """The program, shown and with the focus."""
    made = Painted(folder / "painted")
    made.out.touch()
    title = f"painted {secrets.token_hex(4)}"  # the window of an earlier one may be there for a while yet
    body = {"app": "/usr/bin/python3", "args": [str(PROGRAM), str(made.out), title]}
    process = client.post("/v1/desktop/launch", json=body).json()["processId"]

    def focused() -> bool:
        """Keys arrive, so it is shown where it stays; what the window manager says may be of an earlier window."""
        client.post("/v1/desktop/keyboard/press", json={"key": "F5"})
        return any(entry["key"] == "F5" for entry in made.told("KeyPress"))

    try:
        poll(focused, what="the focus of the program")
        windows = client.get("/v1/desktop/windows").json()["windows"]
        (window,) = [window for window in windows if window["title"] == title]
        made.x, made.y = window["x"], window["y"]
        yield made
    finally:
        client.post(f"/v1/processes/{process}/kill")
        client.delete(f"/v1/processes/{process}")


@dataclass
class Picture:
    """One binary message; ``data`` is H.264, or rectangles and their JPEGs."""

    number: int
    time: int
    keyframe: bool
    data: bytes | list[tuple[tuple[int, int, int, int], bytes]]

    @classmethod
    def of(cls, message: bytes) -> Picture:
        kind, flags, count, number, time = struct.unpack_from(">BBHIQ", message)
        if kind == 1:
            return cls(number, time, bool(flags & 1), message[16:])
        parts, at = [], 16
        for _ in range(count):
            *place, length = struct.unpack_from(">HHHHI", message, at)
            parts.append((tuple(place), message[at + 12 : at + 12 + length]))
            at += 12 + length
        assert at == len(message)
        return cls(number, time, bool(flags & 1), parts)  # type: ignore[arg-type]


class Viewer:
    """Sees what the stream shows: ``image`` is the screen, as far as pictures have come."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.hello: dict[str, Any] = {}
        self.told: list[dict[str, Any]] = []
        self.last: Picture | None = None
        self.image = Image.new("RGB", (1, 1))
        self._decoder: Any = av.CodecContext.create("h264", "r")

    async def say(self, kind: str, **values: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **values}))

    async def receive(self) -> Picture | dict[str, Any]:
        """The next message, looked at but not acknowledged."""
        async with asyncio.timeout(DEADLINE):
            message = await self.socket.recv()
        if isinstance(message, str):
            told: dict[str, Any] = json.loads(message)
            self.told.append(told)
            if told["type"] == "hello":
                self.hello = told
                self.image = Image.new("RGB", (told["width"], told["height"]))
            return told
        picture = Picture.of(message)
        self._draw(picture)
        self.last = picture
        return picture

    def _draw(self, picture: Picture) -> None:
        if isinstance(picture.data, bytes):
            (frame,) = self._decoder.decode(av.Packet(picture.data))
            self.image = frame.to_image()
            return
        for (x, y, width, height), data in picture.data:
            piece = Image.open(io.BytesIO(data))
            assert piece.size == (width, height)
            self.image.paste(piece, (x, y))

    async def picture(self, condition: Callable[[Picture], bool] = lambda _: True) -> Picture:
        """The first picture of which the condition is true; all are acknowledged."""
        async with asyncio.timeout(DEADLINE):
            while True:
                got = await self.receive()
                if isinstance(got, Picture):
                    await self.say("ack", number=got.number)
                    if condition(got):
                        return got

    async def shows(self, place: tuple[int, int], colour: tuple[int, int, int]) -> Picture:
        """The picture in which a pixel has a colour, the last one if it has it already."""
        if self.last is not None and self._has(place, colour):
            return self.last
        return await self.picture(lambda _: self._has(place, colour))

    def _has(self, place: tuple[int, int], colour: tuple[int, int, int]) -> bool:
        pixel: Any = self.image.getpixel(place)
        return near(pixel, colour)

    async def message(self, kind: str) -> dict[str, Any]:
        """The next message of a kind; pictures that come before are acknowledged."""
        async with asyncio.timeout(DEADLINE):
            while True:
                got = await self.receive()
                if isinstance(got, Picture):
                    await self.say("ack", number=got.number)
                elif got["type"] == kind:
                    return got


@contextlib.asynccontextmanager
async def viewer(server: Server, **query: Any) -> AsyncIterator[Viewer]:
    """One who looks at the desktop of a server."""
    address = server.url.replace("http", "ws") + "/v1/desktop/stream/ws?" + urlencode(query)
    async with connect(address, max_size=None, additional_headers=server.headers) as socket:
        yield Viewer(socket)
