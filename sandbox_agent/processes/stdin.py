"""A process's standard input: whole writes one after the other, each with a deadline."""

from __future__ import annotations

import asyncio
import os

from sandbox_agent.problems import Conflict, Timeout


class InputPipe:
    """Writes to a non-blocking descriptor, which stays its owner's."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._turn = asyncio.Lock()
        self._waiter: asyncio.Future[None] | None = None

    async def send(self, data: bytes, deadline: float) -> int:
        """The bytes written: all. Raises ``Timeout`` (it says how many) after ``deadline`` seconds.

        Raises ``Conflict`` when nobody reads any more.
        """
        rest = memoryview(data)
        if not self._turn.locked():  # a key takes neither a turn nor a deadline, mostly
            rest = rest[self._now(rest) :]
            if not rest:
                return len(data)
        try:
            async with asyncio.timeout(deadline), self._turn:
                while rest:
                    rest = rest[await self._some(rest) :]
        except TimeoutError:
            written = len(data) - len(rest)
            raise Timeout(
                f"the process reads no input: after {deadline:g} s {written} of {len(data)} bytes were written",
                bytesWritten=written,
            ) from None
        return len(data)

    async def _some(self, data: memoryview) -> int:
        while not (written := self._now(data)):
            await self._writable()
        return written

    def _now(self, data: memoryview) -> int:
        """What it takes without waiting."""
        if self._fd < 0:
            raise Conflict("the process's input is closed")
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Conflict("the process does not read its input any more") from error

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        fd = self._fd
        loop.add_writer(fd, _wake, waiter)
        try:
            await waiter
        finally:
            if self._fd >= 0:
                loop.remove_writer(fd)
            self._waiter = None

    def close(self) -> None:
        """No more writes; who still waits gets ``Conflict``. To be called before the descriptor is closed."""
        if self._fd >= 0 and self._waiter is not None:
            asyncio.get_running_loop().remove_writer(self._fd)
            _wake(self._waiter)
        self._fd = -1


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
