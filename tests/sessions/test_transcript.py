"""The fold over what real agents sent, and over what they might."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox_agent.sessions import fold_items, fold_tools
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
    item_order,
)

from ..support.recordings import SERVER, Entry, agent, client, note, prompt, raw, session, update
from ..support.shared import RECORDINGS

if TYPE_CHECKING:
    from collections.abc import Iterable

Item = TypeVar("Item")


def folded(entries: Iterable[Entry]) -> Fold:
    fold = Fold("s", "test")
    for entry in entries:
        fold.apply(*entry)
    return fold


def of(kind: type[Item], entries: Iterable[Entry]) -> list[Item]:
    return [item for item in folded(entries).snapshot().items if isinstance(item, kind)]


def text(item: MessageItem | ThoughtItem) -> str:
    return "".join(block.get("text", "") for block in item.content)


def chunk(sequence: int, text: str, kind: str = "agent_message_chunk", **more: Any) -> Entry:
    return update(sequence, sessionUpdate=kind, content={"type": "text", "text": text}, **more)


def tool(sequence: int, **fields: Any) -> Entry:
    return update(sequence, **{"sessionUpdate": "tool_call_update", "toolCallId": "c", **fields})


# --- every recording


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recording_folds_into_valid_items(name: str) -> None:
    """Items survive the wire, have one id each, stand in order, and no turn or call of a finished turn stays open."""
    for entries in (raw(name), session(name)):
        transcript = folded(entries).snapshot()
        assert msgspec.json.decode(msgspec.json.encode(transcript), type=Transcript) == transcript
        assert len({item.id for item in transcript.items}) == len(transcript.items)
        assert list(transcript.items) == sorted(transcript.items, key=item_order)
        turns = {item.turn for item in transcript.items if isinstance(item, TurnItem) and item.state != "running"}
        calls = [item for item in transcript.items if isinstance(item, ToolCallItem) and item.turn in turns]
        assert not [call for call in calls if call.status in {"pending", "in_progress"}]
        assert not [item for item in transcript.items if isinstance(item, UnknownItem)]


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_sessions_notes_and_its_raw_traffic_tell_the_same(name: str) -> None:
    """The server's notes add permissions; messages, calls and the states of turns are the same without them."""

    def told(entries: list[Entry]) -> list[Any]:
        items = folded(entries).snapshot().items
        return [
            (type(item), getattr(item, "content", None), getattr(item, "state", None), getattr(item, "status", None))
            for item in items
            if isinstance(item, MessageItem | ThoughtItem | ToolCallItem | TurnItem)
        ]

    assert told(raw(name)) == told(session(name))


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_fold_goes_on_exactly_from_its_checkpoint(data: st.DataObject) -> None:
    """Any recording, cut anywhere: prefix, checkpoint, restore and the rest equal folding it all, `since` included."""
    entries = session(data.draw(st.sampled_from(RECORDINGS or ["claude/text"])))
    cut = data.draw(st.integers(0, len(entries)))
    cursor = data.draw(st.integers(0, len(entries)))
    straight = folded(entries)
    first = folded(entries[:cut])
    second = Fold("s", "test", first.state())
    assert second.snapshot() == first.snapshot()
    for entry in entries[cut:]:
        second.apply(*entry)
    assert second.snapshot() == straight.snapshot()
    assert second.since(cursor) == straight.since(cursor)
    assert second.state() == straight.state()


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_upserts_join_to_the_snapshot(data: st.DataObject) -> None:
    """A reader who takes what changed since it last looked, whenever it looks, ends with the snapshot."""
    none = Transcript(session_id="s", sequence=0, items=(), agent="test")
    entries = session(data.draw(st.sampled_from(RECORDINGS or ["claude/text"])))
    looks = data.draw(st.sets(st.integers(1, len(entries)), max_size=12)) | {len(entries)}
    fold, seen, items, header = Fold("s", "test"), 0, {}, none
    for entry in entries:
        fold.apply(*entry)
        if entry.sequence in looks:
            changed = fold.changes(seen)
            if changed is not None:
                items |= {item.id: item for item in changed.items}
                header = changed.header or header
            seen = entry.sequence
    joined = msgspec.structs.replace(header, sequence=seen, items=tuple(sorted(items.values(), key=item_order)))
    assert joined == fold.snapshot()


def test_a_checkpoint_of_another_version_starts_anew() -> None:
    """What cannot be read is folded again from the journal, not a reason to fail."""
    state = folded(session("claude/text")).state()
    for other in (state.replace(b'"version":1', b'"version":0'), b"{}", b"\x00"):
        assert Fold("s", state=other).sequence == 0


def test_reading_does_not_change_what_is_folded() -> None:
    """Snapshots taken after each entry leave the result as it is without them."""
    fold = Fold("s", "test")
    for entry in session("codex/bash_allow"):
        fold.apply(*entry)
        fold.snapshot()
        fold.since(entry.sequence - 1)
    assert fold.snapshot() == folded(session("codex/bash_allow")).snapshot()


def test_unchanged_items_are_the_same_objects() -> None:
    """A second snapshot builds only what changed in between."""
    entries = session("claude/edit")
    fold = folded(entries[:-20])
    before = {item.id: item for item in fold.snapshot().items}
    for entry in entries[-20:]:
        fold.apply(*entry)
    changed = {item.id for item in fold.since(entries[-21].sequence)}
    after = {item.id: item for item in fold.snapshot().items}
    assert changed
    assert all(after[key] is item for key, item in before.items() if key not in changed)


# --- messages


def test_chunks_of_one_message_are_one_item() -> None:
    """`messageId` holds a message together; the user's is the prompt we sent."""
    user, answer = of(MessageItem, session("claude/text"))[:2]
    assert (user.role, text(user)) == ("user", "Hello there, agent.")
    assert (answer.role, text(answer)) == ("agent", "You said: Hello there, agent.")
    assert len(answer.content) == 1


def test_a_new_message_id_is_a_new_message() -> None:
    """Two messages in a row stay two."""
    entries = [chunk(1, "a", messageId="1"), chunk(2, "b", messageId="1"), chunk(3, "c", messageId="2")]
    assert [text(item) for item in of(MessageItem, entries)] == ["ab", "c"]


def test_another_item_cuts_a_message() -> None:
    """What was said before a tool call stays before it, with and without message ids."""
    entries = [chunk(1, "before"), tool(2, title="t", status="pending"), chunk(3, "after")]
    assert [type(item) for item in folded(entries).snapshot().items] == [MessageItem, ToolCallItem, MessageItem]


def test_a_changed_item_does_not_cut_a_message() -> None:
    """A call that reports progress meanwhile leaves the sentence whole."""
    entries = [tool(1, title="t", status="pending"), chunk(2, "one "), tool(3, status="in_progress"), chunk(4, "two")]
    assert [text(item) for item in of(MessageItem, entries)] == ["one two"]


def test_a_message_cut_by_usage_stays_whole() -> None:
    """Vibe reports usage after the first word of each message."""
    assert [text(m) for m in of(MessageItem, session("vibe/text"))] == [
        "Hello there, agent.",
        "You said: Hello there, agent.",
        "And once more, please.",
        "You said: And once more, please.",
    ]


@pytest.mark.parametrize("name", ["cursor/text", "vibe/text", "vibe/blocks"])
def test_an_agents_echo_does_not_double_the_prompt(name: str) -> None:
    """Agents that repeat the prompt, before or after a thought, in one or more blocks, add no message."""
    prompts = [entry for entry in raw(name) if b'"session/prompt"' in entry.payload]
    assert len([m for m in of(MessageItem, session(name)) if m.role == "user"]) == len(prompts)


def test_an_echo_in_pieces_is_swallowed_and_other_words_are_not() -> None:
    """Piece by piece the prompt is ours; what is not in it is a message of its own."""
    entries = [
        prompt(1, "Hello there"),
        *(chunk(i, piece, "user_message_chunk") for i, piece in enumerate(["Hello", " there", "And this"], 2)),
    ]
    assert [text(item) for item in of(MessageItem, entries)] == ["Hello there", "And this"]


def test_replayed_history_becomes_messages_of_both() -> None:
    """A loaded session's past is told with chunks of either side, outside any turn."""
    items = folded(raw("claude/load")).snapshot().items
    past = [item for item in items if isinstance(item, MessageItem) and item.turn is None]
    assert [(item.role, text(item)[:8]) for item in past][:3] == [
        ("user", "Remember"),
        ("agent", "You said"),
        ("user", "[[think "),
    ]
    assert isinstance(items[2], MessageItem)
    assert any(isinstance(item, ToolCallItem) and item.turn is None for item in items)


def test_priming_is_not_shown_as_the_users_words() -> None:
    """What a new agent process is told of the past is left out of the message."""
    blocks = [
        {"type": "text", "text": "The past ...", "_meta": {"sandboxAgentPriming": True}},
        {"type": "text", "text": "And now?"},
    ]
    entry = client(1, id=1, method="session/prompt", params={"prompt": blocks, "_meta": {"promptId": "p"}})
    assert [text(item) for item in of(MessageItem, [entry])] == ["And now?"]


def test_images_and_links_are_kept_as_they_came() -> None:
    """Prompts with an image, a link and an embedded file keep their blocks, text beside them."""
    users = [item for item in of(MessageItem, session("claude/blocks")) if item.role == "user"]
    assert [[block["type"] for block in item.content] for item in users] == [
        ["text", "resource_link"],
        ["text", "image"],
        ["text", "resource"],
    ]
    entries = [
        chunk(1, "see "),
        update(
            2, sessionUpdate="agent_message_chunk", content={"type": "image", "mimeType": "image/png", "data": "AA"}
        ),
        chunk(3, "there"),
    ]
    (message,) = of(MessageItem, entries)
    assert [block["type"] for block in message.content] == ["text", "image", "text"]


def test_thoughts_are_items_of_their_own() -> None:
    """A thought and a message with the same id are two items, in the order they came."""
    kinds = [type(item) for item in folded(session("claude/plan")).snapshot().items]
    assert kinds[:2] == [MessageItem, ThoughtItem]
    assert kinds.count(ThoughtItem) == 2


def test_an_adapters_remark_is_a_notice() -> None:
    """Claude's adapter marks remarks of its own; they are not the model's words."""
    notices = of(NoticeItem, session("claude/plan"))
    assert [n.level for n in notices] == ["warning"]
    assert not any("Warning" in text(m) for m in of(MessageItem, session("claude/plan")))


def test_half_a_character_is_no_reason_to_lose_the_rest() -> None:
    """JavaScript agents cut text inside a surrogate pair; the rest of the chunk is kept."""
    whole = chunk(1, "X").payload.replace(b'"X"', b'"ab\\ud83d"')
    (message,) = of(MessageItem, [Entry(1, 0, 0, whole)])
    assert text(message) == "ab\N{REPLACEMENT CHARACTER}"


def test_a_message_without_end_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text beyond the limit is counted, not kept."""
    monkeypatch.setattr(fold_items, "TEXT_LIMIT", 1000)
    (message,) = of(MessageItem, [chunk(i, "0123456789") for i in range(1, 201)])
    assert len(text(message)) < 1100
    assert "1,000 more characters" in text(message)


# --- tool calls


def test_a_call_first_named_in_a_permission_request() -> None:
    """Gemini asks before it announces: the request makes the call, with its diff, and the update completes it."""
    call = next(c for c in of(ToolCallItem, session("gemini/edit")) if c.kind == "edit")
    assert (call.status, call.title) == ("completed", "notes.txt: two => TWO")
    assert call.content[0]["newText"] == "one\nTWO\nthree\n"


def test_an_update_without_a_tool_call_makes_one() -> None:
    """An agent that forgets the announcement is not ignored."""
    (call,) = of(ToolCallItem, [tool(1, title="Late", status="completed")])
    assert (call.title, call.kind, call.status) == ("Late", "other", "completed")


def test_updates_change_only_what_they_name() -> None:
    """Title, kind, input and locations told once stay; null and wrong types set nothing."""
    entries = [
        tool(1, sessionUpdate="tool_call", title="T", kind="read", rawInput={"a": 1}, locations=[{"path": "/x"}]),
        tool(2, title=None, kind=7, status="nonsense", content="no", rawInput=None),
        tool(3, status="in_progress", content=[{"type": "content", "content": {"type": "text", "text": "x"}}, 5]),
    ]
    (call,) = of(ToolCallItem, entries)
    assert (call.title, call.kind, call.status, call.raw_input) == ("T", "read", "in_progress", {"a": 1})
    assert call.locations == ({"path": "/x"},)
    assert len(call.content) == 1


def test_a_permission_request_only_fills_gaps_of_a_known_call() -> None:
    """OpenCode's request has no locations and another title, Codex's a lower status: what was told stays."""
    calls = of(ToolCallItem, session("opencode/edit"))
    assert [call.title for call in calls] == ["notes.txt", "notes.txt", "cat notes.txt"]
    assert calls[2].locations == ({"path": "/workspace"},)
    assert of(ToolCallItem, session("qwen/edit"))[1].title == "notes.txt"  # it was called "Edit" before
    entries = session("codex/bash_allow")
    asked = next(i for i, entry in enumerate(entries) if b"_session/permission" in entry.payload)
    (call,) = of(ToolCallItem, entries[: asked + 1])
    assert call.status == "in_progress"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("codex/cancel_tool", "cancelled"),
        ("copilot/cancel_permission", "cancelled"),
        ("kimi/cancel_tool", "cancelled"),
        ("gemini/tool_reject", "cancelled"),
        ("claude/cancel_tool", "failed"),
    ],
)
def test_calls_left_open_are_closed_with_their_turn(name: str, status: str) -> None:
    """Cancelled, or ended well without a word of the call: it is cancelled. What the agent itself said stays."""
    assert of(ToolCallItem, session(name))[0].status == status


def test_calls_of_a_failed_turn_fail() -> None:
    """A call running when the agent reports an error has failed."""
    entries = [prompt(1, "x"), tool(2, title="t", status="in_progress"), agent(3, id=1, error={"message": "boom"})]
    assert of(ToolCallItem, entries)[0].status == "failed"


def test_the_agents_late_word_wins_over_the_closing() -> None:
    """A call closed by us takes the agent's outcome, but is not reopened."""
    end = [prompt(1, "x"), tool(2, title="t", status="in_progress"), agent(3, id=1, result={"stopReason": "end_turn"})]
    assert of(ToolCallItem, [*end, tool(4, status="in_progress")])[0].status == "cancelled"
    assert of(ToolCallItem, [*end, tool(4, status="completed")])[0].status == "completed"


def test_a_call_id_used_again_in_a_later_turn_is_another_call() -> None:
    """The first turn's call keeps what it was."""
    entries = [
        prompt(1, "x"),
        tool(2, sessionUpdate="tool_call", title="first", status="completed"),
        agent(3, id=1, result={"stopReason": "end_turn"}),
        prompt(4, "y", "p2", request=2),
        tool(5, sessionUpdate="tool_call", title="second", status="pending"),
        tool(6, status="completed"),
    ]
    assert [(c.title, c.status) for c in of(ToolCallItem, entries)] == [("first", "completed"), ("second", "completed")]


def test_diffs_keep_every_shape() -> None:
    """Whole files and excerpts, `oldText` null, empty or absent: as the agent sent them."""
    shapes = {
        str(block.get("oldText", "absent"))[:3]
        for name in ("claude/edit", "codex/load_1", "kimi/client_fs", "vibe/load_1", "claude/load_1")
        for call in of(ToolCallItem, session(name))
        for block in call.content
        if block["type"] == "diff"
    }
    assert shapes == {"one", "two", "Non", "", "abs"} - {"two"}


# --- terminals


def test_output_told_in_meta_is_shown_in_the_terminal() -> None:
    """Codex tells a command's output beside its content, once, with the exit code."""
    first, second, third = of(ToolCallItem, session("codex/bash_allow"))
    assert first.content[0]["output"] == "hi\n"
    assert second.content[0]["exitStatus"] == {"exitCode": 2, "signal": None}
    assert third.content[0]["output"].startswith("1\n2\n3\n")


def test_output_told_in_pieces_is_joined() -> None:
    """Pi appends to its terminal, the last piece with the exit."""
    failed = of(ToolCallItem, session("pi/bash_allow"))[1]
    assert failed.content[0]["output"].endswith("No such file or directory\n\n\nCommand exited with code 2")


def test_output_without_a_terminal_block_is_shown_too() -> None:
    """Codex reads files with a command it does not name as a terminal."""
    read = of(ToolCallItem, session("codex/edit"))[0]
    assert read.content[0]["output"] == "one\ntwo\nthree\n"


def test_the_clients_own_terminal_is_shown() -> None:
    """Kimi runs commands in the client's terminal: the output is in the client's answer."""
    call = of(ToolCallItem, session("kimi/client_fs"))[-1]
    (block,) = call.content
    assert (block["output"], block["exitStatus"]["exitCode"]) == ("from-terminal\n", 0)


def test_a_terminals_output_is_bounded_at_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ACP's own terminals: the end is kept, and it says that it was cut."""
    monkeypatch.setattr(fold_tools, "OUTPUT_LIMIT", 100)
    meta = {"terminal_output": {"terminal_id": "t", "data": "0123456789"}}
    (call,) = of(ToolCallItem, [tool(i, _meta=meta) for i in range(1, 60)])
    assert (len(call.content[0]["output"]), call.content[0]["truncated"]) == (100, True)


# --- turns


def test_a_turn_ends_with_its_reason_and_usage() -> None:
    """The turn's item stands last among its items and carries what the agent accounted."""
    transcript = folded(session("claude/edit")).snapshot()
    turn = transcript.items[-1]
    assert isinstance(turn, TurnItem)
    assert (turn.state, turn.stop_reason, turn.turn) == ("completed", "end_turn", "p1")
    assert turn.usage is not None
    assert turn.usage["totalTokens"] == 82992
    assert turn.started_at_ms is not None
    assert turn.ended_at_ms is not None
    assert turn.ended_at_ms > turn.started_at_ms


def test_a_running_turn_stands_last() -> None:
    """While a turn runs its item follows what it has brought so far."""
    items = folded([prompt(1, "x"), chunk(2, "working")]).snapshot().items
    assert [type(item) for item in items] == [MessageItem, MessageItem, TurnItem]


def test_usage_is_found_where_agents_put_it() -> None:
    """In the result, under `_meta.quota`, or in a chunk's `_meta`."""
    gemini, qwen = of(TurnItem, session("gemini/text"))[0], of(TurnItem, session("qwen/text"))[0]
    assert gemini.usage is not None
    assert set(gemini.usage) == {"inputTokens", "outputTokens"}
    assert qwen.usage is not None
    assert qwen.usage["totalTokens"] > 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("claude/error_401", "Authentication required"),
        ("codex/error_401", "Authentication required"),
        ("codex/error_429", "exceeded retry limit, last status: 429 Too Many Requests"),
        ("opencode/error_401", "Internal error: stub: invalid api key"),
        ("gemini/error_401", "stub: invalid api key"),
        ("qwen/error_401", "Internal error: 401 stub: invalid api key"),
        ("vibe/error_401", "Invalid API key (from env var STUB_API_KEY)"),
        ("copilot/error_401", "Error: Authentication failed with provider"),
        ("cursor/text", "Unable to process your request because cursor-agent CLI is not authenticated"),
        ("kimi/error_401", "The agent ended the turn without an answer"),
        ("pi/error_401", "The agent ended the turn without an answer"),
        ("pi-ref/error_401", "The agent ended the turn without an answer"),
    ],
)
def test_every_shape_of_failure_is_one_state(name: str, message: str) -> None:
    """Errors, error texts and empty turns: the turn failed, and one notice (or the message itself) says why."""
    items = folded(raw(name)).snapshot().items
    turn = next(item for item in items if isinstance(item, TurnItem))
    notices = [item for item in items if isinstance(item, NoticeItem) and item.turn == turn.turn]
    assert turn.state == "failed"
    assert turn.error
    told = [notice.text for notice in notices if notice.level == "error"]
    if turn.error.get("inferred") == "message":
        told += [text(item) for item in items if isinstance(item, MessageItem) and item.turn == turn.turn][-1:]
    assert [words.startswith(message) for words in told] == [True]


def test_a_private_notice_is_told_and_explains_an_empty_turn() -> None:
    """Vibe tells of a retry in a method of its own: a warning; with no answer after it, the turn's error."""
    (notice,) = of(NoticeItem, session("vibe/error_429"))
    assert (notice.level, notice.text) == ("warning", "Retrying: rate limited · HTTP 429")
    assert [t.state for t in of(TurnItem, session("vibe/error_429"))] == ["completed", "completed"]
    fault = agent(2, method="_session/retrying", params={"category": "rate_limited"})
    (turn,) = of(TurnItem, [prompt(1, "x"), fault, agent(3, id=1, result={"stopReason": "end_turn"})])
    assert turn.error == {"message": "Retrying: rate limited", "inferred": "notice"}


FAILED = ("error_401", "no_credentials", "codex/error_429")


@pytest.mark.parametrize("name", [name for name in RECORDINGS if not name.endswith(FAILED)])
def test_no_turn_fails_by_inference_that_did_not(name: str) -> None:
    """The rules find no failure in any conversation that went well."""
    turns = of(TurnItem, session(name))
    assert not [t for t in turns if t.error and "inferred" in t.error and not name.startswith("cursor/")]


@pytest.mark.parametrize(
    "entries",
    [
        [prompt(1, "what does it print?"), chunk(2, "Error: "), chunk(3, "division by zero")],
        [prompt(1, "x"), tool(2, title="t", status="completed"), chunk(3, "Error: division by zero")],
        [prompt(1, "/clear")],
        [prompt(1, "x"), update(2, sessionUpdate="new_kind")],
    ],
)
def test_words_of_the_model_are_not_taken_for_a_failure(entries: list[Entry]) -> None:
    """Streamed text, text after work, silent commands and updates we do not know: the turn completed."""
    (turn,) = of(TurnItem, [*entries, agent(9, id=1, result={"stopReason": "end_turn"})])
    assert (turn.state, turn.error) == ("completed", None)


@pytest.mark.parametrize(
    "words",
    [
        ["We\u2019re currently experiencing high demand, which may cause temporary errors.\n\n"],
        ["You\u2019ve hit your usage limit. Try again later."],
        ["Retrying (attempt 1/2, waiting 1s)...", "Retrying (attempt 2/2, waiting 2s)...", "Retry finished, resuming."],
        ["pi v0.87.1\n", "Retrying (attempt 1/1, waiting 2s)..."],
    ],
)
def test_the_words_of_agents_that_gave_up_are_known(words: list[str]) -> None:
    """Codex gives its provider's failure as its answer; Pi tells of its retries, and then of nothing."""
    chunks = [chunk(number, text) for number, text in enumerate(words, 2)]
    (turn,) = of(TurnItem, [prompt(1, "x"), *chunks, agent(9, id=1, result={"stopReason": "end_turn"})])
    assert (turn.state, "inferred" in (turn.error or {})) == ("failed", True)


def test_a_sum_of_tokens_that_stays_as_it_was_accounts_for_nothing() -> None:
    """Copilot tells what the whole session used, so also with a turn that failed."""
    end = {"stopReason": "end_turn", "usage": {"inputTokens": 10, "outputTokens": 5}}
    entries = [prompt(1, "x"), chunk(2, "fine"), agent(3, id=1, result=end)]
    entries += [prompt(4, "y", "p2", request=2), chunk(5, "Error: out of quota"), agent(6, id=2, result=end)]
    assert [turn.state for turn in of(TurnItem, entries)] == ["completed", "failed"]


def test_an_answer_after_a_retry_is_an_answer() -> None:
    words = ["Retrying (attempt 1/2, waiting 1s)...", "Here it is.", "Retry finished, resuming."]
    chunks = [chunk(number, text) for number, text in enumerate(words, 2)]
    (turn,) = of(TurnItem, [prompt(1, "x"), *chunks, agent(9, id=1, result={"stopReason": "end_turn"})])
    assert (turn.state, turn.error) == ("completed", None)


def test_remarks_without_message_ids_are_told_apart() -> None:
    """Copilot sends its retries and its error as bare chunks; they do not run into each other."""
    texts = [text(m) for m in of(MessageItem, raw("copilot/error_401")) if m.turn and m.role == "agent"]
    assert [t.split(":")[0] for t in texts[:3]] == ["Info", "Info", "Error"]


def test_a_note_of_the_server_ends_a_turn_without_a_response() -> None:
    """An agent that never answers: the note alone ends the turn; told again it is not a second end."""
    entries = [prompt(1, "x"), note(2, "turn", promptId="p1", state="cancelled", stopReason="cancelled")]
    (turn,) = of(TurnItem, [*entries, note(3, "turn", promptId="p1", state="cancelled", stopReason="cancelled")])
    assert (turn.state, turn.stop_reason, turn.created, turn.ended_at_ms) == ("cancelled", "cancelled", 2, 2000)


def test_a_failure_is_not_taken_back() -> None:
    """An inferred failure stays when the server notes that the turn completed."""
    end = [agent(2, id=1, result={"stopReason": "end_turn"}), note(3, "turn", promptId="p1", state="completed")]
    (turn,) = of(TurnItem, [prompt(1, "x"), *end])
    assert turn.state == "failed"


def test_an_agents_death_ends_its_turn() -> None:
    """The exit tells code and last words once; the turn fails, its calls too, and a late note adds nothing twice."""
    entries = [
        prompt(1, "x"),
        tool(2, title="t", status="in_progress"),
        note(3, "_adapter/agent_exited", success=False, code=3, stderr="boom\n"),
        note(4, "turn", promptId="p1", state="failed", stopReason="agent_exited", error={"detail": "it ended"}),
    ]
    items = folded(entries).snapshot().items
    turn = next(item for item in items if isinstance(item, TurnItem))
    notices = [item for item in items if isinstance(item, NoticeItem)]
    assert (turn.state, turn.stop_reason) == ("failed", "agent_exited")
    assert [(n.level, n.text, n.detail) for n in notices] == [
        ("error", "The agent's process exited with code 3.", "boom\n")
    ]
    assert of(ToolCallItem, entries)[0].status == "failed"


# --- the rest


def test_permissions_are_told_by_the_server() -> None:
    """Asked and answered: one item with its options, the answer, and by whom."""
    allowed = of(PermissionItem, session("claude/edit"))[0]
    assert (allowed.state, allowed.reply, allowed.resolved_by, allowed.resolved_by_name) == (
        "selected",
        "once",
        "client",
        "ada",
    )
    assert allowed.title == "Edit notes.txt"
    assert [option.kind for option in allowed.options] == ["allow_once", "allow_always", "reject_once"]
    cancelled = of(PermissionItem, session("claude/cancel_permission"))[0]
    assert (cancelled.state, cancelled.resolved_by) == ("cancelled", "cancel")
    assert not of(PermissionItem, raw("claude/edit"))


def test_a_plan_is_replaced_as_a_whole() -> None:
    """Each update is the plan; a turn has one item of it. Text plans and removed ones are kept apart by their id."""
    (plan,) = of(PlanItem, session("claude/plan"))
    assert [entry["status"] for entry in plan.entries] == ["in_progress", "pending", "pending"]
    entries = [
        update(1, sessionUpdate="plan", entries=[{"content": "a"}, {"content": "b"}]),
        update(2, sessionUpdate="plan", entries=[{"content": "c"}]),
        update(3, sessionUpdate="plan_update", plan={"type": "markdown", "planId": "m", "content": "# Do"}),
        update(4, sessionUpdate="plan_removed", planId="m"),
    ]
    first, second = of(PlanItem, entries)
    assert first.entries == ({"content": "c"},)
    assert (second.markdown, second.removed) == ("# Do", True)


def test_the_header_holds_what_is_told_of_the_session() -> None:
    """Title, usage, commands (the last list), options and mode; `header_updated` says when they last changed."""
    transcript = folded(session("claude/modes")).snapshot()
    assert transcript.title == "A short title"
    assert transcript.usage is not None
    assert transcript.usage["size"] == 1000000
    assert transcript.available_commands
    assert transcript.config_options
    assert transcript.mode
    fold = folded([update(1, sessionUpdate="usage_update", used=1, size=2)])
    fold.apply(*update(2, sessionUpdate="usage_update", used=1, size=2))
    assert fold.header_updated == 1
    assert (changed := fold.changes(0)) is not None
    assert changed.header is not None
    assert changed.header.usage == {"used": 1, "size": 2}


def test_a_change_of_mode_is_a_notice_and_the_first_telling_is_not() -> None:
    """Modes told again, in any of the ways, say nothing new."""
    entries = [
        agent(1, id=0, result={"modes": {"currentModeId": "ask"}}),
        update(2, sessionUpdate="current_mode_update", currentModeId="plan"),
        update(
            3,
            sessionUpdate="config_option_update",
            configOptions=[{"id": "mode", "category": "mode", "currentValue": "plan"}],
        ),
        note(4, "options", mode="plan", model="m1"),
        note(5, "options", model="m2", thoughtLevel="high"),
    ]
    assert [n.text for n in of(NoticeItem, entries)] == ["Mode: plan", "Model: m2"]
    transcript = folded(entries).snapshot()
    assert (transcript.mode, transcript.model, transcript.thought_level) == ("plan", "m2", "high")


def test_updates_of_unknown_kind_pass_untouched() -> None:
    """Something newer than this version is kept whole."""
    told = {"sessionUpdate": "hologram", "depth": 10**30, "nested": {"a": [None, 1.5]}}
    (item,) = of(UnknownItem, [update(1, **told)])
    assert item.update == told


def test_lines_outside_the_protocol_are_one_notice_while_they_follow_each_other() -> None:
    """A banner of many lines is one remark."""
    lines = [note(i, "_adapter/invalid_stdout", error="not JSON", raw=f"line {i}") for i in range(1, 5)]
    (notice,) = of(NoticeItem, lines)
    assert notice.detail == "line 1\nline 2\nline 3\nline 4"
    assert len(of(NoticeItem, [*lines, note(5, "notice", level="info", text="x"), lines[0]._replace(sequence=6)])) == 3


@pytest.mark.parametrize("continuity", ["native", "loaded", "rebootstrapped", "lost"])
def test_a_restored_agent_says_how(continuity: str) -> None:
    """Each continuity has words of its own, with the reason as detail."""
    (notice,) = of(NoticeItem, [note(1, "restored", continuity=continuity, reason="killed")])
    assert notice.detail == "killed"
    (notice,) = of(NoticeItem, [note(1, "restored", continuity=continuity, reason=notice.text.lower().rstrip("."))])
    assert notice.detail is None
    assert notice.level == ("info" if continuity in {"native", "loaded"} else "warning")


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"null", b"{", b'"x"', b'{"method":1}', b"[" * 100_000, b'{"method":"session/update"}', b"\xff"],
)
@pytest.mark.parametrize("sender", [0, 1, SERVER])
def test_what_cannot_be_read_changes_nothing(payload: bytes, sender: int) -> None:
    """No entry breaks the fold."""
    fold = Fold("s")
    fold.apply(1, 0, sender, payload)
    assert fold.snapshot().items == ()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_fields = [
    "content",
    "toolCallId",
    "title",
    "kind",
    "status",
    "locations",
    "rawInput",
    "rawOutput",
    "_meta",
    "entries",
    "plan",
    "planId",
    "messageId",
    "currentModeId",
    "configOptions",
    "availableCommands",
    "used",
    "size",
    "update",
    "promptId",
    "state",
    "requestId",
    "options",
    "toolCall",
    "raw",
    "result",
    "error",
    "usage",
    "stopReason",
    "level",
    "text",
    "detail",
    "terminalId",
    "modes",
    "prompt",
    "continuity",
]
_kinds = [
    "agent_message_chunk",
    "agent_thought_chunk",
    "user_message_chunk",
    "tool_call",
    "tool_call_update",
    "plan",
    "plan_update",
    "plan_removed",
    "usage_update",
    "available_commands_update",
    "session_info_update",
    "current_mode_update",
    "config_option_update",
]
_methods = [
    "session/update",
    "session/request_permission",
    "session/prompt",
    "terminal/output",
    "_session/turn",
    "_session/permission",
    "_session/options",
    "_session/restored",
    "_session/notice",
    "_adapter/agent_exited",
    "_adapter/invalid_stdout",
    "_x/error",
]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_json_whatever_breaks_the_fold(data: st.DataObject) -> None:
    """Known methods and kinds with any values in their fields: folded or ignored, checkpoint and wire hold."""
    fold = Fold("s")
    values = st.dictionaries(st.sampled_from(_fields), _json | st.sampled_from(["p", "running", "failed"]), max_size=6)
    for sequence in range(1, data.draw(st.integers(1, 8)) + 1):
        params = data.draw(values)
        params["update"] = data.draw(values) | {"sessionUpdate": data.draw(st.sampled_from(_kinds))}
        message = {"id": data.draw(_json), "method": data.draw(st.sampled_from(_methods)), "params": params}
        payload = msgspec.json.encode(data.draw(st.sampled_from([message, data.draw(values) | {"id": 1}])))
        fold.apply(sequence, 0, data.draw(st.sampled_from([0, 1, 2])), payload)
    transcript = fold.snapshot()
    assert msgspec.json.decode(msgspec.json.encode(transcript), type=Transcript) == transcript
    assert Fold("s", state=fold.state()).snapshot() == transcript


def test_an_end_that_was_wanted_is_no_fault() -> None:
    """A server that stops ends its agents: their transcripts say so calmly."""
    ended = note(1, "_adapter/agent_exited", success=False, code=None, signal=15, stderr="", expected=True)
    (notice,) = folded([ended]).snapshot().items
    assert isinstance(notice, NoticeItem)
    assert notice.level == "info"
