"""Frames of the screen for all who watch: the stream, WebRTC, recordings.

There is one source for all of them, and it is there only while somebody watches. A frame is taken when somebody wants
one and something has changed, so a still screen and a busy watcher cost nothing, and what a watcher gets is always
the newest: frames that came meanwhile are left out.

    async with desktop.frames(fps=30) as frames:
        async for frame in frames:
            await asyncio.to_thread(encode, frame)
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox_agent.desktop.x11.geometry import Region
from sandbox_agent.problems import DesktopRuntimeFailed, Problem, Timeout
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sandbox_agent.desktop.service import Desktop
    from sandbox_agent.desktop.x11.camera import Camera, Picture
    from sandbox_agent.desktop.x11.cursor import Cursor

_POINTER_INTERVAL = 1 / 30  # s between two looks where the pointer is
_EARLY = 0.8  # of an interval after which a frame counts as one interval later
_MOST_PARTS = 16


@dataclass(frozen=True, slots=True)
class Frame:
    """The screen at ``time`` (monotonic): BGRX pixels, row by row, valid for as long as somebody refers to them.

    ``damaged`` is what has changed since this watcher's frame before, the whole screen in its first; nothing where
    only the pointer has. ``cursor`` is the pointer, which is not in the pixels. Numbers grow, and skip what a watcher
    does not get.
    """

    number: int
    time: float
    size: tuple[int, int]
    pixels: memoryview
    damaged: tuple[Region, ...]
    cursor: Cursor | None


class Frames:
    """The desktop's one source of frames."""

    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop
        self._film: _Film | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def watch(self, fps: float = 30) -> AsyncIterator[Watcher]:
        """Frames, at most ``fps`` a second. Raises the problem of a desktop that is not active."""
        async with self._turn:
            film = self._film
            if film is None or film.ended:
                film = self._film = await self._open()
            watcher = Watcher(film, fps)
            film.watchers.append(watcher)
        try:
            yield watcher
        finally:
            film.watchers.remove(watcher)
            if not film.watchers:
                if self._film is film:
                    self._film = None
                await film.close()

    async def _open(self) -> _Film:
        from sandbox_agent.desktop.x11.camera import Camera  # noqa: PLC0415 - needs the extra `desktop`

        _ = self._desktop.x11
        runtime = self._desktop.runtime
        return _Film(await Camera.open(runtime.name, runtime.place.authority))


class Watcher:
    """Iterate it for frames. Raises ``DesktopRuntimeFailed`` when the display ends.

    A display that does not answer for a while has no frames meanwhile.
    """

    def __init__(self, film: _Film, fps: float) -> None:
        self.size = film.size
        self.interval = 1 / fps
        self._film = film
        self._due = asyncio.get_running_loop().time()
        self._seen = 0
        self._damaged: list[Region] = []

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> Frame:
        loop = asyncio.get_running_loop()
        if (wait := self._due - loop.time()) > 0:
            await asyncio.sleep(wait)
        number, picture = await self._film.after(self._seen)
        self._due = max(self._due + self.interval, loop.time())
        damaged = (Region(0, 0, *picture.size),) if not self._seen else joined(self._damaged)
        self._seen = number
        self._damaged = []
        return Frame(number, picture.time, picture.size, picture.pixels, damaged, picture.cursor)

    def refresh(self) -> None:
        """Have a frame soon that counts as damaged all over, though nothing may have changed."""
        self._seen = 0
        self._film.wake()

    def note(self, damaged: Sequence[Region]) -> None:
        """Remember what has changed for the next frame."""
        self._damaged = [*joined(self._damaged), *damaged]


class _Film:
    """Pictures of one camera, numbered."""

    def __init__(self, camera: Camera) -> None:
        self.size = camera.size
        self.watchers: list[Watcher] = []
        self._camera = camera
        self._number = 0
        self._newest: Picture | None = None
        self._failure: Problem | None = None
        self._turn = asyncio.Lock()
        self._tasks = [
            spawn_task(self._watch_pointer(), name="watch the pointer"),
            spawn_task(self._watch_end(), name="watch the end of the display"),
        ]

    @property
    def ended(self) -> bool:
        return self._camera.display.ended.is_set()

    async def after(self, number: int) -> tuple[int, Picture]:
        """The newest picture, once there is a newer one than ``number``."""
        while True:
            if (failure := self._camera.display.failure or self._failure) is not None:
                raise failure
            async with self._turn:
                if (picture := await self._take(number)) is not None:
                    return self._number, picture
            await self._camera.changed.wait()

    def wake(self) -> None:
        """Have a picture taken, whatever has changed."""
        self._camera.changed.set()

    async def _take(self, number: int) -> Picture | None:
        newest = self._newest
        if newest is not None and (not self._camera.changed.is_set() or self._early(newest) > 0):
            if self._number > number:
                return newest
            if not self._camera.changed.is_set():
                return None
            await asyncio.sleep(self._early(newest))
        # Shielded: what has changed is told once, and whoever waits may be cancelled.
        await asyncio.shield(spawn_task(self._shoot(), name="take a frame"))
        return self._newest if self._number > number else None

    async def _shoot(self) -> None:
        try:
            picture = await self._camera.shoot()
        except Timeout:  # a stopped server; it may go on
            self._camera.changed.set()
        except Problem as problem:
            self._failure = problem
        else:
            self._newest = picture
            self._number += 1
            for watcher in self.watchers:
                watcher.note(picture.damaged)

    def _early(self, newest: Picture) -> float:
        """Seconds until it is time for the picture after ``newest``."""
        interval = min((watcher.interval for watcher in self.watchers), default=0.0)
        return newest.time + interval * _EARLY - asyncio.get_running_loop().time()

    async def _watch_pointer(self) -> None:
        while not self.ended:
            await asyncio.sleep(_POINTER_INTERVAL)
            if self._newest is None or self._camera.changed.is_set():
                continue
            try:
                await self._camera.look()
            except Timeout:  # a stopped server; it may go on
                continue
            except DesktopRuntimeFailed:
                return

    async def _watch_end(self) -> None:
        await self._camera.display.ended.wait()
        self._camera.changed.set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._newest = None
        await self._camera.close()


def joined(parts: Sequence[Region]) -> tuple[Region, ...]:
    """The same rectangles once each; one around all of them where they are many."""
    found = tuple(dict.fromkeys(parts))
    if len(found) <= _MOST_PARTS:
        return found
    x, y = min(part.x for part in found), min(part.y for part in found)
    right, bottom = max(part.x + part.width for part in found), max(part.y + part.height for part in found)
    return (Region(x, y, right - x, bottom - y),)
