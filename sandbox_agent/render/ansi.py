"""Terminal output as text or HTML: escape sequences removed, or their colours kept (ECMA-48, SGR)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox_agent.render.markup import escape, join, tag

if TYPE_CHECKING:
    from sandbox_agent.render.markup import Markup

_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_OTHER = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-ln-~]"  # CSI, all but SGR
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # OSC and other strings
    r"|\x1b[ -/]*[0-Z\\^-~]",  # two-character sequences
    re.DOTALL,
)
_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_COLOURS = {base + number: f"sa-{name}" for base in (30, 90) for number, name in enumerate(_NAMES)}
_RESET, _BOLD, _NOT_BOLD, _NO_COLOUR = 0, 1, 22, 39
_EXTENDED, _EXTENDED_ARGUMENTS = {38, 48}, {5: 2, 2: 4}  # 38;5;n and 38;2;r;g;b


def plain(text: str) -> str:
    """What is left on the screen, without colours."""
    return _SGR.sub("", _overwritten(_OTHER.sub("", text)))


def coloured(text: str) -> Markup:
    """What is left on the screen, the sixteen colours and bold as classes; finer colours are dropped."""
    pieces = _SGR.split(_overwritten(_OTHER.sub("", text)))
    parts: list[Markup] = []
    style: dict[str, str] = {}
    for index, piece in enumerate(pieces):
        if index % 2:
            style = _styled(style, piece)
        elif piece:
            cls = " ".join(style.values())
            parts.append(tag("span", piece, cls=cls) if cls else escape(piece))
    return join(parts)


def _overwritten(text: str) -> str:
    """Progress bars: of a line written over by carriage returns, what was written last."""
    text = text.replace("\r\n", "\n")
    if "\r" not in text:
        return text
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))


def _styled(style: dict[str, str], parameters: str) -> dict[str, str]:
    style = dict(style)
    codes = [int(code) if code.isdigit() else 0 for code in re.split("[;:]", parameters)] or [0]
    index = 0
    while index < len(codes):
        code = codes[index]
        index += 1
        if code == _RESET:
            style.clear()
        elif code == _BOLD:
            style["bold"] = "sa-bold"
        elif code == _NOT_BOLD:
            style.pop("bold", None)
        elif code in _COLOURS:
            style["colour"] = _COLOURS[code]
        elif code == _NO_COLOUR:
            style.pop("colour", None)
        elif code in _EXTENDED:
            index += _EXTENDED_ARGUMENTS.get(codes[index] if index < len(codes) else 0, 0)
    return style
