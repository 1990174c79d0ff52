"""Frames for those who watch, on a real Xvfb."""

from __future__ import annotations

import asyncio
import selectors
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from sandbox_agent.desktop.frames import Frames, _Film, joined
from sandbox_agent.desktop.x11.camera import Picture
from sandbox_agent.desktop.x11.geometry import Region
from sandbox_agent.problems import DesktopRuntimeFailed, DesktopRuntimeInactive
from sandbox_agent.wire.desktop import DesktopLaunchRequest

from ..support.desktop import DEADLINE, eventually, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from sandbox_agent.desktop.frames import Frame, Watcher

    from ..support.desktop import World

SIZE = (640, 480)
RED = (255, 0, 0)
WINDOW = """
import tkinter
root = tkinter.Tk()
root.overrideredirect(True)
root.geometry("100x80+{x}+{y}")
root.configure(background="#ff0000")
root.mainloop()
"""


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        await made.start(width=SIZE[0], height=SIZE[1])
        yield made


def image(frame: Frame) -> Image.Image:
    return Image.frombuffer("RGB", frame.size, frame.pixels, "raw", "BGRX", 0, 1)  # type: ignore[arg-type]


def red(frame: Frame, x: int = 30, y: int = 30) -> bool:
    return image(frame).getpixel((x, y)) == RED


async def red_window(desk: World, x: int = 20, y: int = 20) -> None:
    """A program that shows 100x80 red pixels."""
    await desk.desktop.launcher.launch(
        DesktopLaunchRequest(app="/usr/bin/python3", args=("-c", WINDOW.format(x=x, y=y)))
    )


async def until(frames: Watcher, condition: Callable[[Frame], bool]) -> Frame:
    """The first frame of which the condition is true."""
    async with asyncio.timeout(DEADLINE):
        async for frame in frames:
            if condition(frame):
                return frame
    raise AssertionError("the frames ended")


async def settled(frames: Watcher) -> None:
    """Until nothing comes for a while."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                async with asyncio.timeout(0.5):
                    await anext(frames)
            except TimeoutError:
                return


async def test_the_first_frame_is_the_whole_screen_and_later_ones_say_what_changed(desk: World) -> None:
    async with desk.desktop.frames() as frames:
        first = await until(frames, lambda _: True)
        assert (first.size, first.damaged, len(first.pixels)) == (SIZE, (Region(0, 0, *SIZE),), 640 * 480 * 4)
        assert not red(first)
        await red_window(desk)
        damaged: list[Region] = []

        def shown(frame: Frame) -> bool:
            damaged.extend(frame.damaged)
            return red(frame)

        last = await until(frames, shown)
    assert last.number > first.number
    assert last.time >= first.time
    assert any(part.overlap(Region(20, 20, 100, 80)) for part in damaged)


async def test_a_frame_stays_as_it_was_for_as_long_as_it_is_kept(desk: World) -> None:
    """Also while others are taken, and when the source has gone: its memory is not used again before."""
    async with desk.desktop.frames() as frames:
        kept = await until(frames, lambda _: True)
        before = bytes(kept.pixels)
        await red_window(desk)
        newer = await until(frames, red)
        assert bytes(kept.pixels) == before
    assert bytes(kept.pixels) == before
    assert red(newer)


async def test_nothing_is_taken_while_nothing_changes(desk: World) -> None:
    async with desk.desktop.frames() as frames:
        await settled(frames)
        film = desk.desktop._frames._film
        assert film is not None
        taken = -1
        async with asyncio.timeout(DEADLINE):
            while film._number != taken:  # the screen may still be drawn, on a slow machine with long breaks
                taken = film._number
                await settled(frames)
    assert desk.desktop._frames._film is None


async def test_a_moved_pointer_makes_a_frame_without_damage(desk: World) -> None:
    async with desk.desktop.frames() as frames:
        await settled(frames)
        await desk.desktop.x11.mouse.move(123, 45)
        frame = await until(frames, lambda f: f.cursor is not None and (f.cursor.x, f.cursor.y) == (123, 45))
        assert frame.damaged == ()


async def test_several_watchers_see_the_same_and_a_slow_one_only_the_newest(desk: World) -> None:
    async with desk.desktop.frames() as slow, desk.desktop.frames() as quick:
        first = await until(slow, lambda _: True)
        await red_window(desk)
        seen = await until(quick, red)
        await settled(quick)
        newest = await until(slow, lambda _: True)
        assert red(newest)
        assert newest.number >= seen.number > first.number
        assert any(part.overlap(Region(20, 20, 100, 80)) for part in newest.damaged)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await anext(slow)


async def test_frames_end_with_the_display_and_come_again_from_the_next(desk: World) -> None:
    desktop = desk.desktop
    async with desktop.frames() as frames:
        await settled(frames)
        await desktop.stop()
        with pytest.raises(DesktopRuntimeFailed):
            await until(frames, lambda _: False)
    with pytest.raises(DesktopRuntimeInactive):
        async with desktop.frames():
            pass
    await desk.start(width=320, height=200)
    async with desktop.frames() as frames:
        assert (await until(frames, lambda _: True)).size == (320, 200)


async def test_a_source_that_nobody_watches_leaves_no_thread(desk: World) -> None:
    def displays() -> set[str]:
        return {thread.name for thread in threading.enumerate() if thread.name.startswith("x11 ")}

    before = displays()
    async with desk.desktop.frames() as one, desk.desktop.frames() as other:
        await until(one, lambda _: True)
        await until(other, lambda _: True)
    await eventually(lambda: displays() == before, "the end of the source's thread")
    assert desk.desktop._frames._film is None


class _Skip(selectors.DefaultSelector):
    """Waits for nothing: ``now`` is as late as it would be if it had."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            self.now += timeout or 0
        return found


class _Skipping(asyncio.SelectorEventLoop):
    """Its time goes on only where all wait, and then at once: exact, however busy the machine is."""

    def __init__(self) -> None:
        self._clock = _Skip()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


class _Restless:
    """A camera for which there is always something new, and whose pictures take no time."""

    def __init__(self) -> None:
        self.size = SIZE
        self.changed = asyncio.Event()
        self.changed.set()
        self.display = SimpleNamespace(ended=asyncio.Event(), failure=None)
        self.taken = 0

    async def shoot(self) -> Picture:
        self.taken += 1
        return Picture(asyncio.get_running_loop().time(), SIZE, memoryview(b""), (Region(0, 0, *SIZE),), None)

    async def close(self) -> None:
        self.display.ended.set()


def test_nobody_gets_more_frames_a_second_than_were_asked_for_however_much_changes() -> None:
    """Nor fewer; and no more are taken than the quickest wants."""
    camera: Any = None

    class Source(Frames):
        async def _open(self) -> Any:
            nonlocal camera
            camera = _Restless()
            return _Film(camera)

    async def seconds(frames: Watcher, count: int) -> float:
        for _ in range(count):
            await anext(frames)
        return asyncio.get_running_loop().time()

    async def watch() -> list[float]:
        source = Source(SimpleNamespace())  # type: ignore[arg-type]
        async with source.watch(fps=20) as quick, source.watch(fps=5) as slow:
            return list(await asyncio.gather(seconds(quick, 61), seconds(slow, 16)))

    with asyncio.Runner(loop_factory=_Skipping) as runner:
        assert runner.run(watch()) == pytest.approx([3, 3], abs=1e-3)
    assert camera.taken <= 62


def test_many_rectangles_become_one_around_them() -> None:
    parts = [Region(10 * i, 5, 4, 4) for i in range(40)]
    assert joined(parts) == (Region(0, 5, 394, 4),)
    assert joined([*parts[:3], *parts[:3]]) == tuple(parts[:3])
