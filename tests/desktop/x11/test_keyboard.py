"""Keys and chords as a program gets them."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest
from Xlib.protocol import request

from sandbox_agent.desktop.x11 import keeping_up
from sandbox_agent.problems import DesktopInputFailed, DesktopInvalidAction

from .recording import Recorder

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.desktop import X11

    from .programs import Screen

SHIFT, CONTROL, MOD1, MOD4 = 0x01, 0x04, 0x08, 0x40
KEYS = ("KeyPress", "KeyRelease")


@pytest.mark.parametrize(
    ("chord", "modifiers", "key", "state"),
    [
        ("a", (), "a", 0),
        ("A", (), "A", SHIFT),
        ("Return", (), "Return", 0),
        ("ctrl+shift+a", (), "A", SHIFT | CONTROL),
        ("ctrl+k", ("shift",), "K", SHIFT | CONTROL),
        ("F5", ("alt",), "F5", MOD1),
        ("x", ("cmd",), "x", MOD4),
        ("+", (), "plus", SHIFT),
        ("ctrl++", (), "plus", SHIFT | CONTROL),
        ("k", ("ctrl", "alt"), "k", CONTROL | MOD1),
    ],
)
async def test_a_chord_arrives_with_its_modifiers(  # noqa: PLR0917
    x11: X11, screen: Screen, tmp_path: Path, chord: str, modifiers: tuple[str, ...], key: str, state: int
) -> None:
    """Pressed and let go, and nothing is held afterwards."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    await x11.keyboard.press(chord, modifiers)
    await x11.keyboard.press("F12")
    events = await recorder.last("F12", "KeyRelease")
    assert key in {event["key"] for event in events}
    *_, pressed, last = recorder.events("KeyPress")
    assert (pressed["key"], pressed["state"]) == (key, state)
    assert last["state"] == 0


async def test_a_chord_may_have_a_key_that_the_layout_lacks(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    await x11.keyboard.press("λ")
    await x11.keyboard.press("alt+я")
    await x11.keyboard.press("F12")
    keys = [event for event in await recorder.last("F12") if event["char"] in {"λ", "я"}]
    assert [(event["char"], event["state"]) for event in keys] == [("λ", 0), ("я", MOD1)]


async def test_a_key_is_held_until_it_is_let_go(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    await x11.keyboard.down("shift")
    await x11.keyboard.press("F7")
    await x11.keyboard.up("shift")
    await x11.keyboard.press("F8")
    events = await recorder.last("F8")
    assert [(e["key"], e["state"]) for e in events] == [("Shift_L", 0), ("F7", SHIFT), ("F8", 0)]


async def test_keys_that_are_named_by_number_go_down_and_up_as_their_characters(
    x11: X11, screen: Screen, tmp_path: Path
) -> None:
    """Keysyms as the official client's stream sends them: ASCII plain, all else of Unicode, also where X has others."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    text = "hé ÿÀñ€яλ中ß"
    for character in text:
        point = ord(character)
        key = hex(point if point < 0x7F else 0x0100_0000 + point)
        await x11.keyboard.down(key)
        await x11.keyboard.up(key)
    await x11.keyboard.press("F12")
    *pressed, _ = [event for event in await recorder.last("F12") if not event["key"].startswith("Shift")]
    assert "".join(event["char"] for event in pressed) == text


async def test_modifiers_that_are_held_stay_held_around_a_chord(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    await x11.keyboard.down("ctrl")
    await x11.keyboard.press("ctrl+F7")
    await x11.keyboard.press("F8")
    await x11.keyboard.up("ctrl")
    events = await recorder.last("F8")
    assert [(e["key"], e["state"]) for e in events[1:]] == [("F7", CONTROL), ("F8", CONTROL)]


async def test_two_texts_at_once_do_not_mix(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    await asyncio.gather(x11.keyboard.type("a" * 200), x11.keyboard.type("b" * 200))
    events = await recorder.count(400, "KeyPress")
    assert "".join(event["key"] for event in events) in {"a" * 200 + "b" * 200, "b" * 200 + "a" * 200}


async def test_the_pointer_moves_while_a_long_text_is_typed(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """R35: other calls go on meanwhile."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    text = asyncio.ensure_future(x11.keyboard.type("x" * 300, delay_ms=5))
    await recorder.until(bool, "the first key", "KeyPress")
    for place in range(10):
        assert (await x11.mouse.move(place, place)).x == place
    assert not text.done()
    await text
    await recorder.count(300, "KeyPress")


async def test_another_programs_change_of_the_mapping_is_followed(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """Keys that were lent are lent again, and the layout's own are looked up anew."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    await x11.keyboard.type("λ")

    def remap(connection: Connection) -> None:
        rows = [[0x61 + row, 0x41 + row] for row in range(20)]
        request.ChangeKeyboardMapping(display=connection, first_keycode=208, keysyms=rows)
        connection.sync()

    await recorder.count(1, "KeyRelease")
    await x11.capture.display.call(remap)
    # The program must have seen this one: Xlib forgets the second of two changes that come while it looks at the first.
    await x11.mouse.click(*recorder.at(300, 250))
    await recorder.count(1, "ButtonRelease")
    await x11.keyboard.type("λa")
    events = await recorder.count(3, "KeyPress")
    assert [event["char"] for event in events] == ["λ", "λ", "a"]


async def test_nothing_is_typed_of_a_text_that_cannot_be(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    with pytest.raises(DesktopInvalidAction, match="U\\+0007"):
        await x11.keyboard.type("fine\x07")
    with pytest.raises(DesktopInvalidAction, match="delayMs"):
        await x11.keyboard.type("fine", -1)
    await x11.keyboard.type("")
    await x11.keyboard.press("F9")
    assert [event["key"] for event in await recorder.until(bool, "F9", "KeyPress")] == ["F9"]


async def test_unknown_keys_are_refused_by_every_way(x11: X11) -> None:
    for act in (x11.keyboard.down("Nope"), x11.keyboard.up("Nope"), x11.keyboard.press("ctrl+Nope")):
        with pytest.raises(DesktopInvalidAction, match="no key is called 'Nope'"):
            await act
    with pytest.raises(DesktopInvalidAction, match="no modifier"):
        await x11.keyboard.press("a", ("hyper",))


async def test_a_program_that_does_not_keep_up_gets_no_wrong_letters(
    x11: X11, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys are not given other meanings: it is told instead, and when the program goes on, so does typing."""
    monkeypatch.setattr(keeping_up, "PATIENCE", 0.3)
    terminal = screen.start("xterm", "-T", "stopped", "-e", "cat")
    await screen.window(x11, title="stopped")
    letters = [chr(0x4E00 + at) for at in range(300)]
    await x11.keyboard.type("".join(letters[:90]))
    terminal.send_signal(signal.SIGSTOP)
    with pytest.raises(DesktopInputFailed, match="does not keep up"):
        await x11.keyboard.type("".join(letters[90:200]))
    terminal.send_signal(signal.SIGCONT)
    monkeypatch.setattr(keeping_up, "PATIENCE", 60)
    await x11.keyboard.type("".join(letters[200:]))
