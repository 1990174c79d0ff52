"""One child process and the tree that grows from it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from sandbox_agent.supervisor import proctree, pty
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping

    from sandbox_agent.supervisor.census import Census
    from sandbox_agent.supervisor.pty import Size, Spawned

log = logging.getLogger(__name__)

_PIDFD_SIGNAL_PROCESS_GROUP = 1 << 2  # pidfd_send_signal(2), Linux 6.9; atomic, so a fork bomb cannot outrun it
_HOLD = 32  # pidfds held at once while waiting for a tree, whatever its size
_RESCAN = 0.05  # s between looks at what does not die
_SETTLE = 0.25  # s that those who have just ended wait for each other, to share a look at the table
_HANG_UP = 0.3  # s that a terminal's programs have for an orderly end before it is hung up
_DOUBT = 2.0  # s for which somebody amid an exec, who may be of the tree, is waited for; it takes microseconds
_AGAIN = 0.002  # s until it is looked at again
_GIVE_UP = 10.0  # s of SIGKILL after which a process sits in the kernel and cannot be ended by anyone


@dataclass(frozen=True, slots=True)
class Command:
    """What to run; ``env`` is added to the allowed part of the server's environment.

    ``program`` is the one of ``argv`` that is a Python file as `forker` wants it, to be started at once where that
    works; what stands before it is its interpreter.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    program: str | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: exactly one of ``code`` and ``signal`` is set."""

    code: int | None
    signal: int | None

    @property
    def success(self) -> bool:
        return self.code == 0


@dataclass(slots=True)
class Pipes:
    """The server's ends of a child's standard streams, or the child's; -1 where there is none.

    A terminal is both input and output, and stays open until both are closed.
    """

    stdin: int = -1
    stdout: int = -1
    stderr: int = -1

    def __iter__(self) -> Iterator[int]:
        """Those there are."""
        return (fd for fd in (self.stdin, self.stdout, self.stderr) if fd >= 0)

    def close(self) -> None:
        for fd in self:
            os.close(fd)


def _strike_all(dead: list[proctree.Process], orders: list[tuple[proctree.Process, int]]) -> list[int]:
    """Reap some, signal others (0: only look); pidfds of a few of these."""
    for row in dead:
        proctree.reap(row.pid)
    held: list[int] = []
    for row, signum in orders:
        fd = proctree.strike(row, signum) if signum or len(held) < _HOLD else None
        if fd is not None and len(held) < _HOLD:
            held.append(fd)
        elif fd is not None:
            os.close(fd)
    return held


async def _departure(pidfds: list[int]) -> None:
    """Until all these processes have ended; closes the descriptors."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    waiting = set(pidfds)

    def ended(fd: int) -> None:
        loop.remove_reader(fd)
        waiting.discard(fd)
        if not waiting:
            gone.set()

    for fd in pidfds:
        loop.add_reader(fd, ended, fd)
    try:
        await gone.wait()
    finally:
        for fd in pidfds:
            loop.remove_reader(fd)
            os.close(fd)


class Child:
    """A running process, leader of its own session and group.

    Its number stays taken (it is not reaped) until `end` has seen the whole tree go, so neither the number nor the
    group's can come to mean somebody else. Who starts a child ends it, also after it exited by itself.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes] | Spawned,
        pipes: Pipes,
        *,
        owner: str,
        token: str,
        census: Census,
        on_gone: Callable[[Child], None],
    ) -> None:
        self.pid = process.pid
        self.owner = owner
        self.exit: Exit | None = None
        self._process = process
        self._pipes = pipes
        self._terminal = pipes.stdin == pipes.stdout >= 0
        self.token = token.encode()
        self._census = census
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(process.pid)
        self._exited = asyncio.Event()
        self._stir = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._gone = False
        self._kill_at = 0.0
        self._loop.add_reader(self._pidfd, self._note_exit)

    def __repr__(self) -> str:
        return f"<Child {self.owner} pid={self.pid} exit={self.exit}>"

    @cached_property
    def start(self) -> int:
        """In clock ticks since boot; known until it is reaped."""
        row = proctree.look(self.pid)
        return row.start if row else 0

    @property
    def stdin_fd(self) -> int:
        return self._pipes.stdin

    @property
    def stdout_fd(self) -> int:
        return self._pipes.stdout

    @property
    def stderr_fd(self) -> int:
        return self._pipes.stderr

    @property
    def terminal(self) -> bool:
        """Whether it runs on a terminal of its own."""
        return self._terminal

    def resize(self, size: Size) -> None:
        """Change the size of its terminal. Nothing happens when that is closed."""
        if self._terminal and self._pipes.stdout >= 0:
            pty.resize(self._pipes.stdout, size)

    def close_stdin(self) -> None:
        if self._pipes.stdin >= 0 and not self.terminal:
            os.close(self._pipes.stdin)
        self._pipes.stdin = -1

    def close_fds(self) -> None:
        """Close our ends of the pipes; readers and writers on them must be closed before."""
        self.close_stdin()
        for fd in (self._pipes.stdout, self._pipes.stderr):
            if fd >= 0:
                os.close(fd)
        self._pipes.stdout = self._pipes.stderr = -1

    async def wait(self) -> Exit:
        """Until the process itself has ended. What it wrote last is then in its pipes; its tree may go on."""
        await self._exited.wait()
        if self.exit is None:
            raise RuntimeError("woken before the exit was known")
        return self.exit

    def signal(self, signum: int) -> None:
        """Signal the process alone; nothing happens when it has ended."""
        if self.exit is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signum)

    async def end(self, grace: float = 2.0) -> Exit:
        """SIGTERM to the whole tree and, ``grace`` seconds later, SIGKILL; returns when the whole tree is gone.

        Safe to call again and from several places at once: the shortest grace counts. A caller that is cancelled
        leaves the ending to go on.
        """
        kill_at = self._loop.time() + grace
        if self._gone:
            return await self.wait()
        if self._ending is None:
            self._kill_at = kill_at
            self._ending = spawn_task(self._end(), name=f"end {self.owner}")
        elif kill_at < self._kill_at:
            self._kill_at = kill_at
            self._stir.set()
        await asyncio.shield(self._ending)
        return await self.wait()

    async def settle(self) -> None:
        """Wait, ending nothing, until the process has ended and all that it started; `end` may come in between."""
        await self.wait()
        known: set[tuple[int, int]] = set()
        clean, wanted = 0, 1
        while clean < wanted:
            await asyncio.sleep(_SETTLE)
            if self._ending is not None or self._gone:
                return
            rows = await self._census.take()
            members = proctree.tree(rows, self.token, known, self.pid)
            if self._ending is not None or self._gone:
                return
            others = [(row, 0) for row in members if row.pid != self.pid and not row.dead]
            clean = 0 if others or proctree.doubtful(rows, members, self.start) else clean + 1
            if others:
                wanted = 2
                held = await self._loop.run_in_executor(self._census.executor, _strike_all, [], others)
                await (_departure(held) if held else asyncio.sleep(_GIVE_UP))  # not ours to watch: look again
        self._reap()

    def _note_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        try:
            status = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            status = None
        if status is None:
            log.warning("exit of process %d was taken by somebody else", self.pid)
            self.exit = Exit(255, None)
        elif status.si_code == os.CLD_EXITED:
            self.exit = Exit(status.si_status, None)
        else:
            self.exit = Exit(None, status.si_status)
        self._exited.set()
        self._stir.set()

    def _hang_up(self) -> None:
        """A shell at work in a terminal does not heed SIGTERM."""
        if self.exit is None:
            self._send_group(signal.SIGHUP)

    def _send_group(self, signum: int) -> None:
        try:
            signal.pidfd_send_signal(self._pidfd, signum, None, _PIDFD_SIGNAL_PROCESS_GROUP)
        except OSError:
            # a kernel before 6.9 knows no groups here: the leader now, the others when the table is searched
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._pidfd, signum)

    async def _end(self) -> None:
        known: set[tuple[int, int]] = set()
        asked: set[tuple[int, int]] = set()
        clean, wanted, doubted = 0, 1, 0.0
        while clean < wanted:
            done = self.exit is not None
            rows = await self._census.take()
            members = proctree.tree(rows, self.token, known, self.pid)
            killing = self._loop.time() >= self._kill_at
            if killing or not asked:
                self._send_group(signal.SIGKILL if killing else signal.SIGTERM)
                if self._terminal and not killing:
                    self._loop.call_later(_HANG_UP, self._hang_up)
            alive = await self._strike(members, killing=killing, asked=asked)
            if done and not alive:
                doubted = doubted or self._loop.time()
                if proctree.doubtful(rows, members, self.start) and self._loop.time() < doubted + _DOUBT:
                    await asyncio.sleep(_AGAIN)
                else:
                    clean += 1
                continue
            if self._loop.time() > self._kill_at + _GIVE_UP:
                log.error("tree of %s (pid %d) does not die", self.owner, self.pid)
                break
            # one look may miss what forks while the table is read: where there was more than the leader, look twice
            wanted = 2 if alive else wanted
        self._reap()

    async def _strike(self, members: list[proctree.Process], *, killing: bool, asked: set[tuple[int, int]]) -> int:
        """Signal all of the tree but its leader, reap what fell to us, wait a while; how many had to be waited for."""
        others = [row for row in members if row.pid != self.pid]
        dead = [row for row in others if row.dead and row.ppid == os.getpid()]  # we are PID 1, or a subreaper
        alive = [row for row in others if not row.dead]
        signum = signal.SIGKILL if killing else signal.SIGTERM
        orders = [(row, signum if killing or (row.pid, row.start) not in asked else 0) for row in alive]
        asked.update((row.pid, row.start) for row in members)
        held: list[int] = []
        if dead or orders:
            held = await self._loop.run_in_executor(self._census.executor, _strike_all, dead, orders)
        if self.exit is None or held:
            await self._stirred(held, _RESCAN if killing else self._kill_at - self._loop.time())
        elif alive:
            await asyncio.sleep(_RESCAN)  # no pidfd to be had: not ours to signal, or too many open
        return len(alive) + len(dead)

    async def _stirred(self, pidfds: list[int], limit: float) -> None:
        """Until all these processes and the leader have ended, somebody is in more of a hurry, or time is up."""
        waiting = set(pidfds)

        def ended(fd: int) -> None:
            self._loop.remove_reader(fd)
            waiting.discard(fd)
            if not waiting and self.exit is not None:
                self._stir.set()

        for fd in pidfds:
            self._loop.add_reader(fd, ended, fd)
        try:
            async with asyncio.timeout(max(limit, 0)):
                while not self._stir.is_set() and (waiting or self.exit is None):
                    await self._stir.wait()
        except TimeoutError:
            pass
        finally:
            self._stir.clear()
            for fd in pidfds:
                self._loop.remove_reader(fd)
                os.close(fd)

    def _reap(self) -> None:
        self._gone = True
        if self.exit is None:
            self._loop.remove_reader(self._pidfd)
            self.exit = Exit(None, signal.SIGKILL)
            self._exited.set()
        proctree.reap(self.pid)
        code, signum = self.exit.code, self.exit.signal
        self._process.returncode = code if code is not None else -(signum or 0)
        os.close(self._pidfd)
        self._on_gone(self)
