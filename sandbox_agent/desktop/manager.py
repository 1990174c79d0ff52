"""Waits until a window manager manages a display (EWMH 1.5, _NET_SUPPORTING_WM_CHECK)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from Xlib import X, Xatom
from Xlib.protocol import event, request

from sandbox_agent.desktop.x11.connection import settled
from sandbox_agent.desktop.x11.display import Display
from sandbox_agent.problems import Timeout
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from sandbox_agent.desktop.x11.connection import Connection

_CHECK = "_NET_SUPPORTING_WM_CHECK"


async def managed(display: str, authority: Path, deadline: float) -> None:
    """Until a living window manager has said that it is there.

    A connection of its own is used, because the events a window sends are chosen once for each connection.
    Raises ``DesktopRuntimeFailed`` when the display goes, ``Timeout`` after ``deadline`` seconds.
    """
    watcher = await Display.open(display, authority, deadline=deadline)
    try:
        changed = asyncio.Event()
        watcher.on_event(event.PropertyNotify, lambda _: watcher.tell(changed.set))
        await watcher.call(_watch_root, deadline=deadline)
        async with asyncio.timeout(deadline):
            while not await watcher.call(_is_managed, deadline=deadline):
                await first(changed.wait(), watcher.ended.wait())
                changed.clear()
    except TimeoutError as error:
        raise Timeout(f"no window manager has come within {deadline:g} s") from error
    finally:
        await watcher.close()


async def first(*waits: Coroutine[Any, Any, object]) -> None:
    """Until one of them is over."""
    tasks = [spawn_task(wait, name="wait for a part of the desktop") for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _watch_root(connection: Connection) -> None:
    wanted = {"event_mask": X.PropertyChangeMask}
    request.ChangeWindowAttributes(display=connection, window=connection.root, attrs=wanted)


def _is_managed(connection: Connection) -> bool:
    """Whether the window that the root names exists and names itself; that of a dead manager does not."""
    check = connection.atom(_CHECK)
    window = _named(connection, connection.root, check)
    return window is not None and _named(connection, window, check) == window


def _named(connection: Connection, window: int, prop: int) -> int | None:
    asked = request.GetProperty(
        display=connection,
        defer=True,
        delete=False,
        window=window,
        property=prop,
        type=Xatom.WINDOW,
        long_offset=0,
        long_length=1,
    )
    answer = settled(asked)
    if answer is None or answer.value is None or not answer.value[1]:
        return None
    return int(answer.value[1][0])
