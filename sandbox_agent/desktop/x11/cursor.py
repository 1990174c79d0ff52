"""The pointer's own picture, by XFIXES, laid over a screenshot."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image
from Xlib.error import XError
from Xlib.ext import xfixes

if TYPE_CHECKING:
    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.geometry import Region


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the pointer is, and how it looks: premultiplied BGRA pixels around its hot spot."""

    x: int
    y: int
    hot_x: int
    hot_y: int
    width: int
    height: int
    serial: int
    pixels: bytes

    @property
    def state(self) -> tuple[int, int, int]:
        """What tells two cursors apart."""
        return self.x, self.y, self.serial

    def draw(self, image: Image.Image, region: Region) -> None:
        """Lay the pointer over ``image``, which shows ``region`` pixel for pixel."""
        picture = Image.frombytes("RGBa", (self.width, self.height), self.pixels, "raw", "BGRa").convert("RGBA")
        image.paste(picture, (self.x - self.hot_x - region.x, self.y - self.hot_y - region.y), picture)


def ask_cursor(connection: Connection) -> xfixes.GetCursorImage:
    """Ask for the pointer as it is; `told_cursor` waits for it."""
    return xfixes.GetCursorImage(display=connection, defer=True, opcode=connection.opcode("XFIXES"))


def told_cursor(image: xfixes.GetCursorImage) -> Cursor | None:
    """The pointer as it was when it was asked for; None while the server shows none."""
    try:
        image.reply()
    except XError:  # BadCursor: no program has given the pointer a picture yet
        return None
    count = image.width * image.height
    return Cursor(
        x=image.x,
        y=image.y,
        hot_x=image.xhot,
        hot_y=image.yhot,
        width=image.width,
        height=image.height,
        serial=image.cursor_serial,
        pixels=struct.pack(f"<{count}I", *image.cursor_image[:count]),
    )
