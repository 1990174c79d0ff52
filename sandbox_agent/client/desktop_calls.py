"""The routes of the desktop, as calls, and the requests made from the SDK's arguments (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from sandbox_agent.client.api import HOLD_MARGIN
from sandbox_agent.client.asking import get, path, query, send
from sandbox_agent.client.calls import Call
from sandbox_agent.client.desktop_results import (
    DesktopStatus,
    DisplayInfo,
    LaunchResult,
    Position,
    Screenshot,
    WindowInfo,
)
from sandbox_agent.client.effects import Request
from sandbox_agent.wire import desktop as wire
from sandbox_agent.wire.base import Wire
from sandbox_agent.wire.desktop_actions import DesktopActionsResponse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike

    from sandbox_agent.client.desktop_results import Region
    from sandbox_agent.wire.desktop_actions import DesktopAction

Button: TypeAlias = Literal["left", "middle", "right"]
Modifier: TypeAlias = Literal["ctrl", "shift", "alt", "cmd"]
Selection: TypeAlias = Literal["clipboard", "primary"]
ImageFormat: TypeAlias = Literal["png", "jpeg", "webp"]
Box: TypeAlias = "Region | tuple[int, int, int, int]"
"""x, y, width and height, in pixels of the screen."""
Shot: TypeAlias = "Screenshot | str | None"
"""The screenshot, or its id, that coordinates were read from; None when they are the screen's own."""
Action: TypeAlias = "Mapping[str, Any] | DesktopAction"

PATIENCE: Final = 120.0
"""Seconds without an answer after which a call is given up; the server has deadlines of its own, below that."""


class WindowListing(Wire, frozen=True, kw_only=True):
    windows: tuple[WindowInfo, ...]


class ActionsBody(Wire, frozen=True, kw_only=True):
    """Actions as they were given: the server says what is wrong with them."""

    actions: tuple[Any, ...]


class View(NamedTuple):
    """What a screenshot is to be."""

    format: str
    quality: int | None
    scale: float | None
    region: Box | None
    show_cursor: bool
    marks: bool = False


# -- life cycle -------------------------------------------------------------------------------------------------------


def status() -> Call[DesktopStatus]:
    return get(DesktopStatus, "desktop", "status")


def start(
    screen: tuple[int | None, int | None, int | None],
    display_num: int | None,
    state_dir: str | PathLike[str] | None,
    rates: tuple[int | None, int | None],
    webrtc_ports: tuple[int, int] | None,
) -> Call[DesktopStatus]:
    """Repeatable: a desktop that runs is told about. ``rates`` are those of the stream and of recordings."""
    width, height, dpi = screen
    stream, recording = rates
    body = wire.DesktopStartRequest(
        width=width,
        height=height,
        dpi=dpi,
        display_num=display_num,
        state_dir=None if state_dir is None else str(state_dir),
        stream_frame_rate=stream,
        recording_fps=recording,
        webrtc_port_range=None if webrtc_ports is None else "{}-{}".format(*webrtc_ports),
    )
    return send(DesktopStatus, "POST", "desktop", "start", body=body)


def stop() -> Call[DesktopStatus]:
    return send(DesktopStatus, "POST", "desktop", "stop")


def display() -> Call[DisplayInfo]:
    return get(DisplayInfo, "desktop", "display", "info")


# -- seeing -----------------------------------------------------------------------------------------------------------


def screenshot(view: View) -> Call[Screenshot]:
    scale = None if view.scale is None else f"{view.scale:g}"
    asked = query(format=view.format, quality=view.quality, scale=scale, showCursor=view.show_cursor, marks=view.marks)
    parts: tuple[str, ...] = ("desktop", "screenshot")
    if view.region is not None:
        x, y, width, height = view.region
        parts, asked = (*parts, "region"), asked + query(x=x, y=y, width=width, height=height)
    return Call(Request("GET", path(*parts), asked, (("Accept", "image/*"),)), Screenshot.of_reply)


def wait(wanted: wire.DesktopWait) -> Call[wire.DesktopWaitResponse]:
    """Held by the server for as long as it may take."""
    asked = query(**msgspec.to_builtins(wanted))
    return get(
        wire.DesktopWaitResponse, "desktop", "wait", query=asked, read_timeout=wanted.timeout_ms / 1000 + HOLD_MARGIN
    )


# -- mouse ------------------------------------------------------------------------------------------------------------


def position() -> Call[Position]:
    return get(Position, "desktop", "mouse", "position")


def move(x: int, y: int, shot: Shot) -> Call[Position]:
    return _mouse("move", wire.DesktopMouseMoveRequest(x=x, y=y, screenshot_id=shot_id(shot)), repeatable=True)


def click(
    x: int | None,
    y: int | None,
    *,
    button: Button,
    count: int,
    modifiers: Iterable[Modifier],
    shot: Shot,
    mark: int | None = None,
    node_id: str | None = None,
) -> Call[Position]:
    body = wire.DesktopMouseClickRequest(
        x=x,
        y=y,
        button=button,
        click_count=count,
        modifiers=held(modifiers),
        screenshot_id=shot_id(shot),
        mark=mark,
        node_id=node_id,
    )
    return _mouse("click", body)


def mouse_down(button: Button, x: int | None, y: int | None, shot: Shot) -> Call[Position]:
    return _mouse("down", wire.DesktopMouseDownRequest(button=button, x=x, y=y, screenshot_id=shot_id(shot)))


def mouse_up(button: Button, x: int | None, y: int | None, shot: Shot) -> Call[Position]:
    return _mouse("up", wire.DesktopMouseUpRequest(button=button, x=x, y=y, screenshot_id=shot_id(shot)))


def drag(start: tuple[int, int], end: tuple[int, int], button: Button, shot: Shot) -> Call[Position]:
    body = wire.DesktopMouseDragRequest(
        start_x=start[0], start_y=start[1], end_x=end[0], end_y=end[1], button=button, screenshot_id=shot_id(shot)
    )
    return _mouse("drag", body)


def scroll(x: int, y: int, delta_x: int, delta_y: int, shot: Shot) -> Call[Position]:
    body = wire.DesktopMouseScrollRequest(x=x, y=y, delta_x=delta_x, delta_y=delta_y, screenshot_id=shot_id(shot))
    return _mouse("scroll", body)


def _mouse(what: str, body: Wire, *, repeatable: bool = False) -> Call[Position]:
    """Not repeatable as a rule: a second click is a second click."""
    return send(Position, "POST", "desktop", "mouse", what, body=body, repeatable=repeatable)


def shot_id(shot: Shot) -> str | None:
    return shot.id if isinstance(shot, Screenshot) else shot


def held(modifiers: Iterable[Modifier]) -> wire.DesktopKeyModifiers | None:
    """The modifiers of that name. Raises ``ValueError`` for others."""
    names = [modifiers] if isinstance(modifiers, str) else list(modifiers)
    for name in names:
        if name not in wire.DesktopKeyModifiers.__struct_fields__:
            raise ValueError(f"{name!r} is no modifier: there are ctrl, shift, alt and cmd")
    return wire.DesktopKeyModifiers(**dict.fromkeys(names, True)) if names else None


# -- keyboard ---------------------------------------------------------------------------------------------------------


def type_text(text: str, delay: float | None) -> Call[wire.DesktopActionResponse]:
    milliseconds = None if delay is None else round(delay * 1000)
    body = wire.DesktopKeyboardTypeRequest(text=text, delay_ms=milliseconds)
    return _act("keyboard", "type", body=body, read_timeout=PATIENCE + len(text) * (delay or 0.0))


def press(key: str) -> Call[wire.DesktopActionResponse]:
    return _act("keyboard", "press", body=wire.DesktopKeyboardPressRequest(key=key))


def key_down(key: str) -> Call[wire.DesktopActionResponse]:
    return _act("keyboard", "down", body=wire.DesktopKeyboardDownRequest(key=key))


def key_up(key: str) -> Call[wire.DesktopActionResponse]:
    return _act("keyboard", "up", body=wire.DesktopKeyboardUpRequest(key=key))


def _act(
    *parts: str, body: Wire | None = None, repeatable: bool = False, read_timeout: float = PATIENCE
) -> Call[wire.DesktopActionResponse]:
    kind = wire.DesktopActionResponse
    return send(kind, "POST", "desktop", *parts, body=body, read_timeout=read_timeout, repeatable=repeatable)


# -- windows ----------------------------------------------------------------------------------------------------------


def windows() -> Call[WindowListing]:
    return get(WindowListing, "desktop", "windows")


def focused() -> Call[WindowInfo]:
    return get(WindowInfo, "desktop", "windows", "focused")


def focus(window_id: str) -> Call[WindowInfo]:
    return _window(window_id, "focus", None)


def move_window(window_id: str, x: int, y: int) -> Call[WindowInfo]:
    return _window(window_id, "move", wire.DesktopWindowMoveRequest(x=x, y=y))


def resize_window(window_id: str, width: int, height: int) -> Call[WindowInfo]:
    return _window(window_id, "resize", wire.DesktopWindowResizeRequest(width=width, height=height))


def minimize(window_id: str) -> Call[WindowInfo]:
    return _window(window_id, "minimize", None)


def maximize(window_id: str, *, on: bool) -> Call[WindowInfo]:
    return _window(window_id, "maximize", wire.DesktopWindowSwitch(on=on))


def fullscreen(window_id: str, *, on: bool) -> Call[WindowInfo]:
    return _window(window_id, "fullscreen", wire.DesktopWindowSwitch(on=on))


def close_window(window_id: str) -> Call[wire.DesktopActionResponse]:
    return _act("windows", window_id, "close")


def _window(window_id: str, what: str, body: Wire | None) -> Call[WindowInfo]:
    return send(WindowInfo, "POST", "desktop", "windows", window_id, what, body=body)


# -- clipboard, programs, batches -------------------------------------------------------------------------------------


def clipboard(selection: Selection) -> Call[wire.DesktopClipboardResponse]:
    return get(wire.DesktopClipboardResponse, "desktop", "clipboard", query=query(selection=selection))


def set_clipboard(text: str, selection: Selection | Literal["both"]) -> Call[wire.DesktopActionResponse]:
    return _act("clipboard", body=wire.DesktopClipboardWriteRequest(text=text, selection=selection), repeatable=True)


def launch(app: str, args: Sequence[str], *, wait: bool) -> Call[LaunchResult]:
    body = wire.DesktopLaunchRequest(app=app, args=tuple(args), wait=wait or None)
    return send(LaunchResult, "POST", "desktop", "launch", body=body, repeatable=False)


def open_target(target: str) -> Call[LaunchResult]:
    body = wire.DesktopOpenRequest(target=target)
    return send(LaunchResult, "POST", "desktop", "open", body=body, repeatable=False)


def actions(given: Iterable[Action]) -> Call[DesktopActionsResponse]:
    """No read timeout: what is waited for in them has its own."""
    body = ActionsBody(actions=tuple(_camel(action) for action in given))
    return send(DesktopActionsResponse, "POST", "desktop", "actions", body=body, read_timeout=None, repeatable=False)


def _camel(action: Action) -> Any:
    """The members of an action by their names on the wire; a screenshot by its id."""
    if isinstance(action, msgspec.Struct):
        return action
    return {_camel_name(name): value.id if isinstance(value, Screenshot) else value for name, value in action.items()}


def _camel_name(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
