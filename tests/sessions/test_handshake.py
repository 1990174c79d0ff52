"""Agents that do not start as they should: told clearly, and nothing of them is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.acp.roles import RpcError
from sandbox_agent.problems import AgentProcessExited, StreamError, Timeout
from sandbox_agent.sessions import SessionOptions
from sandbox_agent.sessions.handshake import Greeting, refusal

if TYPE_CHECKING:
    from .conftest import World

HASTY = SessionOptions(initialize_deadline=0.3, session_deadline=0.3, end_grace=0.2)


@pytest.mark.parametrize("method", ["initialize", "session/new"])
async def test_an_agent_that_never_answers_is_ended_by_its_deadline(stopped: World, method: str) -> None:
    """R2."""
    await stopped.start(f"hang={method} ignore_eof", HASTY)
    with pytest.raises(Timeout, match=rf"did not answer {method} within 0.3 s \(hint:"):
        await stopped.create(id="wanted")
    await _nothing_left(stopped)


@pytest.mark.parametrize("method", ["initialize", "session/new"])
async def test_an_agent_that_dies_at_once_is_told_with_its_last_words(stopped: World, method: str) -> None:
    await stopped.start(f"exit={method}")
    with pytest.raises(AgentProcessExited) as died:
        await stopped.create(id="wanted")
    assert died.value.extensions["exitCode"] == 1
    assert "told to exit" in died.value.extensions["stderr"]
    await _nothing_left(stopped)


@pytest.mark.parametrize("method", ["initialize", "session/new"])
async def test_an_error_of_the_agent_is_told_as_it_is(stopped: World, method: str) -> None:
    await stopped.start(f"fail={method}")
    with pytest.raises(StreamError, match=f"answered {method} with error -32603") as failed:
        await stopped.create(id="wanted")
    assert failed.value.extensions["error"]["code"] == -32603
    await _nothing_left(stopped)


async def test_missing_credentials_are_told_with_the_ways_to_log_in(stopped: World) -> None:
    await stopped.start("auth_required")
    with pytest.raises(StreamError) as refused:
        await stopped.create(id="wanted")
    assert refused.value.hint == "log in to mock or set its API key: Mock login (Always lets you in)"
    assert refused.value.extensions["authMethods"][0]["id"] == "mock-login"
    await _nothing_left(stopped)


async def test_a_banner_before_the_first_answer_does_no_harm(stopped: World) -> None:
    await stopped.start("banner")
    assert (await stopped.create()).state == "idle"


async def test_an_agent_that_cannot_be_restarted_fails_the_prompt_and_the_next_tries_again(stopped: World) -> None:
    await stopped.start()
    session = await stopped.create()
    await stopped.restart("hang=initialize", HASTY)
    failed = await stopped.prompt(session.id, "[[say x]]")
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["type"].endswith(":timeout")
    after = await stopped.sessions.get(session.id)
    assert (after.state, after.error) == ("failed", failed.error)
    assert stopped.agent_pids() == []
    await stopped.restart()
    assert (await stopped.sessions.get(session.id)).state == "failed"
    assert (await stopped.prompt(session.id, "[[say y]]")).state == "completed"
    assert (await stopped.sessions.get(session.id)).state == "idle"


async def _nothing_left(world: World) -> None:
    assert world.agent_pids() == []
    assert world.servers.list() == []
    assert (await world.sessions.list()).items == ()
    assert not await world.journals.exists("session/wanted")


# --- what agents in the wild answer without credentials


@pytest.mark.parametrize(
    ("error", "methods", "hint"),
    [
        (RpcError(-32000, "Gemini API key is missing"), (), "log in to x or set its API key"),
        (
            RpcError(-32000, "Authentication required", {"authMethods": [{"id": "login", "name": "Login"}]}),
            ({"id": "other", "name": "Other"},),
            "log in to x or set its API key: Login",
        ),
        (
            RpcError(-32000, "no", "text"),
            ({"id": "key"}, {"name": "B", "description": "c"}),
            "set its API key: key; B (c)",
        ),
        (RpcError(-32000, "no", {"authMethods": [3]}), (), "log in to x or set its API key"),
    ],
)
def test_the_hint_names_the_ways_the_agent_offers(error: RpcError, methods: Any, hint: str) -> None:
    problem = refusal(error, "session/new", agent="x", greeting=Greeting(auth_methods=methods))
    assert problem.hint is not None
    assert problem.hint.endswith(hint)


def test_an_error_keeps_its_data() -> None:
    problem = refusal(RpcError(-32603, "Internal error", {"details": "401"}), "session/prompt", agent="x")
    assert problem.extensions["error"] == {"code": -32603, "message": "Internal error", "data": {"details": "401"}}
    assert problem.hint is None
