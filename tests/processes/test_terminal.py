"""A terminal's offsets, and its screen that is fed late or hardly at all."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.processes.log import Logs
from sandbox_agent.processes.screen import Screen
from sandbox_agent.processes.terminal import FLOOD, TAIL, Terminal
from sandbox_agent.supervisor import Size

from .conftest import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox_agent.processes.terminal import View

SIZE = Size(40, 10)
LIMIT = 1 << 20


@contextlib.asynccontextmanager
async def opened(limit: int = LIMIT) -> AsyncIterator[Terminal]:
    logs = Logs()
    await logs.start()
    terminal = Terminal(await logs.open("one", limit), SIZE)
    try:
        yield terminal
    finally:
        await terminal.end()
        terminal.log.close()
        await logs.stop()


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    async with opened() as terminal:
        yield terminal


async def output(terminal: Terminal, view: View) -> bytes:
    """What a looker who begins at ``view`` gets of what was written until now."""
    excerpt = await terminal.log.excerpt("pty", after=view.after)
    return b"".join(payload for segment in excerpt.segments for payload in segment.payloads)[view.skip :]


def drawn(view: View, size: Size = SIZE) -> Screen:
    assert view.repaint is not None
    screen = Screen(size.cols, size.rows)
    screen.feed(view.repaint)
    return screen


async def test_every_offset_that_is_kept_leads_to_the_byte_it_names(terminal: Terminal) -> None:
    pieces = [bytes([65 + number]) * (number % 7 + 1) for number in range(26)]
    for piece in pieces:
        terminal.take(piece)
    whole = b"".join(pieces)
    for offset in range(len(whole) + 1):
        view = await terminal.view(offset)
        assert (view.offset, view.repaint) == (offset, None)
        assert await output(terminal, view) == whole[offset:]


async def test_offsets_go_on_being_right_when_the_log_has_lost_its_beginning() -> None:
    async with opened(limit=100_000) as terminal:
        for number in range(20_000):
            terminal.take(b"%09d\n" % number)
        first = terminal.log.journal.first
        assert first > 1
        assert len(terminal._offsets) < 20_000
        for sequence in (first, first + 1, 19_999, 20_000):
            offset = (sequence - 1) * 10 + 3
            view = await terminal.view(offset)
            assert (view.offset, view.repaint) == (offset, None)
            assert (await output(terminal, view)).startswith((b"%09d\n" % (sequence - 1))[3:])
        gone = await terminal.view(0)
        assert (gone.offset, gone.after) == (terminal.total, terminal.log.journal.head)
        assert drawn(gone).text()[8].strip() == "000019999"


async def test_the_first_to_look_gets_all_as_it_was_and_the_next_the_screen(terminal: Terminal) -> None:
    terminal.take(b"what are you?\x1b[c")
    first = await terminal.view()
    assert (first.offset, first.repaint) == (0, None)
    second = await terminal.view()
    assert second.offset == terminal.total
    assert b"\x1b[c" not in (second.repaint or b"")
    assert drawn(second).text()[0] == "what are you?"
    assert (await terminal.view(ended=True)).repaint is None


async def test_the_first_to_look_at_much_gets_the_screen(terminal: Terminal) -> None:
    terminal.take(b"x" * TAIL + b"\r\nlast")
    assert drawn(await terminal.view()).text()[-1] == "last"


async def test_changes_of_size_take_effect_where_they_came(terminal: Terminal) -> None:
    terminal.take(b"a" * 50)
    terminal.resize(Size(30, 5))
    terminal.resize(Size(60, 12))
    terminal.take(b"\r\n" + b"b" * 50)
    screen = drawn(await terminal.view(1 << 40), Size(60, 12))
    assert screen.text()[:3] == ["a" * 40, "a" * 10, "b" * 50]
    shown = await terminal.shown()
    assert (shown.size, shown.cursor_col, shown.cursor_row) == (Size(60, 12), 50, 2)


async def test_of_a_flood_the_end_is_drawn_and_what_lasts_holds(terminal: Terminal) -> None:
    terminal.take(b"\x1b[?1049h\x1b[?2004h\x1b]0;flood\x07")
    for _ in range(200):
        terminal.take(b"\x1b[32mline\x1b[0m\r\n" * 2000)
    terminal.take(b"\x1b[?25l\x1b[2J\x1b[Hend")
    held = sum(len(item) for item in terminal._pending if isinstance(item, bytes))
    assert held <= FLOOD + 100_000
    screen = drawn(await terminal.view())
    assert screen.text() == ["end", *[""] * 9]
    assert screen.alternate
    assert screen.cursor.hidden
    assert 2004 in screen.flags
    assert screen.title == "flood"


async def test_a_single_read_of_a_flood_may_be_more_than_is_kept(terminal: Terminal) -> None:
    terminal.take(b"\x1b[?2004h" + b"y\r\n" * 500_000)
    screen = drawn(await terminal.view())
    assert screen.text() == [*["y"] * 9, ""]
    assert 2004 in screen.flags


async def test_a_flood_that_is_cut_within_a_sequence_shows_none_of_it(terminal: Terminal) -> None:
    for _ in range(60):
        terminal.take(b"\x1b[38;5;1" * 1000)
        terminal.take(b"31mred\r\n" * 1000)
    terminal.take(b"\x1b[2J\x1b[Hclean")
    assert drawn(await terminal.view()).text()[0] == "clean"


async def test_a_screen_that_is_behind_catches_up_by_itself(terminal: Terminal) -> None:
    terminal.take(b"\x1b[2J\x1b[1;1Hpainted once")
    for number in range(3000):
        terminal.take(b"\x1b[5;1H%030d" % number)
    assert terminal._screen is None
    await eventually(lambda: terminal._behind == 0)
    screen = drawn(await terminal.view())
    assert (screen.text()[0], screen.text()[4]) == ("painted once", f"{2999:030d}")


async def test_the_screen_of_a_process_that_has_ended_is_kept_as_it_was(terminal: Terminal) -> None:
    terminal.take(b"\x1b[31mred\x1b[?1049halternate")
    before = await terminal.shown()
    await terminal.end()
    assert terminal._screen is None
    assert await terminal.shown() == before
    assert drawn(await terminal.view(1 << 40)).buffer[0][3].data == "a"
