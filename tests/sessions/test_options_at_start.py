"""The mode a session starts in: agents that would decide by themselves are set to ask, if nobody says otherwise."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.agents import Agents, mock
from sandbox_agent.sessions import SessionOptions
from sandbox_agent.wire.sessions import SessionForkRequest, SessionUpdateRequest
from sandbox_agent.wire.transcript import NoticeItem

if TYPE_CHECKING:
    from .conftest import World

HASTY = SessionOptions(session_deadline=0.3, end_grace=0.2)

PROGRAM = [sys.executable, "-I", "-S", "-E", str(Path(mock.__file__).with_name("__main__.py"))]
"""The mock agent as somebody's own, whose asking mode is ``plan``."""


HANG, FAIL = "hang=session/set_config_option", "fail=session/set_config_option"


def configured(mode: str, fault: str = "") -> dict[str, Any]:
    return {"agents": {"eager": {"command": PROGRAM[0], "args": [*PROGRAM[1:], fault], "askingMode": mode}}}


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


# --- creation does not wait for the agent's yes; every turn does


async def prompts_heard(world: World, session_id: str) -> int:
    """How many prompts were sent to the agent."""
    return sum(b'"method":"session/prompt"' in payload for _, payload in await world.events(session_id))


async def test_the_answer_to_the_asking_mode_is_not_waited_for_before_the_first_turn(stopped: World) -> None:
    """An agent that never answers holds up no creation; but no prompt reaches it, and the session tells why."""
    await stopped.start(options=HASTY, config=configured("plan", HANG))
    session = await stopped.create(agent="eager")
    assert session.mode == "plan"
    failed = await stopped.prompt(session.id, "[[say x]]")
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["type"].endswith(":timeout")
    after = await stopped.sessions.get(session.id)
    assert (after.state, after.mode, after.error) == ("failed", "plan", failed.error)
    assert await prompts_heard(stopped, session.id) == 0
    assert stopped.agent_pids() == []


async def test_an_agent_that_refuses_its_asking_mode_gets_no_prompt_until_it_takes_it(stopped: World) -> None:
    await stopped.start(config=configured("plan", FAIL))
    session = await stopped.create(agent="eager")
    for _ in range(2):
        failed = await stopped.prompt(session.id, "[[say x]]")
        assert failed.error is not None
        assert (failed.state, failed.error["error"]["message"]) == (
            "failed",
            "told to fail at session/set_config_option",
        )
    assert await prompts_heard(stopped, session.id) == 0
    await stopped.stop()
    await stopped.start(config=configured("plan"))
    done = await stopped.prompt(session.id, "[[say x]]")
    assert (done.state, done.mode) == ("completed", "plan")


async def test_a_refusal_is_told_without_any_prompt(stopped: World) -> None:
    """Whoever only looks at the session or its transcript learns of it too."""
    await stopped.start(config=configured("plan", FAIL))
    session = await stopped.create(agent="eager")
    looked = await stopped.sessions.get(session.id)
    assert looked.state == "failed"
    assert looked.error is not None
    told = [item.text for item in (await stopped.sessions.transcript(session.id)).items if isinstance(item, NoticeItem)]
    assert told[0] == "The agent is not in the mode plan and was ended; no prompt reaches it in another one"


async def test_a_server_killed_before_the_agent_agreed_still_has_it_ask(stopped: World) -> None:
    await stopped.start(config=configured("plan", HANG))
    session = await stopped.create(agent="eager")
    await stopped.die()
    await stopped.start(config=configured("plan"))
    assert (await stopped.sessions.get(session.id)).mode == "plan"
    done = await stopped.prompt(session.id, "[[say x]]")
    assert (done.state, done.mode) == ("completed", "plan")


async def test_a_mode_chosen_by_the_user_takes_the_place_of_the_one_that_is_due(stopped: World) -> None:
    await stopped.start(config=configured("plan", HANG))
    session = await stopped.create(agent="eager")
    await stopped.die()
    await stopped.start(config=configured("plan"))
    assert (await stopped.sessions.update(session.id, SessionUpdateRequest(mode="normal"))).mode == "normal"
    done = await stopped.prompt(session.id, "[[say x]]")
    assert (done.state, done.mode) == ("completed", "normal")


async def test_a_restored_agent_that_does_not_take_its_mode_again_gets_no_prompt(stopped: World) -> None:
    """It has gone back to its default, which may not ask."""
    await stopped.start()
    session = await stopped.create(mode="plan")
    assert (await stopped.prompt(session.id, "[[say hi]]")).state == "completed"
    await stopped.restart(f"no_resume no_load {FAIL}")
    failed = await stopped.prompt(session.id, "[[say again]]")
    assert (failed.state, await prompts_heard(stopped, session.id)) == ("failed", 1)
    await stopped.restart("no_resume no_load")
    done = await stopped.prompt(session.id, "[[say again]]")
    assert (done.state, done.mode) == ("completed", "plan")


async def test_a_fork_goes_on_in_the_mode_of_its_origin(stopped: World) -> None:
    """Though its agent has yet to be told."""
    await stopped.start("no_fork")
    session = await stopped.create(mode="plan")
    fork = await stopped.sessions.fork(session.id, SessionForkRequest())
    assert fork.mode == "plan"
    done = await stopped.prompt(fork.id, "[[say x]]")
    assert (done.state, done.mode) == ("completed", "plan")
