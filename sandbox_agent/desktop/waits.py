"""Waits for the screen to be still, to change, or for a window: by the display's own events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sandbox_agent.desktop.acts import region_of
from sandbox_agent.desktop.waiting import first
from sandbox_agent.problems import DesktopInvalidAction, DesktopRuntimeFailed
from sandbox_agent.wire.desktop import DesktopWaitResponse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from sandbox_agent.desktop.x11.desktop import X11
    from sandbox_agent.desktop.x11.geometry import Region
    from sandbox_agent.wire.desktop import DesktopWait, DesktopWindowInfo
    from sandbox_agent.wire.desktop_actions import WaitAction

    Wanted: TypeAlias = DesktopWait | WaitAction

LONGEST_MS = 600_000


def check(wanted: Wanted) -> Region | None:
    """The region that is looked at. Raises ``DesktopInvalidAction`` for a wait that makes no sense."""
    if not 0 <= wanted.timeout_ms <= LONGEST_MS:
        raise DesktopInvalidAction(f"timeoutMs must be from 0 to {LONGEST_MS}, not {wanted.timeout_ms}")
    if not 0 < wanted.quiet_ms <= LONGEST_MS:
        raise DesktopInvalidAction(f"quietMs must be from 1 to {LONGEST_MS}, not {wanted.quiet_ms}")
    if wanted.threshold < 0:
        raise DesktopInvalidAction("threshold must not be negative")
    if wanted.until == "window" and (wanted.title, wanted.window_class, wanted.pid) == (None, None, None):
        raise DesktopInvalidAction("which window? give title, windowClass or pid")
    return region_of(wanted.x, wanted.y, wanted.width, wanted.height)


async def wait(x11: X11, wanted: Wanted) -> DesktopWaitResponse:
    """Returns when it has come, or at its deadline. Raises ``DesktopRuntimeFailed`` when the display goes meanwhile."""
    region = check(wanted)
    loop = asyncio.get_running_loop()
    began = loop.time()
    window: DesktopWindowInfo | None = None
    met = True
    try:
        async with asyncio.timeout_at(began + wanted.timeout_ms / 1000):
            if wanted.until == "window":
                window = await _window(x11, wanted)
            else:
                await _screen(x11, wanted, region and region.within(x11.size))
    except TimeoutError:
        met = False
    return DesktopWaitResponse(
        met=met,
        until=wanted.until,
        elapsed_ms=int((loop.time() - began) * 1000),
        damage=x11.damage.counter,
        window=window,
    )


async def _window(x11: X11, wanted: Wanted) -> DesktopWindowInfo:
    changed = asyncio.Event()
    forget = x11.windows.listen(changed.set)
    try:
        while True:
            changed.clear()
            found = await x11.windows.find(title=wanted.title, window_class=wanted.window_class, pid=wanted.pid)
            if found is not None:
                return found
            await _or_end(x11, changed)
    finally:
        forget()


async def _screen(x11: X11, wanted: Wanted, region: Region | None) -> None:
    """Until something changes, or, where stillness is wanted, nothing has changed for a while."""
    changed = asyncio.Event()

    def look(rectangles: Sequence[Region]) -> None:
        seen = rectangles if region is None else [part for one in rectangles if (part := one.overlap(region))]
        if sum(one.area for one in seen) > wanted.threshold:
            changed.set()

    forget = await x11.damage.listen(look)
    try:
        if wanted.until == "change":
            await _or_end(x11, changed)
            return
        while True:
            changed.clear()
            try:
                async with asyncio.timeout(wanted.quiet_ms / 1000):
                    await _or_end(x11, changed)
            except TimeoutError:
                return
    finally:
        forget()


async def _or_end(x11: X11, event: asyncio.Event) -> None:
    """Until the event. Raises ``DesktopRuntimeFailed`` when the display goes first."""
    await first(event.wait(), x11.ended.wait())
    if x11.ended.is_set():
        raise x11.failure or DesktopRuntimeFailed("the display has gone")
