"""The Amp adapter as a process, driving a program that speaks Amp's documented stream."""

from __future__ import annotations

import json
import shlex
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.agents.launch import BUILTIN

from .driver import Agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAKE = Path(__file__).with_name("fake_amp.py")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A home with the program on PATH."""
    program = tmp_path / "bin" / "amp"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(FAKE)])} "$@"\n')
    program.chmod(0o755)
    return {"HOME": str(tmp_path), "PATH": f"{program.parent}:/usr/bin:/bin", "FAKE_AMP_LOG": str(tmp_path / "log")}


@pytest.fixture
def amp(environ: dict[str, str], tmp_path: Path) -> Iterator[Agent]:
    with Agent(BUILTIN["amp"], env=environ) as agent:
        agent.call("initialize", protocolVersion=1, clientCapabilities={})
        agent.session = agent.call("session/new", cwd=str(tmp_path), mcpServers=[])["result"]["sessionId"]
        yield agent


def command_lines(tmp_path: Path) -> list[list[str]]:
    return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


def test_it_says_what_it_can(environ: dict[str, str]) -> None:
    """It resumes, but has no history to load; and takes text alone."""
    with Agent(BUILTIN["amp"], env=environ) as agent:
        told = agent.call("initialize", protocolVersion=1)["result"]
    assert told["protocolVersion"] == 1
    able = told["agentCapabilities"]
    assert (able["loadSession"], able["sessionCapabilities"]) == (False, {"close": {}, "resume": {}})
    assert able["promptCapabilities"] == {"image": False, "audio": False, "embeddedContext": True}
    assert told["authMethods"][0]["id"] == "amp-login"


def test_a_turn_streams_thoughts_and_text(amp: Agent) -> None:
    """A subagent's words are not the agent's; tokens are counted under ACP's names."""
    turn = amp.prompt("hello")
    assert turn.text() == "said: hello"
    assert turn.text("agent_thought_chunk") == "hm"
    assert turn.response["result"] == {
        "stopReason": "end_turn",
        "usage": {
            "inputTokens": 5,
            "outputTokens": 7,
            "cachedReadTokens": 3,
            "cachedWriteTokens": 0,
            "totalTokens": 15,
        },
    }


def test_a_later_prompt_continues_the_thread(amp: Agent, tmp_path: Path) -> None:
    amp.prompt("one")
    amp.prompt("two")
    first, second = command_lines(tmp_path)
    assert first[:2] == ["--execute", "--stream-json"]
    assert second[:4] == ["threads", "continue", "T-1234", "--execute"]


def test_a_session_is_resumed_in_another_process(amp: Agent, environ: dict[str, str], tmp_path: Path) -> None:
    """On the same thread of Amp's, with the options that were chosen."""
    amp.call("session/set_config_option", sessionId=amp.session, configId="agent_mode", value="high")
    amp.prompt("one")
    with Agent(BUILTIN["amp"], env=environ) as second:
        second.call("initialize", protocolVersion=1)
        resumed = second.call("session/resume", sessionId=amp.session, cwd=str(tmp_path))["result"]
        assert {option["id"]: option["currentValue"] for option in resumed["configOptions"]} == {
            "mode": "ask",
            "agent_mode": "high",
        }
        second.session = amp.session
        assert second.prompt("two").stop == "end_turn"
        missing = second.call("session/resume", sessionId="amp-0000000000000000", cwd=str(tmp_path))
        assert missing["error"]["code"] == -32002
    assert command_lines(tmp_path)[-1][:3] == ["threads", "continue", "T-1234"]
    assert command_lines(tmp_path)[-1][-2:] == ["--mode", "high"]


def test_a_tool_runs_once_it_is_allowed(amp: Agent, tmp_path: Path) -> None:
    """Asked before it runs, about the call that was shown; what it wrote comes back."""
    turn = amp.prompt("bash echo ran > ran.txt; echo shown")
    (asked,) = turn.requests
    assert asked["method"] == "session/request_permission"
    call = asked["params"]["toolCall"]
    assert (call["toolCallId"], call["kind"], call["rawInput"]) == (
        "toolu_1",
        "execute",
        {"cmd": "echo ran > ran.txt; echo shown"},
    )
    assert turn.statuses == ["in_progress", "completed"]
    assert turn.of("tool_call_update")[0]["content"][0]["content"]["text"] == "shown\n"
    assert (tmp_path / "ran.txt").read_text() == "ran\n"


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: {"outcome": {"outcome": "selected", "optionId": "reject_once"}},
        lambda _: {"outcome": {"outcome": "cancelled"}},
        lambda _: {},
        lambda _: {"outcome": {"outcome": "selected", "optionId": "unknown"}},
    ],
    ids=["rejected", "cancelled", "nonsense", "unknown"],
)
def test_a_tool_that_is_not_allowed_does_not_run(
    amp: Agent, tmp_path: Path, answer: Callable[[dict[str, Any]], Any]
) -> None:
    turn = amp.turn(amp.ask_prompt("bash echo ran > ran.txt"), answer)
    assert turn.statuses == ["in_progress", "failed"]
    assert turn.stop == "end_turn"
    assert not (tmp_path / "ran.txt").exists()


def test_always_is_remembered_within_a_turn_only(amp: Agent) -> None:
    """The next turn asks again: the server's own policy is what remembers for longer."""
    assert len(amp.prompt("bash true", "allow_always").requests) == 1
    assert len(amp.prompt("bash true").requests) == 1


def test_bypass_asks_nothing(amp: Agent, tmp_path: Path) -> None:
    """By the mode, which is told as mode and as config option."""
    assert amp.call("session/set_mode", sessionId=amp.session, modeId="bypass")["result"] == {}
    turn = amp.prompt("bash echo ran > ran.txt")
    assert turn.requests == []
    assert (tmp_path / "ran.txt").exists()
    assert "--dangerously-allow-all" in command_lines(tmp_path)[-1]


def test_the_users_own_rules_go_first(amp: Agent, environ: dict[str, str], tmp_path: Path) -> None:
    """What they allow is not asked; what they would ask is asked of the client."""
    settings = tmp_path / ".config" / "amp" / "settings.json"
    settings.parent.mkdir(parents=True)
    rules = [{"tool": "Bash", "action": "allow"}, {"tool": "edit_file", "action": "ask"}]
    settings.write_text(json.dumps({"amp.permissions": rules}))
    assert amp.prompt("bash true").requests == []
    turn = amp.prompt("edit /x/y.py")
    assert len(turn.requests) == 1
    diff = {"type": "diff", "path": "/x/y.py", "oldText": "a", "newText": "b"}
    assert turn.of("tool_call")[0]["content"] == [diff]
    assert json.loads(settings.read_text())["amp.permissions"] == rules


def test_todos_are_the_plan(amp: Agent) -> None:
    (plan,) = amp.prompt("plan").of("plan")
    assert [(entry["content"], entry["status"]) for entry in plan["entries"]] == [
        ("one", "completed"),
        ("two", "in_progress"),
    ]


def test_cancel_ends_the_turn(amp: Agent) -> None:
    """While it works, and while it asks; the session goes on."""
    request = amp.ask_prompt("hang")
    amp.until("agent_message_chunk")
    amp.cancel()
    assert amp.turn(request).stop == "cancelled"
    request = amp.ask_prompt("bash true")
    while amp.expect().get("method") != "session/request_permission":
        pass
    amp.cancel()
    assert amp.turn(request).stop == "cancelled"
    assert amp.prompt("hello").stop == "end_turn"


def test_a_missing_login_is_told_as_such(amp: Agent) -> None:
    error = amp.prompt("login").response["error"]
    assert error["code"] == -32000
    assert "amp login" in error["data"]["details"]


@pytest.mark.parametrize(
    ("prompt", "told"), [("crash", "it broke"), ("fail", "out of credit")], ids=["process", "stream"]
)
def test_a_failure_is_an_error(amp: Agent, prompt: str, told: str) -> None:
    """With what the program said last, or the stream's own words."""
    assert told in json.dumps(amp.prompt(prompt).response["error"])


def test_a_program_that_is_not_there_is_an_error(environ: dict[str, str], tmp_path: Path) -> None:
    environ["SANDBOX_AGENT_AMP"] = str(tmp_path / "nowhere")
    with Agent(BUILTIN["amp"], env=environ) as agent:
        agent.call("initialize", protocolVersion=1)
        agent.session = agent.call("session/new", cwd=str(tmp_path))["result"]["sessionId"]
        assert "nowhere" in agent.prompt("hello").response["error"]["message"]


def test_too_many_turns_is_a_stop_reason(amp: Agent) -> None:
    assert amp.prompt("max").stop == "max_turn_requests"


def test_calls_left_open_are_closed(amp: Agent) -> None:
    assert amp.prompt("unfinished").statuses == ["in_progress", "failed"]


def test_what_is_not_understood_is_passed_over(amp: Agent) -> None:
    assert amp.prompt("noise").text() == "said: noise"


def test_servers_go_in_a_file_and_nothing_is_left(amp: Agent, tmp_path: Path) -> None:
    """No header and no variable of an MCP server is on the command line; the folder goes with the turn."""
    servers = [
        {"name": "one", "command": "run", "args": ["x"], "env": [{"name": "KEY", "value": "secret"}]},
        {"type": "http", "name": "two", "url": "http://x", "headers": [{"name": "Authorization", "value": "secret"}]},
    ]
    amp.session = amp.call("session/new", cwd=str(tmp_path), mcpServers=servers)["result"]["sessionId"]
    amp.prompt("hello")
    (line,) = command_lines(tmp_path)
    assert "secret" not in " ".join(line)
    file = Path(line[line.index("--mcp-config") + 1])
    assert not file.parent.exists()


def test_nothing_is_left_when_it_ends_in_a_turn(environ: dict[str, str], tmp_path: Path) -> None:
    """Its client gone, the program goes, and the folder with the settings as well."""
    environ["TMPDIR"] = str(tmp_path / "tmp")
    (tmp_path / "tmp").mkdir()
    with Agent(BUILTIN["amp"], env=environ) as agent:
        agent.call("initialize", protocolVersion=1)
        agent.session = agent.call("session/new", cwd=str(tmp_path))["result"]["sessionId"]
        agent.ask_prompt("hang")
        agent.until("agent_message_chunk")
        assert len(list((tmp_path / "tmp").iterdir())) == 1
        agent.stdin.close()
        agent.process.wait(60)
        assert list((tmp_path / "tmp").iterdir()) == []


def test_a_long_path_to_temporary_files_hinders_no_question(environ: dict[str, str], tmp_path: Path) -> None:
    """A socket's address has 108 bytes at most."""
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    with Agent(BUILTIN["amp"], env={**environ, "TMPDIR": str(deep)}) as agent:
        agent.call("initialize", protocolVersion=1)
        agent.session = agent.call("session/new", cwd=str(tmp_path))["result"]["sessionId"]
        turn = agent.prompt("bash echo hi")
    assert [request["method"] for request in turn.requests] == ["session/request_permission"]
    assert turn.of("tool_call_update")[-1]["status"] == "completed"


def test_a_prompt_of_many_blocks_is_one_text(amp: Agent) -> None:
    blocks = [
        {"type": "text", "text": "look at"},
        {"type": "resource_link", "name": "a", "uri": "file:///x/a.py"},
        {"type": "resource", "resource": {"uri": "mem:b", "text": "inside"}},
    ]
    turn = amp.turn(amp.ask("session/prompt", sessionId=amp.session, prompt=blocks))
    assert turn.text() == 'said: look at\n\n@/x/a.py\n\n<file uri="mem:b">\ninside\n</file>'


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("nope", {}, -32601),
        ("session/new", {"cwd": "relative"}, -32602),
        ("session/prompt", {"sessionId": "amp-1", "prompt": []}, -32002),
        ("session/set_mode", {"modeId": "nope"}, -32602),
        ("session/resume", {"sessionId": "../../etc/passwd", "cwd": "/"}, -32002),
    ],
)
def test_wrong_requests_are_refused(amp: Agent, method: str, params: dict[str, Any], code: int) -> None:
    known = {"sessionId": amp.session} if method == "session/set_mode" else {}
    assert amp.call(method, **params, **known)["error"]["code"] == code


def test_what_it_keeps_is_for_the_user_alone(amp: Agent, tmp_path: Path) -> None:
    amp.prompt("hello")
    folder = tmp_path / ".local" / "state" / "sandbox-agent" / "amp"
    assert [path.name for path in folder.iterdir()] == [f"{amp.session}.json"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert amp.call("session/close", sessionId=amp.session)["result"] == {}
