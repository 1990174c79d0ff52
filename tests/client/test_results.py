"""What users get to see: values that read well as text and as script-free HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from IPython.lib.pretty import pretty

from sandbox_agent.client import results
from sandbox_agent.client.states import reset_event
from sandbox_agent.wire.sessions import PermissionOption, PermissionPolicy
from sandbox_agent.wire.transcript import MessageItem, ToolCallItem

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>"
BLOCK = ({"type": "text", "text": EVIL},)


def message(item_id: str, text: str, turn: str, role: Any = "agent") -> MessageItem:
    content = ({"type": "text", "text": text},)
    return MessageItem(id=item_id, created=1, updated=1, created_at_ms=1, turn=turn, role=role, content=content)


SESSION = results.SessionInfo(
    id="s",
    agent="mock",
    cwd="/x",
    state="idle",
    created_at_ms=1,
    updated_at_ms=1,
    last_sequence=1,
    permission_policy=PermissionPolicy(),
    title=EVIL,
)
PROMPT = results.PromptInfo(id="p1", session_id="s", state="completed", created_at_ms=1, prompt=BLOCK, stop_reason=EVIL)
PERMISSION = results.PermissionInfo(
    id="perm_1",
    session_id="s",
    state="pending",
    created_at_ms=1,
    options=(PermissionOption(option_id="a", name=EVIL, kind="allow_once"),),
    tool_call={"toolCallId": "c", "title": EVIL, "kind": "edit"},
    available_replies=("once", "reject"),
)
TRANSCRIPT = results.Transcript(
    session_id="s",
    sequence=9,
    items=(
        message("m0", "earlier", "p0"),
        message("m1", "asked", "p1", "user"),
        message("m2", "one", "p1"),
        ToolCallItem(
            id="t",
            created=3,
            updated=3,
            created_at_ms=1,
            turn="p1",
            tool_call_id="c",
            title=EVIL,
            kind="edit",
            status="completed",
        ),
        message("m3", "two", "p1"),
    ),
)
RESULT = results.PromptResult(PROMPT, TRANSCRIPT.turn("p1"))
AGENT = msgspec.convert(
    {"id": "mock", "installed": True, "credentialsAvailable": True, "capabilities": {}, "problem": EVIL},
    results.AgentInfo,
)
EVENT = results.SessionEvent(
    sequence=3,
    session_id="s",
    created_at_ms=1,
    sender="agent",
    payload=msgspec.Raw(
        msgspec.json.encode(
            {"jsonrpc": "2.0", "method": "session/update", "params": {"update": {"sessionUpdate": "plan", "x": EVIL}}}
        )
    ),
)

SHOWN = [
    SESSION,
    PROMPT,
    PERMISSION,
    TRANSCRIPT,
    RESULT,
    AGENT,
    EVENT,
    results.HealthResponse(status="ok", persisted=False, problem=EVIL),
    results.EventPage(items=(EVENT,), next_after=3, has_more=False),
    results.AgentList([AGENT]),
    results.PermissionList([PERMISSION]),
    results.PromptList([PROMPT]),
]


class Reader(HTMLParser):
    """Collects tags and event attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.handlers: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.handlers |= {name for name, _ in attrs if name.startswith("on")}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("value", SHOWN, ids=lambda value: type(value).__name__)
def test_html_has_no_script_and_lets_none_in(value: Any) -> None:
    """Whatever an agent names its things, a saved notebook shows it as text."""
    reader = Reader()
    reader.feed(value._repr_html_())
    assert reader.tags.isdisjoint({"script", "iframe", "object", "embed", "link", "img"})
    assert reader.handlers == set()
    assert reader.text.strip()


@pytest.mark.parametrize("value", SHOWN, ids=lambda value: type(value).__name__)
def test_a_repr_is_one_line_that_names_the_type(value: Any) -> None:
    text = repr(value)
    assert type(value).__name__ in text
    assert "\n" not in text


def test_a_results_text_is_what_the_agent_said_in_that_turn() -> None:
    assert RESULT.text == "one\n\ntwo"
    assert str(RESULT) == RESULT.text
    assert TRANSCRIPT.text == "earlier\n\none\n\ntwo"


@pytest.mark.parametrize("value", [SESSION, PROMPT, PERMISSION, TRANSCRIPT], ids=lambda value: type(value).__name__)
def test_ipython_on_a_terminal_shows_the_text(value: Any) -> None:
    """What a notebook shows as HTML is not a dump of fields there; an agent's escape sequences are harmless."""
    assert pretty(value) == str(value) != repr(value)
    assert "\x1b" not in str(value)


def test_what_is_listed_is_short() -> None:
    listed = repr([SESSION, PROMPT, PERMISSION, AGENT])
    assert "<PermissionInfo perm_1 pending" in listed
    assert len(listed) < 300 + len(EVIL)


def test_a_long_text_is_cut_in_a_repr() -> None:
    long = results.PromptResult(
        PROMPT, results.Transcript(session_id="s", sequence=1, items=(message("m", "word " * 99, "p1"),))
    )
    assert len(repr(long)) < 200 + len(EVIL)


def test_a_transcript_reads_as_text_markdown_and_notebook() -> None:
    assert "two" in str(TRANSCRIPT)
    assert "two" in TRANSCRIPT.to_markdown()
    assert TRANSCRIPT.to_notebook()["nbformat"] == 4


def test_an_events_envelope_is_at_hand() -> None:
    assert EVENT.method == "session/update"
    assert EVENT.update is not None
    assert EVENT.update["sessionUpdate"] == "plan"
    assert not EVENT.is_reset
    assert repr(EVENT) == "<SessionEvent 3 agent session/update plan>"


def test_a_reset_says_what_is_gone() -> None:
    event = reset_event("s", 3, 10)
    assert event.is_reset
    assert event.update is None
    assert event.message["params"] == {"after": 3, "first": 10}


def test_lists_are_sequences() -> None:
    agents = results.AgentList([AGENT])
    assert (len(agents), agents[0], agents[:1], list(agents)) == (1, AGENT, (AGENT,), [AGENT])
    assert agents.get("mock") is AGENT
    assert agents.get("none") is None
    assert results.PermissionList([PERMISSION]).pending == (PERMISSION,)


def test_a_permission_says_what_it_is_about() -> None:
    assert (PERMISSION.title, PERMISSION.kind) == (EVIL, "edit")
    bare = msgspec.structs.replace(PERMISSION, tool_call={"toolCallId": "c"})
    assert (bare.title, bare.kind) == ("c", "other")
