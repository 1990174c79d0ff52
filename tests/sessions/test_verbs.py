"""Forking sessions, and what the agent is told at their end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.journal import Sender
from sandbox_agent.problems import Conflict, InvalidRequest, SessionAlreadyExists, SessionNotFound
from sandbox_agent.wire.sessions import SessionForkRequest

if TYPE_CHECKING:
    from .conftest import World

FORK = SessionForkRequest()


async def methods(world: World, session_id: str) -> list[str]:
    """What we asked the agent of this session's own process."""
    sent = [json.loads(payload) for sender, payload in await world.events(session_id) if sender is Sender.CLIENT]
    return [message["method"] for message in sent if "method" in message]


def mock_sessions(world: World) -> list[str]:
    """The sessions the mock agent itself keeps."""
    return sorted(path.stem for path in (world.folder / "mock").glob("*.jsonl"))


async def test_a_fork_remembers_and_goes_its_own_way(world: World) -> None:
    session = await world.create(model="mock-fast", title="First", permission_policy="allow_all")
    await world.prompt(session.id, "[[say one]]")
    fork = await world.sessions.fork(session.id, SessionForkRequest(id="fork", title="Second"))
    assert (fork.id, fork.title, fork.forked_from, fork.continuity) == ("fork", "Second", session.id, "native")
    assert (fork.model, fork.cwd, fork.permission_policy.default) == ("mock-fast", session.cwd, "allow_all")
    assert fork.agent_session_id != session.agent_session_id
    await world.prompt("fork", "[[recall]]")
    await world.prompt(session.id, "[[say two]]")
    said = await world.texts("fork")
    assert said[:2] == [("user", "[[say one]]"), ("agent", "one")], "its transcript begins with what was said before"
    assert said[-1] == ("agent", "I remember 1 earlier prompts.\n- [[say one]]")
    assert ("agent", "two") not in said
    assert "[[recall]]" not in [text for _, text in await world.texts(session.id)]


@pytest.mark.parametrize("fault", ["no_fork", "fail=session/fork", "exit=session/fork"])
async def test_an_agent_that_cannot_fork_is_told_the_transcript(stopped: World, fault: str) -> None:
    await stopped.start(fault)
    session = await stopped.create()
    await stopped.prompt(session.id, "[[say one]]")
    fork = await stopped.sessions.fork(session.id, FORK)
    assert fork.continuity == "rebootstrapped"
    for text in ("[[say on]]", "[[recall]]"):  # what it recalls is what came before this prompt
        await stopped.prompt(fork.id, text)
    recalled = (await stopped.texts(fork.id))[-1][1]
    assert "User: [[say one]]\nYou: one" in recalled
    assert fork.agent_session_id != session.agent_session_id


async def test_a_fork_outlives_the_server_and_the_session_it_comes_from(world: World) -> None:
    session = await world.create()
    await world.prompt(session.id, "[[say one]]")
    fork = await world.sessions.fork(session.id, FORK)
    await world.sessions.delete(session.id)
    await world.restart()
    await world.prompt(fork.id, "[[recall]]")
    assert (await world.texts(fork.id))[-1][1].endswith("- [[say one]]")
    assert (await world.sessions.get(fork.id)).forked_from == session.id


async def test_a_session_without_prompts_forks_too(world: World) -> None:
    session = await world.create()
    fork = await world.sessions.fork(session.id, FORK)
    assert (await world.prompt(fork.id, "[[say hi]]")).state == "completed"


async def test_a_long_history_is_copied_whole(world: World) -> None:
    session = await world.create()
    await world.prompt(session.id, "[[burst count=5000 size=1000]]")
    before = await world.events(session.id)
    fork = await world.sessions.fork(session.id, FORK)
    assert (await world.events(fork.id))[: len(before)] == before


async def test_what_cannot_be_forked_is_told_and_leaves_nothing(world: World) -> None:
    with pytest.raises(SessionNotFound):
        await world.sessions.fork("nothing", FORK)
    session = await world.create()
    with pytest.raises(SessionAlreadyExists):
        await world.sessions.fork(session.id, SessionForkRequest(id=session.id))
    with pytest.raises(InvalidRequest):
        await world.sessions.fork(session.id, SessionForkRequest(id="a/b"))
    prompt = await world.send(session.id, "[[hang]]")
    with pytest.raises(Conflict):
        await world.sessions.fork(session.id, FORK)
    await world.sessions.cancel(session.id)
    await world.ended(prompt)
    assert len((await world.sessions.list()).items) == 1


async def test_a_destroyed_session_is_closed_and_deleted_at_the_agent(world: World) -> None:
    session, other = await world.create(), await world.create()
    await world.prompt(session.id, "[[say hi]]")
    assert mock_sessions(world) == sorted([str(session.agent_session_id), str(other.agent_session_id)])
    await world.sessions.delete(session.id)
    assert mock_sessions(world) == [other.agent_session_id]


async def test_a_stopped_server_leaves_the_agents_sessions_alone(world: World) -> None:
    session = await world.create()
    await world.restart()
    assert mock_sessions(world) == [session.agent_session_id]
    assert "session/close" not in await methods(world, session.id)


@pytest.mark.parametrize("fault", ["no_close", "hang=session/close", "exit=session/close", "fail=session/close"])
async def test_an_agent_that_does_not_close_is_ended_all_the_same(stopped: World, fault: str) -> None:
    await stopped.start(fault)
    session = await stopped.create()
    await stopped.sessions.delete(session.id)
    assert stopped.agent_pids() == []
    with pytest.raises(SessionNotFound):
        await stopped.sessions.get(session.id)


async def test_the_agents_own_sessions_are_listed(world: World) -> None:
    session, other = await world.create(), await world.create()
    listed = await world.sessions.agent_sessions(session.id)
    assert {one["sessionId"] for one in listed.items} == {session.agent_session_id, other.agent_session_id}
    assert listed.next_cursor is None
