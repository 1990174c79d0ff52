"""The items of a transcript while they are being folded: order, recency and the message that is still growing."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from sandbox_agent.wire.base import JsonObject
from sandbox_agent.wire.transcript import MessageItem, ThoughtItem, TranscriptItem, TurnItem, item_order

TEXT_LIMIT = 4 << 20
"""Characters of one message that are kept; the rest is in the events, and the message says so."""

_RUN = 1024

Speaker: TypeAlias = Literal["user", "agent", "thought"]


class Moment(NamedTuple):
    """The event being folded: its number, its time and the turn it falls in."""

    sequence: int
    created_ms: int
    turn: str | None


class Stream(msgspec.Struct):
    """The message that still grows.

    Text is kept in pieces: ``pieces`` are joined into ``runs`` by the thousand, so that neither a chunk nor a million
    of them copies what came before.
    """

    id: str
    speaker: Speaker
    message_id: str | None
    created: int
    updated: int
    created_at_ms: int
    turn: str | None
    blocks: list[JsonObject] = []
    runs: list[str] = []
    pieces: list[str] = []
    chunks: int = 0
    size: int = 0
    dropped: int = 0

    def text(self, piece: str) -> None:
        self.chunks += 1
        self.size += len(piece)
        if self.size > TEXT_LIMIT:
            self.dropped += len(piece)
            return
        pieces = self.pieces
        pieces.append(piece)
        if len(pieces) >= _RUN:
            self.runs.append("".join(pieces))
            pieces.clear()

    def block(self, content: JsonObject) -> None:
        """A content block as it came; text beside text is joined."""
        if content.get("type") == "text" and isinstance(content.get("text"), str):
            self.text(content["text"])
            return
        self.chunks += 1
        self._close_text()
        self.blocks.append(content)

    def ends_in_word(self) -> bool:
        last = self.pieces[-1] if self.pieces else self.runs[-1] if self.runs else ""
        return bool(last) and not last[-1].isspace()

    def joined(self) -> str:
        if self.pieces:
            self.runs.append("".join(self.pieces))
            self.pieces.clear()
        if len(self.runs) > 1:
            self.runs = ["".join(self.runs)]
        return self.runs[0] if self.runs else ""

    def item(self) -> MessageItem | ThoughtItem:
        content = list(self.blocks)
        text = self.joined()
        if self.dropped:
            text += f"\n\n… {self.dropped:,} more characters are in the session's events."
        if text:
            content.append({"type": "text", "text": text})
        common: dict[str, Any] = {
            "id": self.id,
            "created": self.created,
            "updated": self.updated,
            "created_at_ms": self.created_at_ms,
            "turn": self.turn,
            "content": tuple(content),
        }
        if self.speaker == "thought":
            return ThoughtItem(**common)
        return MessageItem(role=self.speaker, **common)

    def _close_text(self) -> None:
        if text := self.joined():
            self.blocks.append({"type": "text", "text": text})
            self.runs.clear()


class ItemsState(msgspec.Struct):
    items: list[TranscriptItem] = []
    recent: list[str] = []
    stream: Stream | None = None


class Items:
    """Items by id in order of creation; a turn's own item moves to the end when the turn ends.

    A running turn's item is shown last. ``since`` costs what has changed, not what there is.
    """

    def __init__(self, state: ItemsState | None = None) -> None:
        state = state or ItemsState()
        self._items: dict[str, TranscriptItem] = {item.id: item for item in state.items}
        self._recent: dict[str, None] = dict.fromkeys(state.recent)
        self._newest: str | None = state.recent[-1] if state.recent else None
        self.stream: Stream | None = state.stream
        self._settled = state.stream.chunks if state.stream else 0

    def state(self) -> ItemsState:
        self._settle()
        return ItemsState(items=list(self._items.values()), recent=list(self._recent), stream=self.stream)

    def get(self, item_id: str) -> TranscriptItem | None:
        return self._items.get(item_id)

    def put(self, item: TranscriptItem) -> None:
        self._items[item.id] = item
        self.touch(item.id)

    def refresh(self, item: TranscriptItem) -> None:
        """The same item with what was folded already written out: not a change."""
        self._items[item.id] = item

    def put_last(self, item: TranscriptItem) -> None:
        self._items.pop(item.id, None)
        self.put(item)

    def touch(self, item_id: str) -> None:
        if self._newest != item_id:
            self._recent.pop(item_id, None)
            self._recent[item_id] = None
            self._newest = item_id

    def open_stream(self, at: Moment, speaker: Speaker, message_id: str | None) -> Stream:
        """Start a message; whatever grew before is finished."""
        self.close_stream()
        self.stream = Stream(
            id=f"{speaker}:{at.sequence}",
            speaker=speaker,
            message_id=message_id,
            created=at.sequence,
            updated=at.sequence,
            created_at_ms=at.created_ms,
            turn=at.turn,
        )
        self._settled = 0
        self.put(self.stream.item())
        return self.stream

    def close_stream(self) -> None:
        self._settle()
        self.stream = None

    def ordered(self) -> list[TranscriptItem]:
        self._settle()
        return sorted(self._items.values(), key=_is_running)

    def since(self, sequence: int) -> list[TranscriptItem]:
        self._settle()
        changed = []
        for item_id in reversed(self._recent):
            item = self._items[item_id]
            if item.updated <= sequence:
                break
            changed.append(item)
        return sorted(changed, key=item_order)

    def _settle(self) -> None:
        stream = self.stream
        if stream is not None and stream.chunks != self._settled:
            self._items[stream.id] = stream.item()
            self._settled = stream.chunks


def common(at: Moment) -> dict[str, Any]:
    """The fields every new item has."""
    return {"created": at.sequence, "updated": at.sequence, "created_at_ms": at.created_ms, "turn": at.turn}


def _is_running(item: TranscriptItem) -> bool:
    return isinstance(item, TurnItem) and item.state == "running"
