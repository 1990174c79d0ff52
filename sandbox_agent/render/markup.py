"""HTML made of parts: plain strings are escaped, only ``Markup`` is not, so no text becomes markup by accident."""

from __future__ import annotations

import html
import re

_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
# Characters that reorder what is shown: a command must read as it runs (Unicode TR 36, bidirectional text spoofing).
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")

_VOID = frozenset({"br", "hr", "img"})


class Markup(str):
    """Finished HTML."""

    __slots__ = ()


def visible(text: str) -> str:
    """Text without control characters; those that would reorder it are shown by name."""
    return _REORDERING.sub(lambda match: f"[U+{ord(match.group()):04X}]", _UNSEEN.sub("", text))


def escape(text: str) -> Markup:
    return text if isinstance(text, Markup) else Markup(html.escape(visible(text), quote=True))


def join(parts: list[Markup]) -> Markup:
    return Markup("".join(parts))


def tag(name: str, *children: str | None, cls: str | None = None, **attributes: str | bool | None) -> Markup:
    """An element. Attributes that are None or False are left out; ``True`` is an attribute without a value."""
    shown = [f' class="{escape(cls)}"'] if cls else []
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if value is True:
            shown.append(f" {attribute}")
        elif value is not None and value is not False:
            shown.append(f' {attribute}="{escape(value)}"')
    opening = f"<{name}{''.join(shown)}>"
    if name in _VOID:
        return Markup(opening)
    return Markup(opening + "".join(escape(child) for child in children if child) + f"</{name}>")
