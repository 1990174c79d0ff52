"""Carries programs out with blocking calls, from any thread, beside any event loop."""

from __future__ import annotations

import contextlib
import socket as sockets
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

import httpx2

from sandbox_agent.client import transport
from sandbox_agent.client.closing import Closing
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
from sandbox_agent.client.socket import Socket
from sandbox_agent.problems import SandboxAgentError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from sandbox_agent.client.effects import (
        Effect,
        Program,
        Reply,
        Request,
        Source,
    )
    from sandbox_agent.client.errors import ClientError
    from sandbox_agent.client.target import Target

T = TypeVar("T")


class SyncDriver:
    """One connection pool to one server. ``exited`` tells why the server is gone for good, if it is."""

    def __init__(
        self,
        target: Target,
        *,
        handler: httpx2.BaseTransport | None = None,
        verify: bool | str | ssl.SSLContext = True,
        exited: Callable[[], ClientError | None] = lambda: None,
    ) -> None:
        self.target = target
        self.exited = exited
        if handler is None and target.socket is not None:
            handler = httpx2.HTTPTransport(uds=target.socket)
        self._verify = verify
        self._http = httpx2.Client(transport=handler, **transport.client_options(target, verify))
        self._closed = threading.Event()
        self._channels: weakref.WeakSet[Channel] = weakref.WeakSet()
        self._lock = threading.Lock()

    def run(
        self, program: Program[T], emit: Callable[[Any], object] | None = None, *, channel: Channel | None = None
    ) -> T:
        """Run to the end; emitted values go to ``emit``. What is open on a ``channel`` of the caller's stays so.

        A ``KeyboardInterrupt`` is shown to the program as :class:`Interrupted`, so that it can clean up first.
        """
        passing = channel is None
        channel = channel or self.channel()
        try:
            return self._steps(program, lambda: next(program), channel, emit)
        except SandboxAgentError as error:
            raise error.with_traceback(None) from error.__cause__  # how it was found out tells the caller nothing
        except KeyboardInterrupt:
            with contextlib.suppress(Interrupted, StopIteration):
                self._steps(program, lambda: program.throw(Interrupted()), channel, None)
            raise
        finally:
            if passing:
                channel.shut()

    def iterate(self, source: Source) -> Stream[Any]:
        return Stream(self, source)

    def close(self) -> None:
        """End every call and stream; safe from any thread, any number of times."""
        self._closed.set()
        with self._lock:
            channels = list(self._channels)
        for channel in channels:
            channel.abort()
        self._http.close()

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def channel(self) -> Channel:
        """A place for one stream at a time; :meth:`close` ends it."""
        channel = Channel(self._http, Socket(self.target, self._verify))
        with self._lock:
            self._channels.add(channel)
        return channel

    def _steps(
        self, program: Program[T], first: Callable[[], Effect], channel: Channel, emit: Callable[[Any], object] | None
    ) -> T:
        step = first
        while True:
            try:
                effect = step()
            except StopIteration as stop:
                return cast("T", stop.value)
            if isinstance(effect, Emit):
                for value in effect.values:
                    if emit is not None:
                        emit(value)
            step = self.advance(program, effect, channel)

    def advance(self, program: Program[Any], effect: Effect, channel: Channel) -> Callable[[], Effect]:
        """Carry ``effect`` out; the step that tells the program how it went."""
        try:
            outcome = effect.work() if isinstance(effect, Do) else self._perform(effect, channel)
        except LocalFault as fault:
            failure: Exception = fault.error
        except (TransportFault, SandboxAgentError, OSError) as error:
            failure = error  # the name of an except clause does not outlive it
        else:
            return lambda: program.send(outcome)
        return lambda: program.throw(failure)

    def _perform(self, effect: Effect, channel: Channel) -> Any:  # noqa: C901 - a case for each effect
        try:
            match effect:
                case Read():
                    return channel.read()
                case Send(request):
                    self._check_open(channel)
                    response = self._http.request(**_options(request))
                    return transport.reply_of(response, response.content)
                case Open(request):
                    self._check_open(channel)
                    return channel.open(request)
                case Join() | Receive() | Transmit():
                    self._check_open(channel)
                    return channel.socket.perform(effect)
                case Clock():
                    return time.monotonic()
                case Sleep(seconds):
                    if channel.aborted.wait(seconds):
                        self._check_open(channel)
                case Shut():
                    channel.shut()
        except (*transport.FAULTS, OSError, RuntimeError) as error:
            self._check_open(channel)
            if isinstance(error, RuntimeError):
                raise  # the library's word for a closed client is explained above; others are faults of ours
            raise self.exited() or transport.fault_of(error, self.target.url) from error
        return None

    def _check_open(self, channel: Channel) -> None:
        if self._closed.is_set() or channel.aborted.is_set():
            raise ClientClosed("this client is closed")


def _options(request: Request) -> dict[str, Any]:
    options = transport.request_options(request)
    if request.body is not None and not isinstance(request.body, bytes):
        options["content"] = transport.each_chunk(request.body)
    return options


class Channel:
    """The one stream, or socket, that a running program has open."""

    def __init__(self, http: httpx2.Client, socket: Socket) -> None:
        self.aborted = threading.Event()
        self.socket = socket
        self._http = http
        self._response: httpx2.Response | None = None
        self._chunks: Iterator[bytes] = iter(())

    def open(self, request: Request) -> Reply:
        self.shut()
        options = _options(request)
        # A proxy that compresses holds back what it could still compress better.
        options["headers"].append(("Accept-Encoding", "identity"))
        response = self._http.send(self._http.build_request(**options), stream=True)
        if response.status_code not in transport.STREAMED:
            try:
                return transport.reply_of(response, response.read())
            finally:
                response.close()
        self._response, self._chunks = response, response.iter_bytes()
        return transport.reply_of(response, b"")

    def read(self) -> bytes | None:
        return next(self._chunks, None)

    def shut(self) -> None:
        response, self._response, self._chunks = self._response, None, iter(())
        if response is not None:
            with contextlib.suppress(*transport.FAULTS, OSError):
                response.close()
        self.socket.close()

    def abort(self) -> None:
        """Wake a thread that waits in here: its read ends when the socket is shut down under it."""
        self.aborted.set()
        self.socket.abort()
        response = self._response
        network = response.extensions.get("network_stream") if response is not None else None
        raw = network.get_extra_info("socket") if network is not None else None
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.shutdown(sockets.SHUT_RDWR)


class Stream(Closing, Iterator[T], Generic[T]):
    """Values as they come. Iterate it; ``close()`` (from any thread) or leaving its ``with`` block ends it."""

    def __init__(self, driver: SyncDriver, source: Source) -> None:
        self._driver = driver
        self._source = source
        self._channel = driver.channel()
        self._values: deque[T] = deque()
        self._begun = False
        self._step: Callable[[], Effect] = lambda: next(source)
        self._busy = threading.Lock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        with self._busy:
            while not self._values:
                self._fill()
            if self._channel.aborted.is_set():
                raise StopIteration
            return self._values.popleft()

    def ready(self) -> Self:
        """Wait until the server has begun to tell, which otherwise the first value does."""
        with self._busy, contextlib.suppress(StopIteration):
            while not self._begun:
                self._fill()
        return self

    def _fill(self) -> None:
        if self._channel.aborted.is_set():
            self._channel.shut()
            raise StopIteration
        try:
            effect = self._step()
        except ClientClosed:
            self._channel.aborted.set()
            self._channel.shut()
            raise StopIteration from None
        except BaseException:
            self._channel.shut()
            raise
        if isinstance(effect, Emit):
            self._begun = True
            self._values.extend(effect.values)
        try:
            self._step = self._driver.advance(self._source, effect, self._channel)
        except KeyboardInterrupt:
            # The effect was asked for but not answered: to the source this is a cut, from which it can go on.
            self._channel.shut()
            self._step = self._cut if isinstance(effect, (Open, Read, Send)) else self._resume
            raise

    def _cut(self) -> Effect:
        return self._source.throw(TransportFault(self._driver.target.url, "interrupted"))

    def _resume(self) -> Effect:
        return self._source.send(time.monotonic())

    def close(self) -> None:
        """End the stream; a thread that waits for its next value sees it end."""
        self._channel.abort()
        if self._busy.acquire(blocking=False):
            try:
                self._source.close()
                self._channel.shut()
            finally:
                self._busy.release()

    def __del__(self) -> None:
        self.close()
