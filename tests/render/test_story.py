"""What of a turn is new: pure, from items to pieces."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.render.story import TurnStory
from sandbox_agent.wire.sessions import PermissionOption
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

AT: dict[str, Any] = {"created": 1, "updated": 1, "created_at_ms": 0, "turn": "t"}


def says(text: str, item_id: str = "m", role: Any = "agent", **changes: Any) -> MessageItem:
    return MessageItem(id=item_id, role=role, content=({"type": "text", "text": text},), **{**AT, **changes})


def asks(state: Any = "pending", **changes: Any) -> PermissionItem:
    option = PermissionOption(option_id="o", name="Allow", kind="allow_once")
    return PermissionItem(
        id="p", request_id="r", tool_call_id=None, title="May I?", options=(option,), state=state, **AT, **changes
    )


def told(story: TurnStory, *items: Any) -> list[tuple[str, str]]:
    return [(piece.kind, piece.text) for item in items for piece in story.accept(item)]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf"]), min_size=1), min_size=1))
def test_a_message_that_grows_is_told_piece_by_piece(chunks: list[str]) -> None:
    """However it was cut, the pieces joined are the message."""
    story, text, pieces = TurnStory("t"), "", []
    for chunk in chunks:
        text += chunk
        pieces += told(story, says(text))
    assert "".join(piece for _, piece in pieces) == text
    assert [kind for kind, _ in pieces] == ["message"] + ["text"] * (len(pieces) - 1)


def test_a_message_told_twice_adds_nothing() -> None:
    story = TurnStory("t")
    assert told(story, says("a"), says("a")) == [("message", "a")]


def test_no_escape_sequence_reaches_the_terminal_cut_or_whole() -> None:
    story = TurnStory("t")
    pieces = told(story, says("a\x1b[3"), says("a\x1b[31mb\x1b[0m"), says("a\x1b[31mb\x1b[0mc\x1b]0;title\x07d"))
    assert "".join(text for _, text in pieces) == "abcd"


def test_other_turns_and_the_user_s_own_words_are_left_out() -> None:
    assert told(TurnStory("t"), says("a", turn="other"), says("b", role="user"), says("c", turn=None)) == []


def test_without_a_turn_everything_is_told() -> None:
    pieces = told(TurnStory(None), says("hello", "u", role="user"), says("hi", turn="x"), asks())
    assert pieces[:2] == [("note", "> hello"), ("message", "hi")]
    assert "May I?" in pieces[2][1]


def test_a_thought_is_told_once_it_is_complete() -> None:
    story = TurnStory("t")
    thought = [ThoughtItem(id="h", content=({"type": "text", "text": text},), **AT) for text in ("a", "ab")]
    assert told(story, *thought) == []
    assert told(story, says("x")) == [("note", "  ~ ab"), ("message", "x")]


def test_a_tool_call_is_told_when_it_begins_and_when_it_ends() -> None:
    def call(status: Any, **changes: Any) -> ToolCallItem:
        return ToolCallItem(id="c", tool_call_id="c", title="ls", kind="execute", status=status, **AT, **changes)

    output = ({"type": "content", "content": {"type": "text", "text": "x" * 5000}},)
    pieces = told(TurnStory("t"), call("pending"), call("in_progress"), call("completed", content=output))
    assert pieces[0] == ("note", "◐ run: ls")
    assert len(pieces) == 2
    assert pieces[1][1].startswith("✓ run: ls")
    assert len(pieces[1][1]) < 2000, "long output is cut"


def test_permissions_wait_until_they_are_resolved() -> None:
    story = TurnStory("t")
    assert told(story, asks()) == []
    assert list(story.pending) == ["r"]
    [(kind, text)] = told(story, asks("selected", option_id="o", reply="once", resolved_by="client"))
    assert (kind, "allowed once" in text) == ("note", True)
    assert story.pending == {}


def test_plans_notices_and_the_end_are_notes_and_errors_are_remembered() -> None:
    story = TurnStory("t")
    pieces = told(
        story,
        PlanItem(id="plan", entries=({"content": "a", "status": "pending"},), **AT),
        NoticeItem(id="n", level="error", text="broken", **AT),
        TurnItem(id="turn", state="running", **AT),
        TurnItem(id="turn", state="failed", **AT),
        UnknownItem(id="x", update={"sessionUpdate": "new"}, **AT),
    )
    assert [text.splitlines()[0] for _, text in pieces] == ["Plan", "✗ broken", "✗ failed"]
    assert story.errors == {"broken"}
