"""Transcripts as HTML for notebooks and static pages: script-free, self-contained, all text escaped.

Safe by construction: elements are made with ``markup.tag``, which escapes; an agent's Markdown goes through ``prose``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.render.ansi import coloured, plain
from sandbox_agent.render.diff import MINUS, diff_of
from sandbox_agent.render.markup import Markup, join, tag
from sandbox_agent.render.parts import (
    KINDS,
    MARKS,
    block_text,
    command_of,
    cut,
    exit_text,
    left_out,
    lines,
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
from sandbox_agent.render.prose import prose, safe_image, safe_link
from sandbox_agent.render.style import PAGE_STYLE, ROOT, STYLE
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

    from sandbox_agent.render.diff import Diff
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.transcript import Transcript, TranscriptItem

LIMIT = 20_000
"""Characters of one text, diff or output that are shown by default."""

TOTAL = 400_000
"""Characters of HTML of one transcript by default; the oldest items are left out first."""

_IMAGE_LIMIT = 1_000_000
_LONG = 24
"""Lines from which a call's output is collapsed."""

_SHOWN = frozenset({"edit", "delete", "move", "execute", "other"})
"""Kinds of calls that change something: what they did is open to see, unless it is long."""

_STATES = {"completed": "sa-ok", "failed": "sa-bad", "in_progress": "sa-busy", "running": "sa-busy"}


def to_html(
    transcript: Transcript,
    *,
    live: bool = False,
    limit: int | None = LIMIT,
    total: int | None = TOTAL,
    page: bool = False,
) -> str:
    """A transcript as a fragment, or as a whole document (``page``).

    ``limit`` cuts each text, ``total`` the whole (oldest items first), each with a note; None cuts nothing.
    ``live`` marks what is still running.
    """
    body = root(_head(transcript), _items(transcript, limit, total), live=live)
    if not page:
        return body
    title = transcript.title or f"Session {transcript.session_id}"
    viewport = Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">')
    return "<!doctype html>\n" + tag(
        "html", tag("head", viewport, tag("title", title), PAGE_STYLE), tag("body", body), lang="en"
    )


def item_html(item: TranscriptItem, *, limit: int | None = LIMIT) -> str:
    """One item as a fragment of its own."""
    return root(tag("div", _item(item, {}, limit), cls="sa-items"))


def root(*parts: Markup, live: bool = False) -> Markup:
    """A fragment with its style."""
    return tag("div", STYLE, *parts, cls=f"{ROOT} sa-live" if live else ROOT)


def _head(transcript: Transcript) -> Markup:
    facts = [fact for fact in (transcript.model, mode_name(transcript), usage_text(transcript.usage)) if fact]
    return tag(
        "div",
        tag("b", transcript.agent or "agent"),
        tag("span", transcript.title) if transcript.title else None,
        tag("span", " · ".join(facts), cls="sa-small sa-push") if facts else None,
        cls="sa-head",
    )


def _items(transcript: Transcript, limit: int | None, total: int | None) -> Markup:
    """The items from the newest backwards, as many as fit. A resolved permission is told at its call."""
    items = shown_items(transcript.items)
    calls = {item.tool_call_id for item in items if isinstance(item, ToolCallItem)}
    at_call: dict[str, list[PermissionItem]] = {}
    for item in items:
        if isinstance(item, PermissionItem) and item.state != "pending" and item.tool_call_id in calls:
            at_call.setdefault(item.tool_call_id or "", []).append(item)
    told = {permission.id for permissions in at_call.values() for permission in permissions}
    items = [item for item in items if item.id not in told]
    parts: list[Markup] = []
    size = 0
    for item in reversed(items):
        part = _item(item, at_call, limit)
        size += len(part)
        if total is not None and size > total and parts:
            parts.append(tag("div", left_out(len(items) - len(parts), "earlier items"), cls="sa-row sa-small"))
            break
        parts.append(part)
    parts.reverse()
    return tag("div", *parts, cls="sa-items")


def _item(item: TranscriptItem, permissions: dict[str, list[PermissionItem]], limit: int | None) -> Markup:
    match item:
        case MessageItem():
            shown = _message(item, limit)
        case ThoughtItem():
            shown = _thought(item, limit)
        case ToolCallItem():
            shown = _call(item, permissions.get(item.tool_call_id, []), limit)
        case PlanItem():
            shown = _plan(item, limit)
        case PermissionItem():
            shown = permission(item)
        case NoticeItem():
            shown = _notice(item)
        case TurnItem():
            shown = _turn(item)
        case UnknownItem():
            shown = _unknown(item, limit)
    return shown


def _message(item: MessageItem, limit: int | None) -> Markup:
    if item.role == "user":
        return tag("div", _blocks(item.content, limit, markdown=False), cls="sa-user")
    return tag("div", _blocks(item.content, limit), cls="sa-says")


def _unknown(item: UnknownItem, limit: int | None) -> Markup:
    name = f"Unknown update: {item.update.get('sessionUpdate')}"
    bar = tag("summary", tag("span", "?", cls="sa-mark"), tag("span", name, cls="sa-name"), tag("span", cls="sa-facts"))
    return tag("details", bar, tag("div", _output(pretty(item.update), limit), cls="sa-body"), cls="sa-card")


def _blocks(blocks: tuple[JsonObject, ...], limit: int | None, *, markdown: bool = True) -> Markup:
    parts: list[Markup] = []
    chips: list[Markup] = []
    for block in blocks:
        if block.get("type") == "text":
            text, rest = cut(str(block.get("text", "")), limit)
            shown = (
                tag("div", prose(text), cls="sa-prose") if markdown else tag("div", text.strip("\n"), cls="sa-plain")
            )
            parts.append(shown)
            if rest:
                parts.append(_rest(rest))
        elif (image := _image(block)) is not None:
            parts.append(image)
        else:
            chips.append(_chip(block))
    return join([*parts, tag("div", *chips, cls="sa-chips")] if chips else parts)


def _image(block: JsonObject) -> Markup | None:
    if block.get("type") != "image":
        return None
    source = f"data:{block.get('mimeType')};base64,{block.get('data')}"
    if len(source) > _IMAGE_LIMIT or not safe_image(source):
        return None
    return tag("img", src=source, alt="image", cls="sa-image")


def _chip(block: JsonObject) -> Markup:
    """A file, link or medium that is named, not shown."""
    resource = block.get("resource")
    resource = resource if isinstance(resource, dict) else block
    target = str(resource.get("uri") or "")
    name = block.get("title") or block.get("name") or target.rsplit("/", 1)[-1] or block_text(block)
    if safe_link(target):
        return tag("a", str(name), cls="sa-chip", href=target, target="_blank", rel="noopener noreferrer nofollow")
    return tag("span", str(name), cls="sa-chip", title=target or None)


def _rest(count: int) -> Markup:
    return tag("div", left_out(count), cls="sa-small sa-row")


def _thought(item: ThoughtItem, limit: int | None) -> Markup:
    text = "\n\n".join(map(block_text, item.content)).strip()
    first = text.split("\n", 1)[0].strip("*# ")
    shown, rest = cut(text, limit)
    peek = tag("span", first[:120], cls="sa-peek")
    return tag(
        "details",
        tag("summary", tag("span", "Thought"), peek),
        tag("div", prose(shown), _rest(rest) if rest else None, cls="sa-prose"),
        cls="sa-thought",
    )


# -- tool calls --------------------------------------------------------------------------------------------------


def _call(call: ToolCallItem, permissions: list[PermissionItem], limit: int | None) -> Markup:
    command = command_of(call)
    todos = todos_of(call)
    contents = [] if todos else output_of(call)
    diffs = [diff_of(block) for block in contents if block.get("type") == "diff"]
    others = [block for block in contents if block.get("type") != "diff"]
    parts = [_diff(diff, limit) for diff in diffs] + [_call_content(block, limit) for block in others]
    if command and command not in call.title:
        parts.insert(0, tag("pre", tag("span", f"$ {cut(command, limit)[0]}", cls="sa-cmd")))
    if todos:
        parts.append(tag("div", _checklist(todos), cls="sa-plan"))
    parts = [part for part in parts if part]
    facts = [*_stats(diffs), *map(_exit, others), *map(_permission_fact, permissions)]
    name = tag("code", call.title) if command and command in call.title else tag("span", call.title)
    bar = (
        tag("span", MARKS[call.status], cls="sa-mark", title=call.status.replace("_", " ")),
        tag("span", KINDS.get(call.kind, call.kind), cls="sa-kind"),
        tag("span", name, cls="sa-name", title=call.title),
        tag("span", *facts, cls="sa-facts"),
    )
    cls = f"sa-card sa-call {_STATES.get(call.status, '')}".strip()
    if not parts:
        return tag("div", tag("div", *bar, cls="sa-bar"), cls=cls)
    height = sum(len(diff.lines) for diff in diffs) + sum(map(_height, others))
    shown = height <= _LONG and (call.kind in _SHOWN or call.status == "failed")
    return tag("details", tag("summary", *bar), tag("div", *parts, cls="sa-body"), cls=cls, open=shown)


def _call_content(block: JsonObject, limit: int | None) -> Markup:
    """A content of a call that is no diff."""
    if block.get("type") == "terminal":
        return _output(str(block.get("output", "")), limit, end=True)
    inner = block.get("content")
    inner = inner if isinstance(inner, dict) else block
    if inner.get("type") == "text":
        return _output(unfenced(str(inner.get("text", "")))[0], limit)
    return tag("div", _blocks((inner,), limit), cls="sa-part")


def _height(block: JsonObject) -> int:
    inner = block.get("content")
    return str(inner.get("text", "") if isinstance(inner, dict) else block.get("output", "")).count("\n")


def _stats(diffs: list[Diff]) -> list[Markup]:
    counts = (
        ("+", sum(diff.added for diff in diffs), "sa-add"),
        (MINUS, sum(diff.removed for diff in diffs), "sa-del"),
    )
    return [tag("span", f"{sign}{count:,}", cls=cls) for sign, count, cls in counts if count]


def _exit(block: JsonObject) -> Markup:
    """How a command ended, when not well."""
    code = exit_text(block)
    return tag("span", code, cls="sa-no") if code and code != "exit 0" else Markup("")


def _output(text: str, limit: int | None, *, end: bool = False) -> Markup:
    """Output as it looked; nothing for nothing."""
    shown, rest = cut(text.rstrip(), limit, end=end)
    if not shown.strip():
        return Markup("")
    note = tag("span", left_out(rest), cls="sa-dim") if rest else None
    if end:
        return tag("pre", note, "\n" if rest else None, coloured(shown))
    return tag("pre", coloured(shown), "\n" if rest else None, note)


def _diff(diff: Diff, limit: int | None) -> Markup:
    classes = {"+": "sa-plus", "-": "sa-minus", "@": "sa-skip"}
    shown: list[Markup] = []
    size = 0
    for sign, text in diff.lines:
        size += len(text) + 1
        if limit is not None and size > limit:
            shown.append(tag("span", left_out(len(diff.lines) - len(shown), "lines"), cls="sa-skip"))
            break
        line = "⋯" if sign == "@" else f"{MINUS if sign == '-' else sign} {plain(text)}"
        shown.append(tag("span", line, cls=classes.get(sign)))
    path = tag("div", tag("span", diff.path), tag("span", "new file") if diff.created else None, cls="sa-path")
    return join([path, tag("pre", *shown, cls="sa-diff")])


def _permission_fact(item: PermissionItem) -> Markup:
    refused = item.state == "cancelled" or item.reply == "reject"
    return tag("span", outcome(item), cls="sa-no" if refused else None)


# -- the rest ----------------------------------------------------------------------------------------------------


def _checklist(entries: Iterable[JsonObject]) -> Markup:
    marks = {"completed": ("☑", "sa-done"), "in_progress": ("▣", "sa-now")}
    rows = []
    for entry in entries:
        mark, cls = marks.get(str(entry.get("status")), ("☐", None))
        rows.append(tag("li", tag("span", mark, cls="sa-mark"), tag("span", str(entry.get("content") or "")), cls=cls))
    return tag("ul", *rows)


def _plan(item: PlanItem, limit: int | None) -> Markup:
    done = sum(entry.get("status") == "completed" for entry in item.entries)
    label = (
        "Plan" + (f" · {done} of {len(item.entries)}" if item.entries else "") + (" · dropped" if item.removed else "")
    )
    return tag(
        "div",
        tag("div", label, cls="sa-small"),
        _checklist(item.entries) if item.entries else None,
        tag("div", prose(cut(item.markdown, limit)[0]), cls="sa-prose") if item.markdown else None,
        tag("div", tag("code", item.uri)) if item.uri else None,
        cls="sa-card sa-plan",
    )


def answers(options: Iterable[tuple[str, str]]) -> Markup | None:
    """What may be answered, of names and what they stand for. In nothing like a button: none could be pressed here."""
    named = [tag("span", name, title=kind) for name, kind in options]
    parts = [part for name in named for part in (" · ", name)][1:]
    return tag("div", "Answers: ", *parts, cls="sa-small") if parts else None


def permission(item: PermissionItem) -> Markup:
    """A permission on its own: its options while it waits, its outcome after."""
    if item.state == "pending":
        return tag(
            "div",
            tag("div", "Permission needed", cls="sa-small"),
            tag("div", item.title),
            answers([(option.name, option.kind) for option in item.options]),
            cls="sa-card sa-ask",
        )
    refused = item.state == "cancelled" or item.reply == "reject"
    told = tag("span", outcome(item), cls="sa-no" if refused else None)
    return tag("div", tag("span", f"Permission · {item.title} — "), told, cls="sa-note")


def _notice(item: NoticeItem) -> Markup:
    detail = plain(item.detail or "").strip()
    count = len(detail.splitlines())
    shown: Markup | None = None
    if count == 1:
        shown = tag("span", f" — {detail}", cls="sa-dim")
    elif count:
        shown = tag("pre", detail)
        if item.level != "error":
            shown = tag("details", tag("summary", lines(count), cls="sa-small"), shown)
    return tag("div", tag("span", item.text), shown, cls=f"sa-note sa-{item.level}")


def _turn(item: TurnItem) -> Markup:
    bad = "sa-bad" if item.state == "failed" else "sa-busy" if item.state == "running" else ""
    mark = tag("span", MARKS[item.state], cls="sa-mark")
    return tag("div", tag("span", mark), tag("span", " · ".join(turn_summary(item))), cls=f"sa-turn {bad}".strip())
