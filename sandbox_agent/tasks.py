"""Background tasks that somebody owns, and deadlines that a sleeping machine does not use up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

T = TypeVar("T")

log = logging.getLogger(__name__)

_STEP = 1.0  # s between looks at whether time has passed for us, too
_ASLEEP = 1.0  # s by which such a look comes late where the process was stopped or the machine slept

_running: set[asyncio.Task[Any]] = set()


def spawn_task(coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start ``coro`` on the running loop under ``name``.

    The event loop itself keeps only weak references to tasks, so one is held here until the task ends. An exception
    that ends it is logged with its trace; whoever awaits the task gets it as well.
    """
    task = asyncio.get_running_loop().create_task(coro, name=name)
    _running.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task %s died", task.get_name(), exc_info=error)


class AwakeTimer:
    """Calls ``callback`` when this process has been running for ``seconds``; as ``loop.call_later`` else.

    Whoever is waited for may have answered while we were stopped, so time in which nobody could read it is not theirs.
    """

    def __init__(self, seconds: float, callback: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._callback = callback
        self._left = seconds
        self._arm()

    def cancel(self) -> None:
        self._handle.cancel()

    def _arm(self) -> None:
        self._due = self._loop.time() + min(self._left, _STEP)
        self._handle = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        if self._loop.time() - self._due < _ASLEEP:
            self._left -= _STEP
        if self._left > 0:
            self._arm()
        else:
            self._callback()


@contextlib.asynccontextmanager
async def awake_timeout(seconds: float | None) -> AsyncIterator[None]:
    """``asyncio.timeout`` of time that this process is running (`AwakeTimer`); None never ends."""
    async with asyncio.timeout(None) as limit:
        loop = asyncio.get_running_loop()
        timer = AwakeTimer(seconds, lambda: limit.reschedule(loop.time())) if seconds is not None else None
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
