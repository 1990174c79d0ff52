"""Files of the sandbox, as HTML and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox_agent.render.cards import card_html, card_text, table_html, table_text, thin
from sandbox_agent.render.markup import tag
from sandbox_agent.render.parts import left_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox_agent.wire.files import FsEntry, FsStat

_HEADS = ("Name", "Size", "Modified")
_SHOWN = 1000
"""Rows of a table; the rest is counted."""

_STEP = 1024


def entries_html(entries: Sequence[FsEntry], *, base: str = "") -> str:
    """A listing; names are told from ``base`` on, the folder it is of."""
    rows: list[tuple[str, ...]] = [
        (tag("code", _name(entry, base)), *thin(size_of(entry), entry.modified or "")) for entry in entries[:_SHOWN]
    ]
    if rest := len(entries) - _SHOWN:
        rows += [(tag("span", left_out(rest, "entries"), cls="sa-dim"), "", "")] if rest > 0 else []
    return table_html(_HEADS, rows)


def entries_text(entries: Sequence[FsEntry], *, base: str = "") -> str:
    rows = [(_name(entry, base), size_of(entry), entry.modified or "") for entry in entries[:_SHOWN]]
    rest = len(entries) - _SHOWN
    return table_text(_HEADS, rows) + (f"\n{left_out(rest, 'entries')}" if rest > 0 else "")


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


def _name(entry: FsEntry, base: str) -> str:
    prefix = base.rstrip("/") + "/"
    name = entry.path.removeprefix(prefix) if entry.path.startswith(prefix) else entry.name
    if entry.link_target is not None:
        return f"{name} → {entry.link_target}"
    return f"{name}/" if entry.entry_type == "directory" else name


def _file(file: FsEntry | FsStat) -> dict[str, Any]:
    facts = {
        "Kind": file.kind or file.entry_type,
        "Size": size_of(file),
        "Modified": file.modified,
        "Mode": None if file.mode is None else f"{file.mode:o}",
        "Link to": getattr(file, "link_target", None),
    }
    return {"title": file.path, "facts": facts}
