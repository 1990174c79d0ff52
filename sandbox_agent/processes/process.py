"""One managed process: its life (lives, where it is started again), its log, its input, its end."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

from sandbox_agent.problems import Conflict
from sandbox_agent.processes import restart
from sandbox_agent.processes.pump import Pump
from sandbox_agent.processes.stdin import InputPipe
from sandbox_agent.processes.terminal import Terminal
from sandbox_agent.supervisor import Exit, PipeReader, Size, SpawnFailed, TerminalReader
from sandbox_agent.tasks import spawn_task
from sandbox_agent.wire.processes import ProcessInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.processes.log import ProcessLog, Stream
    from sandbox_agent.supervisor import Child, Command, Supervisor
    from sandbox_agent.wire.processes import ProcessCreateRequest, ProcessOwner, ProcessUsage

LATE_S = 2.0
"""For how long after the exit followers are kept for what the process's children may still have to say."""
GRACE_S = 2.0
_END_OF_FILE = b"\x04"
_CANNOT_START = Exit(127, None)


class Process:
    """A process of the sandbox. ``exit`` is set once it has ended for good; its log and its record stay.

    A ``tty`` process has one descriptor for input and output, the terminal's.
    """

    def __init__(
        self,
        name: str,
        request: ProcessCreateRequest,
        command: Command,
        *,
        owner: ProcessOwner,
        session_id: str | None,
        supervisor: Supervisor,
        output: ProcessLog,
        pace: restart.Pace,
        on_end: Callable[[Process], None],
    ) -> None:
        self.id = name
        self.request = request
        self.owner = owner
        self.session_id = session_id
        self.log = output
        self.child: Child | None = None
        self.exit: Exit | None = None
        self.created_at_ms = time.time_ns() // 1_000_000
        self.exited_at_ms: int | None = None
        self.restarts = 0
        self.terminal = Terminal(output, Size(request.cols or 80, request.rows or 24)) if request.tty else None
        self._command = command
        self._supervisor = supervisor
        self._pace = pace
        self._on_end = on_end
        self._living: asyncio.Task[None] | None = None
        self._pump: Pump | None = None
        self._input: InputPipe | None = None
        self._stopping = False
        self._hurry = asyncio.Event()
        self._exited = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Process {self.id} {self.request.command} exit={self.exit}>"

    @property
    def tty(self) -> bool:
        return self.request.tty

    @property
    def running(self) -> bool:
        """Not ended for good; it may be waiting to be started again."""
        return self.exit is None

    @property
    def alive(self) -> bool:
        """Whether there is a process with a number at this moment."""
        return self.child is not None and self.child.exit is None

    def info(self, usage: ProcessUsage | None = None) -> ProcessInfo:
        request, ended = self.request, self.exit
        kept = request.restart_policy != "never"
        return ProcessInfo(
            id=self.id,
            command=request.command,
            args=request.args,
            cwd=request.cwd,
            tty=request.tty,
            interactive=request.interactive,
            owner=self.owner,
            session_id=self.session_id,
            status="running" if self.running else "exited",
            created_at_ms=self.created_at_ms,
            exited_at_ms=self.exited_at_ms,
            pid=self.child.pid if self.child is not None and self.child.exit is None else None,
            exit_code=ended.code if ended else None,
            signal=ended.signal if ended else None,
            cols=self.terminal.size.cols if self.terminal else None,
            rows=self.terminal.size.rows if self.terminal else None,
            restart_policy=request.restart_policy if kept else None,
            restarts=self.restarts if kept else None,
            usage=usage,
        )

    async def launch(self) -> None:
        """Start it. Raises SpawnFailed."""
        await self._spawn()
        self._living = spawn_task(self._live(), name=f"process {self.id}")

    async def wait(self) -> Exit:
        """Until it has ended for good. All it wrote itself is in its log then."""
        await self._exited.wait()
        if self.exit is None:
            raise RuntimeError("woken before the exit was known")
        return self.exit

    async def send(self, data: bytes, deadline: float) -> int:
        """Write to its input; the bytes written: all.

        Raises ``Timeout`` where it does not read within ``deadline`` seconds, ``Conflict`` where it no longer can.
        """
        if not self.alive or self._input is None:
            raise Conflict("process is not running", id=self.id)
        return await self._input.send(data, deadline)

    async def end_input(self, deadline: float) -> None:
        """Tell it that no more input comes. On a terminal that is a character, which a program may take as another."""
        if self.tty:
            await self.send(_END_OF_FILE, deadline)
        else:
            self._close_input()

    def _close_input(self) -> None:
        if self._input is not None and self.child is not None:
            self._input.close()
            self.child.close_stdin()

    async def stop(self, wait_s: float) -> None:
        """SIGTERM to its whole tree; returns when it has ended, or after ``wait_s`` seconds."""
        again = self._stopping
        self._stop()
        child = self.child
        if child is not None and child.exit is None:
            if again:
                child.signal(signal.SIGTERM)
            else:
                spawn_task(child.end(math.inf), name=f"stop {self.id}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self.wait()

    async def kill(self, wait_s: float) -> None:
        """SIGKILL to its whole tree; returns when that is gone, or after ``wait_s`` seconds."""
        ending = spawn_task(self.end(0), name=f"kill {self.id}")
        await asyncio.wait({ending}, timeout=wait_s)

    async def end(self, grace: float = GRACE_S) -> None:
        """End it, and what it left behind; returns when all of that is gone."""
        self._stop()
        if self.child is not None:
            await self.child.end(grace)
        await self.wait()
        if self._pump is not None:
            self._pump.drain()
            self._pump.close()
        if self._living is not None:
            await asyncio.shield(self._living)

    def _stop(self) -> None:
        self._stopping = True
        self._hurry.set()

    def resize(self, size: Size) -> None:
        """Change the size of its terminal. Raises ``Conflict`` where it has none."""
        if self.terminal is None:
            raise Conflict("process has no terminal", id=self.id)
        if not self.running:
            raise Conflict("process is not running", id=self.id)
        self.terminal.resize(size)
        if self.child is not None:
            self.child.resize(size)

    async def _spawn(self) -> None:
        if self.terminal is not None:
            child = await self._supervisor.spawn_on_terminal(self._command, owner=self.id, size=self.terminal.size)
            self._pump = Pump({child.stdout_fd: self.terminal.take}, TerminalReader)
        else:
            child = await self._supervisor.spawn(self._command, owner=self.id)
            outputs = {child.stdout_fd: partial(self._say, "stdout"), child.stderr_fd: partial(self._say, "stderr")}
            self._pump = Pump(outputs, PipeReader)
        self.child = child
        self._input = InputPipe(child.stdin_fd)

    def _say(self, stream: Stream, data: bytes) -> None:
        self.log.append(stream, data)

    async def _live(self) -> None:
        """From the first start to the end for good."""
        short = 0
        while True:
            began = time.monotonic()
            exit_ = await self._life()
            if self._stopping or not restart.wanted(self.request.restart_policy, exit_):
                break
            await self._clear()
            short = 0 if time.monotonic() - began >= self._pace.calm else short + 1
            if await self._pause(self._pace.pause(short)):
                break
            await self._restart()
        self.exit = exit_
        self.exited_at_ms = time.time_ns() // 1_000_000
        self._exited.set()
        await self._leave()

    async def _life(self) -> Exit:
        """One life, to its end; all the process itself wrote is in the log then."""
        child = self.child
        if child is None:
            return _CANNOT_START
        exit_ = await child.wait()
        if self._pump is not None:
            self._pump.drain()
        self._close_input()
        return exit_

    async def _pause(self, seconds: float) -> bool:
        """True when it is not to be started again after all."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        return self._stopping

    async def _restart(self) -> None:
        self.restarts += 1
        try:
            await self._spawn()
        except SpawnFailed as error:
            told = f"{error}\r\n".encode()
            if self.terminal is not None:
                self.terminal.take(told)
            else:
                self._say("stderr", told)

    async def _clear(self) -> None:
        """Before the next life: nothing is left of this one."""
        child, self.child = self.child, None
        if child is not None:
            await child.end(GRACE_S)
        await self._hear_out(child)

    async def _hear_out(self, child: Child | None) -> None:
        if self._pump is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LATE_S):
                    await self._pump.ended.wait()
            self._pump.close()
        if child is not None:
            child.close_fds()

    async def _leave(self) -> None:
        """After the end for good.

        What the process left running goes on, unless it was to be stopped, and is ended with its record or with the
        server. It may go on writing to the log, which is only not waited for any longer.
        """
        child, pump = self.child, self._pump
        if child is not None:
            rest = child.end(GRACE_S) if self._stopping else child.settle()
            spawn_task(rest, name=f"what {self.id} left behind")
        if pump is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LATE_S):
                    await pump.ended.wait()
        self.log.close()
        self._on_end(self)
        if self.terminal is not None:
            await self.terminal.end()
        if pump is not None and child is not None:
            await pump.ended.wait()
            pump.close()
            child.close_fds()
