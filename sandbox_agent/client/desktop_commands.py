"""What the client does with the desktop beyond one request: waiting, batches (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.client import desktop_calls
from sandbox_agent.client.calls import perform
from sandbox_agent.client.desktop_results import ActionsResult, WindowInfo
from sandbox_agent.client.effects import now
from sandbox_agent.client.errors import ActionFailed, DesktopTimeout
from sandbox_agent.client.programs import HOLD
from sandbox_agent.problems import NoFocusedWindow, WindowNotFound
from sandbox_agent.wire.desktop import DesktopWait

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.client.desktop_calls import Action, Box
    from sandbox_agent.client.effects import Program
    from sandbox_agent.wire.desktop import DesktopWaitResponse, DesktopWaitUntil


def wanted(until: DesktopWaitUntil, region: Box | None, *, quiet: float = 0.5, threshold: int = 0) -> DesktopWait:
    """A wait for the screen, in seconds and pixels."""
    x, y, width, height = (None,) * 4 if region is None else region
    return DesktopWait(
        until=until,
        quiet_ms=round(quiet * 1000),
        threshold=threshold,
        x=x,
        y=y,
        width=width,
        height=height,
    )


def wait(what: DesktopWait, timeout: float | None) -> Program[DesktopWaitResponse]:
    """Until it has come: in requests that no proxy cuts. Raises :class:`DesktopTimeout`."""
    deadline = None if timeout is None else (yield from now()) + timeout
    before: int | None = None
    hold = max(HOLD, 2 * what.quiet_ms / 1000)  # a stillness is seen from its start, by one request
    while True:
        left = hold if deadline is None else max(0.0, min(hold, deadline - (yield from now())))
        asked = msgspec.structs.replace(what, timeout_ms=round(left * 1000))
        answer = yield from perform(desktop_calls.wait(asked))
        if answer.met or (before is not None and before != answer.damage and _any_change(what)):
            return answer
        before = answer.damage
        if deadline is not None and (yield from now()) >= deadline:
            raise DesktopTimeout(_told(what), timeout or 0.0)


def _any_change(what: DesktopWait) -> bool:
    """Whether it is for a change anywhere, which the counter tells too when it came between two requests."""
    return what.until == "change" and what.x is None and not what.threshold


def _told(what: DesktopWait) -> str:
    match what.until:
        case "idle":
            return f"the screen was not still for {what.quiet_ms / 1000:g} s"
        case "change":
            return "the screen did not change"
    by = {"title": what.title, "class": what.window_class, "pid": what.pid}
    return "no window came with " + ", ".join(f"{name} {value!r}" for name, value in by.items() if value is not None)


def wait_for_window(
    title: str | None, window_class: str | None, pid: int | None, timeout: float | None
) -> Program[WindowInfo]:
    """Until a window is there. Raises :class:`DesktopTimeout`."""
    answer = yield from wait(DesktopWait(until="window", title=title, window_class=window_class, pid=pid), timeout)
    if answer.window is None:
        raise WindowNotFound("the window went as it came")
    return msgspec.convert(answer.window, WindowInfo, from_attributes=True)


def window(window_id: str) -> Program[WindowInfo]:
    """A window by its id. Raises :class:`WindowNotFound`."""
    listing = yield from perform(desktop_calls.windows())
    for info in listing.windows:
        if info.id == window_id:
            return info
    raise WindowNotFound(f"there is no window {window_id}")


def focused() -> Program[WindowInfo | None]:
    """The window that has the focus, if one has."""
    try:
        return (yield from perform(desktop_calls.focused()))
    except NoFocusedWindow:
        return None


def actions(given: Iterable[Action], *, check: bool) -> Program[ActionsResult]:
    """Do several things. Raises :class:`ActionFailed` where one fails, if ``check``."""
    result = ActionsResult((yield from perform(desktop_calls.actions(given))))
    if check and not result.ok:
        raise ActionFailed(result)
    return result
