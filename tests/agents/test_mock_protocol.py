"""The mock agent as a process: the methods of ACP, its sessions, and faults of the handshake."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.agents.launch import BUILTIN, PYTHON_FLAGS

from ..support.pids import alive
from .driver import mock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .driver import Agent


@pytest.fixture
def state(tmp_path: Path) -> dict[str, str]:
    return {"SANDBOX_AGENT_MOCK_STATE": str(tmp_path / "state")}


@pytest.fixture
def start(tmp_path: Path, state: dict[str, str]) -> Iterator[Callable[..., Agent]]:
    """Start mock agents that share their stored sessions; all end with the test."""
    agents = []

    def start(*faults: str) -> Agent:
        agents.append(mock(*faults, env=state))
        return agents[-1]

    yield start
    for agent in agents:
        agent.__exit__(None, None, None)


def test_initialize_tells_what_the_agent_can_do(start: Callable[..., Agent]) -> None:
    result = start().call("initialize", protocolVersion=1)["result"]
    assert result["protocolVersion"] == 1
    assert result["agentInfo"]["name"] == "mock"
    assert result["agentCapabilities"]["loadSession"] is True
    assert set(result["agentCapabilities"]["sessionCapabilities"]) == {"close", "delete", "fork", "list", "resume"}


def test_only_what_is_needed_is_imported_for_initialize() -> None:
    """The start stays fast because the answer needs os, and of json its core alone, without regular expressions."""
    folder = str(BUILTIN["mock"].parents[1])
    code = (
        f"import sys; sys.path.insert(0, {folder!r}); import _json, os, __future__; known = set(sys.modules); "
        "import mock.agent; print(*sorted(set(sys.modules) - known))"
    )
    run = subprocess.run([sys.executable, *PYTHON_FLAGS, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["mock", "mock.agent", "mock.quickjson", "mock.stdio"]


def test_the_time_from_start_to_initialize_is_told(
    start: Callable[..., Agent], record_property: Callable[[str, object], None]
) -> None:
    """Told in the report, not asserted: machines differ."""
    begun = time.perf_counter()
    start().call("initialize", protocolVersion=1)
    record_property("start_to_initialize_ms", round(1000 * (time.perf_counter() - begun), 1))


def test_a_new_session_offers_models_modes_and_thought_levels(start: Callable[..., Agent], tmp_path: Path) -> None:
    agent = start()
    agent.call("initialize", protocolVersion=1)
    result = agent.call("session/new", cwd=str(tmp_path), mcpServers=[])["result"]
    assert [(o["id"], o["category"], o["currentValue"]) for o in result["configOptions"]] == [
        ("model", "model", "mock"),
        ("mode", "mode", "normal"),
        ("thought_level", "thought_level", "low"),
    ]
    assert result["modes"]["currentModeId"] == "normal"
    assert result["models"]["currentModelId"] == "mock"
    assert agent.until("available_commands_update")["availableCommands"]


@pytest.mark.parametrize("cwd", [None, "relative", 5])
def test_a_cwd_must_be_absolute(start: Callable[..., Agent], cwd: Any) -> None:
    assert start().call("session/new", cwd=cwd)["error"]["code"] == -32602


def test_options_change_and_are_told_as_updates(start: Callable[..., Agent], tmp_path: Path) -> None:
    """set_mode, set_model and set_config_option; the last answers with all options."""
    agent = start().start(tmp_path)
    turn = agent.turn(agent.ask("session/set_mode", sessionId=agent.session, modeId="plan"))
    assert [u["sessionUpdate"] for u in turn.updates] == ["current_mode_update", "config_option_update"]
    agent.call("session/set_model", sessionId=agent.session, modelId="mock-fast")
    answer = agent.call("session/set_config_option", sessionId=agent.session, configId="thought_level", value="high")
    assert [o["currentValue"] for o in answer["result"]["configOptions"]] == ["mock-fast", "plan", "high"]


@pytest.mark.parametrize(("option", "value"), [("mode", "no such"), ("no such", "plan"), ("model", None), (None, None)])
def test_what_is_not_offered_is_refused(
    start: Callable[..., Agent], tmp_path: Path, option: str | None, value: str | None
) -> None:
    agent = start().start(tmp_path)
    answer = agent.call("session/set_config_option", sessionId=agent.session, configId=option, value=value)
    assert answer["error"]["code"] == -32602


def test_a_session_is_loaded_with_its_history_in_another_process(start: Callable[..., Agent], tmp_path: Path) -> None:
    """The replay tells user, agent, thought, plan and tool, before the response; options and memory are back."""
    first = start().start(tmp_path)
    first.prompt("[[think hm]] [[plan a|b]] [[write path=x text=y]] [[say done]]")
    first.call("session/set_mode", sessionId=first.session, modeId="plan")
    second = start()
    loaded = second.turn(second.ask("session/load", sessionId=first.session, cwd=str(tmp_path), mcpServers=[]))
    kinds = [update["sessionUpdate"] for update in loaded.updates]
    assert kinds == [
        "user_message_chunk",
        "agent_thought_chunk",
        "plan",
        "tool_call",
        "tool_call_update",
        "agent_message_chunk",
    ]
    assert loaded.response["result"]["modes"]["currentModeId"] == "plan"
    second.session = first.session
    assert "I remember 1 earlier prompts.\n- [[think hm]]" in second.prompt("[[recall]]").text()


def test_a_session_is_resumed_without_its_history(start: Callable[..., Agent], tmp_path: Path) -> None:
    first = start().start(tmp_path)
    first.prompt("[[say done]]")
    second = start()
    resumed = second.turn(second.ask("session/resume", sessionId=first.session, cwd=str(tmp_path), mcpServers=[]))
    assert resumed.messages == []
    second.session = first.session
    assert "I remember 1 earlier" in second.prompt("[[recall]]").text()


def test_what_was_told_before_a_kill_is_loaded(start: Callable[..., Agent], tmp_path: Path) -> None:
    """A process killed in mid-turn has stored what it said until then."""
    first = start().start(tmp_path)
    first.ask_prompt("[[say one two]] [[kill signal=9]]")
    assert first.process.wait(60) == -9
    second = start()
    loaded = second.turn(second.ask("session/load", sessionId=first.session, cwd=str(tmp_path), mcpServers=[]))
    assert loaded.text() == "one two"


def test_a_fork_remembers_and_goes_its_own_way(start: Callable[..., Agent], tmp_path: Path) -> None:
    agent = start().start(tmp_path)
    agent.prompt("[[say one]]")
    origin = agent.session
    agent.session = agent.call("session/fork", sessionId=origin, cwd=str(tmp_path))["result"]["sessionId"]
    assert agent.session != origin
    assert "I remember 1 earlier" in agent.prompt("[[recall]]").text()
    agent.session = origin
    assert "I remember 1 earlier" in agent.prompt("[[recall]]").text()


def test_sessions_are_listed_by_folder_and_gone_when_deleted(start: Callable[..., Agent], tmp_path: Path) -> None:
    agent = start().start(tmp_path)
    agent.prompt("[[title A name]]")
    other = agent.call("session/new", cwd="/", mcpServers=[])["result"]["sessionId"]
    listed = agent.call("session/list", cwd=str(tmp_path))["result"]["sessions"]
    assert listed == [{"sessionId": agent.session, "cwd": str(tmp_path), "title": "A name"}]
    assert {s["sessionId"] for s in agent.call("session/list")["result"]["sessions"]} == {agent.session, other}
    agent.call("session/delete", sessionId=other)
    assert agent.call("session/resume", sessionId=other, cwd="/")["error"]["code"] == -32002
    agent.call("session/close", sessionId=agent.session)
    assert "result" in agent.call("session/resume", sessionId=agent.session, cwd=str(tmp_path))


def test_a_long_list_comes_in_pages(start: Callable[..., Agent], tmp_path: Path) -> None:
    agent = start()
    made = {agent.call("session/new", cwd="/", mcpServers=[])["result"]["sessionId"] for _ in range(101)}
    first = agent.call("session/list")["result"]
    second = agent.call("session/list", cursor=first["nextCursor"])["result"]
    assert "nextCursor" not in second
    assert {s["sessionId"] for s in first["sessions"] + second["sessions"]} == made


def test_a_store_that_cannot_be_written_costs_only_the_loading(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with mock(env={"SANDBOX_AGENT_MOCK_STATE": str(tmp_path / "file" / "below")}) as agent:
        assert agent.start(tmp_path).prompt("[[say fine]]").text() == "fine"


@pytest.mark.parametrize("session", ["mock-0", "../../etc/passwd", "", None, 7])
def test_an_unknown_session_is_an_error(start: Callable[..., Agent], session: Any) -> None:
    agent = start()
    for method in ("session/prompt", "session/load", "session/resume", "session/close", "session/set_mode"):
        assert agent.call(method, sessionId=session, cwd="/")["error"]["code"] in {-32002, -32602}


def test_an_unknown_method_is_an_error(start: Callable[..., Agent]) -> None:
    assert start().call("no/such")["error"]["code"] == -32601


def test_lines_that_are_not_requests_do_not_stop_the_agent(start: Callable[..., Agent]) -> None:
    agent = start()
    agent.stdin.write(b'not json\n\n[1]\n{"jsonrpc":"2.0","method":"no/such"}\n{"jsonrpc":"2.0","id":9,"result":{}}\n')
    assert [agent.expect()["error"]["code"] for _ in range(2)] == [-32700, -32700]
    agent.send({"id": 1, "method": "initialize", "params": [1]})
    assert agent.expect()["error"]["code"] == -32602
    assert "result" in agent.call("initialize")


def test_echo_returns_its_params_unchanged(start: Callable[..., Agent]) -> None:
    params = {"big": 2**80, "text": "\ud800 \u2028 ü", "none": None}
    assert start().call("_mock/echo", **params)["result"] == {"echo": params}


def test_two_sessions_run_side_by_side(start: Callable[..., Agent], tmp_path: Path) -> None:
    """The second session's turn ends while the first's is still running, and each hears its own cancel."""
    agent = start().start(tmp_path)
    slow = agent.ask_prompt("[[sleep 60]]")
    other = agent.call("session/new", cwd=str(tmp_path), mcpServers=[])["result"]["sessionId"]
    assert agent.turn(agent.ask_prompt("[[say quick]]", other)).stop == "end_turn"
    agent.cancel(other)
    agent.cancel()
    assert agent.turn(slow).stop == "cancelled"


def test_one_turn_at_a_time_in_a_session(start: Callable[..., Agent], tmp_path: Path) -> None:
    agent = start().start(tmp_path)
    agent.ask_prompt("[[sleep 60]]")
    assert agent.turn(agent.ask_prompt("again")).response["error"]["code"] == -32600


@pytest.mark.parametrize("prompt", [None, "text", [1]])
def test_a_prompt_must_be_blocks(start: Callable[..., Agent], tmp_path: Path, prompt: Any) -> None:
    agent = start().start(tmp_path)
    assert agent.call("session/prompt", sessionId=agent.session, prompt=prompt)["error"]["code"] == -32602


def test_the_process_ends_when_its_stdin_is_closed(start: Callable[..., Agent], tmp_path: Path) -> None:
    """Also in the middle of a turn, and the command that ran ends with it."""
    agent = start().start(tmp_path)
    agent.ask_prompt("[[bash echo $$ > pid; sleep 1000]]")
    while (message := agent.expect()).get("method") != "session/request_permission":
        pass
    agent.send({"id": message["id"], "result": {"outcome": {"outcome": "selected", "optionId": "allow_once"}}})
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    agent.stdin.close()
    assert agent.process.wait(60) == 0
    wait_for(lambda: not alive(int((tmp_path / "pid").read_text())))


def wait_for(ready: Callable[[], bool]) -> None:
    """Poll for what cannot be waited for."""
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Faults of the handshake


@pytest.mark.parametrize("method", ["initialize", "session/new"])
def test_hang_never_answers_that_method(start: Callable[..., Agent], method: str) -> None:
    """Others are answered all the while."""
    agent = start(f"hang={method}")
    agent.ask(method, cwd="/", mcpServers=[])
    assert agent.call("_mock/echo")["result"] == {"echo": {}}
    with pytest.raises(queue.Empty):
        agent.receive(0.05)


def test_fail_answers_that_method_with_an_error(start: Callable[..., Agent]) -> None:
    agent = start("fail=session/new")
    assert "result" in agent.call("initialize")
    assert agent.call("session/new", cwd="/")["error"]["code"] == -32603


def test_exit_ends_the_process_at_that_method(start: Callable[..., Agent]) -> None:
    """With code 1 and words on stderr."""
    agent = start("exit=initialize")
    agent.ask("initialize")
    assert agent.receive() is None
    assert agent.process.wait(60) == 1
    assert agent.process.stderr is not None
    assert b"told to exit" in agent.process.stderr.read()


def test_banner_comes_before_everything(start: Callable[..., Agent]) -> None:
    agent = start("banner")
    agent.call("initialize")
    assert agent.lines == [b"Welcome to the mock agent!\n"]


def test_ignore_eof_outlives_its_client_and_ignore_term_the_signal(start: Callable[..., Agent]) -> None:
    agent = start("ignore_eof,ignore_term")
    agent.call("initialize")
    agent.stdin.close()
    agent.process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        agent.process.wait(0.2)


def test_slow_start_delays_the_first_answer(start: Callable[..., Agent]) -> None:
    begun = time.monotonic()
    start("slow_start=0.3").call("initialize")
    assert time.monotonic() - begun >= 0.3


@pytest.mark.parametrize(("fault", "method"), [("no_load", "session/load"), ("no_resume", "session/resume")])
def test_an_agent_may_lack_load_or_resume(start: Callable[..., Agent], tmp_path: Path, fault: str, method: str) -> None:
    agent = start(fault)
    capabilities = agent.call("initialize")["result"]["agentCapabilities"]
    assert (capabilities["loadSession"], "resume" in capabilities["sessionCapabilities"]) == (
        fault != "no_load",
        fault != "no_resume",
    )
    session = agent.call("session/new", cwd=str(tmp_path))["result"]["sessionId"]
    assert agent.call(method, sessionId=session, cwd=str(tmp_path))["error"]["code"] == -32601


def test_no_config_offers_no_options(start: Callable[..., Agent]) -> None:
    assert set(start("no_config").call("session/new", cwd="/")["result"]) == {"sessionId"}


def test_auth_required_wants_authenticate_first(start: Callable[..., Agent]) -> None:
    agent = start("auth_required")
    assert agent.call("initialize")["result"]["authMethods"][0]["id"] == "mock-login"
    assert agent.call("session/new", cwd="/")["error"]["code"] == -32000
    agent.call("authenticate", methodId="mock-login")
    assert "result" in agent.call("session/new", cwd="/")
    agent.call("logout")
    assert agent.call("session/new", cwd="/")["error"]["code"] == -32000


def test_faults_may_come_by_the_environment(state: dict[str, str]) -> None:
    with mock(env=state | {"SANDBOX_AGENT_MOCK": "banner fail=session/new"}) as agent:
        assert "error" in agent.call("session/new", cwd="/")
        assert agent.lines


def test_a_client_that_stops_reading_ends_the_agent(state: dict[str, str]) -> None:
    """A closed stdout is the client's end too, not a reason to hang."""
    read, write = os.pipe()
    command = [sys.executable, *PYTHON_FLAGS, str(BUILTIN["mock"])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=write, env=state) as process:
        os.close(write)
        os.close(read)
        assert process.stdin is not None
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize"}).encode() + b"\n")
        process.stdin.flush()
        assert process.wait(60) == 1
