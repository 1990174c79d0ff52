"""The probe, against real processes: the mock with and without faults, and recordings of real agents."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.agents import Agents
from sandbox_agent.agents.launch import BUILTIN, PYTHON_FLAGS
from sandbox_agent.agents.probe import Probe, options_of
from sandbox_agent.problems import AgentNotInstalled, AgentProcessExited, StreamError, Timeout
from sandbox_agent.supervisor import Command, Supervisor

from ..support.shared import RECORDINGS, recording

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    await supervisor.start()
    yield supervisor
    await supervisor.stop()


@pytest.fixture
def probe(supervisor: Supervisor) -> Probe:
    return Probe(supervisor)


def program(name: str, *arguments: str, **env: str) -> Command:
    return Command(argv=(sys.executable, *PYTHON_FLAGS, str(BUILTIN[name]), *arguments), env=env)


def content(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_the_options_of_a_session_are_read_and_nothing_is_left(
    probe: Probe, supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process, no folder, and no session in the agent's list."""
    state, temporary = tmp_path / "state", tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    options = await probe("mock", program("mock", SANDBOX_AGENT_MOCK_STATE=str(state)))
    assert [option["category"] for option in options] == ["model", "mode", "thought_level"]
    assert supervisor.children() == []
    assert content(temporary) == content(state) == []


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("exit=initialize", AgentProcessExited),
        ("exit=session/new", AgentProcessExited),
        ("fail=initialize", StreamError),
        ("auth_required", StreamError),
    ],
)
async def test_a_fault_of_the_agent_is_a_problem(
    probe: Probe, supervisor: Supervisor, tmp_path: Path, fault: str, problem: type[Exception]
) -> None:
    with pytest.raises(problem):
        await probe("mock", program("mock", fault, SANDBOX_AGENT_MOCK_STATE=str(tmp_path)))
    assert supervisor.children() == []


@pytest.mark.parametrize("method", ["initialize", "session/new"])
async def test_an_agent_that_hangs_is_given_up(supervisor: Supervisor, tmp_path: Path, method: str) -> None:
    with pytest.raises(Timeout):
        await Probe(supervisor, deadline=0.3)(
            "mock", program("mock", f"hang={method}", "ignore_eof,ignore_term", SANDBOX_AGENT_MOCK_STATE=str(tmp_path))
        )
    assert supervisor.children() == []


async def test_a_program_that_is_gone_is_not_installed(probe: Probe, tmp_path: Path) -> None:
    with pytest.raises(AgentNotInstalled):
        await probe("x", Command(argv=(str(tmp_path / "no"),)))


@pytest.mark.parametrize("name", [name for name in RECORDINGS if name.endswith("/text") and name != "cursor/text"])
async def test_every_recorded_agent_tells_its_options(probe: Probe, name: str) -> None:
    """By config options or, older, by models and modes; each has a current value that is one of its values."""
    options = await probe("recorded", program("replay", str(recording(name))))
    assert {"model", "mode"} & {option.get("category") for option in options}
    for option in options:
        if option["type"] == "select" and option["options"] and "value" in option["options"][0]:
            assert option["currentValue"] in {value["value"] for value in option["options"]}


@pytest.mark.parametrize("session", [{}, {"configOptions": None}, {"modes": None, "models": []}, {"modes": {}}])
def test_an_agent_may_offer_nothing(session: dict[str, object]) -> None:
    assert options_of(session) == ()


async def test_agents_tell_what_a_probe_found(probe: Probe, tmp_path: Path) -> None:
    """All of it together: a custom agent that is a recording, asked over a real process."""
    config = {"agents": {"old": {"replay": str(recording("gemini/text"))}, "dead": {"command": "false"}}}
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    agents = Agents(environ=environ, config=config, prober=probe)
    old = await agents.info("old", config=True)
    assert [option["category"] for option in old.config_options or ()] == ["model", "mode"]
    dead = await agents.info("dead", config=True)
    assert dead.installed
    assert "ended with code 1" in (dead.config_error or "")
