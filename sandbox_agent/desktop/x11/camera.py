"""Picture after picture of the screen, from a connection of its own: what the stream and recordings are made from.

A picture's pixels are the memory that the X server wrote them to. It is used for another picture only once nobody
refers to them any more, so whoever has a picture may keep it for as long as it is needed, in any thread.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from Xlib.error import XError
from Xlib.ext import damage as damage_ext
from Xlib.ext import xfixes
from Xlib.protocol import request as requests

from sandbox_agent.desktop.x11.capture import BYTES_A_PIXEL, DEPTHS
from sandbox_agent.desktop.x11.cursor import ask_cursor, told_cursor
from sandbox_agent.desktop.x11.damage import Damage
from sandbox_agent.desktop.x11.display import DEADLINE, Display
from sandbox_agent.desktop.x11.geometry import Region
from sandbox_agent.desktop.x11.shm import Segment
from sandbox_agent.problems import DesktopScreenshotFailed

if TYPE_CHECKING:
    import ctypes
    from pathlib import Path

    from Xlib.protocol import rq

    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.cursor import Cursor

_CURSOR_CHANGES = 1  # XFixesDisplayCursorNotifyMask


@dataclass(frozen=True, slots=True)
class Picture:
    """The whole screen, row by row, 4 bytes (BGRX) a pixel, and the pointer, which is not in the pixels.

    ``damaged`` is what has changed since the picture before; nothing where only the pointer has. ``time`` is
    monotonic.
    """

    time: float
    size: tuple[int, int]
    pixels: memoryview
    damaged: tuple[Region, ...]
    cursor: Cursor | None


class Camera:
    """Takes pictures when told to. ``changed`` is set when there is something new to see, or the display has ended."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self.size = display.size
        self.changed = asyncio.Event()
        self._damage = Damage(display)
        self._free: deque[Segment] = deque()
        self._closed = False
        self._pixels: memoryview | None = None
        self._cursor: Cursor | None = None
        self._new_cursor = True
        display.on_event(damage_ext.DamageNotify, self._noticed)
        display.on_event(xfixes.DisplayCursorNotify, self._noticed_cursor)

    @classmethod
    async def open(cls, name: str, authority: Path | None, *, deadline: float = DEADLINE) -> Camera:
        """Connect to display ``name``; raises as `Display.open`."""
        camera = cls(await Display.open(name, authority, deadline=deadline))
        try:
            await camera._damage.start()
            await camera.display.call(_watch_cursor)
        except BaseException:
            await camera.close()
            raise
        return camera

    async def shoot(self) -> Picture:
        """A picture of the screen as it is now.

        Raises `DesktopScreenshotFailed` where the server refuses, and as `Display.call`.
        """
        try:
            return await self.display.call(self._shoot)
        except XError as error:
            raise DesktopScreenshotFailed(f"the X server gave no picture: {error}") from error

    async def look(self) -> None:
        """Set ``changed`` if the pointer has moved since the last picture, which the server tells only who asks."""
        await self.display.call(self._look)

    async def close(self) -> None:
        """End the connection. Pictures that somebody has stay as they are."""
        await self.display.close()
        self._closed = True
        self._pixels = None
        self._drain()

    # -- in the owner thread --------------------------------------------------------------------------------------

    def _noticed(self, _event: Any) -> None:
        self.display.tell(self.changed.set)

    def _noticed_cursor(self, _event: Any) -> None:
        self._new_cursor = True
        self.display.tell(self.changed.set)

    def _look(self, connection: Connection) -> None:
        found = requests.QueryPointer(display=connection, window=connection.root)
        if self._cursor is not None and (found.root_x, found.root_y) != (self._cursor.x, self._cursor.y):
            self.display.tell(self.changed.set)

    def _shoot(self, connection: Connection) -> Picture:
        if connection.screen.root_depth not in DEPTHS:
            raise DesktopScreenshotFailed(f"a screen of {connection.screen.root_depth} bits a pixel is not supported")
        damage = self._damage.ask(connection, wanted=True)
        pixels = None if self._damage.dirty else self._pixels
        image = self._ask(connection) if pixels is None else None
        pointer = self._ask_pointer(connection)
        damaged = self._damage.settle(damage).regions
        if pixels is None or damaged:
            pixels = self._pixels = self._grabbed(*(image or self._ask(connection)))
        taken = time.monotonic()
        cursor = self._pointer(pointer)
        # After the news of what is in this picture, before those of later.
        self.display.tell(self.changed.clear)
        if self._damage.dirty or self._new_cursor:
            self.display.tell(self.changed.set)
        whole = Region(0, 0, *self.size)
        return Picture(taken, self.size, pixels, tuple(part for d in damaged if (part := d.overlap(whole))), cursor)

    def _ask(self, connection: Connection) -> tuple[Segment, rq.ReplyRequest]:
        width, height = self.size
        segment = self._free.popleft() if self._free else Segment(connection, width * height * BYTES_A_PIXEL)
        return segment, segment.ask(connection, Region(0, 0, width, height))

    def _grabbed(self, segment: Segment, image: rq.ReplyRequest) -> memoryview:
        width, height = self.size
        segment.keep(image)
        pixels = segment.pixels(width * height * BYTES_A_PIXEL)
        if segment.shared:
            weakref.finalize(_memory(pixels), self._give_back, segment).atexit = False
        else:
            self._give_back(segment)  # the pixels are bytes of their own
        return pixels

    def _ask_pointer(self, connection: Connection) -> rq.ReplyRequest:
        if self._new_cursor or self._cursor is None:
            self._new_cursor = False
            return ask_cursor(connection)
        return requests.QueryPointer(display=connection, defer=True, window=connection.root)

    def _pointer(self, asked: rq.ReplyRequest) -> Cursor | None:
        if isinstance(asked, xfixes.GetCursorImage):
            self._cursor = told_cursor(asked)
        elif self._cursor is not None:
            asked.reply()
            self._cursor = dataclasses.replace(self._cursor, x=asked.root_x, y=asked.root_y)
        return self._cursor

    # -- in any thread --------------------------------------------------------------------------------------------

    def _give_back(self, segment: Segment) -> None:
        self._free.append(segment)
        if self._closed:
            self._drain()

    def _drain(self) -> None:
        while True:
            try:
                self._free.popleft().free()
            except IndexError:
                return


def _memory(pixels: memoryview) -> ctypes.Array[ctypes.c_char]:
    """What lives as long as anybody refers to the pixels."""
    found: Any = pixels.obj
    return found  # type: ignore[no-any-return]


def _watch_cursor(connection: Connection) -> None:
    xfixes.SelectCursorInput(
        display=connection, opcode=connection.opcode("XFIXES"), window=connection.root, mask=_CURSOR_CHANGES
    )
