"""Transcripts as plain text, for terminals and `text/plain` outputs."""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING

from sandbox_agent.render.ansi import plain
from sandbox_agent.render.diff import diff_of
from sandbox_agent.render.markup import visible
from sandbox_agent.render.parts import (
    KINDS,
    MARKS,
    command_of,
    content_text,
    cut,
    exit_text,
    left_out,
    mode_name,
    outcome,
    output_of,
    pretty,
    shown_items,
    todos_of,
    turn_summary,
    unfenced,
    usage_text,
)
from sandbox_agent.wire.transcript import (
    MessageItem,
    NoticeItem,
    PermissionItem,
    PlanItem,
    ThoughtItem,
    ToolCallItem,
    TurnItem,
    UnknownItem,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.transcript import Transcript, TranscriptItem

LIMIT = 4_000
"""Characters of one tool call's content that are shown by default; messages are shown whole."""

_LINES = 24
"""Lines of one tool call's content that are shown where there is a limit at all."""


def to_text(transcript: Transcript, *, limit: int | None = LIMIT) -> str:
    """A transcript as text; no escape sequence of an agent reaches the terminal."""
    facts = [transcript.agent, transcript.title, mode_name(transcript), usage_text(transcript.usage)]
    head = " · ".join(fact for fact in facts if fact)
    parts = [item_text(item, limit=limit) for item in shown_items(transcript.items)]
    return "\n\n".join(filter(None, [clean(head), *parts])) + "\n"


def item_text(item: TranscriptItem, *, limit: int | None = LIMIT) -> str:
    """One item as text."""
    match item:
        case MessageItem():
            text = content_text(item.content).rstrip()
            shown = indent(text, "> ", lambda _line: True) if item.role == "user" else text
        case ThoughtItem():
            shown = indent(content_text(item.content).strip(), "  ~ ", lambda _line: True)
        case ToolCallItem():
            shown = _call(item, limit)
        case PlanItem():
            shown = _plan(item)
        case PermissionItem():
            shown = permission_text(item)
        case NoticeItem():
            mark = {"info": "i", "warning": "!", "error": "✗"}[item.level]
            shown = f"{mark} {item.text}" + (f"\n{indent(item.detail.rstrip(), '    ')}" if item.detail else "")
        case TurnItem():
            shown = f"{MARKS[item.state]} {' · '.join(turn_summary(item))}"
        case UnknownItem():
            shown = f"? {item.update.get('sessionUpdate')}: {cut(pretty(item.update), limit)[0]}"
    return clean(shown)


def permission_text(item: PermissionItem) -> str:
    """A permission and how it stands."""
    mark = "?" if item.state == "pending" else "✗" if item.reply == "reject" else MARKS[item.state]
    shown = f"{mark} Permission: {item.title} - {outcome(item)}"
    if item.state == "pending" and item.options:
        shown += "\n    " + " | ".join(option.name for option in item.options)
    return shown


def clean(text: str) -> str:
    return visible(plain(text))


def _call(call: ToolCallItem, limit: int | None) -> str:
    parts = [f"{MARKS[call.status]} {KINDS.get(call.kind, call.kind)}: {call.title}"]
    command = command_of(call)
    if command and command not in call.title:
        parts.append(f"    $ {command}")
    todos = todos_of(call)
    texts = [_checklist(todos)] if todos else [content(block, limit) for block in output_of(call)]
    parts += [indent(text, "    ") for text in texts if text]
    return "\n".join(parts)


def content(block: JsonObject, limit: int | None) -> str:
    """One content of a tool call."""
    if block.get("type") == "diff":
        diff = diff_of(block)
        lines = ["..." if sign == "@" else f"{sign} {line}" for sign, line in diff.lines]
        text = "\n".join([f"{diff.path} ({diff.stats or 'unchanged'})", *lines])
    elif block.get("type") == "terminal":
        tail = _cut(plain(str(block.get("output", ""))).rstrip(), limit, end=True)
        code = exit_text(block)
        return "\n".join(filter(None, [tail, f"[{code}]" if code and code != "exit 0" else ""]))
    else:
        inner = block.get("content")
        text = unfenced(content_text([inner if isinstance(inner, dict) else block]))[0].rstrip()
    return _cut(text, limit)


def _cut(text: str, limit: int | None, *, end: bool = False) -> str:
    """A text of few lines and characters, with a note of what is left out; its end, if so asked."""
    lines = text.split("\n")
    note = ""
    if limit is not None and len(lines) > _LINES:
        note = left_out(len(lines) - _LINES, "lines")
        text = "\n".join(lines[-_LINES:] if end else lines[:_LINES])
    text, rest = cut(text, limit, end=end)
    note = note or (left_out(rest) if rest else "")
    if not note:
        return text
    return f"{note}\n{text}" if end else f"{text}\n{note}"


def _checklist(entries: Iterable[JsonObject]) -> str:
    marks = {"completed": "[x]", "in_progress": "[~]"}
    return "\n".join(f"{marks.get(str(entry.get('status')), '[ ]')} {entry.get('content') or ''}" for entry in entries)


def _plan(item: PlanItem) -> str:
    head = "Plan (dropped)" if item.removed else "Plan"
    return "\n".join(filter(None, [head, indent(_checklist(item.entries), "  "), item.markdown, item.uri]))
