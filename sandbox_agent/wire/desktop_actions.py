"""`POST /v1/desktop/actions`: several actions in one request (ours, beyond the 0.4.2 contract)."""

from __future__ import annotations

from typing import TypeAlias

from sandbox_agent.wire.base import JsonObject, StrictRequest, Wire
from sandbox_agent.wire.desktop import (
    ClickTarget,
    DesktopKeyModifiers,
    DesktopMouseButton,
    DesktopMousePositionResponse,
    DesktopScreenshotFormat,
    DesktopWaitResponse,
    DesktopWaitUntil,
)
from sandbox_agent.wire.desktop_a11y import DesktopMark


class MoveAction(StrictRequest, tag="move", tag_field="type", frozen=True, kw_only=True):
    """``screenshot_id``, in all actions with coordinates: they are pixels of that screenshot."""

    x: int
    y: int
    screenshot_id: str | None = None


class ClickAction(ClickTarget, StrictRequest, tag="click", tag_field="type", frozen=True, kw_only=True):
    """At a pixel, on a mark or on a node."""

    button: DesktopMouseButton = "left"
    click_count: int = 1
    modifiers: DesktopKeyModifiers | None = None
    screenshot_id: str | None = None


class MouseDownAction(StrictRequest, tag="mouseDown", tag_field="type", frozen=True, kw_only=True):
    button: DesktopMouseButton = "left"
    x: int | None = None
    y: int | None = None
    screenshot_id: str | None = None


class MouseUpAction(StrictRequest, tag="mouseUp", tag_field="type", frozen=True, kw_only=True):
    button: DesktopMouseButton = "left"
    x: int | None = None
    y: int | None = None
    screenshot_id: str | None = None


class DragAction(StrictRequest, tag="drag", tag_field="type", frozen=True, kw_only=True):
    start_x: int
    start_y: int
    end_x: int
    end_y: int
    button: DesktopMouseButton = "left"
    screenshot_id: str | None = None


class ScrollAction(StrictRequest, tag="scroll", tag_field="type", frozen=True, kw_only=True):
    x: int
    y: int
    delta_x: int = 0
    delta_y: int = 0
    screenshot_id: str | None = None


class TypeAction(StrictRequest, tag="type", tag_field="type", frozen=True, kw_only=True):
    text: str
    delay_ms: int = 0


class KeyAction(StrictRequest, tag="key", tag_field="type", frozen=True, kw_only=True):
    """Press a key or a chord and let it go."""

    key: str
    modifiers: DesktopKeyModifiers | None = None


class KeyDownAction(StrictRequest, tag="keyDown", tag_field="type", frozen=True, kw_only=True):
    key: str


class KeyUpAction(StrictRequest, tag="keyUp", tag_field="type", frozen=True, kw_only=True):
    key: str


class WaitAction(StrictRequest, tag="wait", tag_field="type", frozen=True, kw_only=True):
    """As `GET /v1/desktop/wait`; not met in time, the batch stops here."""

    until: DesktopWaitUntil = "idle"
    timeout_ms: int = 10_000
    quiet_ms: int = 500
    threshold: int = 0
    x: int | None = None
    y: int | None = None
    width: int | None = None
    height: int | None = None
    title: str | None = None
    window_class: str | None = None
    pid: int | None = None


class ScreenshotAction(StrictRequest, tag="screenshot", tag_field="type", frozen=True, kw_only=True):
    """The whole screen, or the region that ``x``, ``y``, ``width`` and ``height`` give together.

    ``marks``: with numbered boxes over what can be acted on.
    """

    format: DesktopScreenshotFormat = "png"
    quality: int = 85
    scale: float = 1.0
    show_cursor: bool = False
    marks: bool = False
    x: int | None = None
    y: int | None = None
    width: int | None = None
    height: int | None = None


DesktopAction: TypeAlias = (
    MoveAction
    | ClickAction
    | MouseDownAction
    | MouseUpAction
    | DragAction
    | ScrollAction
    | TypeAction
    | KeyAction
    | KeyDownAction
    | KeyUpAction
    | WaitAction
    | ScreenshotAction
)


class DesktopActionsRequest(StrictRequest, frozen=True, kw_only=True):
    """At most 100 actions, done in order, until the first that fails."""

    actions: tuple[DesktopAction, ...]


class DesktopScreenshotData(Wire, frozen=True, kw_only=True):
    """A screenshot in JSON: ``data`` is base64; the rest is what the headers of a screenshot say.

    ``marks`` are what its numbers stand for, where it was to have some.
    """

    id: str
    format: DesktopScreenshotFormat
    width: int
    height: int
    x: int
    y: int
    scale: float
    data: str
    marks: tuple[DesktopMark, ...] | None = None


class DesktopActionResult(Wire, frozen=True, kw_only=True):
    """What became of one action. ``problem`` is its problem document where it failed."""

    type: str
    ok: bool
    position: DesktopMousePositionResponse | None = None
    wait: DesktopWaitResponse | None = None
    screenshot: DesktopScreenshotData | None = None
    problem: JsonObject | None = None


class DesktopActionsResponse(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """``ok``: all were done. ``results`` are of those that were tried, the one that failed last."""

    ok: bool
    results: tuple[DesktopActionResult, ...]
