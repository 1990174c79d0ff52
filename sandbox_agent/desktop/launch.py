"""Starts programs on the desktop, and opens files and addresses with the program for them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox_agent.desktop.parts import Program, launch
from sandbox_agent.desktop.waiting import first
from sandbox_agent.problems import AppNotFound, DesktopInvalidAction
from sandbox_agent.wire.desktop import DesktopLaunchResponse, DesktopOpenResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox_agent.desktop.service import Desktop
    from sandbox_agent.processes.process import Process
    from sandbox_agent.processes.service import Processes
    from sandbox_agent.wire.desktop import DesktopLaunchRequest, DesktopOpenRequest, DesktopWindowInfo

WINDOW_DEADLINE = 5.0
"""Seconds that the window of a new program is waited for."""
_PATIENCE = 1.0  # s for the focus of a window that is there, and for the window of a program that has ended

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")  # RFC 3986, 3.1
_OPENERS = ("xdg-open", "sensible-browser", "x-www-browser", "firefox", "firefox-esr", "chromium", "google-chrome")


class Launcher:
    """Programs it starts are processes of owner `desktop`, with the desktop's environment, in its home."""

    def __init__(self, desktop: Desktop, processes: Processes, environ: Mapping[str, str]) -> None:
        self._desktop = desktop
        self._processes = processes
        self._environ = environ

    async def launch(self, request: DesktopLaunchRequest) -> DesktopLaunchResponse:
        """Start a program; with ``wait`` the answer names its window, if that comes within 5 s.

        Raises ``AppNotFound`` for a program that is not on PATH, and what ``Processes.start`` does.
        """
        if not request.app.strip() or "\0" in request.app:
            raise DesktopInvalidAction("app must be the name of a program")
        windows = self._desktop.x11.windows
        before = {window.id for window in await windows.list()} if request.wait else set()
        process = await self._start((self._program(request.app), *(request.args or ())))
        window = await self._window(process, before) if request.wait else None
        info = process.info()
        return DesktopLaunchResponse(process_id=info.id, pid=info.pid, window_id=window)

    async def open(self, request: DesktopOpenRequest) -> DesktopOpenResponse:
        """Open a file or an address. Raises ``AppNotFound`` when nothing is there that could."""
        _ = self._desktop.x11
        target = await asyncio.to_thread(self._target, request.target)
        opener = next((path for name in _OPENERS if (path := self._which(name))), None)
        if opener is None:
            raise AppNotFound("no program is there that opens files and addresses", hint="install xdg-utils")
        info = (await self._start((opener, target))).info()
        return DesktopOpenResponse(process_id=info.id, pid=info.pid)

    async def _start(self, argv: tuple[str, ...]) -> Process:
        runtime = self._desktop.runtime
        return await launch(self._processes, Program(argv, runtime.environment(), str(runtime.place.home)))

    def _which(self, name: str) -> str | None:
        return shutil.which(name, path=self._environ.get("PATH"))

    def _program(self, app: str) -> str:
        found = self._which(app)
        if found is None:
            raise AppNotFound(f"{app} is not on PATH", hint="install it, or give its path", app=app)
        return found

    def _target(self, target: str) -> str:
        """A file's path, absolute, or an address as it is. Raises ``DesktopInvalidAction``."""
        if not target.strip() or "\0" in target:
            raise DesktopInvalidAction("target must be a file or an address")
        if _ADDRESS.match(target) and not target.lower().startswith("file:"):
            return target
        path = Path(target.removeprefix("file://")).expanduser()
        if not path.is_absolute():
            path = Path(self._environ.get("HOME") or Path.home()) / path
        if not os.access(path, os.R_OK):
            raise DesktopInvalidAction(f"{path} does not exist, or cannot be read")
        return str(path)

    # -- its window -----------------------------------------------------------------------------------------------

    async def _window(self, process: Process, before: set[str]) -> str | None:
        """The id of the first new window of the program or of what it started; None when none has come.

        It has the focus by then, if it gets it within a second, so that what is typed next is for it.
        """
        found: DesktopWindowInfo | None = None
        changed = asyncio.Event()
        forget = self._desktop.x11.windows.listen(changed.set)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            async with asyncio.timeout_at(begun + WINDOW_DEADLINE) as limit:
                while True:
                    changed.clear()
                    running = process.running
                    last, found = found, await self._look(process, before) or found
                    if found is not None and found.is_active:
                        return found.id
                    if (found is not None and last is None) or (not running and found is None):
                        limit.reschedule(min(loop.time() + _PATIENCE, begun + WINDOW_DEADLINE))
                    await (first(changed.wait(), process.wait()) if running else changed.wait())
        except TimeoutError:
            return found.id if found is not None else None
        finally:
            forget()

    async def _look(self, process: Process, before: set[str]) -> DesktopWindowInfo | None:
        """A new window of the program's, or any when it has ended: it may have handed over to another that runs."""
        session = process.child.pid if process.child is not None else 0
        windows = await self._desktop.x11.windows.list()
        new = [window for window in windows if window.id not in before]
        return next((window for window in new if not process.running or _is_of(window, session)), None)


def _is_of(window: DesktopWindowInfo, session: int) -> bool:
    """Whether a program of this session made the window; one that does not say whose it is may be."""
    if window.pid is None:
        return True
    try:
        return os.getsid(window.pid) == session
    except ProcessLookupError:
        return False
