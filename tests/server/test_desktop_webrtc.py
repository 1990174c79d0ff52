"""The stream over WebRTC, watched by a client without a browser: ways to it, ports, and what keys it takes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import connect

from sandbox_agent.desktop.ice import choose_ways

from ..support.desktop import begin, eventually
from ..support.viewer import DEADLINE, painted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import httpx2
    from websockets.asyncio.client import ClientConnection

    from ..support.server import Server

UNICODE = 0x1000000
MOVE, KEY_DOWN, KEY_UP = 1, 3, 4


def start(client: httpx2.Client, **options: Any) -> None:
    begin(client, **options)
    assert client.post("/v1/desktop/stream/start").status_code == 200


@pytest.fixture
def client(module_server: Server) -> Iterator[httpx2.Client]:
    with module_server.client() as client:
        yield client
        client.post("/v1/desktop/stop")


@contextlib.asynccontextmanager
async def signaling(server: Server) -> AsyncIterator[ClientConnection]:
    """Greeted, and in control."""
    address = server.url.replace("http", "ws") + "/v1/desktop/stream/signaling"
    async with connect(address, additional_headers=server.headers) as socket:
        assert (await heard(socket, "system/init"))["screen_size"]["width"] == 640
        await say(socket, "control/request", {})
        await say(socket, "signal/request", {"video": {}, "audio": {}})
        yield socket


async def say(socket: ClientConnection, event: str, payload: dict[str, Any]) -> None:
    await socket.send(json.dumps({"event": event, "payload": payload}))


async def heard(socket: ClientConnection, event: str) -> dict[str, Any]:
    """The payload of the next message of a kind."""
    async with asyncio.timeout(DEADLINE):
        while True:
            message = json.loads(await socket.recv())
            if message["event"] == event:
                payload: dict[str, Any] = message["payload"]
                return payload


def candidates(sdp: str) -> set[tuple[str, int]]:
    """Addresses and ports that an offer names."""
    return {(address, int(port)) for address, port in re.findall(r"a=candidate:\S+ \d \S+ \d+ (\S+) (\d+) ", sdp)}


class Watcher:
    """The other end, which is reached by loopback alone: all other ways are struck from the offer."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.track: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.channel: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.connection.on("track", self.track.set_result)
        self.connection.on("datachannel", self.channel.set_result)

    async def answer(self, socket: ClientConnection) -> None:
        offer = (await heard(socket, "signal/provide"))["sdp"]
        lines = [line for line in offer.splitlines() if "a=candidate" not in line or " 127.0.0.1 " in line]
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp="\r\n".join(lines) + "\r\n", type="offer"))
        for transceiver in self.connection.getTransceivers():  # it, too, may be where there is nothing but loopback
            choose_ways(transceiver.receiver.transport.transport.iceGatherer, None)
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        await say(socket, "signal/answer", {"sdp": self.connection.localDescription.sdp})

    def move(self, x: int, y: int) -> None:
        self.channel.result().send(struct.pack(">BHHH", MOVE, 4, x, y))

    def key(self, sym: int) -> None:
        for operation in (KEY_DOWN, KEY_UP):
            self.channel.result().send(struct.pack(">BHI", operation, 4, sym))


@pytest.fixture
async def watcher() -> AsyncIterator[Watcher]:
    made = Watcher()
    yield made
    await made.connection.close()


async def test_it_is_watched_where_there_is_no_address_but_loopback(
    module_server: Server, client: httpx2.Client, watcher: Watcher
) -> None:
    start(client)
    async with signaling(module_server) as socket, asyncio.timeout(DEADLINE):
        await watcher.answer(socket)
        await watcher.channel
        seen = asyncio.ensure_future((await watcher.track).recv())
        places = itertools.cycle((100, 200))
        while not seen.done():  # this client gives a picture once the next has begun to come
            watcher.move(next(places), 100)
            await asyncio.wait([seen], timeout=0.05)
        assert (seen.result().width, seen.result().height) == (640, 480)


async def test_characters_that_come_in_halves_are_typed_whole(
    module_server: Server, client: httpx2.Client, watcher: Watcher, tmp_path: Path
) -> None:
    """As the official client sends them, when it is given the units of a string; a half alone is nothing."""
    start(client)
    with painted(client, tmp_path) as program:
        async with signaling(module_server) as socket, asyncio.timeout(DEADLINE):
            await watcher.answer(socket)
            await watcher.channel
            watcher.key(UNICODE + 0xDF89)
            for unit in struct.unpack("<6H", "a🎉é🎈".encode("utf-16-le")):
                watcher.key(unit if unit < 0x7F else UNICODE + unit)
            await eventually(lambda: program.typed() == "a🎉é🎈", "the text")


def free_ports(count: int) -> tuple[int, int]:
    """First and last of some ports in a row that nobody has at any address."""
    for first in range(40_000, 60_000, count):
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    taken = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    taken.bind(("", port))
            except OSError:
                continue
            return first, first + count - 1
    raise AssertionError("no free ports")


async def test_it_keeps_to_the_ports_it_was_given(module_server: Server, client: httpx2.Client) -> None:
    """Two viewers have two of them, at each address; the third is told that none is left, and the first goes on."""
    first, last = free_ports(2)
    start(client, webrtcPortRange=f"{first}-{last}")
    async with signaling(module_server) as one, signaling(module_server) as other:
        ways = [candidates((await heard(socket, "signal/provide"))["sdp"]) for socket in (one, other)]
        assert {port for way in ways for _, port in way} == {first, last}
        assert all("127.0.0.1" in dict(way) for way in ways)
        async with signaling(module_server) as third:
            told = await heard(third, "system/error")
            assert told == {"code": "stream_error", "message": f"the ports {first}-{last} are taken"}
        await say(one, "signal/request", {})  # its old connection makes room for the new one
        assert {port for _, port in candidates((await heard(one, "signal/provide"))["sdp"])} <= {first, last}
