"""What of a turn is new to its reader, from the transcript's items as they change (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sandbox_agent.render.parts import KINDS, MARKS, content_text, turn_summary
from sandbox_agent.render.text import clean, item_text
from sandbox_agent.wire.transcript import (
    MessageItem,
    NoticeItem,
    PermissionItem,
    PlanItem,
    ThoughtItem,
    ToolCallItem,
    TurnItem,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox_agent.wire.transcript import TranscriptItem

OUTPUT: Final = 1_200
"""Characters of a tool call's output that are told."""

ENDED: Final = frozenset({"completed", "failed", "cancelled"})

_UNFINISHED = re.compile(r"\x1b[^A-Za-z\x07]{0,64}\Z")
"""The beginning of an escape sequence whose end is still on its way."""


@dataclass(frozen=True, slots=True)
class Piece:
    """``text`` is what the agent says, ``message`` where it begins to say something else.

    A ``note`` stands on lines of its own.
    """

    kind: Literal["text", "message", "note"]
    text: str


class TurnStory:
    """A turn's items in, or a session's (``None``), what to print out; ``pending`` are the permissions that wait."""

    def __init__(self, turn: str | None) -> None:
        self.turn = turn
        self.pending: dict[str, PermissionItem] = {}
        self.errors: set[str] = set()
        self._said: dict[str, int] = {}
        self._told: dict[str, str] = {}
        self._thought: ThoughtItem | None = None

    def accept(self, item: TranscriptItem) -> Iterator[Piece]:
        """What an item that is new or has changed adds."""
        if self.turn is not None and item.turn != self.turn:
            return
        if self._thought is not None and item.id != self._thought.id:
            yield from self._note(self._thought, item_text(self._thought))
            self._thought = None
        match item:
            case MessageItem(role="agent"):
                yield from self._message(item)
            case MessageItem() if self.turn is None:
                yield from self._note(item, item_text(item))
            case ThoughtItem():
                self._thought = item
            case ToolCallItem():
                yield from self._call(item)
            case PermissionItem():
                yield from self._permission(item)
            case PlanItem() | NoticeItem():
                yield from self._note(item, item_text(item))
            case TurnItem() if item.state in ENDED:
                yield from self._note(item, clean(f"{MARKS[item.state]} {' · '.join(turn_summary(item))}"))

    def _message(self, item: MessageItem) -> Iterator[Piece]:
        text = content_text(item.content)
        text = text[: m.start()] if (m := _UNFINISHED.search(text)) else text
        shown = self._said.get(item.id, 0)
        if len(text) <= shown:
            return
        self._said[item.id] = len(text)
        yield Piece("text" if shown else "message", clean(text[shown:]))

    def _call(self, item: ToolCallItem) -> Iterator[Piece]:
        if item.status in ENDED:
            yield from self._note(item, item_text(item, limit=OUTPUT))
        else:
            yield from self._note(
                item, clean(f"{MARKS['in_progress']} {KINDS.get(item.kind, item.kind)}: {item.title}")
            )

    def _permission(self, item: PermissionItem) -> Iterator[Piece]:
        if item.state == "pending":
            self.pending[item.request_id] = item
            if self.turn is None:
                yield from self._note(item, item_text(item))
            return
        self.pending.pop(item.request_id, None)
        yield from self._note(item, item_text(item))

    def _note(self, item: TranscriptItem, text: str) -> Iterator[Piece]:
        """Each note once, however often its item changes otherwise."""
        if text and self._told.get(item.id) != text:
            self._told[item.id] = text
            if isinstance(item, NoticeItem) and item.level == "error":
                self.errors.add(item.text)
            yield Piece("note", text)
