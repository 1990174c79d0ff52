"""The replay agent, over every recording of a real agent and over small ones made here."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.agents.launch import BUILTIN, PYTHON_FLAGS

from ..support.shared import RECORDINGS, recording
from .driver import replay

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .driver import Agent


def entries(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in recording(name).read_text().splitlines()]


def test_there_are_recordings_of_every_agent() -> None:
    assert len({name.split("/")[0] for name in RECORDINGS}) >= 12


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_replays_to_its_end(name: str) -> None:
    """A client that says what the recorded one said hears, message by message, what the recorded agent said."""
    with replay(recording(name)) as agent:
        for entry in entries(name):
            if entry["dir"] == "client":
                agent.send(entry["msg"])
            else:
                assert agent.expect() == entry["msg"]
        agent.stdin.close()
        assert agent.process.wait(60) == 0


def said(text: str, session: str = "s1") -> dict[str, Any]:
    update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
    return {"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": session, "update": update}}


OPTION = {"id": "m", "category": "model", "type": "select", "currentValue": "a", "options": []}
BEGIN = [
    ("client", {"id": 1, "method": "initialize", "params": {}}),
    ("agent", {"id": 1, "result": {"protocolVersion": 1}}),
    ("client", {"id": 2, "method": "session/new", "params": {"cwd": "/x"}}),
    ("agent", {"id": 2, "result": {"sessionId": "s1", "configOptions": [OPTION]}}),
]
CHOICE = [
    ("client", {"id": 3, "method": "session/set_mode", "params": {"sessionId": "s1", "modeId": "m"}}),
    ("agent", {"id": 3, "result": {"recorded": True}}),
]
FIRST = [
    ("client", {"id": 4, "method": "session/prompt", "params": {"sessionId": "s1", "prompt": []}}),
    ("agent", said("first")),
    ("agent", {"id": 0, "method": "session/request_permission", "params": {"sessionId": "s1", "options": []}}),
    ("client", {"id": 0, "result": {"outcome": {"outcome": "selected", "optionId": "x"}}}),
    ("agent", {"id": 4, "result": {"stopReason": "end_turn"}}),
]
SECOND = [
    ("client", {"id": 5, "method": "session/prompt", "params": {"sessionId": "s1", "prompt": []}}),
    ("agent", said("second")),
    ("client", {"method": "session/cancel", "params": {"sessionId": "s1"}}),
    ("agent", said("stopped")),
    ("agent", {"id": 5, "result": {"stopReason": "cancelled"}}),
]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Agent]:
    """Write a recording, its messages 0.2 s apart, and start its replay."""

    def play(messages: list[tuple[str, dict[str, Any]]], *options: str) -> Agent:
        file = tmp_path / "recording.jsonl"
        lines = [{"dir": side, "t": at / 5, "msg": message} for at, (side, message) in enumerate(messages)]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return replay(file, *options)

    return play


def begin(agent: Agent) -> Agent:
    agent.call("initialize")
    agent.session = agent.call("session/new", cwd="/y")["result"]["sessionId"]
    return agent


def test_ids_are_those_of_the_client_of_today(play: Callable[..., Agent]) -> None:
    """Text ids and numbers beyond 64 bits come back as they were sent."""
    with play(BEGIN) as agent:
        agent.send({"id": "one", "method": "initialize"})
        assert agent.expect()["id"] == "one"
        agent.send({"id": 2**80, "method": "session/new"})
        assert agent.expect()["id"] == 2**80


def test_a_request_of_the_agent_waits_for_its_answer(play: Callable[..., Agent]) -> None:
    """Nothing follows a permission request until it is answered, and any answer will do."""
    with play(BEGIN + FIRST) as agent:
        request = begin(agent).ask_prompt("hello")
        assert [agent.expect().get("method") for _ in range(2)] == ["session/update", "session/request_permission"]
        agent.call("session/list")  # answered meanwhile, and nothing came before it
        agent.send({"id": 0, "error": {"code": -32601, "message": "no"}})
        assert agent.turn(request).stop == "end_turn"


def test_a_prompt_skips_the_requests_recorded_before_it(play: Callable[..., Agent]) -> None:
    """A client that sets no mode still gets its turn, and no answer to what it did not ask."""
    with play(BEGIN + CHOICE + FIRST) as agent:
        turn = agent.turn(begin(agent).ask_prompt("hello"), lambda _: {})
        assert turn.text() == "first"


def test_a_recorded_request_in_its_place_gets_the_recorded_answer(play: Callable[..., Agent]) -> None:
    with play(BEGIN + CHOICE + FIRST) as agent:
        assert begin(agent).call("session/set_mode", sessionId="s1", modeId="x")["result"] == {"recorded": True}


def test_requests_that_were_not_recorded_are_agreed_to(play: Callable[..., Agent]) -> None:
    """They do not move the recording on; a chosen option is told in the answer; unknown methods are refused."""
    with play(BEGIN + FIRST) as agent:
        begin(agent)
        assert agent.call("session/set_mode", sessionId="s1", modeId="x")["result"] == {}
        answer = agent.call("session/set_config_option", sessionId="s1", configId="m", value="b")
        assert answer["result"]["configOptions"] == [OPTION | {"currentValue": "b"}]
        assert agent.call("no/such/method")["error"]["code"] == -32601
        assert agent.turn(agent.ask_prompt("hello"), lambda _: {}).text() == "first"


def test_a_cancel_that_was_not_recorded_ends_the_turn(play: Callable[..., Agent]) -> None:
    """The turn's response says so, once, and the next prompt gets the next recorded turn."""
    with play(BEGIN + FIRST + SECOND) as agent:
        request = begin(agent).ask_prompt("hello")
        agent.until("agent_message_chunk")
        agent.cancel()
        assert agent.turn(request).stop == "cancelled"
        agent.ask_prompt("again")
        assert agent.expect()["params"]["update"]["content"]["text"] == "second"


def test_a_recorded_cancel_waits_for_that_of_the_client(play: Callable[..., Agent]) -> None:
    with play(BEGIN + SECOND) as agent:
        request = begin(agent).ask_prompt("hello")
        agent.until("agent_message_chunk")
        agent.call("session/list")
        agent.cancel()
        turn = agent.turn(request)
        assert (turn.text(), turn.stop) == ("stopped", "cancelled")


def test_a_session_of_before_takes_the_place_of_the_recorded_one(play: Callable[..., Agent]) -> None:
    """A restarted replay is asked to load; the recording knows only a new session: updates get the client's id."""
    with play(BEGIN + FIRST) as agent:
        agent.call("initialize")
        assert agent.call("session/load", sessionId="mine", cwd="/x")["result"] == {"configOptions": [OPTION]}
        turn = agent.turn(agent.ask_prompt("hello", "mine"), lambda _: {})
        assert turn.messages[0]["params"]["sessionId"] == "mine"


def test_prompts_after_the_end_are_answered(play: Callable[..., Agent]) -> None:
    with play(BEGIN) as agent:
        turn = agent.turn(begin(agent).ask_prompt("hello"))
        assert (turn.text(), turn.stop) == ("The recording ends here.", "end_turn")


def test_the_recorded_pace_is_kept_on_demand(play: Callable[..., Agent]) -> None:
    """Messages recorded 0.2 s apart come no faster than that, and a cancel is heard meanwhile."""
    with play(BEGIN + SECOND, "--pace=1") as agent:
        start = time.monotonic()
        request = begin(agent).ask_prompt("hello")
        agent.cancel()
        assert agent.turn(request).stop == "cancelled"
        assert time.monotonic() - start > 5 * 0.2


@pytest.mark.parametrize("arguments", [(), ("no/such/file",), ("a", "b")])
def test_wrong_arguments_are_explained(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, *PYTHON_FLAGS, BUILTIN["replay"], *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "replay" in run.stderr
    assert "Traceback" not in run.stderr
