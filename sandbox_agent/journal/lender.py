"""Lends the interpreter to the store's thread while the event loop never rests.

A loop that is busy in short turns gives up the interpreter's lock for an instant at each system call and takes it
again before a thread that was woken has got it; each such moment restarts the time that thread waits before it asks
for the lock. So a commit of 100 us could take seconds. The remedy: while entries wait, none gets stored and the loop
has burnt most of a tick, the loop stands still until the next commit, for at most ``LEND_S``.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

TICK_S = 0.002
LEND_S = 0.002


class Lender:
    """Watches that commits come, as long as ``waiting`` says that there is something to commit."""

    def __init__(self, loop: asyncio.AbstractEventLoop, waiting: Callable[[], bool]) -> None:
        self._loop = loop
        self._waiting = waiting
        self._timer: asyncio.TimerHandle | None = None
        self._commits = 0  # counted by the writer's thread alone
        self._seen = 0
        self._burnt_s = 0.0
        self._lent = False
        self._returned = threading.Event()

    def watch(self) -> None:
        """Something was queued."""
        if self._timer is None:
            self._again()

    def committed(self) -> None:
        """A commit was made; called on the writer's thread."""
        self._commits += 1
        if self._lent:
            self._returned.set()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _again(self) -> None:
        self._seen = self._commits
        self._burnt_s = time.thread_time()
        self._timer = self._loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self._waiting():
            return
        if time.thread_time() - self._burnt_s > TICK_S / 2:
            self._returned.clear()
            self._lent = True
            # Looked at after ``_lent`` was set: a commit is either seen here or told to us.
            if self._commits == self._seen:
                self._returned.wait(LEND_S)
            self._lent = False
        self._again()
