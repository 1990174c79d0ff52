"""What a session takes from the stream itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox_agent.sessions.updates import ToolCalls, interesting, kind_and_content


def line(**update: Any) -> bytes:
    return json.dumps(
        {"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s", "update": update}}
    ).encode()


def test_text_is_not_decoded_and_what_matters_is() -> None:
    assert interesting(line(sessionUpdate="agent_message_chunk", content={"type": "text", "text": "hi"})) is None
    for kind in ("tool_call", "tool_call_update", "config_option_update", "current_mode_update", "session_info_update"):
        update = interesting(line(sessionUpdate=kind))
        assert update is not None
        assert update["sessionUpdate"] == kind


@pytest.mark.parametrize(
    "raw", [b'"tool_call', b'["tool_call"]', b'{"params":"tool_call"}', b'{"params":{"update":["tool_call"]}}']
)
def test_a_malformed_update_is_left_alone(raw: bytes) -> None:
    assert interesting(raw) is None
    assert kind_and_content(raw) == (None, None)


def test_a_request_that_only_names_a_call_is_shown_with_what_was_told_of_it() -> None:
    calls = ToolCalls()
    calls.update(
        {"sessionUpdate": "tool_call", "toolCallId": "t", "title": "Terminal", "kind": "execute", "rawInput": {}}
    )
    calls.update({"sessionUpdate": "tool_call_update", "toolCallId": "t", "title": "ls", "rawInput": {"command": "ls"}})
    shown = calls.shown({"toolCallId": "t", "title": "", "content": []})
    assert (shown["title"], shown["kind"], shown["rawInput"]) == ("ls", "execute", {"command": "ls"})
    assert calls.shown({"toolCallId": "other"}) == {"toolCallId": "other"}


def test_what_the_request_says_itself_comes_first_and_no_path_is_forgotten() -> None:
    calls = ToolCalls()
    calls.update(
        {"sessionUpdate": "tool_call", "toolCallId": "t", "title": "old", "locations": [{"path": "/etc/passwd"}]}
    )
    asked = {
        "toolCallId": "t",
        "title": "new",
        "locations": [{"path": "/w/a"}],
        "content": [{"type": "diff", "path": "/w/b"}],
    }
    assert calls.shown(asked)["title"] == "new"
    assert calls.shown(asked)["locations"] == [{"path": "/w/a"}]
    judged = calls.judged(asked)
    assert judged["locations"] == [{"path": "/etc/passwd"}, {"path": "/w/a"}]
    assert judged["content"] == asked["content"]


def test_calls_that_are_done_are_forgotten() -> None:
    calls = ToolCalls()
    for status in ("completed", "failed"):
        calls.update({"sessionUpdate": "tool_call", "toolCallId": status, "title": "x", "rawInput": {"big": "x"}})
        calls.update({"sessionUpdate": "tool_call_update", "toolCallId": status, "status": status})
    calls.update({"sessionUpdate": "tool_call", "toolCallId": "open", "title": "x"})
    calls.update({"sessionUpdate": "tool_call", "title": "without an id"})
    assert list(calls._open) == ["open"]
    calls.clear()
    assert not calls._open
