"""The server's side of a ready interpreter: programs of ours start without the milliseconds that Python's start takes.

See `forker` for what it is and where it works. It is started with the first program that could use it, ends with the
server however that ends, and is never needed: whoever gets an OSError from it starts the program the usual way.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox_agent.supervisor import forker
from sandbox_agent.supervisor.pty import Spawned
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sandbox_agent.supervisor.child import Command

log = logging.getLogger(__name__)

_FORKER = str(Path(forker.__file__))
_START = 5.0  # s that it may take to be ready
_PATIENCE = 2.0  # s for one fork, which takes a fraction of a millisecond
_READ_AT_START = ("LANG", "LC_", "LD_", "TZ", "MALLOC_", "GLIBC_")
"""Beginnings of variables which the C library or Python read once: a fork has those of the interpreter."""


class ForkServer:
    """One interpreter, started when it is first wanted and again after it has ended."""

    def __init__(self) -> None:
        self._interpreter: tuple[str, ...] = ()
        self._settings: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._starting: asyncio.Task[None] | None = None
        self._works = True
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def ready(self, command: Command, env: Mapping[str, str]) -> bool:
        """Whether there is one; it is started for the command's interpreter and in ``env`` if need be."""
        if self._control is None and self._starting is None and self._works:
            interpreter = command.argv[: command.argv.index(command.program or "")]
            self._starting = spawn_task(self._start(interpreter, env), name="start the fork server")
        if self._starting is not None:
            await asyncio.shield(self._starting)
        return self._control is not None

    def fork(self, command: Command, env: Mapping[str, str], streams: Iterable[int]) -> Spawned:
        """Start a program on these three descriptors. Raises OSError where that is no matter of forking.

        Like a vfork it blocks until the child is there.
        """
        if self._control is None or command.program is None:
            raise OSError(errno.ESRCH, "there is no fork server")
        at = command.argv.index(command.program)
        if command.argv[:at] != self._interpreter or _settings(env) != self._settings:
            raise OSError(errno.ENOTSUP, "an interpreter of its own is needed")
        words = [command.program, command.cwd or os.getcwd(), str(len(command.argv)), *command.argv]  # noqa: PTH109
        request = b"".join(os.fsencode(word) + b"\0" for word in (*words, *(f"{n}={v}" for n, v in env.items())))
        if len(request) > forker.ROOM or request.count(b"\0") != len(words) + len(env):
            raise OSError(errno.E2BIG, "not to be told to a fork server")
        try:
            socket.send_fds(self._control, [request], list(streams))
            pid = _number(self._control.recv(16))
        except OSError:
            self._discard()
            raise
        if pid is None:
            self._discard()
            raise OSError(errno.ESRCH, "the fork server has ended")
        if not pid:
            raise OSError(errno.ENOENT, "no such working directory")
        self._works = True
        return Spawned(pid)

    async def stop(self) -> None:
        """End it. What it made goes on."""
        if self._process is not None:
            self._process.kill()
        if self._starting is not None:
            await asyncio.shield(self._starting)
        self._discard()
        await asyncio.gather(*self._ending)

    async def _start(self, interpreter: Sequence[str], env: Mapping[str, str]) -> None:
        self._works = False  # until it has made a child
        answer = b""
        with contextlib.suppress(OSError):
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(  # noqa: ASYNC220, S603 -- as any child
                    [*interpreter, _FORKER],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env=env,
                    start_new_session=True,
                )
            self._control.setblocking(False)
            async with asyncio.timeout(_START):
                answer = await asyncio.get_running_loop().sock_recv(self._control, 16)
            self._control.settimeout(_PATIENCE)
        self._interpreter, self._settings, self._starting = tuple(interpreter), _settings(env), None
        if not answer:
            log.info("programs are started without a fork server: none works here")
            self._discard()

    def _discard(self) -> None:
        """Have no fork server any more."""
        process, control = self._process, self._control
        self._process = self._control = None
        if control is not None:
            task = spawn_task(asyncio.to_thread(_bury, process, control), name="end the fork server")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


def _settings(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_READ_AT_START)}


def _number(answer: bytes) -> int | None:
    return int(answer) if answer.isdigit() else None


def _bury(process: subprocess.Popen[bytes] | None, control: socket.socket) -> None:
    """End it, and what it made last if nobody has heard of that."""
    if process is not None:
        process.kill()
        process.wait()
    with control, contextlib.suppress(OSError):
        control.setblocking(False)
        if child := _number(control.recv(16)):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
