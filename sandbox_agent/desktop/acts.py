"""What is seen and done on a desktop, in the terms of its wire: requests in, answers out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from sandbox_agent.desktop.deeds import Deeds
from sandbox_agent.desktop.x11.geometry import Region
from sandbox_agent.problems import DesktopInvalidAction
from sandbox_agent.wire.desktop import DesktopClipboardResponse, DesktopMousePositionResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.desktop.a11y.marks import Marking
    from sandbox_agent.desktop.service import Desktop
    from sandbox_agent.desktop.x11.desktop import X11
    from sandbox_agent.desktop.x11.mouse import Pointer
    from sandbox_agent.desktop.x11.screenshots import Screenshot, Shot
    from sandbox_agent.wire import desktop as wire
    from sandbox_agent.wire import desktop_actions as act

    Presses: TypeAlias = (
        wire.DesktopMouseDownRequest | wire.DesktopMouseUpRequest | act.MouseDownAction | act.MouseUpAction
    )

MODIFIERS = ("ctrl", "shift", "alt", "cmd")
FORMATS = ("png", "jpeg", "webp")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a screenshot is to be."""

    region: Region | None
    format: str
    quality: int
    scale: float
    show_cursor: bool
    marking: Marking | None = None

    def shot(self) -> Shot:
        from sandbox_agent.desktop.x11.screenshots import Shot  # noqa: PLC0415 - needs the extra `desktop`

        marks = self.marking.places if self.marking is not None else ()
        return Shot(self.region, self.format, self.quality, self.scale, self.show_cursor, marks)


class Acts:
    """Each method raises the problem of a desktop that is not active, ``DesktopInvalidAction`` for what makes no
    sense, ``DesktopInputFailed`` where the X server refuses, ``Timeout`` where it does not answer.

    What can be told from the request alone is told in every state of the desktop.
    """  # noqa: D205

    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop
        self.deeds = Deeds()

    @property
    def _x11(self) -> X11:
        return self._desktop.x11

    def _point(self, screenshot_id: str | None, x: int, y: int) -> tuple[int, int]:
        """The screen's pixel, told as such or as one of a screenshot."""
        not_negative(x, y)
        return self._x11.screenshots.to_screen(screenshot_id, x, y) if screenshot_id is not None else (x, y)

    # -- mouse ----------------------------------------------------------------------------------------------------

    async def position(self) -> DesktopMousePositionResponse:
        return _position(await self._x11.mouse.position())

    async def move(self, request: wire.DesktopMouseMoveRequest | act.MoveAction) -> DesktopMousePositionResponse:
        x, y = self._point(request.screenshot_id, request.x, request.y)
        return _position(await self._x11.mouse.move(x, y))

    async def click(self, request: wire.DesktopMouseClickRequest | act.ClickAction) -> DesktopMousePositionResponse:
        count = 1 if request.click_count is None else request.click_count
        if count < 1:
            raise DesktopInvalidAction("clickCount must be at least 1")
        x, y = await self._target(request)
        modifiers = names_of(request.modifiers)
        pointer = await self._x11.mouse.click(x, y, _button(request.button), count, modifiers)
        self.deeds.click(x, y)
        return _position(pointer)

    async def _target(self, request: wire.DesktopMouseClickRequest | act.ClickAction) -> tuple[int, int]:
        """The screen's pixel that a click is for: told as such, by a mark, or by a node."""
        pixels = (request.x, request.y) != (None, None)
        if pixels + (request.mark is not None) + (request.node_id is not None) != 1:
            raise DesktopInvalidAction("a click is at x and y, or on a mark, or on a nodeId: one of them")
        if request.node_id is not None:
            return await self._desktop.a11y.spot(request.node_id)
        if request.mark is not None:
            if request.screenshot_id is None:
                raise DesktopInvalidAction("a mark is one of a screenshot: give screenshotId, too")
            return await self._desktop.a11y.mark(request.screenshot_id, request.mark)
        if request.x is None or request.y is None:
            raise DesktopInvalidAction("x and y come together")
        return self._point(request.screenshot_id, request.x, request.y)

    async def down(self, request: wire.DesktopMouseDownRequest | act.MouseDownAction) -> DesktopMousePositionResponse:
        x, y = self._maybe_point(request)
        pointer = await self._x11.mouse.down(_button(request.button), x, y)
        self.deeds.click(pointer.x, pointer.y)
        return _position(pointer)

    async def up(self, request: wire.DesktopMouseUpRequest | act.MouseUpAction) -> DesktopMousePositionResponse:
        x, y = self._maybe_point(request)
        return _position(await self._x11.mouse.up(_button(request.button), x, y))

    def _maybe_point(self, request: Presses) -> tuple[int, int] | tuple[None, None]:
        if request.x is None and request.y is None:
            return None, None
        if request.x is None or request.y is None:
            raise DesktopInvalidAction("x and y come together")
        return self._point(request.screenshot_id, request.x, request.y)

    async def drag(self, request: wire.DesktopMouseDragRequest | act.DragAction) -> DesktopMousePositionResponse:
        not_negative(request.end_x, request.end_y)
        start = self._point(request.screenshot_id, request.start_x, request.start_y)
        end = self._point(request.screenshot_id, request.end_x, request.end_y)
        pointer = await self._x11.mouse.drag(start, end, _button(request.button))
        self.deeds.click(*start)
        self.deeds.click(*end)
        return _position(pointer)

    async def scroll(self, request: wire.DesktopMouseScrollRequest | act.ScrollAction) -> DesktopMousePositionResponse:
        right, down = request.delta_x or 0, request.delta_y or 0
        if not right and not down:
            raise DesktopInvalidAction("deltaX and deltaY are both zero: there is nothing to scroll")
        x, y = self._point(request.screenshot_id, request.x, request.y)
        return _position(await self._x11.mouse.scroll(x, y, right, down))

    # -- keyboard -------------------------------------------------------------------------------------------------

    async def type(self, request: wire.DesktopKeyboardTypeRequest | act.TypeAction) -> None:
        if request.delay_ms is not None and request.delay_ms < 0:
            raise DesktopInvalidAction("delayMs must not be negative")
        await self._x11.keyboard.type(request.text, request.delay_ms or 0)
        self.deeds.keys(request.text)

    async def press(self, request: wire.DesktopKeyboardPressRequest | act.KeyAction) -> None:
        key = _key(request.key)
        modifiers = tuple(names_of(request.modifiers))
        await self._x11.keyboard.press(key, modifiers)
        self.deeds.keys("+".join((*modifiers, key)))

    async def key_down(self, request: wire.DesktopKeyboardDownRequest | act.KeyDownAction) -> None:
        key = _key(request.key)
        await self._x11.keyboard.down(key)
        self.deeds.keys(key)

    async def key_up(self, request: wire.DesktopKeyboardUpRequest | act.KeyUpAction) -> None:
        key = _key(request.key)
        await self._x11.keyboard.up(key)

    # -- clipboard ------------------------------------------------------------------------------------------------

    async def read_clipboard(self, selection: str | None) -> DesktopClipboardResponse:
        name = selection or "clipboard"
        return DesktopClipboardResponse(text=await self._x11.clipboard.read(name), selection=name)

    async def write_clipboard(self, request: wire.DesktopClipboardWriteRequest) -> None:
        await self._x11.clipboard.write(request.text, request.selection or "clipboard")

    # -- seeing ---------------------------------------------------------------------------------------------------

    async def marked(self, view: View) -> View:
        """The view with a mark on all that can be acted on now."""
        _ = self._x11
        return replace(view, marking=await self._desktop.a11y.marking(view.region))

    async def screenshot(self, view: View) -> Screenshot:
        shot = await self._x11.screenshots.take(view.shot())
        if view.marking is not None:
            self._desktop.a11y.keep(shot.id, view.marking)
        return shot

    async def screenshot_tag(self, view: View) -> str:
        """The entity tag of the screenshot that would be taken now, with its quotes."""
        return await self._x11.screenshots.etag(view.shot())


def view_of(
    image: str | None, quality: int | None, scale: float | None, region: Region | None, *, cursor: bool | None
) -> View:
    """A screenshot with the contract's defaults. Raises ``DesktopInvalidAction`` for values out of bounds."""
    view = View(
        region=region,
        format=image or "png",
        quality=85 if quality is None else quality,
        scale=1.0 if scale is None else scale,
        show_cursor=bool(cursor),
    )
    if view.format not in FORMATS:
        raise DesktopInvalidAction(f"format must be one of {', '.join(FORMATS)}, not {view.format!r}")
    if not 1 <= view.quality <= 100:  # noqa: PLR2004 - percent
        raise DesktopInvalidAction(f"quality must be from 1 to 100, not {quality}")
    if not 0.1 <= view.scale <= 1.0:  # noqa: PLR2004 - as the contract has it
        raise DesktopInvalidAction(f"scale must be from 0.1 to 1.0, not {scale}")
    return view


def region_of(x: int | None, y: int | None, width: int | None, height: int | None) -> Region | None:
    """The region that four numbers give together, or none of them none. Raises ``DesktopInvalidAction``."""
    if x is None and y is None and width is None and height is None:
        return None
    if x is None or y is None or width is None or height is None:
        raise DesktopInvalidAction("x, y, width and height come together")
    not_negative(x, y)
    if width <= 0 or height <= 0:
        raise DesktopInvalidAction("width and height must be greater than 0")
    return Region(x, y, width, height)


def not_negative(x: int, y: int) -> None:
    if x < 0 or y < 0:
        raise DesktopInvalidAction(f"coordinates must not be negative: {x}, {y}")


def names_of(modifiers: wire.DesktopKeyModifiers | None) -> Iterable[str]:
    return () if modifiers is None else [name for name in MODIFIERS if getattr(modifiers, name)]


def _button(given: str | None) -> str:
    return "left" if given is None else given


def _key(given: str) -> str:
    if not given:
        raise DesktopInvalidAction("key must not be empty")
    return given


def _position(pointer: Pointer) -> DesktopMousePositionResponse:
    return DesktopMousePositionResponse(x=pointer.x, y=pointer.y, screen=pointer.screen, window=pointer.window)
