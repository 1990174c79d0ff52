"""Carries programs out with awaited calls on the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket as sockets
import weakref
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, cast

import httpx2

from sandbox_agent.client import transport
from sandbox_agent.client.effects import (
    Clock,
    Do,
    Emit,
    Interrupted,
    Join,
    LocalFault,
    Open,
    Read,
    Receive,
    Send,
    Shut,
    Sleep,
    Transmit,
    TransportFault,
)
from sandbox_agent.client.errors import ClientClosed
from sandbox_agent.client.socket import AsyncSocket
from sandbox_agent.problems import SandboxAgentError
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Coroutine
    from types import TracebackType

    from sandbox_agent.client.effects import (
        Body,
        Effect,
        Program,
        Reply,
        Request,
        Source,
    )
    from sandbox_agent.client.errors import ClientError
    from sandbox_agent.client.target import Target

T = TypeVar("T")

CLEANUP: Final = 5.0
"""Seconds a cancelled call may take to clean up after itself."""


class AsyncDriver:
    """One connection pool to one server. ``exited`` tells why the server is gone for good, if it is."""

    def __init__(
        self,
        target: Target,
        *,
        handler: httpx2.AsyncBaseTransport | None = None,
        verify: bool | str | ssl.SSLContext = True,
        exited: Callable[[], ClientError | None] = lambda: None,
    ) -> None:
        self.target = target
        self.exited = exited
        if handler is None and target.socket is not None:
            handler = httpx2.AsyncHTTPTransport(uds=target.socket)
        self._verify = verify
        self._http = httpx2.AsyncClient(transport=handler, **transport.client_options(target, verify))
        self._closed = False
        self._channels: weakref.WeakSet[AsyncChannel] = weakref.WeakSet()
        self._flying: set[asyncio.Task[Any]] = set()
        self.orphans: list[AsyncChannel] = []

    async def run(
        self,
        program: Program[T],
        emit: Callable[[Any], Awaitable[object] | object] | None = None,
        *,
        channel: AsyncChannel | None = None,
    ) -> T:
        """Run to the end; emitted values go to ``emit``, awaited if it wants that.

        A cancellation is shown to the program as :class:`Interrupted`, so that it can clean up first. What is open on
        a ``channel`` of the caller's stays so.
        """
        passing = channel is None
        channel = channel or self.channel()
        try:
            return await self._steps(program, lambda: next(program), channel, emit)
        except SandboxAgentError as error:
            raise error.with_traceback(None) from error.__cause__  # how it was found out tells the caller nothing
        except (asyncio.CancelledError, KeyboardInterrupt):
            with contextlib.suppress(Interrupted, TimeoutError):
                async with asyncio.timeout(CLEANUP):
                    await self._steps(program, lambda: program.throw(Interrupted()), channel, None)
            raise
        finally:
            if passing:
                await channel.shut()

    def iterate(self, source: Source) -> AsyncStream[Any]:
        return AsyncStream(self, source)

    async def close(self) -> None:
        """End every call and stream; any number of times."""
        self._closed = True
        for channel in list(self._channels):
            channel.abort()
        if flying := list(self._flying):  # a pool that is closed under a request leaves its connection open
            for task in flying:
                task.cancel()
            await asyncio.wait(flying)
        await self._http.aclose()

    @property
    def closed(self) -> bool:
        return self._closed

    def channel(self) -> AsyncChannel:
        """A place for one stream at a time; :meth:`close` ends it."""
        channel = AsyncChannel(self._http, AsyncSocket(self.target, self._verify))
        self._channels.add(channel)
        return channel

    async def _steps(
        self,
        program: Program[T],
        first: Callable[[], Effect],
        channel: AsyncChannel,
        emit: Callable[[Any], Awaitable[object] | object] | None,
    ) -> T:
        step = first
        while True:
            try:
                effect = step()
            except StopIteration as stop:
                return cast("T", stop.value)
            if isinstance(effect, Emit) and emit is not None:
                for value in effect.values:
                    taken = emit(value)
                    if inspect.isawaitable(taken):
                        await taken
            step = await self.advance(program, effect, channel)

    async def advance(self, program: Program[Any], effect: Effect, channel: AsyncChannel) -> Callable[[], Effect]:
        """Carry ``effect`` out; the step that tells the program how it went."""
        try:
            outcome = await _thread(effect.work) if isinstance(effect, Do) else await self._perform(effect, channel)
        except LocalFault as fault:
            failure: Exception = fault.error
        except (TransportFault, SandboxAgentError, OSError) as error:
            failure = error  # the name of an except clause does not outlive it
        else:
            return lambda: program.send(outcome)
        return lambda: program.throw(failure)

    async def _perform(self, effect: Effect, channel: AsyncChannel) -> Any:
        while self.orphans:
            await self.orphans.pop().shut()
        try:
            match effect:
                case Read():
                    return await channel.read()
                case Send(request):
                    self._check_open(channel)
                    response = await self._fly(self._http.request(**_options(request)))
                    return transport.reply_of(response, response.content)
                case Open(request):
                    self._check_open(channel)
                    return await self._fly(channel.open(request))
                case Join() | Receive() | Transmit():
                    self._check_open(channel)
                    return await channel.socket.perform(effect)
                case Clock():
                    return asyncio.get_running_loop().time()
                case Sleep(seconds):
                    await channel.sleep(seconds)
                    self._check_open(channel)
                case Shut():
                    await channel.shut()
        except (*transport.FAULTS, OSError) as error:
            self._check_open(channel)
            raise self.exited() or transport.fault_of(error, self.target.url) from error
        return None

    async def _fly(self, request: Coroutine[Any, Any, T]) -> T:
        """A request as a task of its own, which :meth:`close` can end without ending the caller's."""
        task = asyncio.get_running_loop().create_task(request)
        self._flying.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self._closed and caller is not None and not caller.cancelling():
                raise ClientClosed("this client is closed") from None
            raise
        finally:
            self._flying.discard(task)

    def _check_open(self, channel: AsyncChannel) -> None:
        if self._closed or channel.aborted.is_set():
            raise ClientClosed("this client is closed")


def _options(request: Request) -> dict[str, Any]:
    options = transport.request_options(request)
    if request.body is not None and not isinstance(request.body, bytes):
        options["content"] = _each_chunk(request.body)
    return options


async def _each_chunk(body: Body) -> AsyncIterator[bytes]:
    chunks = body.chunks()
    while (chunk := await _thread(lambda: transport.next_chunk(chunks))) is not None:
        yield chunk
        body.sent(len(chunk))


async def _thread(work: Callable[[], T]) -> T:
    """Call ``work`` on a thread. A thread cannot be stopped, so a cancelled caller waits for its end."""
    done = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        done.exception()  # what it failed with tells a caller who has left nothing
        raise


class AsyncChannel:
    """The one stream, or socket, that a running program has open."""

    def __init__(self, http: httpx2.AsyncClient, socket: AsyncSocket) -> None:
        self.aborted = asyncio.Event()
        self.socket = socket
        self._http = http
        self._response: httpx2.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def open(self, request: Request) -> Reply:
        await self.shut()
        options = _options(request)
        # A proxy that compresses holds back what it could still compress better.
        options["headers"].append(("Accept-Encoding", "identity"))
        response = await self._http.send(self._http.build_request(**options), stream=True)
        if response.status_code not in transport.STREAMED:
            try:
                return transport.reply_of(response, await response.aread())
            finally:
                await response.aclose()
        self._response, self._chunks = response, response.aiter_bytes()
        return transport.reply_of(response, b"")

    async def read(self) -> bytes | None:
        return await anext(self._chunks, None) if self._chunks is not None else None

    async def sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.aborted.wait()

    async def shut(self) -> None:
        response, self._response, self._chunks = self._response, None, None
        if response is not None:
            # To the end even when the caller is cancelled meanwhile: half closed, its socket would stay open.
            await asyncio.shield(spawn_task(_close(response), name="sandbox-agent-close"))
        await self.socket.close()

    def abort(self) -> None:
        """Wake a task that waits in here: its read ends when the socket is shut down under it."""
        self.aborted.set()
        self.socket.abort()
        response = self._response
        network = response.extensions.get("network_stream") if response is not None else None
        raw = network.get_extra_info("socket") if network is not None else None
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.shutdown(sockets.SHUT_RDWR)

    @property
    def streaming(self) -> bool:
        return self._response is not None


async def _close(response: httpx2.Response) -> None:
    with contextlib.suppress(*transport.FAULTS, OSError):
        await response.aclose()


class AsyncStream(AsyncIterator[T], Generic[T]):
    """Values as they come. Iterate it; ``aclose()`` or leaving its ``async with`` block ends it.

    A cancelled ``anext`` (as ``asyncio.wait_for`` does) loses nothing: the next one goes on where it stood.
    """

    def __init__(self, driver: AsyncDriver, source: Source) -> None:
        self._driver = driver
        self._source = source
        self._channel = driver.channel()
        self._values: deque[T] = deque()
        self._begun = False
        self._step: Callable[[], Effect] = lambda: next(source)
        self._busy = asyncio.Lock()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        async with self._busy:
            while not self._values:
                await self._fill()
            if self._channel.aborted.is_set():
                raise StopAsyncIteration
            return self._values.popleft()

    async def ready(self) -> Self:
        """Wait until the server has begun to tell, which otherwise the first value does."""
        with contextlib.suppress(StopAsyncIteration):
            async with self._busy:
                while not self._begun:
                    await self._fill()
        return self

    async def _fill(self) -> None:
        if self._channel.aborted.is_set():
            await self._channel.shut()
            raise StopAsyncIteration
        try:
            effect = self._step()
        except StopIteration:
            await self._channel.shut()
            raise StopAsyncIteration from None
        except ClientClosed:
            self._channel.aborted.set()
            await self._channel.shut()
            raise StopAsyncIteration from None
        except SandboxAgentError:
            await self._channel.shut()
            raise
        if isinstance(effect, Emit):
            self._begun = True
            self._values.extend(effect.values)
        try:
            self._step = await self._driver.advance(self._source, effect, self._channel)
        except (asyncio.CancelledError, KeyboardInterrupt):
            # The effect was asked for but not answered: to the source this is a cut, from which it can go on.
            self._step = self._cut if isinstance(effect, (Open, Read, Send)) else self._resume
            raise

    def _cut(self) -> Effect:
        return self._source.throw(TransportFault(self._driver.target.url, "interrupted"))

    def _resume(self) -> Effect:
        return self._source.send(asyncio.get_running_loop().time())

    async def aclose(self) -> None:
        """End the stream; a task that waits for its next value sees it end."""
        self._channel.abort()
        async with self._busy:
            self._source.close()
            await self._channel.shut()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if self._channel.streaming:
            self._channel.abort()
            self._driver.orphans.append(self._channel)
