"""Starts an Xvfb on a free display and waits until it says that it is ready."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from sandbox_agent.desktop import authority, displays, home
from sandbox_agent.desktop.parts import Program
from sandbox_agent.desktop.waiting import first
from sandbox_agent.problems import DesktopRuntimeFailed
from sandbox_agent.supervisor import PipeReader

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sandbox_agent.desktop.home import Home
    from sandbox_agent.desktop.options import Screen
    from sandbox_agent.desktop.parts import Part

_READY = "ready"
_TAKEN = "already running"
_TOLD_FD = 3
# The server closes the descriptor it was told to report on and may give its number to a client next, so this is none
# of the standard streams.
_SHELL = f'exec {_TOLD_FD}>"$0" && exec "$@"'


def arguments(number: int, screen: Screen, cookie: Path) -> tuple[str, ...]:
    """The command line: no network, no screen saver, no power saving, no bell, this user's programs only.

    The keymap is the server's own, US, as no other is given.
    """
    size = f"{screen.width}x{screen.height}x24"
    quiet = ("-s", "0", "-dpms", "-f", "0", "-c")
    fair = ("-schedInterval", "1")  # ms that a program that draws all the time may have before others get their turn
    access = ("-nolisten", "tcp", "-auth", str(cookie))
    return ("Xvfb", f":{number}", "-screen", "0", size, "-dpi", str(screen.dpi), "-noreset", *quiet, *fair, *access)


async def start(part: Part, screen: Screen, state: Path, numbers: Iterable[int]) -> tuple[int, Home]:
    """Start ``part`` on the first of ``numbers`` that is free; which it was, and its folders.

    Raises ``DesktopRuntimeFailed`` when none is free, naming who has them, and when the server ends at its start.
    """
    refused: list[str] = []
    for number in numbers:
        why = await asyncio.to_thread(displays.claim, number)
        if why is None:
            place = await _start_on(part, screen, state, number)
            if place is not None:
                return number, place
            why = "a server without a lock has its socket"
        refused.append(f":{number} ({why})")
    raise DesktopRuntimeFailed(f"no display is free: {', '.join(refused)}", hint="give another displayNum")


async def _start_on(part: Part, screen: Screen, state: Path, number: int) -> Home | None:
    """Start it on a display whose lock is ours; None where somebody else listens there all the same."""
    ready = False
    place: Home | None = None
    try:
        place = await asyncio.to_thread(_prepare, state, number)
        ready = await _ready(part, number, screen, place)
        said = "" if ready else await part.last_words()
        if ready and part.last_pid is not None:
            displays.hand_over(number, part.last_pid)
        elif _TAKEN not in said:
            raise DesktopRuntimeFailed(f"Xvfb ended at its start: {said or 'it said nothing'}")
    finally:
        if not ready:
            await part.end()
            displays.release(number)
            if place is not None:
                place.remove_runtime()
    return place if ready else None


def _prepare(state: Path, number: int) -> Home:
    place = home.prepare(state, number)
    authority.write(place.authority, number)
    os.mkfifo(place.runtime / _READY, 0o600)
    return place


async def _ready(part: Part, number: int, screen: Screen, place: Home) -> bool:
    """Start it; whether it has become ready rather than ended."""
    fifo = place.runtime / _READY
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    said = bytearray()
    over = asyncio.Event()

    def hear(data: bytes) -> None:
        said.extend(data)
        if said.endswith(b"\n"):  # not before: it ends when it cannot tell all of it
            over.set()

    reader = PipeReader(fd, hear, over.set)
    try:
        command = (*arguments(number, screen, place.authority), "-displayfd", str(_TOLD_FD))
        await part.start(Program(("/bin/sh", "-c", _SHELL, str(fifo), *command), {}))
        await first(over.wait(), part.ended())
        return said.endswith(b"\n") and part.running
    finally:
        reader.close()
        os.close(fd)
        fifo.unlink()
