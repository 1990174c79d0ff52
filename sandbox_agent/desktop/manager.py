"""Waits until a window manager manages a display (EWMH 1.5, Root Window Properties)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from Xlib import X
from Xlib.protocol import event, request

from sandbox_agent.desktop.waiting import first
from sandbox_agent.desktop.x11.connection import settled
from sandbox_agent.desktop.x11.display import Display
from sandbox_agent.problems import Timeout

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.desktop.x11.connection import Connection

_CHECK = "_NET_SUPPORTING_WM_CHECK"
_PATIENCE = 0.005  # s until a question is put again
_ASK, _TOLD = "_NET_REQUEST_FRAME_EXTENTS", "_NET_FRAME_EXTENTS"


async def managed(display: str, authority: Path, deadline: float) -> None:
    """Until a living window manager has answered a question, which it does once all of it is set up.

    A connection of its own is used, because the events a window sends are chosen once for each connection.
    Raises ``DesktopRuntimeFailed`` when the display goes, ``Timeout`` after ``deadline`` seconds.
    """
    watcher = await Display.open(display, authority, deadline=deadline)
    try:
        changed = asyncio.Event()
        watcher.on_event(event.PropertyNotify, lambda _: watcher.tell(changed.set))

        async with asyncio.timeout(deadline):
            window = await watcher.call(_watch, deadline=deadline)
            while not await watcher.call(_is_managed, deadline=deadline):
                await first(changed.wait(), watcher.ended.wait())
                changed.clear()
            while not await watcher.call(lambda connection: _is_answered(connection, window), deadline=deadline):
                # openbox drops what it is asked before its loop runs, and says nothing when it does: so ask again
                await watcher.call(lambda connection: _ask(connection, window), deadline=deadline)
                await first(changed.wait(), watcher.ended.wait(), asyncio.sleep(_PATIENCE))
                changed.clear()
    except TimeoutError as error:
        raise Timeout(f"no window manager has come within {deadline:g} s") from error
    finally:
        await watcher.close()


def _watch(connection: Connection) -> int:
    """Have changes of the root's properties told, and those of a new window, which is returned."""
    wanted = {"event_mask": X.PropertyChangeMask}
    request.ChangeWindowAttributes(display=connection, window=connection.root, attrs=wanted)
    window = connection.allocate()
    request.CreateWindow(
        display=connection,
        wid=window,
        parent=connection.root,
        x=0,
        y=0,
        width=1,
        height=1,
        border_width=0,
        depth=X.CopyFromParent,
        window_class=X.InputOutput,
        visual=X.CopyFromParent,
        attrs=wanted,
    )
    return window


def _is_managed(connection: Connection) -> bool:
    """Whether the window that the root names exists and names itself; that of a dead manager does not."""
    window = _values(connection, connection.root, _CHECK)
    return window is not None and _values(connection, window[0], _CHECK) == window


def _ask(connection: Connection, window: int) -> None:
    """Ask what frame the window would get; the answer is a property of the window."""
    question = event.ClientMessage(window=window, client_type=connection.atom(_ASK), data=(32, [0] * 5))
    mask = X.SubstructureNotifyMask | X.SubstructureRedirectMask
    request.SendEvent(display=connection, propagate=False, destination=connection.root, event_mask=mask, event=question)


def _is_answered(connection: Connection, window: int) -> bool:
    return _values(connection, window, _TOLD) is not None


def _values(connection: Connection, window: int, name: str) -> list[int] | None:
    """A property's first four numbers; None where there is no such property, or no such window."""
    asked = request.GetProperty(
        display=connection,
        defer=True,
        delete=False,
        window=window,
        property=connection.atom(name),
        type=X.AnyPropertyType,
        long_offset=0,
        long_length=4,
    )
    answer = settled(asked)
    return None if answer is None or answer.value is None else list(answer.value[1])
