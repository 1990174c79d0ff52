"""A running display, whole: the parts that look at it and act on it, over two connections."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from sandbox_agent.desktop.x11.capture import Capture
from sandbox_agent.desktop.x11.clipboard import Clipboard
from sandbox_agent.desktop.x11.display import DEADLINE, Display
from sandbox_agent.desktop.x11.keyboard import Keyboard
from sandbox_agent.desktop.x11.mouse import Mouse
from sandbox_agent.desktop.x11.screenshots import Screenshots
from sandbox_agent.desktop.x11.windows import Windows
from sandbox_agent.desktop.x11.xtest import Devices
from sandbox_agent.problems import DesktopRuntimeFailed, Timeout

if TYPE_CHECKING:
    from pathlib import Path


class X11:
    """One display. ``ended`` is set when its server has gone or `close` was called; ``failure`` says why."""

    def __init__(self, control: Display, capture: Capture) -> None:
        self.name = control.name
        self.size = control.size
        self.ended = control.ended
        self.control = control
        self.capture = capture
        self.damage = capture.damage
        self.screenshots = Screenshots(capture)
        self._devices = Devices()
        self.keyboard = Keyboard(control, self._devices)
        self.mouse = Mouse(control, self._devices, self.keyboard)
        self.windows = Windows(control)
        self.clipboard = Clipboard(control)

    @classmethod
    async def open(cls, name: str, authority: Path | None = None, *, deadline: float = DEADLINE) -> X11:
        """Connect to display ``name`` (``":99"``) with the cookie in ``authority``; raises as `Display.open`."""
        control = await Display.open(name, authority, deadline=deadline)
        try:
            capture = await Capture.open(name, authority, deadline)
        except BaseException:
            await control.close()
            raise
        desktop = cls(control, capture)
        await desktop.windows.start()
        return desktop

    @property
    def failure(self) -> DesktopRuntimeFailed | None:
        return self.control.failure

    async def close(self) -> None:
        """Let go of all keys and buttons that are held, and end both connections."""
        with suppress(DesktopRuntimeFailed, Timeout):  # a server that has gone holds nothing
            await self.control.call(self._devices.release)
        await asyncio.gather(self.control.close(), self.capture.close(), self.screenshots.close())
