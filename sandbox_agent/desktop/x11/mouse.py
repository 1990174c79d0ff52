"""The pointer: moves, clicks, drags and the wheel."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from Xlib.error import XError
from Xlib.protocol import request as requests

from sandbox_agent.desktop.x11.windows import client_of
from sandbox_agent.problems import DesktopInputFailed, DesktopInvalidAction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.display import Display
    from sandbox_agent.desktop.x11.keyboard import Keyboard
    from sandbox_agent.desktop.x11.xtest import Devices

BUTTONS = {"left": 1, "middle": 2, "right": 3}
WHEEL_UP, WHEEL_DOWN, WHEEL_LEFT, WHEEL_RIGHT = 4, 5, 6, 7
MOST_CLICKS = 100
MOST_NOTCHES = 1000
DRAG_STEPS = 16
DRAG_PAUSE = 0.004
"""Seconds between the steps of a drag: toolkits begin one only after they have seen the pointer move."""
THAW_SECONDS = 1.0
THAW_STEP = 0.002
"""Seconds for which an action is waited for, and between two looks.

A press in a window freezes the pointer until the window manager has seen it (X11 protocol, 9, GrabButton). What the X
server keeps back meanwhile it tells with the place of the last move, so nothing else may be done before."""
BUTTON_MASKS = {number: 1 << (7 + number) for number in range(1, 6)}


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where the pointer is; ``window`` is the id of the client window below it, in decimal."""

    x: int
    y: int
    screen: int
    window: str | None


class Mouse:
    """Acts with the pointer; each method answers where it is afterwards.

    All raise `DesktopInvalidAction` for positions outside the screen and unknown buttons, and as `Display.call`.
    """

    def __init__(self, display: Display, devices: Devices, keyboard: Keyboard) -> None:
        self._display = display
        self._devices = devices
        self._keyboard = keyboard

    async def position(self) -> Pointer:
        return (await self._display.call(_look))[0]

    async def move(self, x: int, y: int) -> Pointer:
        self._check(x, y)
        return await self._do(lambda c: self._devices.move(c, x, y), (x, y))

    async def click(
        self, x: int, y: int, button: str = "left", count: int = 1, modifiers: Iterable[str] = ()
    ) -> Pointer:
        """Click ``count`` times; ``modifiers`` (ctrl, shift, alt, cmd) are held meanwhile."""
        self._check(x, y)
        number = _button(button)
        if not 1 <= count <= MOST_CLICKS:
            raise DesktopInvalidAction(f"clickCount is 1 to {MOST_CLICKS}, not {count}")

        def act(connection: Connection) -> None:
            self._devices.move(connection, x, y)
            for _ in range(count):
                self._devices.button(connection, number, True)
                self._devices.button(connection, number, False)

        held = tuple(modifiers)
        context: AbstractAsyncContextManager[None] = self._keyboard.holding(held) if held else nullcontext()
        async with context:
            return await self._do(act, (x, y))

    async def down(self, button: str = "left", x: int | None = None, y: int | None = None) -> Pointer:
        return await self._press(button, x, y, True)

    async def up(self, button: str = "left", x: int | None = None, y: int | None = None) -> Pointer:
        return await self._press(button, x, y, False)

    async def _press(self, button: str, x: int | None, y: int | None, down: bool) -> Pointer:
        number = _button(button)
        if (x is None) != (y is None):
            raise DesktopInvalidAction("x and y come together")
        if x is not None and y is not None:
            self._check(x, y)

        def act(connection: Connection) -> None:
            if x is not None and y is not None:
                self._devices.move(connection, x, y)
            self._devices.button(connection, number, down)

        return await self._do(act, None if x is None or y is None else (x, y))

    async def drag(self, start: tuple[int, int], end: tuple[int, int], button: str = "left") -> Pointer:
        """Press at ``start``, go to ``end`` in steps, release there."""
        self._check(*start)
        self._check(*end)
        number = _button(button)
        await self._press(button, *start, True)
        try:
            for step in range(1, DRAG_STEPS + 1):
                await asyncio.sleep(DRAG_PAUSE)
                x, y = (a + (b - a) * step // DRAG_STEPS for a, b in zip(start, end, strict=True))
                await self._do(lambda c, x=x, y=y: self._devices.move(c, x, y))  # type: ignore[misc]
            await asyncio.sleep(DRAG_PAUSE)
        finally:
            released = await self._do(lambda c: self._devices.button(c, number, False), end)
        return released

    async def scroll(self, x: int, y: int, dx: int = 0, dy: int = 0) -> Pointer:
        """Turn the wheel at ``x``, ``y``: ``dx`` notches to the right, ``dy`` down; negative the other way."""
        self._check(x, y)
        if not dx and not dy:
            raise DesktopInvalidAction("deltaX and deltaY are both zero: there is nothing to scroll")
        if max(abs(dx), abs(dy)) > MOST_NOTCHES:
            raise DesktopInvalidAction(f"at most {MOST_NOTCHES} notches at once")

        def act(connection: Connection) -> None:
            self._devices.move(connection, x, y)
            for number, turns in (
                (WHEEL_DOWN if dy > 0 else WHEEL_UP, abs(dy)),
                (WHEEL_RIGHT if dx > 0 else WHEEL_LEFT, abs(dx)),
            ):
                for _ in range(turns):
                    self._devices.button(connection, number, True)
                    self._devices.button(connection, number, False)

        return await self._do(act, (x, y))

    def _check(self, x: int, y: int) -> None:
        width, height = self._display.size
        if not (0 <= x < width and 0 <= y < height):
            raise DesktopInvalidAction(f"{x}, {y} is not on the screen of {width}x{height} pixels")

    async def _do(self, act: Callable[[Connection], None], to: tuple[int, int] | None = None) -> Pointer:
        """Where the pointer is afterwards: at ``to``, with the buttons down that are held, unless a program has it."""

        def whole(connection: Connection) -> tuple[Pointer, int]:
            act(connection)
            return _look(connection)

        try:
            pointer, down = await self._display.call(whole)
            until = time.monotonic() + THAW_SECONDS
            while not self._done(pointer, down, to) and time.monotonic() < until:
                await asyncio.sleep(THAW_STEP)
                pointer, down = await self._display.call(_look)
        except XError as error:
            raise DesktopInputFailed(f"the X server refused: {error}") from error
        return pointer

    def _done(self, pointer: Pointer, down: int, to: tuple[int, int] | None) -> bool:
        held = sum(BUTTON_MASKS.get(number, 0) for number in self._devices.held_buttons)
        return down == held and to in {None, (pointer.x, pointer.y)}


def _look(connection: Connection) -> tuple[Pointer, int]:
    """Where the pointer is, and the mask of the buttons that are down."""
    found = requests.QueryPointer(display=connection, window=connection.root)
    window = client_of(connection, found.child) if found.child else None
    pointer = Pointer(x=found.root_x, y=found.root_y, screen=0, window=str(window) if window else None)
    return pointer, found.mask & sum(BUTTON_MASKS.values())


def _button(name: str) -> int:
    number = BUTTONS.get(name)
    if number is None:
        raise DesktopInvalidAction(f"no button {name!r}: it is one of {', '.join(BUTTONS)}")
    return number
