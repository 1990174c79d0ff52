"""The programs a desktop is made of, each a managed process of owner `desktop`: started, watched, ended."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox_agent.problems import Problem
from sandbox_agent.wire.desktop import DesktopProcessInfo
from sandbox_agent.wire.processes import ProcessCreateRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox_agent.processes.process import Process
    from sandbox_agent.processes.service import Processes
    from sandbox_agent.wire.processes import ProcessOwner

OWNER: ProcessOwner = "desktop"
_GRACE = 2.0  # s between asking a program to end and killing it
_LAST_WORDS = 20  # entries of its log


@dataclass(frozen=True, slots=True)
class Program:
    """What is started: the words of a command, what is added to its environment, and its folder."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str | None = None


async def launch(processes: Processes, program: Program) -> Process:
    """A managed process of the desktop. Raises what ``Processes.start`` does."""
    command, *args = program.argv
    request = ProcessCreateRequest(command=command, args=tuple(args), env=dict(program.env), cwd=program.cwd)
    return await processes.start(request, owner=OWNER)


class Part:
    """One program of the desktop, by a name for people; it may be started several times, one after the other."""

    def __init__(self, name: str, processes: Processes) -> None:
        self.name = name
        self.started = False
        self.restarts = 0
        self.last_pid: int | None = None
        self._processes = processes
        self._process: Process | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int | None:
        return self.last_pid if self.running else None

    async def start(self, program: Program) -> None:
        """Start it; what the one before logged is forgotten, and what it left running ended."""
        self.started = True
        old, self._process = self._process, None
        if old is not None:
            with contextlib.suppress(Problem):  # somebody else deleted it
                await self._processes.delete(old.id)
        self._process = await launch(self._processes, program)
        self.last_pid = self._process.info().pid

    async def ended(self) -> None:
        """Until it has ended; at once when it was never started."""
        if self._process is not None:
            await self._process.wait()

    async def end(self) -> None:
        """End it and all it left running."""
        if self._process is not None:
            await self._process.end(_GRACE)

    async def last_words(self) -> str:
        """The end of its log."""
        if self._process is None:
            return ""
        log = self._process.log
        excerpt = await log.excerpt(after=await log.cursor(tail=_LAST_WORDS))
        said = b"".join(payload for segment in excerpt.segments for payload in segment.payloads)
        return said.decode(errors="replace").strip()

    def info(self) -> DesktopProcessInfo:
        return DesktopProcessInfo(
            name=self.name,
            running=self.running,
            pid=self.pid,
            process_id=self._process.id if self._process else None,
            restarts=self.restarts,
        )


async def end_all(processes: Processes, *, keep: Part | None = None) -> None:
    """End every process of the desktop but ``keep``, those that have ended and left something running too."""
    kept = keep.info().process_id if keep is not None else None
    await asyncio.gather(*(process.end(_GRACE) for process in processes.list(OWNER) if process.id != kept))
