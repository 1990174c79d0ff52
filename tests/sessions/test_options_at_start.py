"""The mode a session starts in: agents that would decide by themselves are set to ask, if nobody says otherwise."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.agents import Agents, mock

if TYPE_CHECKING:
    from .conftest import World

PROGRAM = [sys.executable, "-I", "-S", "-E", str(Path(mock.__file__).with_name("__main__.py"))]
"""The mock agent as somebody's own, whose asking mode is ``plan``."""


def configured(mode: str) -> dict[str, Any]:
    return {"agents": {"eager": {"command": PROGRAM[0], "args": PROGRAM[1:], "askingMode": mode}}}


@pytest.mark.parametrize(
    ("asked", "stands"),
    [
        ({}, "plan"),
        ({"permission_policy": "allow_edits"}, "plan"),
        ({"permission_policy": "allow_all"}, "normal"),
        ({"mode": "normal"}, "normal"),
    ],
)
async def test_an_agent_is_set_to_ask_unless_told_otherwise(stopped: World, asked: dict[str, Any], stands: str) -> None:
    await stopped.start(config=configured("plan"))
    assert (await stopped.create(agent="eager", **asked)).mode == stands


async def test_a_mode_that_this_version_of_the_agent_lacks_is_no_fault(stopped: World) -> None:
    await stopped.start(config=configured("manual"))
    assert (await stopped.create(agent="eager")).mode == "normal"


def test_the_agents_known_to_decide_alone_have_an_asking_mode() -> None:
    """As the recordings show them: claude and qwen start in ``auto``, vibe in ``accept-edits``, codex in ``agent``."""
    agents = Agents(environ={})
    modes = {agent: agents.spec(agent).asking_mode for agent in ("claude", "codex", "qwen", "vibe", "gemini", "mock")}
    assert modes == {
        "claude": "default",
        "codex": "read-only",
        "qwen": "default",
        "vibe": "ask",
        "gemini": None,
        "mock": None,
    }
