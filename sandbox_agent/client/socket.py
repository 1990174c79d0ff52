"""WebSockets (RFC 6455) for both drivers, by the clients of the library `websockets`.

It is imported when the first socket is opened: who opens none does not pay for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from sandbox_agent import __version__
from sandbox_agent.client.effects import QUIET, Join, Receive, Reply, Transmit, TransportFault
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection as AsyncConnection
    from websockets.http11 import Response
    from websockets.sync.client import ClientConnection

    from sandbox_agent.client.effects import Message, Request
    from sandbox_agent.client.target import Target

OPEN_TIMEOUT: Final = 10.0
CLOSE_TIMEOUT: Final = 2.0

OPENED: Final = Reply(HTTPStatus.SWITCHING_PROTOCOLS)


class Socket:
    """One WebSocket at a time, for blocking code."""

    def __init__(self, target: Target, verify: bool | str | ssl.SSLContext) -> None:
        self._target = target
        self._verify = verify
        self._connection: ClientConnection | None = None
        self._stack = contextlib.ExitStack()

    def perform(self, effect: Join | Receive | Transmit) -> Reply | Message:
        match effect:
            case Join(request):
                return self._open(request)
            case Receive(timeout):
                return self._receive(timeout)
            case Transmit(message):
                self._send(message)
        return None

    def _open(self, request: Request) -> Reply:
        from websockets.exceptions import InvalidHandshake, InvalidStatus  # noqa: PLC0415
        from websockets.sync.client import connect, unix_connect  # noqa: PLC0415

        self.close()
        unix, url, options = self._target.socket, address(self._target, request), settings(self._target, self._verify)
        try:
            made = connect(url, **options) if unix is None else unix_connect(unix, url, **options)
            self._connection = self._stack.enter_context(made)
        except InvalidStatus as refused:
            return reply_of(refused.response)
        except (InvalidHandshake, OSError, EOFError) as error:
            raise fault_of(error, self._target) from error
        return OPENED

    def _receive(self, timeout: float | None) -> Message:
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

        if self._connection is None:
            return None
        try:
            return self._connection.recv(timeout)
        except TimeoutError:
            return QUIET
        except ConnectionClosed:
            return None

    def _send(self, message: str | bytes) -> None:
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

        if self._connection is None:
            raise TransportFault(self._target.url, "the socket is closed", unsent=True)
        try:
            self._connection.send(message)
        except ConnectionClosed as error:
            raise fault_of(error, self._target) from error

    def close(self) -> None:
        self._connection = None
        self._stack.pop_all().close()

    def abort(self) -> None:
        """From any thread: whoever waits for a message sees the end."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.socket.shutdown(sockets.SHUT_RDWR)


class AsyncSocket:
    """One WebSocket at a time, for code on an event loop."""

    def __init__(self, target: Target, verify: bool | str | ssl.SSLContext) -> None:
        self._target = target
        self._verify = verify
        self._connection: AsyncConnection | None = None

    async def perform(self, effect: Join | Receive | Transmit) -> Reply | Message:
        match effect:
            case Join(request):
                return await self._open(request)
            case Receive(timeout):
                return await self._receive(timeout)
            case Transmit(message):
                await self._send(message)
        return None

    async def _open(self, request: Request) -> Reply:
        from websockets.asyncio.client import connect, unix_connect  # noqa: PLC0415
        from websockets.exceptions import InvalidHandshake, InvalidStatus  # noqa: PLC0415

        await self.close()
        url, options = address(self._target, request), settings(self._target, self._verify)
        try:
            if self._target.socket is None:
                self._connection = await connect(url, **options)
            else:
                self._connection = await unix_connect(self._target.socket, url, **options)
        except InvalidStatus as refused:
            return reply_of(refused.response)
        except (InvalidHandshake, OSError, EOFError) as error:
            raise fault_of(error, self._target) from error
        return OPENED

    async def _receive(self, timeout: float | None) -> Message:  # noqa: ASYNC109 - the twin's argument
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

        if self._connection is None:
            return None
        try:
            async with asyncio.timeout(timeout):
                return await self._connection.recv()
        except TimeoutError:
            return QUIET
        except ConnectionClosed:
            return None

    async def _send(self, message: str | bytes) -> None:
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

        if self._connection is None:
            raise TransportFault(self._target.url, "the socket is closed", unsent=True)
        try:
            await self._connection.send(message)
        except ConnectionClosed as error:
            raise fault_of(error, self._target) from error

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.shield(spawn_task(connection.close(), name="sandbox-agent-close"))

    def abort(self) -> None:
        """Whoever waits for a message sees the end."""
        if self._connection is not None:
            self._connection.transport.abort()


def address(target: Target, request: Request) -> str:
    query = urlencode(request.query, quote_via=quote, errors="surrogateescape")
    return f"ws{target.url.removeprefix('http')}{request.path}{'?' if query else ''}{query}"


def settings(target: Target, verify: bool | str | ssl.SSLContext) -> dict[str, Any]:
    """Arguments of the library's ``connect``.

    Messages wait in the server until they are asked for, so a few are enough here, of any size; the server looks after
    the connection. For one on this machine no proxy is asked, as for other requests.
    """
    options: dict[str, Any] = {
        "additional_headers": target.headers(),
        "user_agent_header": f"sandbox-agent-jupyter/{__version__}",
        "compression": None,
        "open_timeout": OPEN_TIMEOUT,
        "close_timeout": CLOSE_TIMEOUT,
        "ping_interval": None,
        "max_size": None,
        "max_queue": 4,
    }
    if target.socket is None:
        options["proxy"] = None if target.local else True
    if target.url.startswith("https:"):
        options["ssl"] = certificates(verify)
    return options


def certificates(verify: bool | str | ssl.SSLContext) -> ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext):
        return verify
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def reply_of(response: Response) -> Reply:
    """What the server answered in place of opening a socket."""
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    return Reply(response.status_code, headers, bytes(response.body or b""))


def fault_of(error: Exception, target: Target) -> TransportFault:
    reason = "it took too long to answer" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return TransportFault(target.url, reason, unsent=isinstance(error, ConnectionRefusedError))
