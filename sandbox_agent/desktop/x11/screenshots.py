"""Screenshots: encoded, cached while the screen stays as it is, and kept in mind so that clicks may name them."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox_agent.desktop.x11 import geometry
from sandbox_agent.desktop.x11.encode import MEDIA_TYPES, encode_frame
from sandbox_agent.problems import DesktopInvalidAction

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from sandbox_agent.desktop.x11.capture import Capture, Frame, Look
    from sandbox_agent.desktop.x11.encode import Format
    from sandbox_agent.desktop.x11.geometry import Region

KEPT_IDS = 1024
CACHED_BYTES = 32 << 20
WORKERS = 4


@dataclass(frozen=True, slots=True)
class Shot:
    """What a screenshot is to be; checked by `Screenshots`. ``scale`` is 0.1-1.0, ``quality`` 1-100.

    ``marks`` are places on the screen that get a box and a number, from 1.
    """

    region: Region | None = None
    format: str = "png"
    quality: int = 85
    scale: float = 1.0
    show_cursor: bool = False
    marks: tuple[Region, ...] = ()


@dataclass(frozen=True, slots=True)
class Screenshot:
    """An encoded picture of ``region``; ``width`` and ``height`` are the picture's own, ``damage`` its age."""

    id: str
    format: Format
    data: bytes
    width: int
    height: int
    region: Region
    scale: float
    etag: str
    damage: int

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]


class Screenshots:
    """Takes screenshots. The same one of an unchanged screen is encoded once."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._run = secrets.token_hex(4)  # counters start again with each display
        self._taken = 0
        self._places: OrderedDict[str, tuple[Region, tuple[int, int]]] = OrderedDict()
        self._cache: OrderedDict[str, Screenshot] = OrderedDict()
        self._cached = 0
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="screenshot")

    async def take(self, shot: Shot | None = None) -> Screenshot:
        """A screenshot of the screen as it is now.

        Raises `DesktopInvalidAction` for an unknown format, a quality, scale or region out of bounds; else as
        `Capture.frame`.
        """
        shot = shot or Shot()
        form, region = self._checked(shot)
        if (known := await self._known(shot, region)) is not None:
            self._keep(known)
            return known
        async with self._capture.frame(region, cursor=shot.show_cursor) as frame:
            data = await self._encoded(frame, form, shot)
        width, height = geometry.scaled(region, shot.scale)
        self._taken += 1
        screenshot = Screenshot(
            id=f"shot_{self._run}_{self._taken}",
            format=form,
            data=data,
            width=width,
            height=height,
            region=region,
            scale=shot.scale,
            etag=self._etag(shot, region, frame),
            damage=frame.damage,
        )
        self._keep(screenshot)
        return screenshot

    async def etag(self, shot: Shot | None = None) -> str:
        """The entity tag (with its quotes) of the screenshot that `take` would give now; costs no picture."""
        shot = shot or Shot()
        _, region = self._checked(shot)
        return self._etag(shot, region, await self._look(shot))

    def to_screen(self, screenshot_id: str, x: int, y: int) -> tuple[int, int]:
        """The screen's pixel that pixel ``x``, ``y`` of an earlier screenshot shows.

        The last 1,024 screenshots are known. Raises `DesktopInvalidAction` for others and for pixels outside.
        """
        place = self._places.get(screenshot_id)
        if place is None:
            raise DesktopInvalidAction(f"no screenshot {screenshot_id} is known", hint="take a new screenshot")
        return geometry.to_screen(*place, x, y)

    def frame(self, region: Region | None = None, *, cursor: bool = False) -> AbstractAsyncContextManager[Frame]:
        """Raw pixels; see `Capture.frame`."""
        return self._capture.frame(region, cursor=cursor)

    async def close(self) -> None:
        """End the threads once what they encode is done."""
        await asyncio.to_thread(self._workers.shutdown)

    async def _known(self, shot: Shot, region: Region) -> Screenshot | None:
        """The same screenshot of a screen that has not changed since, if there is one; else often without a look."""
        if not shot.show_cursor and self._etag(shot, region, self._capture.last_look) not in self._cache:
            return None
        return self._cache.get(self._etag(shot, region, await self._look(shot)))

    async def _look(self, shot: Shot) -> Look:
        return await self._capture.look(cursor=shot.show_cursor)

    async def _encoded(self, frame: Frame, form: Format, shot: Shot) -> bytes:
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._workers, encode_frame, frame, form, shot.quality, shot.scale, shot.marks)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])  # the pixels are in use until then
            raise

    def _checked(self, shot: Shot) -> tuple[Format, Region]:
        if shot.format not in MEDIA_TYPES:
            raise DesktopInvalidAction(f"no screenshot format {shot.format!r}: it is one of {', '.join(MEDIA_TYPES)}")
        if not 1 <= shot.quality <= 100:  # noqa: PLR2004 -- as the contract has it
            raise DesktopInvalidAction(f"quality is 1 to 100, not {shot.quality}")
        if not 0.1 <= shot.scale <= 1.0:  # noqa: PLR2004 -- as the contract has it
            raise DesktopInvalidAction(f"scale is 0.1 to 1.0, not {shot.scale:g}")
        region = shot.region or self._capture.whole
        return shot.format, region.within(self._capture.size)  # type: ignore[return-value]

    def _etag(self, shot: Shot, region: Region, look: Look | Frame) -> str:
        pointer = look.cursor.state if look.cursor else None
        quality = None if shot.format == "png" else shot.quality
        kind = (shot.format, quality, shot.scale, shot.show_cursor, shot.marks)
        what = repr((self._run, look.damage, pointer, region, kind))
        return f'"{hashlib.blake2b(what.encode(), digest_size=12).hexdigest()}"'

    def _keep(self, screenshot: Screenshot) -> None:
        self._places[screenshot.id] = (screenshot.region, (screenshot.width, screenshot.height))
        self._places.move_to_end(screenshot.id)
        while len(self._places) > KEPT_IDS:
            self._places.popitem(last=False)
        if (before := self._cache.pop(screenshot.etag, None)) is not None:
            self._cached -= len(before.data)
        self._cache[screenshot.etag] = screenshot
        self._cached += len(screenshot.data)
        while self._cached > CACHED_BYTES and len(self._cache) > 1:
            self._cached -= len(self._cache.popitem(last=False)[1].data)
