"""The screen: what output does to it, and that it draws itself on another so that both are the same from then on."""

from __future__ import annotations

from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

from sandbox_agent.processes import paint
from sandbox_agent.processes.screen import Screen, lasting

COLS, ROWS = 20, 6
#: Pieces that programs write, of which random ones are strung together.
PIECES = (
    "a", "word ", "x" * COLS, "\r\n", "\n", "\r", "\b", "\t", "é", "漢字", "e\u0301", "\x0e", "\x0f",
    "\x1b[H", "\x1b[3;4H", "\x1b[99;99H", "\x1b[2J", "\x1b[J", "\x1b[1K", "\x1b[K", "\x1b[3J", "\x1b[A", "\x1b[2B",
    "\x1b[3C", "\x1b[D", "\x1b[5G", "\x1b[2d", "\x1b[2L", "\x1b[M", "\x1b[3P", "\x1b[2@", "\x1b[4X", "\x1b[7b",
    "\x1b[2S", "\x1b[T", "\x1b[Z", "\x1b[2;4r", "\x1b[r", "\x1b7", "\x1b8", "\x1b[s", "\x1b[u", "\x1bD", "\x1bM",
    "\x1bE", "\x1bc", "\x1b[!p", "\x1b(0lqk\x1b(B", "\x1b[4h", "\x1b[4l", "\x1b#8",
    "\x1b[m", "\x1b[1;31m", "\x1b[7m", "\x1b[38;5;200m", "\x1b[48;2;1;2;3m", "\x1b[38:2::9:8:7m", "\x1b[4:3m",
    "\x1b[0;44;93m", "\x1b[58;5;1m", "\x1b[39;49m", "\x1b[38m", "\x1b[38;5m",
    "\x1b[?1049h", "\x1b[?1049l", "\x1b[?47h", "\x1b[?47l", "\x1b[?25l", "\x1b[?25h", "\x1b[?7l", "\x1b[?7h",
    "\x1b[?1;2004;1006h", "\x1b[?1l", "\x1b[?6h", "\x1b[?6l", "\x1b[?5h", "\x1b[?5l", "\x1b[?3h", "\x1b=", "\x1b>",
    "\x1b[5 q",
    "\x1b[>4;2m", "\x1b[>4m", "\x1b]0;title\x07", "\x1b]2;other\x1b\\", "\x1b]10;?\x07", "\x1bP+q544e\x1b\\",
    "\x1b[c", "\x1b[>c", "\x1b[6n", "\x1b[?1$p", "\x1b[?u", "\x1b[1;2;3A", "\x1b[;H", "\x1b[9q", "\x1b%G",
)  # fmt: skip


GENERATED = hypothesis.settings(
    deadline=None,
    max_examples=400,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def fed(*parts: str | bytes, cols: int = COLS, rows: int = ROWS) -> Screen:
    screen = Screen(cols, rows)
    for part in parts:
        screen.feed(part.encode() if isinstance(part, str) else part)
    return screen


def state(screen: Screen) -> dict[str, Any]:
    """All that can be seen of a screen and all that has an effect on what comes next."""
    return {
        "cells": [
            [screen.buffer[y][x]._replace(data=paint.shown(screen.buffer[y], x, screen.columns)) for x in range(COLS)]
            for y in range(ROWS)
        ],
        "cursor": (min(screen.cursor.x, screen.columns - 1), screen.cursor.y, screen.cursor.hidden),
        "look": screen.cursor.attrs,
        "margins": screen.margins,
        "flags": screen.flags,
        "mode": screen.mode,
        "alternate": screen.alternate,
        "shape": screen.shape,
        "keys": screen.other_keys,
        "title": screen.title,
    }


def redrawn(screen: Screen) -> Screen:
    return fed(screen.repaint(), cols=screen.columns, rows=screen.lines)


@pytest.mark.parametrize("output", PIECES, ids=repr)
def test_a_screen_draws_itself_as_it_is(output: str) -> None:
    screen = fed("one\r\n\x1b[32mtwo\x1b[0m\r\nthree", output, "!")
    assert state(redrawn(screen)) == state(screen)


@GENERATED
@hypothesis.given(st.lists(st.sampled_from(PIECES), max_size=40), st.integers(0, 40))
def test_whatever_was_written_a_screen_draws_itself_as_it_is_in_whatever_pieces_it_came(
    pieces: list[str], cut: int
) -> None:
    whole = "".join(pieces).encode()
    screen = fed(whole)
    assert state(fed(whole[:cut], whole[cut:])) == state(screen)
    assert state(redrawn(screen)) == state(screen)


@GENERATED
@hypothesis.given(st.lists(st.binary(max_size=30).map(lambda data: b"\x1b[" + data), max_size=20), st.binary())
def test_no_output_breaks_it(sequences: list[bytes], more: bytes) -> None:
    screen = fed(b"".join(sequences), more)
    screen.resize(2, 3)
    screen.feed(b"".join(sequences))
    screen.repaint()
    assert len(screen.text()) == 2


def test_text_wraps_and_scrolls() -> None:
    screen = fed("".join(f"{number}\r\n" for number in range(10)), "y" * 25)
    assert screen.text() == ["6", "7", "8", "9", "y" * 20, "y" * 5]


def test_the_screen_of_a_full_screen_program_hides_the_other_and_gives_it_back() -> None:
    screen = fed("$ vim\r\n\x1b[?1049h\x1b[2J\x1b[1;1Htext")
    assert screen.text()[0] == "text"
    assert screen.alternate
    again = redrawn(screen)
    for each in (screen, again):
        each.feed(b"\x1b[?1049l$ ")
        assert each.text()[:2] == ["$ vim", "$"]
    assert state(again) == state(screen)


def test_colours_of_a_palette_stay_those_of_whoever_looks() -> None:
    drawn = fed("\x1b[31ma\x1b[91mb\x1b[38;5;1mc\x1b[38;2;1;2;3md").repaint().decode()
    for colour in ("31", "91", "38;5;1", "38;2;1;2;3"):
        assert f"\x1b[0;{colour}m" in drawn


def test_repetition_scrolling_and_back_tabs_are_those_of_xterm() -> None:
    assert fed("ab\x1b[3b").text()[0] == "abbbb"
    lines = "1\r\n2\r\n3\r\n4\r\n5\r\n6"
    assert fed(lines, "\x1b[2S").text() == ["3", "4", "5", "6", "", ""]
    assert fed(lines, "\x1b[2;4r\x1b[T").text() == ["1", "", "2", "3", "5", "6"]
    assert fed("0123456789\x1b[Zx").text()[0] == "01234567x9"


def test_sequences_for_devices_are_not_shown() -> None:
    assert (
        fed("a\x1bP$q m\x1b\\b\x1b_Gi=1;data\x1b\\c\x1b]8;;http://x\x07d\x1b[>0;276;0c\x1b[?12$pe").text()[0] == "abcde"
    )


def test_a_sequence_without_an_end_does_not_swallow_everything() -> None:
    screen = fed("\x1b]0;" + "x" * 70_000 + "\r\nafter")
    assert screen.text()[-1] == "after"


def test_a_change_of_size_keeps_what_fits_and_the_cursor_within() -> None:
    screen = fed("12345678901234567890\r\nend")
    screen.resize(3, 10)
    assert (screen.text()[0], screen.columns, screen.lines) == ("1234567890", 10, 3)
    screen.feed(b"\x1b[99;99H!")
    assert screen.text()[2] == " " * 9 + "!"


def test_of_output_that_nobody_sees_modes_are_what_lasts() -> None:
    flood = b"\x1b[?1049h\x1b[31mred\x1b[5;9Hx\x1b[?2004h" + b"y\r\n" * 1000 + b"\x1b[?25l\x1b[2 q\x1b]0;t\x07\x1b[2;5r"
    assert lasting(flood) == b"\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b[2 q\x1b]0;t\x07\x1b[2;5r"
