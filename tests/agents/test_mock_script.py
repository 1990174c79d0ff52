"""The script of the mock agent: how it is read, and what each verb does, over a real process."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.agents.mock.script import VERBS, parse
from sandbox_agent.agents.mock.turn import pieces

from ..support.pids import alive
from .driver import chosen, mock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .driver import Agent


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """A mock agent with a session in a folder of its own."""
    (tmp_path / "cwd").mkdir()
    with mock(env={"SANDBOX_AGENT_MOCK_STATE": str(tmp_path / "state")}) as agent:
        yield agent.start(tmp_path / "cwd")


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    return tmp_path / "cwd"


# Reading a script


def steps(text: str) -> list[tuple[str, str]]:
    return [(step.verb, step.text()) for step in parse(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", [("say", "hello")]),
        ("", []),
        ("[[say hello]]", [("say", "hello")]),
        ("before [[think a b]] after", [("say", "before"), ("think", "a b"), ("say", "after")]),
        ('[[say "a\\nb"]]', [("say", "a\nb")]),
        ('[[say he said "so]]', [("say", 'he said "so')]),
        ("[[bash if [[ -f x ]]; then echo y; fi]]", [("bash", "if [[ -f x ]]; then echo y; fi")]),
        ('[[bash echo "]]"]]', [("bash", 'echo "]]"')]),
        ("[[wiki link]] [[say x]]", [("say", "[[wiki link]]"), ("say", "x")]),
        ("[[say open", [("say", "[[say open")]),
        ("[[sayings]]", [("say", "[[sayings]]")]),
        ("[[hang]]", [("hang", "")]),
    ],
)
def test_a_script_is_read(text: str, expected: list[tuple[str, str]]) -> None:
    assert steps(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[edit path=a b old=two words new=x]]", {"path": "a b", "old": "two words", "new": "x"}),
        ('[[edit path=a old="x new=y" new="z\\n"]]', {"path": "a", "old": "x new=y", "new": "z\n"}),
        ("[[edit path=a old=x=1 new=]]", {"path": "a", "old": "x=1", "new": ""}),
        ('[[call method=m params={"a": [[1]], "b": "]]"}]]', {"method": "m", "params": '{"a": [[1]], "b": "]]"}'}),
        ("[[read notes.txt]]", {"path": "notes.txt"}),
        ("[[crash 3]]", {"code": "3"}),
        ("[[crash]]", {}),
    ],
)
def test_fields_are_read(text: str, expected: dict[str, str]) -> None:
    (step,) = parse(text)
    assert step.fields() == expected


@given(st.text(), st.sampled_from(sorted(VERBS)))
def test_any_text_can_be_told_in_quotes(text: str, verb: str) -> None:
    """A JSON string is read back exactly, whatever stands in it."""
    (step,) = parse(f"[[{verb} {json.dumps(text)}]]")
    assert (step.verb, step.text()) == (verb, text)


@given(st.text())
def test_any_text_is_read_without_a_fault_and_none_is_lost(text: str) -> None:
    assert all(step.verb in VERBS for step in parse(text))
    assert "".join(pieces(text)) == text


# What an agent says


def test_a_prompt_without_steps_is_answered(agent: Agent) -> None:
    """Thoughts, a plan that gets done, and a message, the same each time; nothing is touched or asked."""
    turn = agent.prompt("Hello there")
    assert turn.stop == "end_turn"
    assert "You said: Hello there" in turn.text()
    assert turn.text("agent_thought_chunk")
    assert [entry["status"] for entry in turn.of("plan")[-1]["entries"]] == ["completed", "completed"]
    assert turn.requests == []
    again = agent.prompt("Hello there")
    assert again.text() == turn.text()


def test_the_thought_level_and_the_mode_show_in_the_answer(agent: Agent) -> None:
    few = agent.prompt("x").text("agent_thought_chunk")
    agent.call("session/set_config_option", sessionId=agent.session, configId="thought_level", value="high")
    agent.call("session/set_mode", sessionId=agent.session, modeId="plan")
    turn = agent.prompt("x")
    assert len(turn.text("agent_thought_chunk")) > len(few)
    assert turn.text() == "This is the plan; nothing was done."


def test_say_streams_words_of_one_message(agent: Agent) -> None:
    turn = agent.prompt("[[say one two]] three")
    assert turn.text() == "one twothree"
    chunks = turn.of("agent_message_chunk")
    assert [chunk["content"]["text"] for chunk in chunks] == ["one ", "two", "three"]
    assert chunks[0]["messageId"] == chunks[1]["messageId"] != chunks[2]["messageId"]


def test_the_response_and_an_update_tell_the_usage(agent: Agent) -> None:
    turn = agent.prompt("[[say one two]]")
    assert turn.response["result"]["usage"] == {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
    assert turn.of("usage_update") == [{"sessionUpdate": "usage_update", "used": 5, "size": 200_000}]
    assert agent.prompt("[[say one two]]").of("usage_update")[0]["used"] == 10


def test_only_the_last_text_block_is_a_script(agent: Agent) -> None:
    """What a client tells before it (an earlier transcript) is remembered, not run."""
    blocks = [{"type": "text", "text": "[[crash]]"}, {"type": "text", "text": "[[say fine]]"}]
    turn = agent.turn(agent.ask("session/prompt", sessionId=agent.session, prompt=blocks))
    assert turn.text() == "fine"
    assert "- [[crash]]" in agent.prompt("[[recall]]").text()


def test_plan_marks_what_is_done(agent: Agent) -> None:
    (plan,) = agent.prompt("[[plan x a|> b|c]]").of("plan")
    assert [(e["content"], e["status"]) for e in plan["entries"]] == [
        ("a", "completed"),
        ("b", "in_progress"),
        ("c", "pending"),
    ]


def test_image_is_a_png(agent: Agent) -> None:
    (chunk,) = agent.prompt("[[image]]").of("agent_message_chunk")
    assert base64.b64decode(chunk["content"]["data"]).startswith(b"\x89PNG")


def test_usage_mode_title_commands_and_unknown_are_updates(agent: Agent) -> None:
    turn = agent.prompt("[[usage used=7 size=9]] [[mode plan]] [[title A name]] [[commands]] [[unknown x]]")
    kinds = [update["sessionUpdate"] for update in turn.updates]
    assert kinds == [
        "usage_update",
        "current_mode_update",
        "config_option_update",
        "session_info_update",
        "available_commands_update",
        "hologram_update",
        "usage_update",
    ]
    assert (turn.updates[0]["used"], turn.updates[0]["size"]) == (7, 9)
    assert turn.updates[3]["title"] == "A name"


def test_commands_with_a_slash_are_steps(agent: Agent) -> None:
    assert agent.prompt("/say hello").text() == "hello"


def test_env_tells_a_variable_or_the_names_of_all(agent: Agent) -> None:
    assert agent.prompt("[[env PATH]]").text() == f"PATH={os.environ['PATH']}"
    assert "SANDBOX_AGENT_MOCK_STATE" in agent.prompt("[[env]]").text().split()


# What an agent does


def test_write_edit_and_read_change_files_for_real(agent: Agent, cwd: Path) -> None:
    turn = agent.prompt(
        '[[write path=d/a.txt text="one\\ntwo\\n"]] [[edit path=d/a.txt old=two new=TWO]] [[read d/a.txt]]'
    )
    assert (cwd / "d" / "a.txt").read_text() == "one\nTWO\n"
    assert turn.statuses == ["pending", "in_progress", "completed"] * 2 + ["pending", "completed"]
    diffs = [update["content"][0] for update in turn.of("tool_call") if "content" in update]
    path = str(cwd / "d" / "a.txt")
    assert diffs == [
        {"type": "diff", "path": path, "oldText": None, "newText": "one\ntwo\n"},
        {"type": "diff", "path": path, "oldText": "one\ntwo\n", "newText": "one\nTWO\n"},
    ]
    assert turn.of("tool_call_update")[-1]["content"][0]["content"]["text"] == "one\nTWO\n"
    assert [request["params"]["toolCall"]["kind"] for request in turn.requests] == ["edit", "edit"]


@pytest.mark.parametrize("step", ["[[read no]]", "[[edit path=no old=a new=b]]", "[[write path=/proc/no text=x]]"])
def test_a_tool_that_cannot_fails_and_the_turn_goes_on(agent: Agent, step: str) -> None:
    turn = agent.prompt(f"{step} [[say after]]")
    assert turn.statuses[-1] == "failed"
    assert (turn.text(), turn.stop) == ("after", "end_turn")


def test_an_edit_of_what_is_not_there_is_not_asked_for(agent: Agent, cwd: Path) -> None:
    (cwd / "a").write_text("one")
    turn = agent.prompt("[[edit path=a old=two new=three]]")
    assert (turn.statuses, turn.requests) == (["pending", "failed"], [])


def test_bash_runs_and_streams_its_output(agent: Agent, cwd: Path) -> None:
    """As a terminal whose output comes in the `_meta` members that real agents use, then its exit code."""
    turn = agent.prompt("[[bash echo out; echo err >&2; touch made; exit 3]]")
    assert (cwd / "made").exists()
    (call,) = turn.of("tool_call")
    metas = [update["_meta"] for update in turn.of("tool_call_update") if "_meta" in update]
    assert metas[0]["terminal_info"] == {"terminal_id": call["toolCallId"], "cwd": str(cwd)}
    assert "".join(m["terminal_output_delta"]["data"] for m in metas[1:-1]) == "out\nerr\n"
    assert metas[-1]["terminal_exit"] == {"terminal_id": call["toolCallId"], "exit_code": 3, "signal": None}
    assert turn.statuses == ["pending", "in_progress", "failed"]


def test_bash_tells_a_signal(agent: Agent) -> None:
    turn = agent.prompt("[[bash kill -9 $$]]")
    assert turn.of("tool_call_update")[-1]["_meta"]["terminal_exit"]["signal"] == 9


@pytest.mark.parametrize("step", ["[[bash touch made]]", "[[write path=made text=x]]"])
@pytest.mark.parametrize("choice", ["reject_once", "reject_always"])
def test_what_is_rejected_is_not_done(agent: Agent, cwd: Path, step: str, choice: str) -> None:
    turn = agent.prompt(f"{step} [[say after]]", choice)
    assert turn.statuses == ["pending", "failed"]
    assert not (cwd / "made").exists()
    assert turn.text() == "after"


def test_a_permission_that_is_an_error_is_a_rejection(agent: Agent, cwd: Path) -> None:
    request = agent.ask_prompt("[[bash touch made]]")
    while (message := agent.expect()).get("method") != "session/request_permission":
        pass
    agent.send({"id": message["id"], "error": {"code": -32601, "message": "no"}})
    assert agent.turn(request).stop == "end_turn"
    assert not (cwd / "made").exists()


@pytest.mark.parametrize(("choice", "made"), [("allow_always", True), ("reject_always", False)])
def test_always_is_remembered_for_that_kind_of_tool_in_that_session(
    agent: Agent, cwd: Path, choice: str, made: bool
) -> None:
    assert len(agent.prompt("[[bash true]]", choice).requests) == 1
    again = agent.prompt("[[bash touch made]] [[write path=x text=y]]", choice)
    assert [request["params"]["toolCall"]["kind"] for request in again.requests] == ["edit"]
    assert (cwd / "made").exists() is made
    agent.start(cwd)
    assert len(agent.prompt("[[bash true]]", choice).requests) == 1


def test_ask_tells_which_option_came_back(agent: Agent) -> None:
    turn = agent.prompt("[[ask Really?]]", "reject_always")
    assert turn.requests[0]["params"]["toolCall"]["title"] == "Really?"
    assert turn.text() == "You chose: reject_always"


def test_call_asks_the_client_anything(agent: Agent) -> None:
    request = agent.ask_prompt('[[call method=fs/read_text_file params={"path": "/x"}]]')
    turn = agent.turn(request, lambda _: {"content": "ü"})
    assert turn.requests[0]["params"] == {"sessionId": agent.session, "path": "/x"}
    assert json.loads(turn.text()) == {"result": {"content": "ü"}}


# How a turn goes


@pytest.mark.parametrize("reason", ["max_tokens", "refusal", "max_turn_requests", "end_turn"])
def test_stop_ends_the_turn_with_that_reason(agent: Agent, reason: str) -> None:
    turn = agent.prompt(f"[[stop {reason}]] [[say never]]")
    assert (turn.stop, turn.text()) == (reason, "")


def test_error_ends_the_turn_with_an_error(agent: Agent) -> None:
    turn = agent.prompt("[[error code=-32000 message=Not logged in]]")
    assert turn.response["error"] == {"code": -32000, "message": "Not logged in"}
    assert agent.prompt("[[say next]]").text() == "next"


def test_a_step_with_bad_arguments_is_an_error_and_the_agent_lives(agent: Agent) -> None:
    assert "ValueError" in agent.prompt("[[tick count=many]]").response["error"]["message"]
    assert agent.prompt("[[say next]]").text() == "next"


def test_sleep_is_silent_and_tick_is_slow(agent: Agent) -> None:
    begun = time.monotonic()
    assert agent.prompt("[[sleep 0.2]]").text() == ""
    assert agent.prompt("[[tick count=3 every=0.1]]").text() == "0 1 2 "
    assert time.monotonic() - begun > 0.2 + 3 * 0.1


@pytest.mark.parametrize("size", [200, 2000, 1])
def test_burst_numbers_lines_of_a_length(agent: Agent, size: int) -> None:
    """Every line is ``size`` bytes (or as short as it can be), and its number tells loss and doubling."""
    turn = agent.prompt(f"[[burst count=5000 size={size}]]")
    texts = [update["content"]["text"] for update in turn.of("agent_message_chunk")]
    assert [int(text[:8]) for text in texts] == list(range(5000))
    line = {"jsonrpc": "2.0", "method": "session/update", "params": turn.messages[0]["params"]}
    length = len(json.dumps(line, separators=(",", ":"))) + 1
    assert length == size if size > 1 else len(texts[0]) == 8


def test_huge_is_one_line_of_a_length(agent: Agent) -> None:
    (message, *_) = agent.prompt("[[huge bytes=3000000]]").messages
    assert len(json.dumps(message, separators=(",", ":"))) + 1 == 3_000_000


# Cancel


@pytest.mark.parametrize(
    "script", ["[[sleep 60]]", "[[tick count=1000 every=0.01]]", "[[bash sleep 1000]]", "[[call method=x]]"]
)
def test_a_cancel_ends_the_turn(agent: Agent, script: str) -> None:
    """While silent, streaming, in a command, or waiting for the client; and the next prompt works."""
    request = agent.ask_prompt(f"[[title begun]] {script}")
    agent.until("session_info_update")
    if "bash" in script:
        while (message := agent.expect()).get("method") != "session/request_permission":
            pass
        agent.send({"id": message["id"], "result": chosen(message, "allow_once")})
        while "terminal_info" not in agent.until("tool_call_update").get("_meta", {}):
            pass
    agent.cancel()
    assert agent.turn(request).stop == "cancelled"
    assert agent.prompt("[[say next]]").text() == "next"


@pytest.mark.parametrize("answered", [True, False])
def test_a_cancel_ends_a_turn_that_waits_for_permission(agent: Agent, answered: bool) -> None:
    """Whether the client answers the request with ``cancelled``, as it must, or not."""
    request = agent.ask_prompt("[[bash touch made]]")
    while (message := agent.expect()).get("method") != "session/request_permission":
        pass
    if answered:
        agent.send({"id": message["id"], "result": {"outcome": {"outcome": "cancelled"}}})
    agent.cancel()
    turn = agent.turn(request)
    assert (turn.stop, turn.statuses) == ("cancelled", ["failed"])


def test_a_cancelled_command_dies_with_its_children(agent: Agent, cwd: Path) -> None:
    request = agent.ask_prompt("[[bash sleep 1000 & echo $! > pid; wait]]")
    while (message := agent.expect()).get("method") != "session/request_permission":
        pass
    agent.send({"id": message["id"], "result": chosen(message, "allow_once")})
    wait_for(lambda: (cwd / "pid").exists() and (cwd / "pid").read_text().endswith("\n"))
    agent.cancel()
    agent.turn(request)
    wait_for(lambda: not alive(int((cwd / "pid").read_text())))


def test_a_cancel_stops_a_burst(agent: Agent) -> None:
    request = agent.ask_prompt("[[burst count=50000000 size=200]]")
    agent.until("agent_message_chunk")
    agent.cancel()
    assert agent.turn(request).stop == "cancelled"


def test_ignore_cancel_goes_on_to_its_end(agent: Agent) -> None:
    request = agent.ask_prompt("[[ignore_cancel]] [[title begun]] [[sleep 0.2]] [[say done]]")
    agent.until("session_info_update")
    agent.cancel()
    turn = agent.turn(request)
    assert (turn.text(), turn.stop) == ("done", "end_turn")


def test_hang_hears_no_cancel_while_other_sessions_go_on(agent: Agent, cwd: Path) -> None:
    agent.ask_prompt("[[title begun]] [[hang]]")
    agent.until("session_info_update")
    agent.cancel()
    hanging = agent.session
    agent.start(cwd)
    assert agent.prompt("[[say fine]]").text() == "fine"
    assert agent.session != hanging


# Misbehaviour


def test_banner_and_raw_write_what_is_not_json(agent: Agent) -> None:
    raw = base64.b64encode(b"\xff\xfe half a line\n").decode()
    turn = agent.prompt(f"[[banner Update available!]] [[raw {raw}]] [[say fine]]")
    assert agent.lines == [b"Update available!\n", b"\xff\xfe half a line\n"]
    assert turn.text() == "fine"


def test_stderr_and_crash_leave_their_last_words(agent: Agent) -> None:
    """What was told just before the end has been written."""
    agent.ask_prompt("[[say last words]] [[stderr it broke]] [[crash code=7]]")
    told = []
    while (message := agent.receive()) is not None:
        told.append(message["params"]["update"]["content"]["text"])
    assert told == ["last ", "words"]
    assert agent.process.wait(60) == 7
    assert agent.process.stderr is not None
    assert agent.process.stderr.read() == b"it broke\n"


def test_kill_ends_by_that_signal(agent: Agent) -> None:
    agent.ask_prompt("[[kill signal=15]]")
    assert agent.process.wait(60) == -signal.SIGTERM


@pytest.mark.parametrize("daemon", [0, 1])
def test_spawn_leaves_children_behind(agent: Agent, daemon: int) -> None:
    """Daemons are in sessions of their own and not our children; both outlive the agent."""
    pids = [int(word) for word in agent.prompt(f"[[spawn count=2 daemon={daemon}]]").text().split()[1:]]
    try:
        assert len(pids) == 2
        assert all((os.getsid(pid) == pid) is bool(daemon) for pid in pids)
        agent.process.kill()
        agent.process.wait()
        assert all(alive(pid) for pid in pids)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


def wait_for(ready: Callable[[], Any]) -> None:
    """Poll for what cannot be waited for."""
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)
