"""Whether a program has done all that its X connection brought.

A key means what the keyboard's mapping says when the program looks, not when the key was pressed. So before a lent key
gets another meaning, the program that was typed into must have caught up.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from Xlib import X
from Xlib.protocol import event as events
from Xlib.protocol import request as requests

from sandbox_agent.desktop.x11.connection import settled
from sandbox_agent.desktop.x11.properties import cardinals, get_property
from sandbox_agent.problems import DesktopInputFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.display import Display

PING_SECONDS = 10.0
"""Seconds for the answer to a ping; who says that it answers and does not is looked at from outside."""

PATIENCE = 20.0
"""Seconds for a program's process to go to sleep."""

STEP = 0.004
QUIET_LOOKS = 3
BLIND = 0.06
"""Seconds given to a program that neither answers pings nor says which process it is."""


class KeepingUp:
    """Waits until a program has caught up: it answers a ping (EWMH), or its process sleeps."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._pings: dict[int, asyncio.Event] = {}
        self._serial = 0
        display.on_event(events.ClientMessage, self._answered)

    async def caught_up(self, windows: Iterable[int]) -> None:
        """Until the programs of these windows (which had the focus) have caught up.

        Raises `DesktopInputFailed` where one does not: what it would make of other keys nobody knows.
        """
        for window in windows:
            await self._caught_up(window)

    async def _caught_up(self, focus: int) -> None:
        window, pings, pid = await self._display.call(lambda c: self._program(c, focus))
        if window and pings and await self._ping(window):
            return
        if pid and _looks(pid) is not None:
            await self._sleeps(pid)
        elif window:
            await asyncio.sleep(BLIND)

    def _program(self, connection: Connection, window: int) -> tuple[int, bool, int | None]:
        """The window itself or the first above it that says what it understands, whether that is pings; its pid."""
        while window > X.PointerRoot and window != connection.root:
            protocols = cardinals(get_property(connection, window, "WM_PROTOCOLS"))
            if protocols:
                pid = cardinals(get_property(connection, window, "_NET_WM_PID"))
                return window, connection.atom("_NET_WM_PING") in protocols, pid[0] if pid else None
            tree = settled(requests.QueryTree(display=connection, defer=True, window=window))
            if tree is None:
                break
            window = tree.parent
        return 0, False, None

    async def _ping(self, window: int) -> bool:
        """Whether the program answered."""
        self._serial = self._serial % 0x7FFF_FFFF + 1
        serial, answered = self._serial, asyncio.Event()
        self._pings[serial] = answered

        def send(connection: Connection) -> None:
            atoms = connection.atoms(["WM_PROTOCOLS", "_NET_WM_PING"])
            message = events.ClientMessage(
                window=window,
                client_type=atoms["WM_PROTOCOLS"],
                data=(32, [atoms["_NET_WM_PING"], serial, window, 0, 0]),
            )
            requests.SendEvent(display=connection, propagate=False, destination=window, event_mask=0, event=message)

        try:
            await self._display.call(send)
            async with asyncio.timeout(PING_SECONDS):
                await answered.wait()
        except TimeoutError:
            return False
        finally:
            del self._pings[serial]
        return True

    def _answered(self, message: Any) -> None:
        """A program sends the ping back to the root window, whose messages we get for having asked for them."""
        _, values = message.data
        if message.window == self._display.root and (answered := self._pings.get(values[1])) is not None:
            self._display.tell(answered.set)

    async def _sleeps(self, pid: int) -> None:
        """Until the process is seen asleep several times on end without having run, and the X server answered."""
        until = time.monotonic() + PATIENCE
        before, same = _looks(pid), 0
        while time.monotonic() < until and same < QUIET_LOOKS:
            await self._display.call(lambda c: c.sync())
            await asyncio.sleep(STEP)
            now = _looks(pid)
            if now is None:  # it has ended
                return
            same = same + 1 if now == before and now[0] == "S" else 0
            before = now
        if same < QUIET_LOOKS:
            raise DesktopInputFailed(f"the program (process {pid}) does not keep up with what is typed")


def _looks(pid: int) -> tuple[str, int] | None:
    """State and number of sleeps of a process's main thread; None where it cannot be seen."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return lines["State"].split()[0], int(lines["voluntary_ctxt_switches"])
