"""Drawing a screen that is in memory on a terminal that is empty: text, looks, cursor, modes (XTerm's ctlseqs)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyte.charsets
import pyte.modes
from wcwidth import wcwidth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyte.screens import Char, Cursor, Margins, Savepoint, StaticDefaultDict

    from sandbox_agent.processes.screen import Screen

_NAMES: Final = ("black", "red", "green", "brown", "blue", "magenta", "cyan", "white")
_COLOURS: Final = {name: number for number, name in enumerate(_NAMES)} | {
    f"bright{name}": 60 + number for number, name in enumerate(_NAMES)
}
_COLOURS["bfightmagenta"] = 65  # pyte's own spelling
_LOOKS: Final = (
    ("bold", "1"),
    ("italics", "3"),
    ("underscore", "4"),
    ("blink", "5"),
    ("reverse", "7"),
    ("strikethrough", "9"),
)


@dataclass(slots=True)
class Page:
    """One of a terminal's two screens."""

    buffer: dict[int, StaticDefaultDict[int, Char]]
    cursor: Cursor
    margins: Margins | None
    savepoints: list[Savepoint]


def sgr(look: Char) -> str:
    """The sequence that makes text look so, from whatever it looked like before."""
    parts = ["0", *(code for name, code in _LOOKS if getattr(look, name))]
    for colour, base in ((look.fg, 30), (look.bg, 40)):
        if colour[:2] in {"5;", "2;"}:
            parts.append(f"{base + 8};{colour}")
        elif colour in _COLOURS:
            parts.append(str(base + _COLOURS[colour]))
    return f"\x1b[{';'.join(parts)}m"


def repaint(screen: Screen, shown: Page, main: Page | None) -> str:
    """Both screens where the alternate one is ``shown``, whose ``main`` one comes back when a program leaves it."""
    parts = ["\x1b[!p\x1b[?1049l\x1b[r\x1b[0m\x1b[H\x1b[2J\x1b[?7l"]
    if main is not None:
        parts += [*_lines(screen, main), sgr(main.cursor.attrs), _place(screen, main.cursor), "\x1b[?1049h\x1b[H"]
    parts += [*_lines(screen, shown), *_state(screen, shown)]
    return "".join(parts)


def _lines(screen: Screen, page: Page) -> Iterator[str]:
    for y in range(screen.lines):
        line = page.buffer.get(y)
        if not line:
            continue
        blank = screen.default_char
        last = max((x for x, cell in line.items() if x < screen.columns and cell != blank), default=-1)
        if last < 0:
            continue
        yield f"\x1b[{y + 1}H"
        look: tuple[Any, ...] | None = None
        for x in range(last + 1):
            cell = line.get(x, blank)
            if cell[1:] != look:
                look = cell[1:]
                yield sgr(cell)
            yield shown(line, x, screen.columns)


def shown(line: StaticDefaultDict[int, Char], x: int, columns: int) -> str:
    """What is in a cell; nothing in the second of a wide character, a blank for half of one that was overwritten."""
    char = line[x].data
    if not char:
        return "" if x and _wide(line[x - 1].data) else " "
    return " " if _wide(char) and (x + 1 == columns or line[x + 1].data) else char


def _wide(char: str) -> bool:
    return not char.isascii() and wcwidth(char[0]) == 2  # noqa: PLR2004 - cells


def _place(screen: Screen, cursor: Cursor) -> str:
    return f"\x1b[{cursor.y + 1};{min(cursor.x, screen.columns - 1) + 1}H"


def _state(screen: Screen, page: Page) -> Iterator[str]:
    """All that is no text; in this order, as some of it moves the cursor."""
    if page.savepoints:
        saved = page.savepoints[-1].cursor
        yield f"{sgr(saved.attrs)}{_place(screen, saved)}\x1b7"
    if page.margins is not None:
        yield f"\x1b[{page.margins.top + 1};{page.margins.bottom + 1}r"
    yield "".join(f"\x1b[?{flag}h" for flag in sorted(screen.flags))
    if screen.g0_charset is pyte.charsets.VT100_MAP:
        yield "\x1b(0"
    if pyte.modes.IRM in screen.mode:
        yield "\x1b[4h"
    if screen.other_keys:
        yield f"\x1b[>{screen.other_keys}m"
    if screen.title:
        yield f"\x1b]2;{screen.title}\x07"
    if screen.shape:
        yield f"\x1b[{screen.shape} q"
    yield sgr(page.cursor.attrs)
    yield _place(screen, page.cursor)
    yield "\x1b[?7h" if pyte.modes.DECAWM in screen.mode else "\x1b[?7l"
    yield "\x1b[?25l" if page.cursor.hidden else "\x1b[?25h"
    if pyte.modes.DECOM in screen.mode:  # places count from the margins from here on
        top = page.margins.top if page.margins else 0
        yield f"\x1b[?6h\x1b[{page.cursor.y - top + 1};{min(page.cursor.x, screen.columns - 1) + 1}H"
