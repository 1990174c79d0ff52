"""The one way WebSockets are served: access (S1, S2, S3), refusals, messages, slow clients, the end of a connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from sandbox_agent.problems import Conflict, NotFound, PermissionDenied
from sandbox_agent.sandbox import Sandbox, SandboxConfig
from sandbox_agent.server.access import AccessRules, Cors
from sandbox_agent.server.app import StandaloneHandler
from sandbox_agent.server.call import SocketRoute, Upgrade
from sandbox_agent.server.handler import Api
from sandbox_agent.server.sse import Streams
from sandbox_agent.server.websocket import MAX_MESSAGE, SocketClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from websockets.asyncio.client import ClientConnection

    from sandbox_agent.server.call import Call
    from sandbox_agent.server.websocket import Socket

TOKEN = "s3cret"  # noqa: S105 - only a test's
DEADLINE = 60.0
MOST_BUFFERED = 128
"""MiB: more than operating systems keep for a connection whose other end does not read."""
REFUSALS = {"missing": NotFound, "busy": Conflict, "forbidden": PermissionDenied}


class Echo:
    """A real server with one WebSocket, whose conversation a test may choose; it echoes by default."""

    def __init__(self) -> None:
        self.talk: Callable[[Socket], Awaitable[None]] = self.echo
        self.api = Api(Sandbox(SandboxConfig()), Streams(heartbeat=DEADLINE))
        self.port = 0
        self.sockets: list[Socket] = []
        self.ended = asyncio.Event()

    async def endpoint(self, call: Call) -> Upgrade:
        name = call.params["name"]
        if name in REFUSALS:
            raise REFUSALS[name](f"{name} is refused")
        return Upgrade(self._talk)

    async def _talk(self, socket: Socket) -> None:
        self.sockets.append(socket)
        try:
            await self.talk(socket)
        finally:
            self.ended.set()

    async def echo(self, socket: Socket) -> None:
        async for message in socket:
            await socket.send(message)

    def url(self, name: str = "room", scheme: str = "ws") -> str:
        return f"{scheme}://127.0.0.1:{self.port}/v1/echo/{name}"


@contextlib.asynccontextmanager
async def serving(rules: AccessRules) -> AsyncIterator[Echo]:
    echo = Echo()
    await echo.api.sandbox.start()
    route = SocketRoute(path="/v1/echo/{name}", endpoint=echo.endpoint, summary="Echo", problems=(NotFound, Conflict))
    options = {"api": echo.api, "routes": {"GET": route}}
    application = web.Application([(r"/v1/echo/(?P<name>[^/]+)", StandaloneHandler, options)], access_rules=rules)
    http = HTTPServer(application)
    sockets = bind_sockets(0, "127.0.0.1")
    echo.port = sockets[0].getsockname()[1]
    http.add_sockets(sockets)
    try:
        yield echo
    finally:
        http.stop()
        await echo.api.sockets.stop()
        await http.close_all_connections()
        await echo.api.sandbox.stop()


@pytest.fixture
async def open_server() -> AsyncIterator[Echo]:
    async with serving(AccessRules()) as echo:
        yield echo


@pytest.fixture
async def locked_server() -> AsyncIterator[Echo]:
    async with serving(AccessRules(token=TOKEN, cors=Cors(origins=("https://app.example",)))) as echo:
        yield echo


async def refusal(url: str, **options: Any) -> dict[str, Any]:
    """The problem document an upgrade is refused with."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, **options)
    response = refused.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = msgspec.json.decode(response.body or b"")
    assert document["status"] == response.status_code
    return document


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - what is waited for is the state of many things
            await asyncio.sleep(0.005)


async def closed(client: ClientConnection) -> tuple[int | None, str | None]:
    async with asyncio.timeout(DEADLINE):
        await client.wait_closed()
    return client.close_code, client.close_reason


async def test_text_and_bytes_come_back_as_they_went(open_server: Echo) -> None:
    async with connect(open_server.url(), max_size=None) as client:
        for message in ("hello", "", "grüße 🌍", b"", b"\x00\xff", b"x" * (MAX_MESSAGE - 1)):
            await client.send(message)
            assert await client.recv() == message


async def test_fragments_make_one_message(open_server: Echo) -> None:
    async with connect(open_server.url()) as client:
        await client.send(["gr", "ü", "ße"])
        assert await client.recv() == "grüße"
        await client.send([b"a", b"b"])
        assert await client.recv() == b"ab"


async def test_messages_are_not_compressed_and_small_ones_are_not_held_back(open_server: Echo) -> None:
    import socket  # noqa: PLC0415 - the name is a fixture's elsewhere

    async with connect(open_server.url(), compression="deflate") as client:
        assert client.protocol.extensions == []
        await client.send("x")
        assert await client.recv() == "x"
        stream = open_server.sockets[0]._stream
        assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.parametrize(("name", "status"), [("missing", 404), ("busy", 409), ("forbidden", 403)])
async def test_what_the_endpoint_refuses_is_told_as_a_problem_before_the_upgrade(
    open_server: Echo, name: str, status: int
) -> None:
    document = await refusal(open_server.url(name))
    assert (document["status"], document["detail"]) == (status, f"{name} is refused")


async def test_a_request_that_is_no_upgrade_is_told_so(open_server: Echo) -> None:
    import httpx2  # noqa: PLC0415 - the one test that speaks plain HTTP

    async with httpx2.AsyncClient() as client:
        url = open_server.url(scheme="http")
        plain = await client.get(url)
        assert (plain.status_code, plain.json()["type"]) == (400, "urn:sandbox-agent:error:invalid_request")
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        assert (await client.get(url, headers=upgrade)).status_code == 400
        wrong = upgrade | {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "12"}
        assert (await client.get(url, headers=wrong)).status_code == 400
        assert (await client.post(url)).status_code == 405


@pytest.mark.parametrize(
    ("query", "header", "status"),
    [
        ("", None, 401),
        ("?access_token=wrong", None, 401),
        ("?token=s3cret", None, 401),
        ("", "Bearer wrong", 401),
        ("?access_token=s3cret", "Bearer wrong", 401),
        ("?access_token=s3cret", None, None),
        ("", "Bearer s3cret", None),
    ],
)
async def test_the_token_comes_in_the_header_or_in_the_url(
    locked_server: Echo, query: str, header: str | None, status: int | None
) -> None:
    headers = {"Authorization": header} if header else {}
    url = locked_server.url() + query
    if status is not None:
        assert (await refusal(url, additional_headers=headers))["status"] == status
        return
    async with connect(url, additional_headers=headers) as client:
        await client.send("in")
        assert await client.recv() == "in"


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://127.0.0.1:1", "http://localhost"])
async def test_a_page_of_another_origin_is_refused_even_with_the_token(locked_server: Echo, origin: str) -> None:
    assert (await refusal(locked_server.url() + "?access_token=s3cret", origin=origin))["status"] == 403


async def test_our_own_origin_and_allowed_ones_are_let_in(locked_server: Echo) -> None:
    for origin in (f"http://127.0.0.1:{locked_server.port}", "https://app.example"):
        async with connect(locked_server.url() + "?access_token=s3cret", origin=origin) as client:
            await client.send("in")
            assert await client.recv() == "in"


async def test_a_foreign_host_is_refused(locked_server: Echo) -> None:
    url = f"ws://evil.example:{locked_server.port}/v1/echo/room?access_token=s3cret"
    assert (await refusal(url, host="127.0.0.1"))["status"] == 403


async def test_a_client_that_does_not_read_holds_up_its_sender_alone(open_server: Echo) -> None:
    """The sender waits with one message in its hand, is still told what the client says, and others go on."""
    heard: list[str | bytes] = []
    sent = 0

    async def flood(socket: Socket) -> None:
        nonlocal sent
        sending = asyncio.ensure_future(pour(socket))
        async for message in socket:
            heard.append(message)
            if message == "enough":
                break
        sending.cancel()

    async def pour(socket: Socket) -> None:
        nonlocal sent
        with contextlib.suppress(SocketClosed):
            while True:
                await socket.send(b"x" * (1 << 20))
                sent += 1

    open_server.talk = flood
    async with connect(open_server.url(), max_queue=1, close_timeout=0) as slow:
        await until(lambda: open_server.sockets != [] and open_server.sockets[0]._stream.writing())
        open_server.talk = open_server.echo
        async with connect(open_server.url()) as other:
            for number in range(100):
                await other.send(str(number))
                assert await other.recv() == str(number)
        await slow.send("still here?")
        await until(lambda: heard == ["still here?"])
        assert sent < MOST_BUFFERED
        await slow.send("enough")
        async with asyncio.timeout(DEADLINE):
            await open_server.ended.wait()


async def test_pings_are_answered_while_a_message_waits_to_be_taken(open_server: Echo) -> None:
    async with connect(open_server.url()) as client:
        async with asyncio.timeout(DEADLINE):
            await (await client.ping())
        await client.send("x")
        assert await client.recv() == "x"


async def test_an_idle_connection_shows_signs_of_life_and_is_never_cut_for_silence() -> None:
    async with serving(AccessRules()) as echo:
        object.__setattr__(echo.api.streams, "heartbeat", 0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(
            b"GET /v1/echo/room HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        async with asyncio.timeout(DEADLINE):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # the example of RFC 6455, 1.3
            assert await reader.readexactly(40) == b"\x89\x00" * 20  # pings, none of them answered
        assert echo.sockets[0].open
        writer.close()
        async with asyncio.timeout(DEADLINE):
            await echo.ended.wait()


async def test_what_was_sent_last_arrives_before_the_close(open_server: Echo) -> None:
    """Also when the client has said things that nobody read."""

    async def farewell(socket: Socket) -> None:
        await socket.send(b"y" * (1 << 20))
        await socket.send("bye")
        await socket.close(4000, "done" * 40)

    open_server.talk = farewell
    for _ in range(20):
        async with connect(open_server.url(), max_size=None) as client:
            with contextlib.suppress(ConnectionClosed):
                for _ in range(100):
                    await client.send(b"z" * 10_000)
            assert [await client.recv(), await client.recv()] == [b"y" * (1 << 20), "bye"]
            assert await closed(client) == (4000, ("done" * 40)[:123])


async def test_the_end_of_a_conversation_closes_normally_and_its_failure_does_not(
    open_server: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    async def once(socket: Socket) -> None:
        async for message in socket:
            await socket.send(message)
            if message == "fail":
                raise RuntimeError("as told")
            return

    open_server.talk = once
    async with connect(open_server.url()) as client:
        await client.send("stop")
        assert await client.recv() == "stop"
        assert await closed(client) == (1000, "")
    assert caplog.records == []
    async with connect(open_server.url()) as client:
        await client.send("fail")
        assert await client.recv() == "fail"
        assert (await closed(client))[0] == 1011
    assert "as told" in caplog.text


async def test_the_iteration_ends_with_the_client_and_nothing_more_can_be_sent(open_server: Echo) -> None:
    outcome: list[str] = []

    async def last_words(socket: Socket) -> None:
        outcome.extend([str(message) async for message in socket])
        try:
            await socket.send("too late")
        except SocketClosed:
            outcome.append("closed")

    open_server.talk = last_words
    async with connect(open_server.url()) as client:
        await client.send("one")
        await client.send("two")
    async with asyncio.timeout(DEADLINE):
        await open_server.ended.wait()
    assert outcome == ["one", "two", "closed"]


async def test_a_client_that_vanishes_ends_the_iteration_too(open_server: Echo) -> None:
    client = await connect(open_server.url())
    await client.send("x")
    assert await client.recv() == "x"
    client.transport.abort()
    async with asyncio.timeout(DEADLINE):
        await open_server.ended.wait()
    await until(lambda: len(open_server.api.sockets) == 0)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (b"\x81\x82\x00\x00\x00\x00\xff\xfe", 1007),  # text that is not UTF-8
        (b"\x83\x80\x00\x00\x00\x00", 1002),  # a reserved opcode
        (b"\x81\x01x", 1002),  # not masked
        (b"\x82\xff\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00", 1009),  # two gigabytes announced
    ],
)
async def test_who_breaks_the_protocol_is_told_and_closed(open_server: Echo, frames: bytes, code: int) -> None:
    client = await connect(open_server.url())
    client.transport.write(frames)
    with pytest.raises(ConnectionClosedError) as told:
        async with asyncio.timeout(DEADLINE):
            await client.recv()
    assert told.value.rcvd is not None
    assert told.value.rcvd.code == code
    await closed(client)


async def test_a_server_that_stops_tells_its_clients_and_waits_for_nobody(open_server: Echo) -> None:
    stuck = asyncio.Event()

    async def deaf(_: Socket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stuck.set()

    async with connect(open_server.url()) as listening:
        await listening.send("x")
        assert await listening.recv() == "x"
        open_server.talk = deaf
        async with connect(open_server.url()) as other:
            await until(lambda: len(open_server.sockets) == 2)
            await open_server.api.sockets.stop(grace=0.05)
            assert stuck.is_set()
            assert len(open_server.api.sockets) == 0
            assert await closed(listening) == (1001, "the server stops")
            assert await closed(other) == (1001, "the server stops")


async def test_a_cancelled_reader_loses_no_message(open_server: Echo) -> None:
    async def restless(socket: Socket) -> None:
        while True:
            try:
                message = await asyncio.wait_for(anext(socket), 0.001)
            except TimeoutError:
                continue
            except StopAsyncIteration:
                return
            await socket.send(message)

    open_server.talk = restless
    async with connect(open_server.url()) as client:
        for number in range(200):
            await asyncio.sleep(0.0007)
            await client.send(str(number))
        assert [await client.recv() for _ in range(200)] == [str(number) for number in range(200)]
