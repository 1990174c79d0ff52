"""HTML of transcripts: nothing an agent says becomes markup, and everything it says is there to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox_agent.render import item_html, to_html, to_markdown, to_text
from sandbox_agent.sessions.transcript import Fold
from sandbox_agent.wire.transcript import (
    MessageItem,
    NoticeItem,
    PermissionItem,
    PlanItem,
    ThoughtItem,
    ToolCallItem,
    Transcript,
    TurnItem,
    UnknownItem,
)

from ..support.recordings import session
from ..support.safe_html import faults, text_in
from ..support.shared import RECORDINGS

if TYPE_CHECKING:
    from sandbox_agent.wire.transcript import TranscriptItem

COMMON: dict[str, Any] = {"id": "i", "created": 1, "updated": 1, "created_at_ms": 0}

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1) 'onclick=alert(1)')",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    '![x](https://evil.example/"onerror=alert(1))',
    "![x](data:image/svg+xml;base64,PHN2Zy8+)",
    "<javascript:alert(1)>",
    "[a]: javascript:alert(1)\n\n[a]",
    "</style><script>alert(1)</script>",
    "```html onload=alert(1)\n<b>\n```",
    "<!-- --><svg onload=alert(1)>",
    "</div></details></pre>",
    "&lt;script&gt;&#x3c;script>",
    "\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07\x1b[31m<i>\x00",
    "| a |\n|:-:|\n| <td onclick=1> |",
    "\ud800 half",
]


def folded(name: str) -> Transcript:
    fold = Fold(name, name.split("/", maxsplit=1)[0])
    for entry in session(name):
        fold.apply(*entry)
    return fold.snapshot()


def call(**fields: Any) -> ToolCallItem:
    defaults: dict[str, Any] = {"tool_call_id": "c", "title": "t", "kind": "execute", "status": "completed"}
    return ToolCallItem(**COMMON | defaults | fields)


def everywhere(text: str) -> list[TranscriptItem]:
    """Items with a text in every field that takes one."""
    blocks: tuple[dict[str, Any], ...] = (
        {"type": "text", "text": text},
        {"type": "image", "mimeType": text, "data": text},
        {"type": "resource_link", "name": text, "title": text, "uri": text},
        {"type": "resource_link", "uri": f"https://x/{text}"},
        {"type": "resource", "resource": {"uri": text, "text": text}},
        {"type": text},
    )
    contents: tuple[dict[str, Any], ...] = (
        {"type": "diff", "path": text, "oldText": text, "newText": f"{text}\n{text}"},
        {"type": "terminal", "terminalId": "t", "output": text, "exitStatus": {"exitCode": text, "signal": text}},
        *({"type": "content", "content": block} for block in blocks),
    )
    raw = {"command": text, text: text}
    return [
        MessageItem(role="user", content=blocks, **COMMON),
        MessageItem(role="agent", content=blocks, **COMMON),
        ThoughtItem(content=blocks, **COMMON),
        call(title=text, kind=text, content=contents, raw_input=raw),
        call(raw_output=raw, raw_input={"command": [text]}, status="failed"),
        PlanItem(entries=({"content": text, "status": text},), markdown=text, uri=text, **COMMON),
        PermissionItem(
            request_id="r", tool_call_id=None, title=text, options=(), state="selected", option_id=text, rule=text,
            resolved_by="policy", resolved_by_name=text, **COMMON,
        ),
        NoticeItem(level="warning", text=text, detail=f"{text}\n{text}", **COMMON),
        TurnItem(state="failed", stop_reason=text, usage={"cost": {"amount": 1, "currency": text}}, **COMMON),
        UnknownItem(update={"sessionUpdate": text, text: text}, **COMMON),
    ]  # fmt: skip


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recording_renders_safely(name: str) -> None:
    """What real agents say becomes well-formed HTML of allowed elements, in a page and alone."""
    transcript = folded(name)
    assert faults(to_html(transcript, page=True)) == []
    assert faults(to_html(transcript, live=True, limit=50, total=2000)) == []
    assert [faults(item_html(item)) for item in transcript.items] == [[] for _ in transcript.items]


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_becomes_markup(attack: str) -> None:
    """Known ways to smuggle script, in every field."""
    transcript = Transcript(session_id=attack, sequence=1, items=tuple(everywhere(attack)), agent=attack, title=attack)
    page = to_html(transcript, page=True)
    assert faults(page) == []
    assert "<script" not in page.lower()
    page.encode()


@given(st.text(max_size=60) | st.lists(st.sampled_from(ATTACKS), max_size=3).map("\n".join))
@settings(max_examples=200, deadline=None)
def test_no_text_becomes_markup(text: str) -> None:
    """Any text in any field: allowed elements and attributes only, all of them closed."""
    for item in everywhere(text):
        assert faults(item_html(item)) == []


@given(st.text(alphabet="*_`[]()<>!#-+|\n >~\\:/ahtpjs\"'=&;0", max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_markdown_becomes_more_than_markdown(text: str) -> None:
    """Markdown's own characters in any order."""
    assert faults(item_html(MessageItem(role="agent", content=({"type": "text", "text": text},), **COMMON))) == []


def test_nothing_is_fetched_or_run() -> None:
    """No script, and no address outside but links a reader follows."""
    page = to_html(folded("claude/blocks"), page=True)
    for word in ("<script", "<link", "<iframe", "@import", "url(", "javascript:"):
        assert word not in page


def test_the_style_is_scoped() -> None:
    """Every rule is under our class: a notebook's other outputs look as before."""
    fragment = to_html(folded("claude/text"))
    sheet = fragment.partition("<style>")[2].partition("</style>")[0]
    selectors = [part for rule in sheet.split("}") for part in rule.rpartition("{")[0].split("{")[-1:] if part.strip()]
    loose = [s for s in selectors if not s.startswith((".sandbox-agent", "@", "50%")) and not s.endswith("%")]
    assert loose == []
    assert "--jp-content-font-color1" in sheet
    assert "prefers-color-scheme:dark" in sheet.replace(" ", "")


def test_prompt_and_answer_are_readable() -> None:
    """Text is there as it was said, prompts as plain text and answers as Markdown."""
    shown = text_in(to_html(folded("claude/text")))
    assert "Hello there, agent." in shown
    assert "You said: Hello there, agent." in shown
    item = MessageItem(role="user", content=({"type": "text", "text": "**not bold**"},), **COMMON)
    assert "**not bold**" in text_in(item_html(item))


def test_a_resolved_permission_is_told_at_its_call() -> None:
    """By whom and how, in the call's title row; not again as a row of its own."""
    html = to_html(folded("claude/edit"))
    assert text_in(html).count("allowed once by ada") == 1
    assert "Permission ·" not in text_in(html)


def test_a_pending_permission_shows_its_options() -> None:
    """A reader sees what can be answered."""
    entries = session("claude/edit")
    asked = next(i for i, entry in enumerate(entries) if b"_session/permission" in entry.payload)
    fold = Fold("s")
    for entry in entries[: asked + 1]:
        fold.apply(*entry)
    shown = text_in(to_html(fold.snapshot(), live=True))
    assert "Permission needed" in shown
    assert "Yes, allow all edits during this session" in shown
    assert "working" in shown


def test_long_looks_are_collapsed_and_short_changes_open() -> None:
    """Reads fold away; edits and commands show what they did, unless it is long."""
    text = {"type": "content", "content": {"type": "text", "text": "x\n" * 3}}
    long = {"type": "content", "content": {"type": "text", "text": "x\n" * 300}}
    assert "<details" in item_html(call(kind="read", content=(text,)))
    assert " open>" not in item_html(call(kind="read", content=(text,)))
    assert " open>" in item_html(call(kind="execute", content=(text,)))
    assert " open>" not in item_html(call(kind="execute", content=(long,)))


def test_a_call_shows_the_command_its_title_hides() -> None:
    """What runs is shown even where the agent gave it a pretty name."""
    assert "$ rm -rf /" in text_in(item_html(call(title="Tidy up", raw_input={"command": "rm -rf /"})))


def test_a_todo_tool_is_shown_as_a_checklist() -> None:
    """OpenCode plans by calling a tool: the list is shown, not its JSON."""
    shown = text_in(to_html(folded("opencode/plan")))
    assert "▣Read the code☐Write the fix" in shown
    assert "[~] Read the code" in to_text(folded("opencode/plan"))
    assert "- [ ] Write the fix" in to_markdown(folded("opencode/plan"))


def test_a_mode_is_shown_by_its_name() -> None:
    """Copilot's mode ids are addresses."""
    shown = text_in(to_html(folded("copilot/text")))
    assert "agentclientprotocol" not in shown
    assert "Agent" in shown


def test_characters_that_reorder_text_are_named() -> None:
    """A command reads as it runs."""
    assert "[U+202E]" in text_in(item_html(call(title="rm \u202etxt.x")))


def test_huge_output_is_cut_with_a_note() -> None:
    """Terminals keep their end, texts and diffs their beginning; each says what is missing."""
    lines = "".join(f"line {n}\n" for n in range(100_000))
    terminal = item_html(call(content=({"type": "terminal", "terminalId": "t", "output": lines},)))
    diff = item_html(call(content=({"type": "diff", "path": "p", "oldText": None, "newText": lines},)))
    message = item_html(MessageItem(role="agent", content=({"type": "text", "text": lines},), **COMMON))
    for html in (terminal, diff, message):
        assert len(html) < 200_000
        assert "left out" in html
    assert "line 99999" in terminal
    assert "line 99999" not in diff


def test_a_long_session_keeps_its_newest_items() -> None:
    """A notebook stays small: the oldest items go first, and a note says how many."""
    items = tuple(
        MessageItem(role="agent", content=({"type": "text", "text": f"message {n} " + "x" * 500},), **COMMON)
        for n in range(500)
    )
    html = to_html(Transcript(session_id="s", sequence=1, items=items), total=50_000)
    assert len(html) < 70_000
    assert "message 499" in html
    assert "message 1 " not in html
    assert "earlier items left out" in html
    whole = to_html(Transcript(session_id="s", sequence=1, items=items), total=None)
    assert "message 1 " in whole


def test_images_of_known_kinds_are_shown_inline() -> None:
    """A PNG is shown; SVG, which can hold script, is only named."""
    png = MessageItem(role="agent", content=({"type": "image", "mimeType": "image/png", "data": "iVBORw0K"},), **COMMON)
    svg = msgspec.structs.replace(png, content=({"type": "image", "mimeType": "image/svg+xml", "data": "PHN2Zz4="},))
    assert '<img class="sa-image" src="data:image/png;base64,iVBORw0K"' in item_html(png)
    assert "<img" not in item_html(svg)
    assert "image/svg+xml" in item_html(svg)


@pytest.mark.parametrize("state", ["running", "completed", "cancelled", "failed", "queued"])
def test_a_turns_end_is_one_line(state: str) -> None:
    """State, duration, tokens and an unusual stop reason."""
    told: dict[str, Any] = {"state": state, "stop_reason": "max_tokens", "usage": {"totalTokens": 1234}}
    turn = TurnItem(started_at_ms=0, ended_at_ms=65_000, **told, **COMMON)
    shown = text_in(item_html(turn))
    assert shown.endswith(f"{'working' if state == 'running' else state} · 1 min 5 s · 1,234 tokens · max tokens")
