"""Pixels of the screen, from a connection of their own, so that looking never delays acting."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image
from Xlib.error import XError

from sandbox_agent.desktop.x11.cursor import ask_cursor, told_cursor
from sandbox_agent.desktop.x11.damage import Damage
from sandbox_agent.desktop.x11.display import Display
from sandbox_agent.desktop.x11.geometry import Region
from sandbox_agent.desktop.x11.shm import Segment
from sandbox_agent.problems import DesktopScreenshotFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.cursor import Cursor

FRAMES = 3
"""Pictures that may be held at once; more wait."""

BYTES_A_PIXEL = 4
DEPTHS = frozenset({24, 32})


@dataclass(frozen=True, slots=True)
class Frame:
    """Pixels of ``region`` as they were when the change counter stood at ``damage``; valid while it is held."""

    region: Region
    damage: int
    cursor: Cursor | None
    pixels: memoryview

    def image(self) -> Image.Image:
        """A copy as an RGB image. Takes milliseconds: for a thread."""
        size = (self.region.width, self.region.height)
        pixels: Any = self.pixels  # whatever has a buffer will do
        return Image.frombuffer("RGB", size, pixels, "raw", "BGRX", 0, 1)

    def view(self) -> Image.Image:
        """The pixels themselves as an RGBX image, with red and blue in each other's place; valid while it is held."""
        size = (self.region.width, self.region.height)
        pixels: Any = self.pixels  # whatever has a buffer will do
        return Image.frombuffer("RGBX", size, pixels, "raw", "RGBX", 0, 1)


@dataclass(frozen=True, slots=True)
class Look:
    """What a frame would show: the change counter, and the pointer where it was asked for."""

    damage: int
    cursor: Cursor | None


class Capture:
    """Takes frames. ``damage`` watches the same connection, so counters and pixels agree."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self.damage = Damage(display)
        self.size = display.size
        self._free: list[Segment] = []
        self._segments: list[Segment] = []
        self._slots = asyncio.Semaphore(FRAMES)

    @classmethod
    async def open(cls, name: str, authority: Path | None, deadline: float) -> Capture:
        """Connect to display ``name``; raises as `Display.open`."""
        capture = cls(await Display.open(name, authority, deadline=deadline))
        await capture.damage.start()
        return capture

    @property
    def whole(self) -> Region:
        return Region(0, 0, *self.size)

    @property
    def last_look(self) -> Look:
        """What is known without a look: a frame taken now shows no less."""
        return Look(self.damage.counter, None)

    async def look(self, *, cursor: bool = False) -> Look:
        """What a frame taken now would show."""
        return await self.display.call(lambda c: self._look(c, cursor))

    @asynccontextmanager
    async def frame(self, region: Region | None = None, *, cursor: bool = False) -> AsyncIterator[Frame]:
        """Hold a frame of ``region``, the whole screen by default; let go of it soon.

        Raises `DesktopScreenshotFailed` where the server refuses, and as `Display.call`.
        """
        where = (region or self.whole).within(self.size)
        async with self._slots:
            free = self._free.pop() if self._free else None
            try:
                segment, frame = await self.display.call(lambda c: self._grab(c, free, where, cursor))
            except XError as error:
                raise DesktopScreenshotFailed(f"the X server gave no picture: {error}") from error
            try:
                yield frame
            finally:
                self._free.append(segment)

    def _grab(
        self, connection: Connection, segment: Segment | None, where: Region, cursor: bool
    ) -> tuple[Segment, Frame]:
        if connection.screen.root_depth not in DEPTHS:
            raise DesktopScreenshotFailed(f"a screen of {connection.screen.root_depth} bits a pixel is not supported")
        if segment is None:
            segment = Segment(connection, self.size[0] * self.size[1] * BYTES_A_PIXEL)
            self._segments.append(segment)
        # All in one message: each wait for a busy server is a wait for the programs that keep it busy.
        damage = self.damage.ask(connection)
        image = segment.ask(connection, where)
        pointer = ask_cursor(connection) if cursor else None
        counter = self.damage.tell(damage)
        segment.keep(image)
        pixels = segment.pixels(where.area * BYTES_A_PIXEL)
        return segment, Frame(
            region=where, damage=counter, cursor=told_cursor(pointer) if pointer else None, pixels=pixels
        )

    def _look(self, connection: Connection, cursor: bool) -> Look:
        damage = self.damage.ask(connection)
        pointer = ask_cursor(connection) if cursor else None
        return Look(self.damage.tell(damage), told_cursor(pointer) if pointer else None)

    async def close(self) -> None:
        """End the connection; waits for frames that are held."""
        await self.display.close()
        for _ in range(FRAMES):
            await self._slots.acquire()
        for segment in self._segments:
            segment.free()
