"""Line diffs of a tool call's ``diff`` content, whole files or excerpts."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox_agent.wire.base import JsonObject

MINUS = "\N{MINUS SIGN}"

_CONTEXT = 3
_MOST = 4000
"""Lines a side that are compared; above, old and new are shown whole, as comparing costs their product."""


@dataclass(frozen=True, slots=True)
class Diff:
    """``lines`` are (sign, text); sign is ``+``, ``-``, a space, or ``@`` where unchanged lines are left out."""

    path: str
    lines: tuple[tuple[str, str], ...]
    added: int
    removed: int
    created: bool

    @property
    def stats(self) -> str:
        return " ".join(
            filter(None, (f"+{self.added}" if self.added else "", f"{MINUS}{self.removed}" if self.removed else ""))
        )


def diff_of(content: JsonObject) -> Diff:
    """The diff of an ACP ``diff`` content; ``oldText`` null, absent or empty makes a new file."""
    old, new = content.get("oldText"), content.get("newText")
    before = old.splitlines() if isinstance(old, str) else []
    after = new.splitlines() if isinstance(new, str) else []
    lines = tuple(_lines(before, after))
    signs = [sign for sign, _ in lines]
    path = content.get("path")
    return Diff(
        path=path if isinstance(path, str) else "",
        lines=lines,
        added=signs.count("+"),
        removed=signs.count("-"),
        created=not before,
    )


def _lines(before: list[str], after: list[str]) -> list[tuple[str, str]]:
    if not before or not after or max(len(before), len(after)) > _MOST:
        return [*(("-", line) for line in before), *(("+", line) for line in after)]
    lines: list[tuple[str, str]] = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(_CONTEXT)):
        if number:
            lines.append(("@", ""))
        for operation, a, b, c, d in group:
            if operation == "equal":
                lines += ((" ", line) for line in before[a:b])
                continue
            lines += (("-", line) for line in before[a:b])
            lines += (("+", line) for line in after[c:d])
    return lines
