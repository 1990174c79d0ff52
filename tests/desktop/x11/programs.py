"""Programs on a screen of tests: started, found by their windows, ended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from Xlib import X
from Xlib.protocol import request

from sandbox_agent.desktop.x11.connection import settled
from sandbox_agent.desktop.x11.properties import cardinals, get_property

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.desktop import X11
    from sandbox_agent.wire.desktop import DesktopWindowInfo

DEADLINE = 60.0


async def eventually(condition: Callable[[], Awaitable[Any]], what: str | Callable[[], str]) -> Any:
    """The first true value of the condition; ``what`` says what it would have been, or what is instead."""
    until = time.monotonic() + DEADLINE
    while not (value := await condition()):
        assert time.monotonic() < until, f"not come true: {what if isinstance(what, str) else what()}"
        await asyncio.sleep(0.02)
    return value


def lineage(connection: Connection, window: int) -> list[int]:
    """A window and those that it is in; none where it has gone."""
    windows = []
    while window > X.PointerRoot:
        windows.append(window)
        tree = settled(request.QueryTree(display=connection, defer=True, window=window))
        window = tree.parent if tree is not None else X.NONE
    return windows


class Screen:
    """A display, and what was started on it."""

    def __init__(self, name: str, authority: Path, folder: Path) -> None:
        self.name = name
        self.authority = authority
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        home = {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "config")}
        apart = {"GSETTINGS_BACKEND": "memory", "NO_AT_BRIDGE": "1", "QT_ACCESSIBILITY": "0", "LANG": "C.UTF-8"}
        found = {name: value for name, value in os.environ.items() if not name.startswith(("DBUS_", "XDG_", "LC_"))}
        return found | home | apart | {"DISPLAY": self.name, "XAUTHORITY": str(self.authority)}

    def start(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a program in a group of its own."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options
        process = subprocess.Popen(command, env=self.environment, start_new_session=True, **options)
        self._running.append(process)
        return process

    async def window(self, x11: X11, **which: Any) -> DesktopWindowInfo:
        """The window of a program once it is there, with the focus."""
        found: DesktopWindowInfo = await eventually(lambda: x11.windows.find(**which), f"a window {which}")

        async def focused() -> bool:
            # what the window manager says may still be of an earlier window that had the same id
            return (await x11.windows.focus(found.id)).is_active and await x11.control.call(
                lambda c: int(found.id) in lineage(c, c.sync())
            )

        await eventually(focused, f"the focus of {which}")
        return await x11.windows.get(found.id)

    async def managed(self, x11: X11) -> None:
        """Until the window manager is there."""

        async def there() -> bool:
            def supports(connection: Any) -> bool:
                return bool(get_property(connection, connection.root, "_NET_SUPPORTING_WM_CHECK").value)

            return await x11.control.call(supports)

        await eventually(there, "the window manager")

    async def clear(self, x11: X11) -> None:
        """End all but the window manager, and wait until it knows that their windows have gone.

        The next program may get the same ids.
        """
        self._end(self._running[1:])
        del self._running[1:]

        def left(connection: Connection) -> list[int]:
            return cardinals(get_property(connection, connection.root, "_NET_CLIENT_LIST"))

        async def empty() -> bool:
            return not any(await x11.control.call(left))

        await eventually(empty, "an empty screen")

    def end(self) -> None:
        self._end(self._running)

    def _end(self, processes: list[subprocess.Popen[bytes]]) -> None:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()
