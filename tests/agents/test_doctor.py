"""The doctor over real agent processes: the mock agent as it is, and misbehaving."""

from __future__ import annotations

import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox_agent.agents import Agents
from sandbox_agent.agents.doctor import Doctor
from sandbox_agent.agents.launch import BUILTIN, slot
from sandbox_agent.agents.probe import login_hint
from sandbox_agent.problems import UnsupportedAgent
from sandbox_agent.supervisor import Supervisor
from sandbox_agent.wire.doctor import DoctorRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sandbox_agent.wire.doctor import AgentCheck, DoctorReport

KEY = "sk-ant-0123456789-never-told"


@asynccontextmanager
async def world(tmp_path: Path, deadline: float = 60.0, config: Any = None, **environ: str) -> AsyncIterator[Doctor]:
    """A home with nothing in it but what the test puts there."""
    given = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SANDBOX_AGENT_MOCK_STATE": str(tmp_path), **environ}
    agents = Agents(config=config, environ=given, install_root=tmp_path / "root")
    supervisor = Supervisor()
    await supervisor.start()
    try:
        yield Doctor(agents, supervisor, data_dir=tmp_path, deadline=deadline)
        assert supervisor.children() == []
    finally:
        await supervisor.stop()


def put(tmp_path: Path, agent: str, fault: str = "") -> None:
    """An agent in the install root that is the mock agent in truth."""
    file = slot(tmp_path / "root", agent)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S -E {BUILTIN['mock']} {fault}\n")
    file.chmod(0o755)


async def one(doctor: Doctor, agent: str, *, offline: bool = False) -> AgentCheck:
    report = await doctor.examine(DoctorRequest(agents=(agent,), offline=offline))
    assert report.usable == report.agents[0].usable
    return report.agents[0]


async def test_an_agent_that_works_shakes_hands(tmp_path: Path) -> None:
    """With how long it took; nothing of it is left running."""
    async with world(tmp_path) as doctor:
        check = await one(doctor, "mock")
    assert (check.usable, check.version, check.credentials, check.problem) == (True, "builtin", "not needed", None)
    assert check.handshake.state == "ok"
    assert 0 < (check.handshake.seconds or 0) < 60


async def test_an_agent_that_is_not_installed_is_told_with_its_command(tmp_path: Path) -> None:
    """And is not installed by being looked at."""
    async with world(tmp_path, PATH="/nowhere") as doctor:
        check = await one(doctor, "claude")
    assert (check.usable, check.installed, check.path) == (False, False, None)
    assert check.fix == "sandbox-agent install-agent claude"
    assert check.handshake.state == "skipped"
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("exit=initialize", "told to exit"),
        ("fail=session/new", "-32603"),
        ("hang=session/new", "did not answer"),
    ],
)
async def test_an_agent_that_fails_is_told_with_why_and_what_to_run(tmp_path: Path, fault: str, told: str) -> None:
    """Its last words, its error, or that it never answered; with the time it took."""
    put(tmp_path, "claude", fault)
    async with world(tmp_path, deadline=1.0, ANTHROPIC_API_KEY=KEY) as doctor:
        check = await one(doctor, "claude")
    assert (check.usable, check.installed, check.handshake.state) == (False, True, "fault")
    assert told in str(check.problem) or "no answer" in str(check.problem), check
    assert check.fix == "sandbox-agent install-agent claude --reinstall"
    assert check.handshake.seconds is not None


@pytest.mark.parametrize(
    ("agent", "key", "told"),
    [
        ("claude", "ANTHROPIC_API_KEY", "sandbox-agent login claude"),
        ("gemini", "GEMINI_API_KEY", "Always lets you in"),
    ],
)
async def test_an_agent_that_wants_a_login_says_how(tmp_path: Path, agent: str, key: str, told: str) -> None:
    """By our command where it has a program for that, else by its own words; installing it again would not help."""
    put(tmp_path, agent, "auth_required")
    async with world(tmp_path, **{key: KEY}) as doctor:
        check = await one(doctor, agent)
    assert (check.usable, check.problem) == (False, f"{agent} wants a login: Authentication required")
    assert check.fix == told


async def test_an_agent_without_the_program_it_drives_is_not_started(tmp_path: Path) -> None:
    """It could do nothing without; the command that brings the program is told."""
    put(tmp_path, "cursor", "hang=initialize")
    async with world(tmp_path) as doctor:
        check = await one(doctor, "cursor")
    assert (check.usable, check.handshake.state) == (False, "skipped")
    assert str(check.problem).endswith("needs cursor-agent, not found on PATH")
    assert str(check.fix).startswith("curl https://cursor.com/install")


def test_a_login_in_a_terminal_is_told_as_its_command() -> None:
    """As copilot and kimi name it; else the first words there are."""
    terminal = {"id": "x", "description": "d", "_meta": {"terminal-auth": {"command": "a b", "args": ["login"]}}}
    assert login_hint([{"id": "y", "name": "n"}, terminal]) == "'a b' login"
    assert login_hint([{"id": "y", "name": "n"}]) == "n"
    assert login_hint([{"id": "y"}]) is None
    assert login_hint([]) is None


async def test_an_agent_that_wants_to_be_told_to_use_its_key_is_told(tmp_path: Path) -> None:
    """As a session does it."""
    put(tmp_path, "claude", "key_required")
    async with world(tmp_path, ANTHROPIC_API_KEY=KEY) as doctor:
        assert (await one(doctor, "claude")).usable


async def test_credentials_are_named_and_never_told(tmp_path: Path) -> None:
    """Missing ones keep an agent from being usable, though it shakes hands."""
    put(tmp_path, "claude")
    async with world(tmp_path) as doctor:
        check = await one(doctor, "claude")
        assert (check.usable, check.credentials, check.handshake.state) == (False, None, "ok")
        told = "sandbox-agent login claude, or set ANTHROPIC_API_KEY in the server's environment"
        assert check.fix == told
    async with world(tmp_path, ANTHROPIC_API_KEY=KEY) as doctor:
        report = await doctor.examine(DoctorRequest(agents=("claude",)))
    assert report.agents[0].credentials == "ANTHROPIC_API_KEY"
    assert KEY.encode() not in msgspec.json.encode(report)


async def test_offline_nothing_is_started(tmp_path: Path) -> None:
    """What is installed and has its key counts as usable then."""
    put(tmp_path, "claude", "exit=initialize")
    async with world(tmp_path, ANTHROPIC_API_KEY=KEY) as doctor:
        check = await one(doctor, "claude", offline=True)
    assert (check.usable, check.handshake.state) == (True, "skipped")


async def test_all_agents_are_looked_at_unless_some_are_named(tmp_path: Path) -> None:
    """In the catalogue's order; custom ones too; an unknown name is an error."""
    config = {"agents": {"mine": {"command": "mine"}}}
    async with world(tmp_path, config=config, PATH="/nowhere") as doctor:
        report: DoctorReport = await doctor.examine(DoctorRequest(offline=True))
        ids = [agent.id for agent in report.agents]
        assert ids[:7] == ["claude", "codex", "opencode", "amp", "pi", "cursor", "mock"]
        assert "mine" in ids
        assert {"PATH", "Python", "node", "data directory"} <= {check.name for check in report.checks}
        with pytest.raises(UnsupportedAgent):
            await doctor.examine(DoctorRequest(agents=("nobody",)))
