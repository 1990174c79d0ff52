"""What a terminal shows, without a display: fed with output, it can draw itself again for who comes later.

The matrix is that of the library pyte. The parser is ours: that one knows neither an alternate screen nor what the
descriptions of xterm in terminfo ask for beyond a VT102 (repetition, scrolling), stumbles over sequences it does not
know, and takes each character by itself. What is understood follows ECMA-48 and XTerm Control Sequences (ctlseqs).
"""

from __future__ import annotations

import codecs
import copy
import re
from typing import TYPE_CHECKING, Any, Final

import pyte
import pyte.modes
from pyte.screens import Char, Cursor

from sandbox_agent.processes import paint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ALTERNATE: Final = frozenset({47, 1047, 1049})
KEPT: Final = frozenset({1, 5, 9, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 2004})
"""Private modes that are set again when the screen is drawn; those that the matrix obeys besides."""
_PASSED: Final = frozenset({6, 7, 25})  # those that the matrix itself obeys
_UNFINISHED: Final = 1 << 16  # no sequence is longer than that
_TOKEN: Final = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f]+)"
    r"|\x1b\[(?P<prefix>[<=>?]?)(?P<params>[\d;:]*)(?P<between>[ -/]*)(?P<final>[@-~])"
    r"|\x1b\](?P<osc>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|\x1b[PX^_][^\x1b]*\x1b\\"  # for devices and programs
    r"|\x1b(?P<slot>[()])(?P<charset>.)"
    r"|\x1b[%*+ ]."
    r"|\x1b\#(?P<sharp>.)"
    r"|\x1b(?P<escape>[0-OQ-WYZ\\`-~])"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])",
    re.DOTALL,
)
_BEGUN: Final = re.compile(r"\x1b(?:\[[<=>?]?[\d;:]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[()%*+ #])?", re.DOTALL)
_LASTING: Final = re.compile(
    rb"\x1b(?:c|[=>]|\[\?[\d;]+[hl]|\[[\d;]*r|\[\d* q|\[>4(?:;\d)?m|\][02];[^\x07\x1b]{0,200}(?:\x07|\x1b\\))"
)
_ONE: Final = frozenset("@ABCDEFGJKLMPSTXZ`abdeg")


class _Cells(dict[str, Char]):
    """The cells that look alike, by their character; made once."""

    def __init__(self, look: Char) -> None:
        self._look = look

    def __missing__(self, char: str) -> Char:
        cell = self[char] = self._look._replace(data=char)
        return cell


def lasting(data: bytes) -> bytes:
    """Of output that nobody will see any more, the sequences that go on having an effect: modes above all."""
    return b"".join(found[0] for found in _LASTING.finditer(data))


class Screen(pyte.Screen):
    """Feed it the output of programs, in any pieces. Not to be used from two threads at once."""

    def __init__(self, cols: int, rows: int) -> None:
        self._cells: dict[Char, _Cells] = {}
        self._last = " "
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._other: paint.Page | None = None
        super().__init__(cols, rows)
        self._csi: Mapping[str, Callable[..., None]] = {
            final: getattr(self, name) for final, name in pyte.Stream.csi.items()
        } | {"b": self.repeat, "S": self.scroll_up, "T": self.scroll_down, "Z": self.back_tab}
        self._escape: Mapping[str, Callable[[], None]] = {
            final: getattr(self, name) for final, name in pyte.Stream.escape.items()
        } | {"=": self._keypad_on, ">": self._keypad_off}
        self._basic: Mapping[str, Callable[[], None]] = {
            char: getattr(self, name) for char, name in pyte.Stream.basic.items()
        }

    def reset(self) -> None:
        super().reset()
        self._other = None
        self.flags: set[int] = set()
        self.shape = ""
        self.other_keys = ""

    @property
    def alternate(self) -> bool:
        """Whether the screen of full-screen programs is shown."""
        return self._other is not None

    def feed(self, data: bytes) -> None:
        """Follow what the output does to the screen."""
        text = self._rest + self._decoder.decode(data)
        self._rest = ""
        at, end, match = 0, len(text), _TOKEN.match
        while at < end:
            token = match(text, at)
            if token is not None:
                at = token.end()
                self._do(token)
            elif end - at < _UNFINISHED and _BEGUN.fullmatch(text, at):
                self._rest = text[at:]
                return
            else:
                at += 1

    def cut(self) -> None:
        """What comes next does not follow on what came: a sequence that was begun is none."""
        self._rest = ""
        self._decoder.reset()

    def text(self) -> list[str]:
        """The lines, without blanks at their ends."""
        return [line.rstrip() for line in self.display]

    def repaint(self) -> bytes:
        """What makes an empty terminal of this size look and behave like this one."""
        page = paint.Page(self.buffer, self.cursor, self.margins, self.savepoints)
        return paint.repaint(self, page, self._other).encode()

    # -- sequences ------------------------------------------------------------------------------------------------

    def _do(self, token: re.Match[str]) -> None:
        kind = token.lastgroup
        if kind == "text":
            self.draw(token[0])
        elif kind == "final":
            self._control(token["prefix"], token["params"], token["between"], token["final"])
        elif kind == "control":
            action = self._basic.get(token[0])
            if action is not None:
                action()
        elif kind == "escape":
            escape = self._escape.get(token["escape"])
            if escape is not None:
                escape()
        elif kind == "charset":
            self.define_charset(token["charset"], mode=token["slot"])
        elif kind == "sharp" and token["sharp"] == "8":
            self.alignment_display()
        elif kind == "osc" and token["osc"][:2] in {"0;", "2;"}:
            self.set_title(token["osc"][2:])

    def _control(self, prefix: str, params: str, between: str, final: str) -> None:
        if between:
            if (prefix, between, final) == ("", " ", "q"):  # DECSCUSR
                self.shape = params
            elif (prefix, between, final) == ("", "!", "p"):  # DECSTR
                self._soft_reset()
            return
        if prefix == ">" and final == "m" and params.split(";", maxsplit=1)[0] == "4":  # modifyOtherKeys
            self.other_keys = params
            return
        if final == "m":
            if not prefix:
                self._look(params)
            return
        numbers = [min(int(number or 0), 9999) for number in params.split(";")] if ":" not in params else []
        if final in "hl" and prefix in {"", "?"}:
            self._switch(numbers, private=prefix == "?", on=final == "h")
        elif not prefix or (prefix == "?" and final in "JK"):
            self._dispatch(final, numbers)

    def _dispatch(self, final: str, numbers: list[int]) -> None:
        if final in _ONE:
            if final in self._csi and not (final in "JK" and numbers[:1] > [2]):  # 3 is what has been scrolled away
                self._csi[final](numbers[0] if numbers else 0)
        elif final in "Hf":
            self.cursor_position(*numbers[:2])
        elif final == "r":
            self.set_margins(*numbers[:2])
        elif final == "s":
            self.save_cursor()
        elif final == "u":
            self.restore_cursor()

    def _look(self, params: str) -> None:
        """SGR. Colours of a palette stay numbers in it, and so the ones of whoever looks."""
        numbers = iter(_without_colons(params) if ":" in params else params.split(";"))
        plain: list[int] = []
        for number in numbers:
            value = int(number or 0)
            if value not in {38, 48, 58}:
                plain.append(value)
            elif (colour := _colour(numbers)) and value != 58:  # noqa: PLR2004 - the colour of underlines
                self._plain_look(plain)
                plain = []
                attrs = self.cursor.attrs
                self.cursor.attrs = attrs._replace(fg=colour) if value == 38 else attrs._replace(bg=colour)  # noqa: PLR2004
        self._plain_look(plain)

    def _plain_look(self, numbers: list[int]) -> None:
        if numbers:
            self.select_graphic_rendition(*numbers)

    def _switch(self, numbers: list[int], *, private: bool, on: bool) -> None:
        if not private:
            (self.set_mode if on else self.reset_mode)(*[number for number in numbers if number in {4, 20}])
            return
        for number in numbers:
            if number in KEPT:
                (self.flags.add if on else self.flags.discard)(number)
            if number in _PASSED:
                (self.set_mode if on else self.reset_mode)(number, private=True)
            elif number in ALTERNATE:
                self._turn(on=on, cursor=number == 1049)  # noqa: PLR2004 - ctlseqs
            elif number == 1048:  # noqa: PLR2004 - ctlseqs
                (self.save_cursor if on else self.restore_cursor)()

    def _turn(self, *, on: bool, cursor: bool) -> None:
        """To the alternate screen, which is empty then, or back."""
        if on == self.alternate:
            return
        if on:
            here = self.cursor
            self._other = paint.Page(self.buffer.copy(), here, self.margins, self.savepoints)
            self.cursor = Cursor(here.x, here.y, here.attrs)
            self.cursor.hidden = here.hidden
            self.savepoints = []
            self.buffer.clear()
            return
        main, self._other = self._other, None
        if main is not None:
            self.buffer.clear()
            self.buffer.update(main.buffer)
            self.savepoints = main.savepoints
            if cursor:
                hidden, self.cursor = self.cursor.hidden, main.cursor
                self.cursor.hidden = hidden
            self.cursor.x = min(self.cursor.x, self.columns)
            self.cursor.y = min(self.cursor.y, self.lines - 1)

    def _soft_reset(self) -> None:
        self.flags -= {1, 66}
        self.set_mode(7, 25, private=True)
        self.reset_mode(4)
        self.reset_mode(6, private=True)
        self.margins = None
        self.select_graphic_rendition(0)

    def _keypad_on(self) -> None:
        self.flags.add(66)

    def _keypad_off(self) -> None:
        self.flags.discard(66)

    # -- what the matrix does not know ----------------------------------------------------------------------------

    def draw(self, data: str) -> None:
        """Text at the cursor; plain characters, of which there are most, by whole stretches."""
        self._last = data[-1]
        shifted = self.g1_charset if self.charset else self.g0_charset
        if not data.isascii() or shifted is not pyte.charsets.LAT1_MAP or pyte.modes.IRM in self.mode:
            super().draw(data)
            return
        cursor = self.cursor
        cells = self._cells.get(cursor.attrs)
        if cells is None:
            if len(self._cells) > 256:  # noqa: PLR2004 - looks; more than a screen has at a time, mostly
                self._cells.clear()
            cells = self._cells[cursor.attrs] = _Cells(cursor.attrs)
        at = 0
        while at < len(data):
            if cursor.x >= self.columns:
                if pyte.modes.DECAWM in self.mode:
                    self.carriage_return()
                    self.linefeed()
                else:
                    cursor.x = self.columns - 1
            stretch = data[at : at + self.columns - cursor.x]
            line = self.buffer[cursor.y]
            for x, char in enumerate(stretch, cursor.x):
                line[x] = cells[char]
            cursor.x += len(stretch)
            at += len(stretch)

    def save_cursor(self) -> None:
        super().save_cursor()
        del self.savepoints[:-1]

    def restore_cursor(self) -> None:
        """DECRC: what was saved stays so, and whether the cursor is shown is not part of it."""
        hidden = self.cursor.hidden
        saved = [point._replace(cursor=copy.copy(point.cursor)) for point in self.savepoints]
        super().restore_cursor()
        self.cursor.hidden = hidden
        self.savepoints = saved

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        saved = self.savepoints
        super().resize(lines, columns)
        self.savepoints = saved
        self.cursor.x = min(self.cursor.x, self.columns - 1)
        self.cursor.y = min(self.cursor.y, self.lines - 1)
        self.tabstops = set(range(8, self.columns, 8))

    def cursor_to_line(self, line: int | None = None) -> None:
        if self.margins is not None:
            super().cursor_to_line(line)
            return
        self.cursor.y = (line or 1) - 1
        self.ensure_vbounds()

    def repeat(self, count: int = 1) -> None:
        """REP: the last character again."""
        self.draw(self._last * min(count or 1, self.columns * self.lines))

    def scroll_up(self, count: int = 1) -> None:
        """SU: the cursor stays."""
        self._scroll(count, self.delete_lines)

    def scroll_down(self, count: int = 1) -> None:
        """SD: the cursor stays."""
        self._scroll(count, self.insert_lines)

    def _scroll(self, count: int, edit: Callable[[int], None]) -> None:
        x, y = self.cursor.x, self.cursor.y
        self.cursor.y = self.margins.top if self.margins else 0
        edit(max(count, 1))
        self.cursor.x, self.cursor.y = x, y

    def back_tab(self, count: int = 1) -> None:
        """CBT: to tab stops before."""
        for _ in range(min(max(count, 1), self.columns)):
            self.cursor.x = max((stop for stop in self.tabstops if stop < self.cursor.x), default=0)

    def report_device_attributes(self, mode: int = 0, **kwargs: Any) -> None:
        """Who looks answers such questions."""

    def report_device_status(self, mode: int) -> None:
        """Who looks answers such questions."""


def _without_colons(params: str) -> list[str]:
    """Parameters that have parts (ISO 8613-6) as they were written before: `38:2::1:2:3`, and `4:3` for a wave."""
    plain: list[str] = []
    for param in params.split(";"):
        first, *parts = param.split(":")
        if first in {"38", "48", "58"} and parts:
            parts = [parts[0], *parts[-3:]] if parts[0] == "2" else parts[:2]
            plain += [first, *parts]
        elif first == "4" and parts[:1] == ["0"]:
            plain.append("24")
        else:
            plain.append(first)
    return plain


def _colour(numbers: Any) -> str:
    """The rest of an extended colour, as it is written; empty for none."""
    kind = next(numbers, "")
    if kind == "5":
        return f"5;{int(next(numbers, '') or 0) & 255}"
    if kind == "2":
        return "2;" + ";".join(str(int(next(numbers, "") or 0) & 255) for _ in range(3))
    return ""
