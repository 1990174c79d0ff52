"""What the renderers share: words for states, texts of content blocks, cutting, numbers and times."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from sandbox_agent.wire.transcript import MessageItem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.transcript import PermissionItem, ToolCallItem, Transcript, TranscriptItem, TurnItem

KINDS = {
    "read": "read",
    "edit": "edit",
    "delete": "delete",
    "move": "move",
    "search": "search",
    "execute": "run",
    "think": "think",
    "fetch": "fetch",
    "switch_mode": "mode",
    "other": "tool",
}

MARKS = {
    "pending": "○",
    "in_progress": "◐",
    "running": "◐",
    "queued": "○",
    "completed": "✓",
    "selected": "✓",
    "failed": "✗",
    "cancelled": "\N{EN DASH}",
}

_SECOND, _MINUTE, _HOUR = 1000, 60_000, 3_600_000

_FENCED = re.compile(r"\A\s*(`{3,}|~{3,})([^\n`]*)\n(.*?)\n?\1\s*\Z", re.DOTALL)


def cut(text: str, limit: int | None, *, end: bool = False) -> tuple[str, int]:
    """At most ``limit`` characters (of the end, if so asked) and how many are left out."""
    if limit is None or len(text) <= limit:
        return text, 0
    return (text[-limit:] if end else text[:limit]), len(text) - limit


def left_out(count: int, what: str = "characters") -> str:
    return f"… {count:,} more {what} left out"


def unfenced(text: str) -> tuple[str, str | None]:
    """The inside of a text that is one fenced block, with its language; else the text and None."""
    match = _FENCED.match(text)
    return (match.group(3), match.group(2).strip()) if match else (text, None)


def block_text(block: JsonObject) -> str:
    """A content block in words."""
    kind = block.get("type")
    if kind == "text":
        return _string(block.get("text"))
    if kind == "resource_link":
        return f"[{_string(block.get('title') or block.get('name')) or 'file'}] {_string(block.get('uri'))}"
    if kind == "resource":
        resource = block.get("resource")
        resource = resource if isinstance(resource, dict) else {}
        text = _string(resource.get("text"))
        return f"[{_string(resource.get('uri'))}]" + (f"\n{text}" if text else "")
    if kind in {"image", "audio"}:
        return f"[{kind} {_string(block.get('mimeType'))}]"
    return f"[{_string(kind) or 'content'}]"


def content_text(blocks: Iterable[JsonObject]) -> str:
    return "\n\n".join(filter(None, map(block_text, blocks)))


def command_of(call: ToolCallItem) -> str | None:
    """The command line a call runs, where its input tells."""
    told = call.raw_input.get("command") if isinstance(call.raw_input, dict) else None
    if isinstance(told, list):
        return " ".join(map(str, told))
    return told if isinstance(told, str) and told else None


def raw_text(raw: Any) -> str:
    """A call's raw output as text: the shapes agents use, else its JSON."""
    if raw is None or isinstance(raw, str):
        return raw or ""
    if isinstance(raw, dict):
        streams = [raw[key] for key in ("stdout", "stderr", "output") if isinstance(raw.get(key), str) and raw[key]]
        if streams:
            return "\n".join(dict.fromkeys(streams))
        content = raw.get("content")
        if isinstance(content, str):
            return content
        if isinstance(content, list) and all(isinstance(block, dict) for block in content):
            return content_text(content)
    return pretty(raw)


def pretty(value: Any, indent: int | None = 2) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, default=str)


def output_of(call: ToolCallItem) -> list[JsonObject]:
    """What a call shows: its content, or its raw output as a text where it has none."""
    if call.content:
        return list(call.content)
    text = raw_text(call.raw_output)
    return [{"type": "content", "content": {"type": "text", "text": text}}] if text.strip() else []


def todos_of(call: ToolCallItem) -> list[JsonObject]:
    """The list a todo tool wrote, where an agent plans by calling one."""
    todos = call.raw_input.get("todos") if isinstance(call.raw_input, dict) else None
    if not isinstance(todos, list) or not all(isinstance(todo, dict) and "content" in todo for todo in todos):
        return []
    return todos


def mode_name(transcript: Transcript) -> str | None:
    """The mode by its name; some agents' ids are addresses."""
    mode = transcript.mode
    options = [option for option in transcript.config_options if option.get("category") == "mode"]
    for option in options:
        for choice in option.get("options") or ():
            if isinstance(choice, dict) and choice.get("value") == mode and isinstance(choice.get("name"), str):
                return str(choice["name"])
    return re.split("[#/]", mode)[-1] if mode else None


def exit_text(terminal: JsonObject) -> str | None:
    status = terminal.get("exitStatus")
    if not isinstance(status, dict):
        return None
    if status.get("signal") is not None:
        return f"signal {status['signal']}"
    return f"exit {status['exitCode']}" if status.get("exitCode") is not None else None


def outcome(permission: PermissionItem) -> str:
    """How a permission was resolved, and by whom, in a few words."""
    if permission.state == "pending":
        return "waiting for an answer"
    if permission.state == "cancelled":
        return "cancelled"
    option = next((o for o in permission.options if o.option_id == permission.option_id), None)
    words = {"once": "allowed once", "always": "always allowed", "reject": "rejected"}
    said = words.get(permission.reply or "") or (option.name if option else "answered")
    if permission.resolved_by == "policy":
        return f"{said} by policy" + (f" ({permission.rule})" if permission.rule else "")
    return f"{said} by {permission.resolved_by_name}" if permission.resolved_by_name else said


def turn_summary(turn: TurnItem) -> list[str]:
    """State, duration, tokens and an unusual stop reason."""
    told: list[str] = ["working" if turn.state == "running" else turn.state]
    if turn.started_at_ms is not None and turn.ended_at_ms is not None:
        told.append(duration(turn.ended_at_ms - turn.started_at_ms))
    if tokens := usage_text(turn.usage):
        told.append(tokens)
    if turn.stop_reason and turn.stop_reason not in {"end_turn", turn.state}:
        told.append(turn.stop_reason.replace("_", " "))
    return told


def usage_text(usage: JsonObject | None) -> str:
    """What an agent accounted: tokens of a turn, or context used and its cost."""
    usage = usage or {}
    parts = []
    total = usage.get("totalTokens")
    if _number(total) and total:
        parts.append(f"{total:,} tokens")
    else:
        told = [(usage.get("inputTokens"), "in"), (usage.get("outputTokens"), "out")]
        parts += [f"{count:,} tokens {way}" for count, way in told if _number(count) and count]
    used, size = usage.get("used"), usage.get("size")
    if isinstance(used, int | float) and isinstance(size, int | float) and size:
        parts.append(f"context {short(used)} of {short(size)}")
    cost = usage.get("cost")
    if isinstance(cost, dict) and _number(cost.get("amount")) and cost["amount"]:
        parts.append(f"{cost['amount']:.2f} {_string(cost.get('currency'))}".strip())
    return " · ".join(parts)


def duration(milliseconds: int) -> str:
    milliseconds = max(0, milliseconds)
    if milliseconds < _SECOND:
        return f"{milliseconds} ms"
    if milliseconds < _MINUTE:
        return f"{milliseconds / _SECOND:.1f} s"
    if milliseconds < _HOUR:
        return f"{milliseconds // _MINUTE} min {milliseconds % _MINUTE // _SECOND} s"
    return f"{milliseconds // _HOUR} h {milliseconds % _HOUR // _MINUTE} min"


def short(number: float) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.1f}".removesuffix(".0") + unit
    return f"{number:,}"


def lines(count: int) -> str:
    return f"{count:,} line" + ("" if count == 1 else "s")


def shown_items(items: Iterable[TranscriptItem]) -> list[TranscriptItem]:
    """Items worth showing: no empty messages."""
    return [item for item in items if not (isinstance(item, MessageItem) and not item.content)]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
