"""The pointer on a real screen: programs get what was asked for, where it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from Xlib import X
from Xlib.protocol import event, request

from sandbox_agent.desktop.x11.display import Display
from sandbox_agent.desktop.x11.screenshots import Shot
from sandbox_agent.problems import DesktopInvalidAction

from .programs import eventually
from .recording import Recorder

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.desktop import X11

    from .programs import Screen

BOTH = ("ButtonPress", "ButtonRelease")


async def test_the_pointer_is_where_it_was_moved(x11: X11) -> None:
    for place in ((0, 0), (1279, 799), (640, 17)):
        moved = await x11.mouse.move(*place)
        assert (moved.x, moved.y) == place
        assert await x11.mouse.position() == moved


async def test_the_window_below_the_pointer_is_told(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """The program's own, not the window manager's frame around it."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    assert (await x11.mouse.move(*recorder.at(50, 200))).window == recorder.window.id
    assert (await x11.mouse.move(1279, 799)).window is None


@pytest.mark.parametrize(("button", "number"), [("left", 1), ("middle", 2), ("right", 3)])
async def test_a_click_arrives_with_its_button(
    x11: X11, screen: Screen, tmp_path: Path, button: str, number: int
) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    x, y = recorder.at(50, 200)
    await x11.mouse.click(x, y, button)
    events = await recorder.count(2, *BOTH)
    assert [(e["kind"], e["x"], e["y"], e["button"]) for e in events] == [
        ("ButtonPress", x, y, number),
        ("ButtonRelease", x, y, number),
    ]


async def test_a_button_is_pressed_by_the_pixels_of_a_scaled_screenshot(
    x11: X11, screen: Screen, tmp_path: Path
) -> None:
    """The click names the screenshot that its place was read from."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    shot = await x11.screenshots.take(Shot(scale=0.4))
    x, y = (round(place * 0.4) for place in recorder.at(70, 40))
    await x11.mouse.click(*x11.screenshots.to_screen(shot.id, x, y))
    await recorder.count(1, "pressed")


async def test_clicks_come_in_their_number(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    await x11.mouse.click(*recorder.at(50, 200), count=3)
    await recorder.count(3, "ButtonPress")
    await recorder.count(3, "ButtonRelease")


async def test_clicks_one_after_the_other_arrive_each_at_its_place(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """The window manager holds each press back until it has seen it; what comes next must not move or change it."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    places = [recorder.at(40 + 10 * step, 200 - step) for step in range(20)]
    for number, place in enumerate(places):
        await x11.mouse.click(*place, modifiers=("ctrl",) if number % 2 else ())
    events = await recorder.count(40, *BOTH)
    assert [(e["x"], e["y"]) for e in events] == [place for place in places for _ in BOTH]


async def test_modifiers_are_held_during_a_click_only(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    await x11.mouse.click(*recorder.at(50, 200), modifiers=("ctrl", "shift"))
    await x11.mouse.click(*recorder.at(50, 200))
    assert [e["state"] & 0x0D for e in await recorder.count(2, "ButtonPress")] == [0x05, 0]


async def test_a_drag_moves_with_the_button_down(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    start, end = recorder.at(20, 250), recorder.at(350, 280)
    await x11.mouse.drag(start, end)
    (released,) = await recorder.count(1, "ButtonRelease")
    (pressed,) = recorder.events("ButtonPress")
    assert (pressed["x"], pressed["y"]) == start
    assert (released["x"], released["y"]) == end
    assert [(e["x"], e["y"]) for e in recorder.events("Drag")][-1] == end


async def test_a_button_stays_down_until_it_is_let_go(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    x, y = recorder.at(30, 200)
    await x11.mouse.down("left", x, y)
    await x11.mouse.move(x + 5, y + 5)
    await x11.mouse.up()
    (released,) = await recorder.count(1, "ButtonRelease")
    assert (released["x"], released["y"]) == (x + 5, y + 5)
    assert recorder.events("Drag")


async def test_held_buttons_and_keys_are_let_go_at_the_end(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    other = await type(x11).open(screen.name, screen.authority)
    await other.mouse.down("left", *recorder.at(30, 200))
    await other.keyboard.down("ctrl")
    await recorder.count(1, "ButtonPress")
    await other.close()
    await recorder.count(1, "ButtonRelease")
    await recorder.until(lambda keys: keys and keys[-1]["key"] == "Control_L", "the key", "KeyRelease")


def target(connection: Connection) -> int:
    """A window over the whole screen that gets buttons itself, for toolkits keep some of the wheel's to themselves."""
    window = connection.allocate()
    request.CreateWindow(
        display=connection,
        depth=0,
        wid=window,
        parent=connection.root,
        x=0,
        y=0,
        width=1280,
        height=800,
        border_width=0,
        window_class=X.InputOnly,
        visual=X.CopyFromParent,
        attrs={"event_mask": X.ButtonPressMask, "override_redirect": True},
    )
    request.MapWindow(display=connection, window=window)
    connection.sync()
    return window


@pytest.mark.parametrize(
    ("delta", "buttons"), [((0, 2), [5, 5]), ((0, -1), [4]), ((3, 0), [7, 7, 7]), ((-1, 1), [5, 6])]
)
async def test_the_wheel_turns_by_notches(x11: X11, screen: Screen, delta: tuple[int, int], buttons: list[int]) -> None:
    other = await Display.open(screen.name, screen.authority)
    got: list[tuple[int, int, int]] = []
    other.on_event(event.ButtonPress, lambda press: got.append((press.root_x, press.root_y, press.detail)))
    await other.call(target)
    await x11.mouse.scroll(50, 200, *delta)

    async def all_there() -> bool:
        return len(got) >= len(buttons)

    await eventually(all_there, "the wheel's turns")
    assert got == [(50, 200, button) for button in buttons]
    await other.close()


@pytest.mark.parametrize("place", [(-1, 0), (0, -1), (1280, 0), (0, 800)])
async def test_places_off_the_screen_are_refused(x11: X11, place: tuple[int, int]) -> None:
    """By every way to name one, and nothing has moved."""
    before = await x11.mouse.move(100, 100)
    for act in (
        x11.mouse.move(*place),
        x11.mouse.click(*place),
        x11.mouse.down("left", *place),
        x11.mouse.up("left", *place),
        x11.mouse.drag((0, 0), place),
        x11.mouse.drag(place, (0, 0)),
        x11.mouse.scroll(*place, dy=1),
    ):
        with pytest.raises(DesktopInvalidAction, match="not on the screen"):
            await act
    assert await x11.mouse.position() == before


async def test_what_makes_no_sense_is_refused(x11: X11) -> None:
    for act, why in (
        (x11.mouse.click(1, 1, "fourth"), "no button 'fourth'"),
        (x11.mouse.click(1, 1, count=0), "clickCount"),
        (x11.mouse.click(1, 1, modifiers=("hyper",)), "no modifier 'hyper'"),
        (x11.mouse.scroll(1, 1), "nothing to scroll"),
        (x11.mouse.scroll(1, 1, dy=100_000), "at most"),
        (x11.mouse.down("left", 1), "x and y come together"),
    ):
        with pytest.raises(DesktopInvalidAction, match=why):
            await act
