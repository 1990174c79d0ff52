"""The owner thread of one X connection: calls from the event loop, each with its deadline, and events."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from Xlib.error import ConnectionClosedError

from sandbox_agent.desktop.x11.connection import connect
from sandbox_agent.problems import DesktopRuntimeFailed, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from Xlib.protocol import rq

    from sandbox_agent.desktop.x11.connection import Connection

T = TypeVar("T")

DEADLINE = 5.0
GRACE = 0.2
"""Seconds by which a caller outlives its call, so that the thread's own account of it arrives first."""

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Job:
    fn: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    limit: float
    abandoned: bool = False

    def settle(self, result: Any, error: Exception | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


def _discard(opening: asyncio.Future[Connection]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close_internal("client")


class Display:
    """A connection to an X server that only its own thread touches.

    ``call`` runs a function there. Calls run one after the other, so each is short: a batch of requests and its
    replies. Nothing waits for ever: a server that does not answer costs each call its deadline, one that has gone
    fails every call at once, those that wait and those that come.
    """

    def __init__(self, name: str, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self.root = connection.root
        self.connection = connection  # for the owner thread alone
        self.ended = asyncio.Event()  # the connection is over, by `close` or by the server's death
        self._loop = loop
        self._lock = threading.Lock()
        self._jobs: deque[_Job] = deque()
        self._handlers: dict[type[rq.Event], tuple[Callable[[Any], None], ...]] = {}
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closing = False
        self._over: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"x11 {name}", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, name: str, authority: Path | None = None, *, deadline: float = DEADLINE) -> Display:
        """Connect to display ``name`` (``":99"``) with the cookie of the file ``authority``.

        Raises `DesktopRuntimeFailed` where there is no such display or it refuses, `Timeout` after ``deadline``
        seconds.
        """
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(None, connect, name, authority, deadline)
        try:
            connection = await asyncio.shield(opening)
        except asyncio.CancelledError:  # the thread goes on, and nobody else would close what it opens
            opening.add_done_callback(_discard)
            raise
        return cls(name, connection, loop)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the screen in pixels, as it was when the connection began."""
        screen = self.connection.screen
        return screen.width_in_pixels, screen.height_in_pixels

    @property
    def failure(self) -> DesktopRuntimeFailed | None:
        """Why nothing can be called any more; None while the connection stands."""
        return None if self._over is None else DesktopRuntimeFailed(self._over)

    async def call(self, fn: Callable[[Connection], T], *, deadline: float = DEADLINE) -> T:
        """``fn``'s result, from the owner thread.

        Raises `Timeout` after ``deadline`` seconds, `DesktopRuntimeFailed` when the connection has ended or ends
        meanwhile, and whatever ``fn`` raises (``Xlib.error.XError`` of a request among it). A call whose caller has
        gone before its turn is not made.
        """
        job = _Job(fn, self._loop.create_future(), time.monotonic() + deadline)
        with self._lock:
            if self._over is not None:
                raise DesktopRuntimeFailed(self._over)
            self._jobs.append(job)
            os.eventfd_write(self._wakeup, 1)
        try:
            async with asyncio.timeout(deadline + GRACE):
                return await job.future  # type: ignore[no-any-return]
        except TimeoutError as error:
            raise Timeout(f"the display did not answer within {deadline:g} s") from error
        finally:
            job.abandoned = True

    def on_event(self, kind: type[rq.Event], handler: Callable[[Any], None]) -> None:
        """Have ``handler`` called with every event of the class ``kind``, in the owner thread (so: briefly)."""
        self._handlers = {**self._handlers, kind: (*self._handlers.get(kind, ()), handler)}

    def tell(self, fn: Callable[..., object], *args: Any) -> None:
        """From the owner thread: call ``fn(*args)`` on the event loop."""
        try:
            self._loop.call_soon_threadsafe(fn, *args)
        except RuntimeError:  # the loop has closed: nobody is left to be told
            logger.debug("the event loop has closed")

    async def close(self) -> None:
        """End the connection and its thread; calls that wait get `DesktopRuntimeFailed`."""
        with self._lock:
            self._closing = True
            if self._over is None:
                os.eventfd_write(self._wakeup, 1)
        await self.ended.wait()

    # -- in the owner thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        why = "the connection to the display was closed"
        try:
            while not self._closing:
                self._pump()
                job = self._next()
                if job is None:
                    self._wait()
                elif not job.abandoned:
                    self._do(job)
            self.connection.limit = time.monotonic() + GRACE
            self.connection.flush()
        except ConnectionClosedError as error:
            why = f"the display has gone ({error})"
        except Timeout:
            logger.debug("the X server did not take our last words")
        finally:
            self._end(why)

    def _next(self) -> _Job | None:
        with self._lock:
            return self._jobs.popleft() if self._jobs else None

    def _do(self, job: _Job) -> None:
        result, failed = None, None
        self.connection.limit = job.limit
        try:
            result = job.fn(self.connection)
        except ConnectionClosedError as error:
            self.tell(job.settle, None, DesktopRuntimeFailed(f"the display has gone ({error})"))
            raise
        except Exception as error:  # noqa: BLE001 -- the boundary of the thread: the caller gets every fault
            failed = error
        self.tell(job.settle, result, failed)

    def _pump(self) -> None:
        """Send what is queued, and hand the events that are here to their handlers."""
        self.connection.limit = time.monotonic() + DEADLINE
        try:
            self.connection.pending_events()
            while self.connection.event_queue:
                self.handle_events()
                self.connection.pending_events()  # sends what the handlers asked for
        except Timeout:  # a stopped server: calls find out by themselves
            logger.debug("the X server does not answer")

    def handle_events(self) -> None:
        """In the owner thread: hand the events that have been read to their handlers, in their order."""
        queue = self.connection.event_queue
        while queue:
            event = queue.pop(0)
            for handler in self._handlers.get(type(event), ()):
                handler(event)

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self.connection.socket, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        for fd, _ in poll.poll():
            if fd == self._wakeup:
                os.eventfd_read(self._wakeup)

    def _end(self, why: str) -> None:
        with self._lock:
            self._over = why
            left, self._jobs = self._jobs, deque()
            os.close(self._wakeup)
        if self.connection.socket_error is None:
            self.connection.close_internal("client")
        for job in left:
            self.tell(job.settle, None, DesktopRuntimeFailed(why))
        self.tell(self.ended.set)
