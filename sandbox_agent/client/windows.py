"""Windows of the desktop, from blocking code and from code on an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox_agent.client import desktop_calls, desktop_commands
from sandbox_agent.client.calls import perform

if TYPE_CHECKING:
    from sandbox_agent.client.async_driver import AsyncDriver
    from sandbox_agent.client.desktop_results import Region, WindowInfo
    from sandbox_agent.client.sync_driver import SyncDriver


class WindowBase:
    """A window as last heard of."""

    def __init__(self, info: WindowInfo) -> None:
        self._info = info

    @property
    def id(self) -> str:
        return self._info.id

    @property
    def info(self) -> WindowInfo:
        """The window as it was when last heard of; ``refresh()`` asks."""
        return self._info

    @property
    def title(self) -> str:
        return self._info.title

    @property
    def region(self) -> Region:
        """Where its content is on the screen: x, y, width and height."""
        return self._info.region

    def __repr__(self) -> str:
        region = self.region
        place = f"{region.width}x{region.height} at {region.x}, {region.y}"
        return f"<{type(self).__name__} {self.id} {self.title!r} {place}>"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))


class Window(WindowBase):
    """A window of the desktop. Its methods raise :class:`WindowNotFound` once it is closed."""

    def __init__(self, driver: SyncDriver, info: WindowInfo) -> None:
        super().__init__(info)
        self._driver = driver

    def refresh(self) -> WindowInfo:
        """Ask the server how the window is."""
        self._info = self._driver.run(desktop_commands.window(self.id))
        return self._info

    def focus(self) -> WindowInfo:
        """Give it the focus; a minimized one comes back."""
        self._info = self._driver.run(perform(desktop_calls.focus(self.id)))
        return self._info

    def move(self, x: int, y: int) -> WindowInfo:
        """Move it, so that its content begins there."""
        self._info = self._driver.run(perform(desktop_calls.move_window(self.id, x, y)))
        return self._info

    def resize(self, width: int, height: int) -> WindowInfo:
        """Have its content that large; some programs choose a size near it."""
        self._info = self._driver.run(perform(desktop_calls.resize_window(self.id, width, height)))
        return self._info

    def minimize(self) -> WindowInfo:
        """Put it out of sight, until it gets the focus."""
        self._info = self._driver.run(perform(desktop_calls.minimize(self.id)))
        return self._info

    def maximize(self, *, on: bool = True) -> WindowInfo:
        """Have it as large as the screen allows, or, with ``on=False``, as before."""
        self._info = self._driver.run(perform(desktop_calls.maximize(self.id, on=on)))
        return self._info

    def fullscreen(self, *, on: bool = True) -> WindowInfo:
        """Have it fill the screen, without a frame, or, with ``on=False``, as before."""
        self._info = self._driver.run(perform(desktop_calls.fullscreen(self.id, on=on)))
        return self._info

    def close(self) -> None:
        """Ask it to close, as its button would; a program may have a question first."""
        self._driver.run(perform(desktop_calls.close_window(self.id)))


class AsyncWindow(WindowBase):
    """A window of the desktop. Its methods raise :class:`WindowNotFound` once it is closed."""

    def __init__(self, driver: AsyncDriver, info: WindowInfo) -> None:
        super().__init__(info)
        self._driver = driver

    async def refresh(self) -> WindowInfo:
        """See :meth:`Window.refresh`."""
        self._info = await self._driver.run(desktop_commands.window(self.id))
        return self._info

    async def focus(self) -> WindowInfo:
        """See :meth:`Window.focus`."""
        self._info = await self._driver.run(perform(desktop_calls.focus(self.id)))
        return self._info

    async def move(self, x: int, y: int) -> WindowInfo:
        """See :meth:`Window.move`."""
        self._info = await self._driver.run(perform(desktop_calls.move_window(self.id, x, y)))
        return self._info

    async def resize(self, width: int, height: int) -> WindowInfo:
        """See :meth:`Window.resize`."""
        self._info = await self._driver.run(perform(desktop_calls.resize_window(self.id, width, height)))
        return self._info

    async def minimize(self) -> WindowInfo:
        """See :meth:`Window.minimize`."""
        self._info = await self._driver.run(perform(desktop_calls.minimize(self.id)))
        return self._info

    async def maximize(self, *, on: bool = True) -> WindowInfo:
        """See :meth:`Window.maximize`."""
        self._info = await self._driver.run(perform(desktop_calls.maximize(self.id, on=on)))
        return self._info

    async def fullscreen(self, *, on: bool = True) -> WindowInfo:
        """See :meth:`Window.fullscreen`."""
        self._info = await self._driver.run(perform(desktop_calls.fullscreen(self.id, on=on)))
        return self._info

    async def close(self) -> None:
        """See :meth:`Window.close`."""
        await self._driver.run(perform(desktop_calls.close_window(self.id)))
