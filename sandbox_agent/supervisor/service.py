"""The one that starts every child process."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import logging
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox_agent.problems import SandboxAgentError
from sandbox_agent.supervisor import descriptors, proctree, pty
from sandbox_agent.supervisor.census import Census
from sandbox_agent.supervisor.child import Child, Pipes
from sandbox_agent.supervisor.environment import DEFAULT_ALLOWED, MARKER, child_environment
from sandbox_agent.supervisor.forkserver import ForkServer
from sandbox_agent.supervisor.usage import measure
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from sandbox_agent.supervisor.child import Command
    from sandbox_agent.supervisor.pty import Size, Spawned
    from sandbox_agent.supervisor.usage import Usage

    _How: TypeAlias = Callable[[Command, Mapping[str, str], Pipes], subprocess.Popen[bytes] | Spawned]

log = logging.getLogger(__name__)

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_PIPE_SIZE = 1 << 20
_LARGE_PIPES = 32  # a user without privilege may have 64 MiB in pipes, then gets the smallest (pipe(7))
_SWEEP_EVERY = 1.0
_GIVE_UP = 2.0
_KEEPER = str(Path(proctree.__file__))


class SpawnFailed(SandboxAgentError):
    """The program could not be started; ``error`` is the operating system's."""

    def __init__(self, command: Command, error: OSError) -> None:
        super().__init__(f"cannot start {command.argv[0]}: {error.strerror or error}")
        self.command = command
        self.error = error


def _execute(command: Command, env: Mapping[str, str], streams: Pipes) -> subprocess.Popen[bytes]:
    """The usual way: vfork and exec, well under a millisecond."""
    return subprocess.Popen(  # noqa: S603  # no shell
        command.argv,
        stdin=streams.stdin if streams.stdin >= 0 else subprocess.DEVNULL,
        stdout=streams.stdout,
        stderr=streams.stderr if streams.stderr >= 0 else subprocess.DEVNULL,
        cwd=command.cwd,
        env=env,
        start_new_session=True,
    )


def _be_subreaper(*, wanted: bool) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)


class Supervisor:
    """Starts children, knows them all, and leaves none behind: not at `stop`, nor when the server is killed.

    ``adopt_orphans`` is for a process of our own (not inside Jupyter): daemons of children become children of the
    server then, are reaped when they end, and end with it.
    """

    def __init__(self, *, allow_env: Sequence[str] = DEFAULT_ALLOWED, adopt_orphans: bool = False) -> None:
        self._allow = tuple(allow_env)
        self._adopt = adopt_orphans
        self._instance = secrets.token_hex(8)
        self._spawned = 0
        self._children: dict[int, Child] = {}
        self._census = Census(lambda: min((child.start for child in self._children.values()), default=0))
        self._keeper: subprocess.Popen[bytes] | None = None
        self._forks = ForkServer()
        self._sweeper: asyncio.Task[None] | None = None
        self._stopped = False

    async def start(self) -> None:
        if self._adopt:
            _be_subreaper(wanted=True)
        if self._adopt or os.getpid() == 1:
            self._sweeper = spawn_task(self._sweep_orphans(), name="reap orphans")

    async def stop(self, grace: float = 2.0) -> None:
        """End every child's tree; nothing can be spawned afterwards."""
        if self._stopped:
            return
        self._stopped = True
        await asyncio.gather(*(child.end(grace) for child in self.children()))
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._adopt:
            await asyncio.get_running_loop().run_in_executor(self._census.executor, self._end_orphans)
            _be_subreaper(wanted=False)
        await self._forks.stop()
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()  # it looks once more whether all are gone, and ends
            await asyncio.get_running_loop().run_in_executor(self._census.executor, self._keeper.wait)
        self._census.executor.shutdown(wait=False)

    def children(self) -> list[Child]:
        return list(self._children.values())

    async def usage(self, children: Sequence[Child]) -> list[Usage]:
        """What each of these and its tree use now."""
        rows = await self._census.take()
        trees = [(child.token, child.pid) for child in children]
        return await asyncio.get_running_loop().run_in_executor(self._census.executor, measure, rows, trees)

    async def spawn(self, command: Command, *, owner: str, stdin: bool = True, stderr: bool = True) -> Child:
        """Start a program on pipes of its own. ``owner`` says in lists and logs what it is for.

        Raises SpawnFailed when it cannot be executed.
        """
        if stdin and stderr and command.program is not None:
            fresh = child_environment(os.environ, self._allow, {}, f"{self._instance}.0/")
            if await self._forks.ready(command, fresh):
                with contextlib.suppress(SpawnFailed):  # the usual way goes, or tells what is wrong
                    return self._start(command, owner, self._forks.fork)
        return self._start(command, owner, _execute, stdin=stdin, stderr=stderr)

    def _start(self, command: Command, owner: str, how: _How, *, stdin: bool = True, stderr: bool = True) -> Child:
        token = self._token(command)
        ours, theirs = Pipes(), Pipes()
        try:
            if stdin:
                theirs.stdin, ours.stdin = os.pipe2(os.O_CLOEXEC)
            ours.stdout, theirs.stdout = self._output_pipe()
            if stderr:
                ours.stderr, theirs.stderr = os.pipe2(os.O_CLOEXEC)
            env = child_environment(os.environ, self._allow, command.env, token)
            process = how(command, env, theirs)
        except OSError as error:
            ours.close()
            raise SpawnFailed(command, error) from error
        finally:
            theirs.close()
        for fd in ours:
            os.set_blocking(fd, False)
        return self._adopted(process, ours, owner, token)

    async def spawn_on_terminal(self, command: Command, *, owner: str, size: Size) -> Child:
        """Start a program on a terminal of its own; one descriptor is its input and output. Raises SpawnFailed."""
        token = self._token(command)
        ours = theirs = -1
        try:
            ours, theirs = pty.open_terminal(size)
            env = child_environment(os.environ, self._allow, command.env, token)
            process = pty.spawn(command.argv, theirs, env, command.cwd)
        except OSError as error:
            if ours >= 0:
                os.close(ours)
            raise SpawnFailed(command, error) from error
        finally:
            if theirs >= 0:
                os.close(theirs)
        return self._adopted(process, Pipes(ours, ours), owner, token)

    def _token(self, command: Command) -> str:
        """What marks the next spawn and all that descends from it. Raises SpawnFailed once stopped."""
        if self._stopped:
            raise SpawnFailed(command, OSError("the supervisor has stopped"))
        self._keep()
        self._spawned += 1
        return f"{self._instance}.{self._spawned}/"

    def _adopted(self, process: subprocess.Popen[bytes] | Spawned, pipes: Pipes, owner: str, token: str) -> Child:
        descriptors.give_usual(process.pid)
        child = Child(process, pipes, owner=owner, token=token, census=self._census, on_gone=self._forget)
        self._children[child.pid] = child
        return child

    def _output_pipe(self) -> tuple[int, int]:
        read, write = os.pipe2(os.O_CLOEXEC)
        if len(self._children) < _LARGE_PIPES:
            try:
                fcntl.fcntl(read, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
            except OSError:
                log.debug("pipes stay small on this system")
        return read, write

    def _forget(self, child: Child) -> None:
        self._children.pop(child.pid, None)

    def _keep(self) -> None:
        """Have a keeper: it outlives a SIGKILL of the server and ends what carries our marker."""
        if self._keeper is not None and self._keeper.poll() is None:
            return
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()
        try:
            self._keeper = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", _KEEPER, self._instance + "."],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={name: os.environ[name] for name in (MARKER, "LD_LIBRARY_PATH") if name in os.environ},
                start_new_session=True,
            )
        except OSError as error:
            log.warning("agents will outlive a killed server: no keeper could be started (%s)", error)

    async def _sweep_orphans(self) -> None:
        """Reap what was re-parented to us and died by itself; nobody else will (we are its subreaper, or PID 1)."""
        suspects: set[tuple[int, int]] = set()
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            suspects = await loop.run_in_executor(self._census.executor, self._reap_orphans, suspects)

    def _orphans(self) -> list[proctree.Process]:
        """Children of this process that no part of the server started: not our spawns, nor in our session.

        A program started elsewhere in the server stays in its session and is left to its starter.
        """
        known = {self._keeper.pid if self._keeper else 0, self._forks.pid, *list(self._children)}
        session = os.getsid(0)
        rows = (proctree.look(pid) for pid in proctree.children_of_self() if pid not in known)
        return [row for row in rows if row is not None and row.sid != session]

    def _reap_orphans(self, suspects: set[tuple[int, int]]) -> set[tuple[int, int]]:
        """Reap the dead that were dead at the last look already, which a starter of its own would have done."""
        dead = {(row.pid, row.start): row for row in self._orphans() if row.dead}
        for name, row in dead.items():
            if name in suspects or (not self._adopt and row.sid in self._children):
                proctree.reap(row.pid)
        return set(dead)

    def _end_orphans(self) -> None:
        """What children left behind goes too; whose parent goes falls to us and is found at the next look."""
        give_up = time.monotonic() + _GIVE_UP
        while (orphans := self._orphans()) and time.monotonic() < give_up:
            for row in orphans:
                if not row.dead and (fd := proctree.strike(row, signal.SIGKILL)) is not None:
                    select.select([fd], [], [], _GIVE_UP)
                    os.close(fd)
                proctree.reap(row.pid)
