"""The server's end of the accessibility worker: started when it is first needed, and again when it has died."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

from sandbox_agent.desktop.a11y import messages
from sandbox_agent.desktop.parts import Program
from sandbox_agent.desktop.waiting import first
from sandbox_agent.problems import DesktopRuntimeFailed, Timeout

if TYPE_CHECKING:
    from sandbox_agent.desktop.a11y.messages import Reply, Request
    from sandbox_agent.desktop.runtime import Runtime

START_SECONDS = 40.0
"""Seconds for a worker to come, on the busiest of machines."""

ANSWER_SECONDS = 5.0
"""Seconds for an answer. The worker gives up earlier by itself; one that does not is ended."""

_STEP = 0.01  # s between two looks whether a worker listens
_MODULE = "sandbox_agent.desktop.a11y.worker"


class Link:
    """To the worker of one running desktop."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._socket = runtime.place.runtime / "a11y"
        self._turn = asyncio.Lock()  # one start at a time

    async def ask(self, request: Request) -> Reply:
        """The worker's answer. A worker that dies at it is replaced, and asked again where that changes nothing.

        Raises ``DesktopRuntimeFailed`` where there is none, ``Timeout`` where it does not answer.
        """
        try:
            return await self._ask(request)
        except _Lost:
            if isinstance(request, messages.Act):
                raise DesktopRuntimeFailed(
                    "the accessibility worker ended, and what it was to do may have been done",
                    hint="look, and ask again",
                ) from None
        try:
            return await self._ask(request)
        except _Lost as error:
            raise DesktopRuntimeFailed("the accessibility worker ended twice at the same question") from error

    async def _ask(self, request: Request) -> Reply:
        reader, writer = await self._connected()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                writer.write(messages.packed(request))
                return messages.replies.decode(await messages.receive(reader))
        except TimeoutError as error:
            await self.runtime.a11y.end()
            raise Timeout(f"the accessibility worker did not answer within {ANSWER_SECONDS:g} s") from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise _Lost from error
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with self._turn:
            try:
                async with asyncio.timeout(START_SECONDS):
                    return await self._listened()
            except TimeoutError as error:
                await self.runtime.a11y.end()
                raise Timeout(f"the accessibility worker was not there after {START_SECONDS:g} s") from error

    async def _listened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection, to the worker that runs or to a new one."""
        part, started = self.runtime.a11y, False
        while True:
            try:
                return await asyncio.open_unix_connection(self._socket)
            except OSError:  # none listens: not yet, or not any more
                if not part.running and started:
                    said = await part.last_words()
                    raise DesktopRuntimeFailed(f"the accessibility worker ended: {said or 'it said nothing'}") from None
            if not part.running:
                started = True
                await self._start()
            await first(asyncio.sleep(_STEP), part.ended())

    async def _start(self) -> None:
        self._socket.unlink(missing_ok=True)
        part = self.runtime.a11y
        part.restarts += part.started
        argv = (sys.executable, "-P", "-m", _MODULE, str(self._socket))
        await part.start(Program(argv, self.runtime.environment(), str(self.runtime.place.home)))


class _Lost(Exception):
    """The worker ended before it answered."""
