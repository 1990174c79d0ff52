"""A transcript in a line an item, as it is kept for comparison: everything that a reader would miss, cut to a width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    from collections.abc import Iterable, Iterator

    from sandbox_agent.wire.transcript import Transcript, TranscriptItem

WIDTH = 140


def outline(transcript: Transcript) -> list[str]:
    """The header, then the items in their order."""
    usage, used = transcript.usage or {}, ""
    if usage:
        used = f"{usage.get('used')} of {usage.get('size')}"
    chosen = [transcript.model, transcript.mode, transcript.thought_level]
    commands = len(transcript.available_commands)
    head = f"{transcript.title!r} chosen={chosen} usage={used or None} commands={commands}"
    return [_cut(head), *(_cut(line) for item in transcript.items for line in _lines(item))]


def _lines(item: TranscriptItem) -> Iterator[str]:
    match item:
        case MessageItem():
            yield f"{item.role}: {_blocks(item.content)}"
        case ThoughtItem():
            yield f"thought: {_blocks(item.content)}"
        case ToolCallItem():
            places = ",".join(str(place.get("path")) for place in item.locations)
            yield f"call {item.kind} {item.status} {item.title!r} at {places or None} in={_size(item.raw_input)}"
            yield from (f"  {_content(part)}" for part in item.content)
        case PlanItem():
            yield f"plan {[(entry.get('status'), entry.get('content')) for entry in item.entries] or item.markdown}"
        case PermissionItem():
            kinds = [option.kind for option in item.options]
            yield f"permission {item.state} {item.title!r} {item.reply} of {kinds}"
        case NoticeItem():
            yield f"notice {item.level}: {item.text}" + (f" ({item.detail})" if item.detail else "")
        case TurnItem():
            usage = {key: value for key, value in (item.usage or {}).items() if isinstance(value, int)}
            yield f"turn {item.state} {item.stop_reason} {usage}" + (
                f" error={_told(item.error)}" if item.error else ""
            )
        case _:
            yield f"unknown {item}"


def _blocks(blocks: Iterable[dict[str, Any]]) -> str:
    return " | ".join(block["text"] if block.get("type") == "text" else f"<{block.get('type')}>" for block in blocks)


def _content(part: dict[str, Any]) -> str:
    if part.get("type") == "diff":
        return f"diff {part.get('path')} {_size(part.get('oldText'))} -> {_size(part.get('newText'))}"
    if part.get("type") == "terminal":
        return f"terminal {part.get('exitStatus')}: {part.get('output')}"
    content = part.get("content")
    return f"{part.get('type')}: {_blocks([content]) if isinstance(content, dict) else content}"


def _told(error: dict[str, Any]) -> str:
    return f"{error.get('detail') or error.get('message')} inferred={error.get('inferred')}"


def _size(value: Any) -> str:
    if isinstance(value, str):
        return f"{len(value)} characters"
    return f"{sorted(value)}" if isinstance(value, dict) else repr(value)


def _cut(line: str) -> str:
    line = line.encode("unicode_escape").decode()
    return line if len(line) <= WIDTH else f"{line[:WIDTH]}… ({len(line)})"
