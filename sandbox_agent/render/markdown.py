"""Transcripts as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox_agent.render.ansi import plain
from sandbox_agent.render.diff import diff_of
from sandbox_agent.render.markup import visible
from sandbox_agent.render.parts import (
    KINDS,
    MARKS,
    block_text,
    command_of,
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
from sandbox_agent.render.prose import safe_image, safe_link
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

LIMIT = 20_000
"""Characters of one text or output that are kept by default."""


def to_markdown(transcript: Transcript, *, limit: int | None = LIMIT) -> str:
    """A transcript as a document; an agent's own Markdown stays as it wrote it."""
    facts = [transcript.agent, transcript.model, mode_name(transcript), usage_text(transcript.usage)]
    head = [f"# {words(transcript.title or 'Session')}", " · ".join(words(fact) for fact in facts if fact)]
    items = [item_markdown(item, limit=limit) for item in shown_items(transcript.items)]
    return visible("\n\n".join(filter(None, [*head, *items])) + "\n")


def item_markdown(item: TranscriptItem, *, limit: int | None = LIMIT, alerts: bool = True) -> str:
    """One item as Markdown; ``alerts`` uses GitHub's form for notices, which notebooks do not know."""
    match item:
        case MessageItem():
            shown = blocks(item.content, limit)
            if item.role == "user":
                shown = f"**You**\n\n{quoted(typed(shown))}"
        case ThoughtItem():
            shown = f"<details><summary>Thought</summary>\n\n{quoted(blocks(item.content, limit))}\n\n</details>"
        case ToolCallItem():
            shown = call_markdown(item, limit=limit)
        case PlanItem():
            shown = _plan(item)
        case PermissionItem():
            shown = f"*Permission: {words(item.title)} — {words(outcome(item))}*"
        case NoticeItem():
            shown = _notice(item, alerts=alerts)
        case TurnItem():
            shown = f"{MARKS[item.state]} *{words(' · '.join(turn_summary(item)))}*\n\n---"
        case UnknownItem():
            told = fenced(cut(pretty(item.update), limit)[0], "json")
            shown = f"<details><summary>Unknown update</summary>\n\n{told}\n\n</details>"
    return shown


def call_markdown(call: ToolCallItem, *, limit: int | None = LIMIT) -> str:
    """A tool call: its title, then diffs and outputs in fences, folded away where it only looked."""
    head = f"{MARKS[call.status]} **{KINDS.get(call.kind, words(call.kind))}** {code(call.title)}"
    command = command_of(call)
    parts = [fenced(command, "sh")] if command and command not in call.title else []
    todos = todos_of(call)
    texts = [_checklist(todos)] if todos else [_content(block, limit) for block in output_of(call)]
    parts += [text for text in texts if text]
    if not parts:
        return head
    body = "\n\n".join(parts)
    if call.kind in {"read", "search", "fetch", "think"}:
        body = f"<details><summary>Output</summary>\n\n{body}\n\n</details>"
    return f"{head}\n\n{body}"


def blocks(content: Iterable[JsonObject], limit: int | None) -> str:
    """Content blocks; links by safe schemes only, images as data."""
    parts = []
    for block in content:
        kind, uri = block.get("type"), str(block.get("uri") or "")
        image = f"data:{block.get('mimeType')};base64,{block.get('data')}"
        if kind == "text":
            text, rest = cut(str(block.get("text", "")), limit)
            parts.append(text + (f"\n\n*{left_out(rest)}*" if rest else ""))
        elif kind == "image" and safe_image(image):
            parts.append(f"![image]({image})")
        elif kind == "resource_link" and safe_link(uri):
            parts.append(f"[{words(str(block.get('name') or uri))}](<{uri.replace('>', '%3E')}>)")
        elif kind == "resource_link":
            parts.append(code(uri or str(block.get("name"))))
        else:
            parts.append(fenced(cut(block_text(block), limit)[0], "text"))
    return "\n\n".join(filter(None, parts))


def fenced(text: str, language: str = "") -> str:
    """A fence longer than any inside."""
    longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def code(text: str) -> str:
    """A code span, whatever ticks it holds."""
    text = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * (longest + 1)
    return f"{ticks} {text} {ticks}" if longest or not text else f"{ticks}{text}{ticks}"


def words(text: str) -> str:
    """Text that is no markup: what Markdown or HTML would read as such is escaped."""
    return re.sub(r"([\\`*_\[\]<>&#|~])", r"\\\1", " ".join(text.split()))


def typed(text: str) -> str:
    """What a person typed, line by line."""
    return re.sub(r"(?<=[^\n ])\n(?=[^\n])", "  \n", text)


def quoted(text: str) -> str:
    return "\n".join(f"> {line}" if line else ">" for line in text.split("\n"))


def _notice(item: NoticeItem, *, alerts: bool) -> str:
    kind = {"info": "NOTE", "warning": "WARNING", "error": "CAUTION"}[item.level]
    head = f"[!{kind}]\n{words(item.text)}" if alerts else f"**{kind.capitalize()}:** {words(item.text)}"
    detail = (item.detail or "").strip()
    if "\n" in detail:
        head += f"\n\n{fenced(detail, 'text')}"
    elif detail:
        head += f" — {words(detail)}"
    return quoted(head)


def _content(block: JsonObject, limit: int | None) -> str:
    if block.get("type") == "diff":
        diff = diff_of(block)
        text = "\n".join(f"{'@@ ... @@' if sign == '@' else sign + line}" for sign, line in diff.lines)
        shown, rest = cut(text, limit)
        note = f"\n\n*{left_out(rest)}*" if rest else ""
        return f"{code(diff.path)} {diff.stats}\n\n{fenced(shown, 'diff')}{note}"
    if block.get("type") == "terminal":
        shown, rest = cut(plain(str(block.get("output", ""))).rstrip(), limit, end=True)
        status = exit_text(block)
        parts = [f"*{left_out(rest)}*" if rest else "", fenced(shown, "console") if shown else ""]
        return "\n\n".join(filter(None, [*parts, f"*{status}*" if status and status != "exit 0" else ""]))
    inner = block.get("content")
    inner = inner if isinstance(inner, dict) else block
    if inner.get("type") != "text":
        return blocks([inner], limit)
    text, language = unfenced(str(inner.get("text", "")))
    shown, rest = cut(plain(text).rstrip(), limit)
    language = language if language and re.fullmatch(r"[\w+-]+", language) else "text"
    note = f"\n\n*{left_out(rest)}*" if rest else ""
    return fenced(shown, language) + note if shown.strip() else ""


def _checklist(entries: Iterable[JsonObject]) -> str:
    marks = {"completed": "[x]", "in_progress": "[ ] *(now)*"}
    return "\n".join(
        f"- {marks.get(str(entry.get('status')), '[ ]')} {words(str(entry.get('content') or ''))}" for entry in entries
    )


def _plan(item: PlanItem) -> str:
    head = "**Plan** (dropped)" if item.removed else "**Plan**"
    return "\n\n".join(
        filter(None, [head, _checklist(item.entries), item.markdown, code(item.uri) if item.uri else ""])
    )
