"""One desktop while it runs: its X server, window manager, message bus and connection, mended when one of them dies."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import shutil
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from sandbox_agent.desktop import displays, xserver
from sandbox_agent.desktop.a11y import launcher
from sandbox_agent.desktop.parts import Part, Program, end_all
from sandbox_agent.desktop.waiting import first
from sandbox_agent.problems import DesktopRuntimeFailed, Problem
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    from sandbox_agent.desktop.home import Home
    from sandbox_agent.desktop.options import Screen
    from sandbox_agent.desktop.x11.desktop import X11
    from sandbox_agent.processes.service import Processes
    from sandbox_agent.wire.desktop import DesktopProcessInfo

log = logging.getLogger(__name__)

PROBES = 10
"""Displays that are tried."""
_CONNECT = 5.0  # s for a connection to a server that says it is ready
_SETTLED = 0.5  # s after the start
_MANAGE = 10.0  # s for a window manager to manage
_MOST_MENDS, _MEND_SPAN = 5, 60.0  # s; what dies more often is not started again
_LAST_BREATH = 0.5  # s between the end of a connection and the end of its server, when that is why


def _load() -> None:
    importlib.import_module("sandbox_agent.desktop.manager")
    importlib.import_module("sandbox_agent.desktop.x11.desktop")


def _load_video() -> None:
    if importlib.util.find_spec("av"):
        importlib.import_module("sandbox_agent.desktop.video")


async def _prepare_video() -> None:
    """After the start, and before somebody watches: loading holds up all else for 20 ms."""
    await asyncio.sleep(_SETTLED)
    await asyncio.to_thread(_load_video)


class _TooOften(DesktopRuntimeFailed):
    """Parts end as fast as they are started."""


class Runtime:
    """Started once, stopped once. Dead parts are started again while it is active.

    ``on_change`` is told each time the connection is another one, or none for a while (``screen`` is None then);
    ``on_failure`` once, when a part dies too often or does not come back: nothing but `stop` is left to do then.
    """

    def __init__(
        self,
        processes: Processes,
        *,
        screen: Screen,
        state: Path,
        first_display: int,
        environ: Mapping[str, str],
        on_change: Callable[[], None],
        on_failure: Callable[[Problem], None],
    ) -> None:
        self.processes = processes
        self.geometry = screen
        self.screen: X11 | None = None
        self._connection: X11 | None = None  # also one that is not in use yet
        self.number = first_display
        self.server = Part("Xvfb", processes)
        self.manager = Part("openbox", processes)
        self.bus = Part("dbus-daemon", processes)
        self.a11y = Part("accessibility", processes)
        self._autostart = Part("autostart", processes)
        self._state = state
        self._place: Home | None = None
        self.with_bus = shutil.which("dbus-daemon", path=environ.get("PATH")) is not None
        self.a11y_launcher = launcher.find(environ)
        self._on_change = on_change
        self._on_failure = on_failure
        self._mends: deque[float] = deque(maxlen=_MOST_MENDS)
        self._watcher: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """For ``DISPLAY``."""
        return f":{self.number}"

    @property
    def connected(self) -> bool:
        return self.screen is not None and not self.screen.ended.is_set()

    @property
    def place(self) -> Home:
        """Its folders. Raises ``DesktopRuntimeFailed`` before there are any."""
        if self._place is None:
            raise DesktopRuntimeFailed("the desktop has no folders yet")
        return self._place

    def environment(self) -> dict[str, str]:
        """What a program of the desktop gets beside the allowed part of the server's environment."""
        bus = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.place.bus}"} if self.with_bus else {}
        a11y = launcher.ENVIRONMENT if self.with_bus and self.a11y_launcher else {}
        return self.place.environment(self.name) | bus | a11y

    def parts(self) -> list[DesktopProcessInfo]:
        parts = [self.server, self.manager, *([self.bus] if self.with_bus else []), self.a11y]
        return [part.info() for part in parts if part.started]

    async def start(self) -> None:
        """Returns when windows are managed. Raises ``DesktopRuntimeFailed`` or ``Timeout``; then `stop` it."""
        await self._start_all(range(self.number, self.number + PROBES))
        self._watcher = spawn_task(self._watch(), name="watch the desktop")
        if self.place.autostart.is_file():
            await self._autostart.start(self._program("/bin/sh", str(self.place.autostart)))
        self._preparing = spawn_task(_prepare_video(), name="import what makes videos")

    async def stop(self) -> None:
        """End everything: programs first, so that they lose no display they still save something with."""
        for task in (self._watcher, self._preparing):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await self._disconnect()
        await end_all(self.processes, keep=self.server)
        await self.server.end()
        await asyncio.to_thread(self._clear)

    def _clear(self) -> None:
        displays.release(self.number, self.server.last_pid)
        if self._place is not None:
            self._place.remove_runtime()

    # -- starting -------------------------------------------------------------------------------------------------

    async def _start_all(self, numbers: Sequence[int]) -> None:
        loading = spawn_task(asyncio.to_thread(_load), name="import what speaks X")  # takes as long as the server
        self.number, self._place = await xserver.start(self.server, self.geometry, self._state, numbers)
        await loading
        starts = (self._start_bus(), self._start_manager(), self._connect())
        for failure in await asyncio.gather(*starts, return_exceptions=True):
            if failure is not None:
                raise failure
        self._use_screen()

    async def _connect(self) -> None:
        from sandbox_agent.desktop.x11.desktop import X11  # noqa: PLC0415 - needs the extra `desktop`

        await self._disconnect()
        self._connection = await X11.open(self.name, self.place.authority, deadline=_CONNECT)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:  # it is closed once and whole, whoever waits for that
            await asyncio.shield(spawn_task(connection.close(), name="leave the display"))

    def _use_screen(self) -> None:
        self.screen = self._connection
        self._on_change()

    async def _start_bus(self) -> None:
        if self.with_bus:
            if self.a11y_launcher is not None:
                launcher.offer(self.place.runtime, self.a11y_launcher)
            address = f"--address=unix:path={self.place.bus}"
            self.place.bus.unlink(missing_ok=True)
            await self.bus.start(self._program("dbus-daemon", "--session", "--nofork", "--nopidfile", address))

    async def _start_manager(self) -> None:
        from sandbox_agent.desktop.manager import managed  # noqa: PLC0415 - needs the extra `desktop`

        await self.manager.start(self._program("openbox", "--sm-disable"))
        ready = spawn_task(managed(self.name, self.place.authority, _MANAGE), name="wait for the window manager")
        try:
            await first(asyncio.wait([ready]), self.manager.ended())
            if not ready.done():
                raise DesktopRuntimeFailed(f"openbox ended at its start: {await self.manager.last_words()}")
            ready.result()
        finally:
            ready.cancel()

    def _program(self, *argv: str) -> Program:
        return Program(argv, self.environment(), str(self.place.home))

    # -- mending --------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        try:
            while True:
                await self._one_ends()
                try:
                    await self._mend()
                except _TooOften:
                    raise
                except Problem as problem:  # one died again while it was being mended: that counts, too
                    log.warning("a part of the desktop could not be started again: %s", problem)
        except _TooOften as problem:
            log.warning("the desktop cannot go on: %s", problem)
            self.screen = None
            self._on_failure(problem)

    async def _one_ends(self) -> None:
        if self.screen is None:  # not mended yet
            return
        waits: list[Coroutine[Any, Any, object]] = [self.server.ended(), self.manager.ended()]
        if self.with_bus:
            waits.append(self.bus.ended())
        await first(*waits, self.screen.ended.wait())

    async def _mend(self) -> None:
        if self.screen is not None and self.screen.ended.is_set():
            await self._server_dies()
        if not self.server.running:
            await self._mend_server()
            return
        if self.screen is None or self.screen.ended.is_set():
            self._count("the connection to the display")
            self._lose_screen()
            await self._connect()
            self._use_screen()
        if not self.manager.running:
            self._count("openbox", self.manager)
            await self._start_manager()
        if self.with_bus and not self.bus.running:
            self._count("dbus-daemon", self.bus)
            await self._start_bus()

    async def _server_dies(self) -> None:
        """A connection ends a moment before the server it was to; wait whether that is why."""
        try:
            async with asyncio.timeout(_LAST_BREATH):
                await self.server.ended()
        except TimeoutError:
            log.info("the connection to the display ended, the display goes on")

    async def _mend_server(self) -> None:
        """The server and all that lived on it; on the same display if that can be."""
        self._count("Xvfb", self.server)
        self._lose_screen()
        await asyncio.gather(self.manager.end(), self.bus.end(), self.a11y.end())
        await asyncio.to_thread(self._clear)
        numbers = [self.number, *(n for n in range(self.number + 1, self.number + PROBES))]
        await self._start_all(numbers)

    def _lose_screen(self) -> None:
        self.screen = None
        self._on_change()

    def _count(self, what: str, part: Part | None = None) -> None:
        """Note a mend. Raises ``DesktopRuntimeFailed`` when there have been too many lately."""
        now = time.monotonic()
        if len(self._mends) == _MOST_MENDS and now - self._mends[0] < _MEND_SPAN:
            raise _TooOften(f"{what} ended, the last of {_MOST_MENDS + 1} faults within {_MEND_SPAN:g} s")
        self._mends.append(now)
        if part is not None:
            part.restarts += 1
        log.warning("%s of the desktop ended and is started again", what)
