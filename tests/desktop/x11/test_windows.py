"""Windows of real programs, seen and changed through a real window manager."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.problems import DesktopInvalidAction, NoFocusedWindow, WindowNotFound

from .programs import eventually
from .recording import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandbox_agent.desktop.x11.desktop import X11
    from sandbox_agent.wire.desktop import DesktopWindowInfo

    from .programs import Screen


async def changed(x11: X11, window_id: str, condition: Callable[[DesktopWindowInfo], bool], what: str) -> None:
    """Until the window is so; a busy machine's window manager may need longer than the call waits."""

    async def so() -> bool:
        return condition(await x11.windows.get(window_id))

    await eventually(so, what)


async def test_a_window_is_listed_with_what_it_is(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    (window,) = await x11.windows.list()
    assert (window.id, window.title, window.window_class) == (recorder.window.id, "recorder", "Recorder")
    assert (window.width, window.height, window.is_active) == (400, 300, True)
    assert [window.is_minimized, window.is_maximized, window.is_fullscreen] == [False] * 3
    assert window == await x11.windows.get(window.id) == await x11.windows.focused()


async def test_positions_are_where_the_content_is(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """A click there and the program's own account agree."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    await x11.mouse.click(*recorder.at(70, 40))
    await recorder.count(1, "pressed")


async def test_small_and_untitled_windows_are_listed_only_while_active(
    x11: X11, screen: Screen, tmp_path: Path
) -> None:
    screen.start("xterm", "-geometry", "5x2", "-T", "small")
    small = await screen.window(x11, title="small")
    assert small.width < 120
    assert [window.title for window in await x11.windows.list()] == ["small"]
    await Recorder.start(x11, screen, tmp_path)

    async def gone() -> bool:
        return [window.title for window in await x11.windows.list()] == ["recorder"]

    await eventually(gone, "a list without the small one")
    found = await x11.windows.find(title="SMALL")
    assert found is not None
    assert found.id == small.id


async def test_the_focus_goes_where_it_is_sent(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    screen.start("xterm", "-T", "other")
    other = await screen.window(x11, title="other")
    await x11.windows.focus(recorder.window.id)
    await changed(x11, recorder.window.id, lambda window: window.is_active, "the focus")
    assert (await x11.windows.focused()).id == recorder.window.id
    await x11.windows.focus(other.id)
    await changed(x11, other.id, lambda window: window.is_active, "the focus")


async def test_a_window_moves_and_changes_its_size(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    which = recorder.window.id
    await x11.windows.move(which, 333, 222)
    await changed(x11, which, lambda w: abs(w.x - 333) <= 2 and abs(w.y - 222) <= 2, "the move")
    await x11.windows.resize(which, 500, 350)
    await changed(x11, which, lambda w: (w.width, w.height) == (500, 350), "the size")


async def test_a_window_is_maximized_and_covers_the_screen_and_comes_back(
    x11: X11, screen: Screen, tmp_path: Path
) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    which = recorder.window.id
    await x11.windows.maximize(which)
    await changed(x11, which, lambda w: w.is_maximized and w.width == 1280, "the largest")
    await x11.windows.maximize(which, on=False)
    await changed(x11, which, lambda w: not w.is_maximized and w.width == 400, "as before")
    await x11.windows.fullscreen(which)
    await changed(x11, which, lambda w: w.is_fullscreen and (w.width, w.height) == (1280, 800), "the whole screen")
    await x11.windows.fullscreen(which, on=False)
    await changed(x11, which, lambda w: not w.is_fullscreen and w.width == 400, "as before")


async def test_a_minimized_window_comes_back_with_the_focus(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    await x11.windows.minimize(recorder.window.id)
    await changed(x11, recorder.window.id, lambda w: w.is_minimized, "minimized")
    await x11.windows.focus(recorder.window.id)
    await changed(x11, recorder.window.id, lambda w: w.is_active and not w.is_minimized, "back")


async def test_a_closed_window_is_gone(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """And nothing has the focus then."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    await x11.windows.close(recorder.window.id)

    async def gone() -> bool:
        return not await x11.windows.list()

    await eventually(gone, "an empty screen")
    with pytest.raises(WindowNotFound):
        await x11.windows.get(recorder.window.id)

    async def unfocused() -> bool:
        try:
            await x11.windows.focused()
        except NoFocusedWindow:
            return True
        return False

    await eventually(unfocused, "no focus")


async def test_listeners_hear_of_windows_and_of_their_titles(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """A title may come long after its window."""
    news = asyncio.Event()
    forget = x11.windows.listen(news.set)
    recorder = await Recorder.start(x11, screen, tmp_path)
    await asyncio.wait_for(news.wait(), 60)
    await x11.keyboard.press("F3")
    async with asyncio.timeout(60):
        while await x11.windows.find(title="renamed") is None:
            await news.wait()
            news.clear()
    found = await x11.windows.find(title="renamed", window_class="recorder")
    assert found is not None
    assert found.id == recorder.window.id
    forget()


async def test_unknown_windows_and_impossible_values_are_refused(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    for which in ("1", "0", "-1", "x", "", "99999999999", "²"):
        with pytest.raises(WindowNotFound):
            await x11.windows.focus(which)
        with pytest.raises(WindowNotFound):
            await x11.windows.close(which)
    for act in (
        x11.windows.move(recorder.window.id, -1, 5),
        x11.windows.move(recorder.window.id, 5, 40_000),
        x11.windows.resize(recorder.window.id, 0, 5),
        x11.windows.resize(recorder.window.id, 5, -5),
    ):
        with pytest.raises(DesktopInvalidAction):
            await act
