"""Files of the sandbox, as HTML and as text."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from sandbox_agent.render.cards import card_html, card_text, table_html, table_text, thin
from sandbox_agent.render.markup import escape, tag
from sandbox_agent.render.parts import left_out
from sandbox_agent.render.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox_agent.render.markup import Markup
    from sandbox_agent.wire.files import FsEntry, FsSearchMatch, FsStat

_HEADS = ("Name", "Size", "Modified")
_SHOWN = 1000
"""Rows of a table; the rest is counted."""

_STEP = 1024


def entries_html(entries: Sequence[FsEntry]) -> str:
    """A listing; names are told from the folder on that all are in."""
    base = _base(entries)
    rows: list[tuple[str, ...]] = [
        (tag("code", _name(entry, base)), *thin(size_of(entry), _when(entry.modified))) for entry in entries[:_SHOWN]
    ]
    if rest := len(entries) - _SHOWN:
        rows += [(tag("span", left_out(rest, "entries"), cls="sa-dim"), "", "")] if rest > 0 else []
    return table_html(_HEADS, rows)


def entries_text(entries: Sequence[FsEntry], *, every: bool = False) -> str:
    """A listing; of a long one the first thousand unless ``every`` is asked for."""
    base, shown = _base(entries), len(entries) if every else _SHOWN
    rows = [(_name(entry, base), size_of(entry), _when(entry.modified)) for entry in entries[:shown]]
    rest = len(entries) - shown
    return table_text(_HEADS, rows) + (f"\n{left_out(rest, 'entries')}" if rest > 0 else "")


def matches_html(matches: Sequence[FsSearchMatch], *, truncated: bool = False) -> str:
    """Lines with what was found in them in bold, or names."""
    rows: list[tuple[str, ...]] = [(tag("code", _place(match)), _marked(match)) for match in matches[:_SHOWN]]
    if truncated or len(matches) > _SHOWN:
        rows.append((tag("span", "… and more", cls="sa-dim"), ""))
    return table_html(("Where", "What"), rows)


def matches_text(matches: Sequence[FsSearchMatch], *, truncated: bool = False) -> str:
    shown = [_place(match) if match.line is None else f"{_place(match)}: {match.text}" for match in matches[:_SHOWN]]
    more = ["… and more"] if truncated or len(matches) > _SHOWN else []
    return clean("\n".join([*shown, *more])) or "None."


def file_html(file: FsEntry | FsStat) -> str:
    return card_html(**_file(file))


def file_text(file: FsEntry | FsStat) -> str:
    return card_text(**_file(file))


def size_text(count: int) -> str:
    """Bytes in a unit that suits: ``312 B``, ``1.5 KiB``, ``20 MiB``."""
    if count < _STEP:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= _STEP
        if round(size, 1) < _STEP or unit == "TiB":
            break
    return f"{size:.1f} {unit}" if size < 10 else f"{size:,.0f} {unit}"  # noqa: PLR2004 - two digits are enough


def size_of(entry: FsEntry | FsStat) -> str:
    """What a listing says of a size: nothing for folders, whose own is of no use."""
    return "" if entry.entry_type == "directory" else size_text(entry.size)


def _base(entries: Sequence[FsEntry]) -> str:
    return posixpath.commonpath([posixpath.dirname(entry.path) for entry in entries]) if entries else ""


def _when(modified: str | None) -> str:
    """To the second, in UTC as it is told."""
    return (modified or "")[:19].replace("T", " ")


def _name(entry: FsEntry, base: str) -> str:
    prefix = base.rstrip("/") + "/"
    name = entry.path.removeprefix(prefix) if entry.path.startswith(prefix) else entry.name
    if entry.link_target is not None:
        return f"{name} → {entry.link_target}"
    return f"{name}/" if entry.entry_type == "directory" else name


def _place(match: FsSearchMatch) -> str:
    return match.path if match.line is None else f"{match.path}:{match.line}"


def _marked(match: FsSearchMatch) -> Markup:
    parts: list[Markup] = []
    at = 0
    for found in match.ranges:
        parts += [escape(match.text[at : found.start]), tag("b", match.text[found.start : found.end])]
        at = found.end
    return tag("code", *parts, match.text[at:])


def _file(file: FsEntry | FsStat) -> dict[str, Any]:
    facts = {
        "Kind": file.kind or file.entry_type,
        "Size": size_of(file),
        "Modified": _when(file.modified),
        "Mode": None if file.mode is None else f"{file.mode:o}",
        "Link to": getattr(file, "link_target", None),
    }
    return {"title": file.path, "facts": facts}
