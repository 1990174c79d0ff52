"""WebSockets (RFC 6455), the one way they are served here: standalone and inside Jupyter Server, by the same handler.

A `SocketRoute` in the route table is authenticated, authorized and decoded like any other route. Its endpoint may
refuse with a problem, before the upgrade, and answers an `Upgrade` whose ``serve`` talks over a plain `Socket`.

The protocol is the one of the library ``websockets``, which does no I/O of its own; the connection is the one the
request came on. Messages are not compressed: a compressor for each connection costs more memory than the rest of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from sandbox_agent.problems import InvalidRequest, SandboxAgentError
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from tornado.iostream import IOStream
    from websockets.frames import Frame
    from websockets.server import ServerProtocol

_quiet = logging.getLogger(__name__)
_quiet.setLevel(logging.ERROR)  # the library tells of each frame at DEBUG: of what is typed, then

NORMAL = 1000
GOING_AWAY = 1001
INVALID_DATA = 1007
INTERNAL_ERROR = 1011
MAX_MESSAGE = 4 << 20
CLOSE_SECONDS = 10.0
"""How long the other side may take to answer a close."""
BROKEN_SECONDS = 1.0
"""How long is read on from a client that broke the protocol, so that it gets to know that."""
STOP_GRACE = 0.3
_READ = 1 << 16


class SocketClosed(SandboxAgentError):
    """The connection is closed, or being closed; nothing can be sent over it."""


def handshake(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """The response to an upgrade request. Raises ``InvalidRequest`` where it is none, or not a valid one."""
    from websockets.datastructures import Headers  # noqa: PLC0415 - who opens no socket does not pay for it
    from websockets.http11 import Request  # noqa: PLC0415
    from websockets.server import ServerProtocol  # noqa: PLC0415

    protocol = ServerProtocol(logger=_quiet)
    response = protocol.accept(Request(path, Headers(headers)))
    if method != "GET" or response.status_code != 101:  # noqa: PLR2004 - Switching Protocols
        raise InvalidRequest(
            f"a WebSocket is opened here: {protocol.handshake_exc or 'only GET does that'}",
            hint="use a WebSocket client, version 13 of the protocol",
        )
    return response.serialize()


class Socket:
    """One open WebSocket. Iterate it for the client's messages; the iteration ends with the connection.

    Only one task may iterate at a time; any number may send. An endpoint that does not iterate does not learn that
    the client has gone before it sends.
    """

    def __init__(
        self, stream: IOStream, protocol: ServerProtocol, *, heartbeat: float, on_message: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._protocol = protocol
        self._heartbeat = heartbeat
        self._on_message = on_message
        self._messages: deque[str | bytes] = deque()
        self._parts: list[bytes] = []
        self._text = False
        self._reading: Awaitable[bytes] | None = None
        self._lock = asyncio.Lock()
        self._control = b""
        self._replying: asyncio.Task[None] | None = None
        self._last = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._arm(heartbeat)

    @property
    def open(self) -> bool:
        """Whether neither side has closed."""
        return self._protocol.state.name == "OPEN" and not self._stream.closed()

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self

    async def __anext__(self) -> str | bytes:
        while not self._messages:
            if not self.open or not await self._fill():
                raise StopAsyncIteration
        self._on_message()
        return self._messages.popleft()

    async def send(self, message: str | bytes) -> None:
        """Send one message; returns once the operating system has taken all of it.

        So whoever waits for it keeps no more than one message for a client that is slow. Raises ``SocketClosed``.
        """
        async with self._lock:
            if not self.open:
                raise SocketClosed("the connection is closed")
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
            try:
                await self._write(self._protocol.data_to_send())
            except StreamClosedError as error:
                raise SocketClosed("the connection is closed") from error

    def offer(self, message: bytes) -> bool:
        """Send a message at once if nothing waits to be sent; False, and nothing done, when it has to be awaited.

        It takes no task's turn, which is as long as all the rest of sending something small.
        """
        if self._lock.locked() or self._stream.writing() or not self.open:
            return False
        self._protocol.send_binary(message)
        try:
            for data in self._protocol.data_to_send():
                rest = self._put(data)
                if rest:
                    self._stream.write(rest)
        except StreamClosedError:
            return False
        self._last = time.monotonic()
        return True

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Tell the client that this is the end; nothing happens when it has been told. The reason: 123 bytes."""
        self.say_close(code, reason)
        if self._replying is not None:
            await asyncio.wait({self._replying})

    def say_close(self, code: int, reason: str = "") -> None:
        """`close` without waiting until it is sent."""
        if self.open:
            self._protocol.send_close(code, reason.encode()[:123].decode(errors="ignore"))
            self._reply()

    async def begin(self, response: bytes) -> None:
        """Answer the upgrade. Raises ``SocketClosed``."""
        self._stream.set_nodelay(True)
        async with self._lock:
            try:
                await self._write([response])
            except StreamClosedError as error:
                raise SocketClosed("the connection is closed") from error

    async def finish(self, code: int) -> None:
        """Close, and read on until the other side has answered that.

        Were the connection cut with something of the client's unread, what was sent last would be lost with it.
        """
        broken = self._protocol.eof_sent and self._protocol.close_rcvd is None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BROKEN_SECONDS if broken else CLOSE_SECONDS):
                await self.close(code)
                while self._protocol.close_rcvd is None and await self._fill():
                    self._messages.clear()
        self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        if self._timer is not None:
            self._timer.cancel()
        self._stream.close()

    # -- reading --------------------------------------------------------------------------------------------------

    async def _fill(self) -> bool:
        """Read once; False at the end of the connection."""
        try:
            if self._reading is None:
                self._reading = self._stream.read_bytes(_READ, partial=True)
            # Shielded: whoever waits may be cancelled, and who comes next takes up the same read.
            data = await asyncio.shield(self._reading)
        except StreamClosedError:
            return False
        self._reading = None
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            self._take(frame)  # type: ignore[arg-type]  # a handshake's request is no event of an open connection
        self._reply()
        return True

    def _take(self, frame: Frame) -> None:
        """Put messages together from their frames; what other frames ask for, the protocol answers."""
        if frame.opcode not in (0, 1, 2):  # CONT, TEXT, BINARY
            return
        if frame.opcode:
            self._text = frame.opcode == 1
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return
        whole = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        if not self._text:
            self._messages.append(whole)
            return
        try:
            self._messages.append(whole.decode())
        except UnicodeDecodeError as error:
            if self.open:
                self._protocol.fail(INVALID_DATA, f"{error.reason} at position {error.start}")

    # -- writing --------------------------------------------------------------------------------------------------

    def _reply(self) -> None:
        """Send what the protocol has to say itself, pongs and closes, without holding up whoever reads.

        Of a client's pings that came while it did not read, the last one is answered (RFC 6455, 5.5.3).
        """
        said = b"".join(self._protocol.data_to_send())
        if not said:
            return
        self._control = said
        if self._replying is None:
            self._replying = spawn_task(self._send_control(), name="websocket control frames")

    async def _send_control(self) -> None:
        try:
            async with self._lock:
                while self._control:
                    said, self._control = self._control, b""
                    await self._write([said])
        except StreamClosedError:
            return
        finally:
            self._replying = None

    async def _write(self, pieces: list[bytes]) -> None:
        for data in pieces:
            rest = data if self._stream.writing() or self._stream.closed() else self._put(data)
            if rest:
                # Shielded: the stream's future is not made to be cancelled, and a frame goes out whole or not at all.
                await asyncio.shield(self._stream.write(rest))
        self._last = time.monotonic()

    def _put(self, data: bytes) -> memoryview | None:
        """Straight to the connection, which mostly takes all; what it did not take."""
        view = memoryview(data)
        try:
            sent = self._stream.write_to_fd(view)
        except BlockingIOError:
            return view
        except OSError as error:
            self._stream.close(exc_info=error)
            raise StreamClosedError(real_error=error) from error
        return view[sent:] if sent < len(data) else None

    def _arm(self, delay: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay, self._beat)

    def _beat(self) -> None:
        """A sign of life for proxies that cut idle connections. Nobody is cut for not answering: laptops sleep."""
        idle = time.monotonic() - self._last
        if idle >= self._heartbeat:
            if self.open and not self._lock.locked():
                self._protocol.send_ping(b"")
                self._reply()
            idle = 0.0
        if not self._stream.closed():
            self._arm(self._heartbeat - idle)


class Sockets:
    """The open WebSockets of one server, so that they can be ended with it."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Task[None], Socket] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def serve(
        self,
        stream: IOStream,
        response: bytes,
        talk: Callable[[Socket], Awaitable[None]],
        *,
        heartbeat: float,
        on_message: Callable[[], None],
    ) -> None:
        """Answer the upgrade on a connection taken from the HTTP machinery, talk, and close it."""
        from websockets.protocol import State  # noqa: PLC0415 - who opens no socket does not pay for it
        from websockets.server import ServerProtocol  # noqa: PLC0415

        protocol = ServerProtocol(state=State.OPEN, max_size=MAX_MESSAGE, logger=_quiet)
        socket = Socket(stream, protocol, heartbeat=heartbeat, on_message=on_message)
        task = spawn_task(self._run(socket, response, talk), name="websocket")
        self._open[task] = socket
        try:
            await asyncio.wait({task})
        finally:
            del self._open[task]

    async def _run(self, socket: Socket, response: bytes, talk: Callable[[Socket], Awaitable[None]]) -> None:
        talking = spawn_task(self._talk(socket, response, talk), name="websocket conversation")
        try:
            await asyncio.wait({talking})
            failed = not talking.cancelled() and talking.exception() is not None
            await socket.finish(INTERNAL_ERROR if failed else NORMAL)
        finally:
            socket.abort()
            if not talking.done():
                talking.cancel()
                await asyncio.wait({talking})

    async def _talk(self, socket: Socket, response: bytes, talk: Callable[[Socket], Awaitable[None]]) -> None:
        with contextlib.suppress(SocketClosed):
            await socket.begin(response)
            await talk(socket)

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """Close all; conversations that go on after ``grace`` seconds are cancelled."""
        for socket in self._open.values():
            socket.say_close(GOING_AWAY, "the server stops")
        if not self._open:
            return
        _, late = await asyncio.wait(set(self._open), timeout=grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
