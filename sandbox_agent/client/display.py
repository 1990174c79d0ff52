"""Script-free HTML for what a notebook shows (pure). Transcripts are drawn by :mod:`sandbox_agent.render`."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_CELL = "text-align:left;vertical-align:top;padding:2px 10px 2px 0;white-space:pre-wrap"
_LONGEST = 200


def shorten(value: object, longest: int = _LONGEST) -> str:
    """One value as a short text; JSON for containers."""
    if isinstance(value, (dict, list, tuple, msgspec.Struct)):
        text = msgspec.json.encode(value).decode()
    else:
        text = "" if value is None else str(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def fields_html(title: str, fields: Mapping[str, object]) -> str:
    """A heading and a table of names and values; what is ``None`` or empty is left out."""
    rows = "".join(
        f'<tr><th style="{_CELL}">{escape(name)}</th><td style="{_CELL}">{escape(shorten(value))}</td></tr>'
        for name, value in fields.items()
        if value not in (None, (), "")
    )
    return f"<div><strong>{escape(title)}</strong><table>{rows}</table></div>"


def table_html(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A heading and a table with a row a thing."""
    head = "".join(f'<th style="{_CELL}">{escape(column)}</th>' for column in columns)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(shorten(cell))}</td>' for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<div><strong>{escape(title)}</strong><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
