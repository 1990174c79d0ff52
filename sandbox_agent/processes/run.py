"""A command that is waited for: its output in memory up to a limit, its whole tree ended at the time-out."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from sandbox_agent.processes.pump import Pump
from sandbox_agent.tasks import spawn_task
from sandbox_agent.wire.processes import ProcessRunResponse

if TYPE_CHECKING:
    from sandbox_agent.supervisor import Child, Command, Exit, Supervisor

_KILL_S = 1.0
"""How long an answer is held for a killed tree to be gone."""


class Capture:
    """The first ``limit`` bytes of an output."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._parts: list[bytes] = []
        self.truncated = False

    def take(self, data: bytes) -> None:
        if len(data) > self._room:
            self.truncated = True
            data = data[: self._room]
        if data:
            self._room -= len(data)
            self._parts.append(data)

    def text(self) -> str:
        """What is no UTF-8 is replaced."""
        return b"".join(self._parts).decode("utf-8", "replace")


async def run(supervisor: Supervisor, command: Command, *, timeout: float, limit: int) -> ProcessRunResponse:  # noqa: ASYNC109  the command's, not ours
    """Run ``command`` to its end: until it has exited and nobody holds its outputs, or ``timeout`` seconds.

    ``limit`` is bytes of each output. Raises SpawnFailed. A caller that is cancelled ends the command.
    """
    began = time.monotonic()
    child = await supervisor.spawn(command, owner="run", stdin=False)
    stdout, stderr = Capture(limit), Capture(limit)
    pump = Pump({child.stdout_fd: stdout.take, child.stderr_fd: stderr.take})
    exit_: Exit | None = None
    try:
        async with asyncio.timeout(timeout):
            exit_ = await child.wait()
            await pump.ended.wait()
    except TimeoutError:
        exit_ = None
        await _kill(child)
        pump.drain()
    finally:
        pump.close()
        child.close_fds()
        rest = child.end(0) if child.exit is None else child.settle()
        spawn_task(rest, name="what a command left behind")
    return ProcessRunResponse(
        exit_code=exit_.code if exit_ else None,
        signal=exit_.signal if exit_ else None,
        timed_out=exit_ is None,
        stdout=stdout.text(),
        stderr=stderr.text(),
        stdout_truncated=stdout.truncated,
        stderr_truncated=stderr.truncated,
        duration_ms=round((time.monotonic() - began) * 1000),
    )


async def _kill(child: Child) -> None:
    ending = spawn_task(child.end(0), name="end a command that ran out of time")
    await asyncio.wait({ending}, timeout=_KILL_S)
