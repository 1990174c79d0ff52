"""Making, listing, changing and deleting sessions."""

from __future__ import annotations

import asyncio
import base64
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.problems import (
    AgentNotInstalled,
    AgentProcessExited,
    Conflict,
    InvalidRequest,
    ModeNotSupported,
    SessionAlreadyExists,
    SessionNotFound,
    UnsupportedAgent,
)
from sandbox_agent.wire.sessions import (
    PermissionAnswer,
    PermissionPolicy,
    PermissionRule,
    PromptRequest,
    SessionUpdateRequest,
)

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import World


async def test_a_prompt_is_answered_and_told_in_the_transcript(world: World) -> None:
    session = await world.create()
    info = await world.prompt(session.id, "[[say hello]]")
    assert (info.state, info.stop_reason) == ("completed", "end_turn")
    assert await world.texts(session.id) == [("user", "[[say hello]]"), ("agent", "hello")]


async def test_a_new_session_says_what_it_is_and_what_can_be_chosen(world: World) -> None:
    session = await world.create(title="Mine", id="my.session-1")
    assert (session.id, session.title, session.state, session.cwd) == ("my.session-1", "Mine", "idle", str(world.cwd))
    assert (session.model, session.mode, session.thought_level) == ("mock", "normal", "low")
    assert session.agent_info is not None
    assert session.agent_info["name"] == "mock"
    assert {option["id"] for option in session.config_options} == {"model", "mode", "thought_level"}
    assert session.persisted
    assert await world.sessions.get(session.id) == session


async def test_the_agent_runs_in_the_sessions_directory(world: World) -> None:
    (world.cwd / "here.txt").write_text("found")
    session = await world.create(permission_policy="allow_all")
    await world.prompt(session.id, "[[bash cat here.txt]]")
    assert b"found" in b"".join(payload for _, payload in await world.events(session.id))


async def test_what_is_chosen_at_creation_stands_before_the_first_prompt(world: World) -> None:
    session = await world.create(model="mock-fast", mode="plan", thought_level="high")
    assert (session.model, session.mode, session.thought_level) == ("mock-fast", "plan", "high")
    info = await world.prompt(session.id, "[[say hi]]")
    assert (info.model, info.mode, info.thought_level) == ("mock-fast", "plan", "high")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"agent": "nobody"}, UnsupportedAgent),
        ({"id": "a/b"}, InvalidRequest),
        ({"id": ""}, InvalidRequest),
        ({"id": ".."}, InvalidRequest),
        ({"id": "x" * 129}, InvalidRequest),
        ({"id": "a\n"}, InvalidRequest),
        ({"cwd": "relative"}, InvalidRequest),
        ({"cwd": "/no/such/folder"}, InvalidRequest),
        ({"cwd": "/etc/passwd"}, InvalidRequest),
        ({"cwd": "/a\0b"}, InvalidRequest),
        ({"mode": "fly"}, ModeNotSupported),
        ({"model": "gpt-0"}, InvalidRequest),
        ({"thought_level": "galactic"}, InvalidRequest),
        ({"mcp_servers": ({"name": "x"},)}, InvalidRequest),
    ],
)
async def test_what_cannot_be_made_leaves_nothing_behind(world: World, given: dict[str, Any], problem: Any) -> None:
    with pytest.raises(problem):
        await world.create(**({"id": "wanted", "agent": "mock"} | given))
    assert (await world.sessions.list()).items == ()
    assert world.agent_pids() == []
    assert world.servers.list() == []
    assert not await world.journals.exists("session/wanted")
    with pytest.raises(SessionNotFound):
        await world.sessions.get("wanted")
    assert (await world.create(id="wanted")).id == "wanted"


async def test_an_agent_that_is_not_installed_is_told_before_anything_is_made(stopped: World) -> None:
    await stopped.start(config={"agents": {"absent": {"command": "/no/such/program"}}})
    with pytest.raises(AgentNotInstalled):
        await stopped.create("absent", id="wanted")
    assert not await stopped.journals.exists("session/wanted")


STUBBORN = """
    import json, sys
    modes = {"currentModeId": "ask", "availableModes": [{"id": "ask"}, {"id": "fly"}]}
    option = {"id": "m", "category": "mode", "currentValue": "ask", "options": [{"value": "ask"}, {"value": "fly"}]}
    answers = {
        "initialize": {"protocolVersion": 1},
        "session/new": {"sessionId": "s", "configOptions": [option]},
        "session/set_config_option": {"configOptions": [option]},
    }
    for line in sys.stdin:
        message = json.loads(line)
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answers[message["method"]]}), flush=True)
"""


async def test_a_session_whose_agent_accepts_a_choice_in_words_only_is_not_made(stopped: World) -> None:
    program = stopped.folder / "stubborn.py"
    program.write_text(textwrap.dedent(STUBBORN))
    await stopped.start(config={"agents": {"stubborn": {"command": sys.executable, "args": [str(program)]}}})
    with pytest.raises(ModeNotSupported, match="did not accept the mode 'fly'; it stands at 'ask'"):
        await stopped.create("stubborn", mode="fly")
    assert (await stopped.sessions.list()).items == ()
    assert stopped.agent_pids() == []
    session = await stopped.create("stubborn", mode="ask")
    changed = await stopped.sessions.update(session.id, SessionUpdateRequest(mode="fly"))
    assert changed.mode == "ask", "a change answers the effective value"


async def test_a_server_that_stops_while_a_session_is_made_leaves_nothing_of_it(stopped: World) -> None:
    await stopped.start("hang=session/new")
    creating = asyncio.ensure_future(stopped.create(id="wanted"))
    await stopped.until(lambda: _has_agent(stopped))
    await stopped.sessions.stop()
    with pytest.raises(AgentProcessExited):
        await creating
    assert stopped.agent_pids() == []
    assert not await stopped.journals.exists("session/wanted")
    with pytest.raises(Conflict):
        await stopped.create()


async def test_an_id_that_is_taken_is_refused_even_while_its_session_is_being_made(world: World) -> None:
    both = await asyncio.gather(world.create(id="one"), world.create(id="one"), return_exceptions=True)
    assert sorted(type(result).__name__ for result in both) == ["SessionAlreadyExists", "SessionInfo"]
    with pytest.raises(SessionAlreadyExists):
        await world.create(id="one")
    assert len(world.agent_pids()) == 1


async def test_a_creation_nobody_waits_for_leaves_nothing_behind(stopped: World) -> None:
    await stopped.start("hang=session/new")
    creating = asyncio.ensure_future(stopped.create(id="wanted"))
    await stopped.until(lambda: _has_agent(stopped))
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    assert stopped.agent_pids() == []
    assert (await stopped.sessions.list()).items == ()


async def _has_agent(world: World) -> bool:
    return bool(world.servers.list())


async def test_options_are_changed_and_the_effective_values_answered(world: World) -> None:
    session = await world.create()
    changed = await world.sessions.update(session.id, SessionUpdateRequest(model="mock-fast", thought_level="medium"))
    assert (changed.model, changed.mode, changed.thought_level) == ("mock-fast", "normal", "medium")
    with pytest.raises(ModeNotSupported, match="available: normal, plan"):
        await world.sessions.update(session.id, SessionUpdateRequest(title="New", model="mock", mode="fly"))
    kept = await world.sessions.get(session.id)
    assert (kept.model, kept.mode, kept.title) == ("mock-fast", "normal", None), "a bad value changes nothing"


async def test_a_mode_the_agent_changes_itself_is_the_sessions_mode(world: World) -> None:
    session = await world.create()
    await world.prompt(session.id, "[[mode plan]]")
    assert (await world.sessions.get(session.id)).mode == "plan"


async def test_title_and_policy_change_without_an_agent(world: World) -> None:
    session = await world.create()
    await world.restart("exit=initialize")
    policy = PermissionPolicy(default="deny", rules=(PermissionRule(decision="allow", kinds=("read",)),))
    changed = await world.sessions.update(session.id, SessionUpdateRequest(title="New", permission_policy=policy))
    assert (changed.title, changed.permission_policy) == ("New", policy)


async def test_the_agents_title_is_taken_until_a_person_gives_one(world: World) -> None:
    session = await world.create()
    await world.prompt(session.id, "[[title From the agent]]")
    assert (await world.sessions.get(session.id)).title == "From the agent"
    await world.sessions.update(session.id, SessionUpdateRequest(title="Mine"))
    await world.prompt(session.id, "[[title Another]]")
    assert (await world.sessions.get(session.id)).title == "Mine"


async def test_a_deleted_session_is_gone_with_its_agent_and_events(world: World) -> None:
    session = await world.create(id="gone")
    await world.send(session.id, "[[sleep 60]]")
    await world.sessions.delete(session.id)
    assert world.agent_pids() == []
    assert not await world.journals.exists("session/gone")
    for call in (
        world.sessions.get("gone"),
        world.sessions.delete("gone"),
        world.sessions.cancel("gone"),
        world.sessions.transcript("gone"),
        world.sessions.journal("gone"),
        world.sessions.permissions("gone"),
        world.sessions.prompts("gone"),
        world.sessions.prompt("gone", PromptRequest(prompt="x"), idempotency_key=None),
        world.sessions.answer("gone", "perm_1", PermissionAnswer(reply="once"), by=None),
    ):
        with pytest.raises(SessionNotFound):
            await call
    again = await world.create(id="gone")
    assert (await world.sessions.prompts(again.id)).items == ()
    assert await world.texts(again.id) == []


async def test_a_session_is_deleted_once_by_whoever_comes_first(world: World) -> None:
    session = await world.create()
    await world.restart()
    results = await asyncio.gather(*(world.sessions.delete(session.id) for _ in range(3)), return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["NoneType", "SessionNotFound", "SessionNotFound"]


async def test_a_session_whose_directory_is_gone_says_so_and_lives(world: World) -> None:
    session = await world.create()
    await world.restart()
    world.cwd.rename(world.folder / "elsewhere")
    failed = await world.prompt(session.id, "[[say x]]")
    assert failed.state == "failed"
    assert failed.error is not None
    assert "cannot start" in failed.error["detail"]
    (world.folder / "elsewhere").rename(world.cwd)
    assert (await world.prompt(session.id, "[[say x]]")).state == "completed"


async def test_sessions_are_listed_in_pages_newest_first_across_a_restart(world: World) -> None:
    made = [(await world.create(id=f"s{number}")).id for number in range(5)]
    await world.restart()
    listed: list[str] = []
    cursor, pages = None, 0
    while True:
        page = await world.sessions.list(limit=2, cursor=cursor)
        listed += [session.id for session in page.items]
        pages += 1
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert (listed, pages) == (made[::-1], 3)
    assert world.sessions._live == {}, "listing reads no session into memory"


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!", "é", base64.b64encode(b"x,y").decode(), base64.b64encode(b"5").decode(), "9" * 5000]
)
async def test_a_bad_cursor_is_refused(world: World, cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        await world.sessions.list(cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_limit_out_of_range_is_refused(world: World, limit: int) -> None:
    with pytest.raises(InvalidRequest, match="limit must be from 1 to 1000"):
        await world.sessions.list(limit=limit)


async def test_listed_and_read_sessions_are_the_same_after_a_restart(world: World) -> None:
    session = await world.create()
    await world.prompt(session.id, "[[say one]]")
    await world.restart()
    listed = (await world.sessions.list()).items[0]
    assert listed == await world.sessions.get(session.id)
    assert listed.last_sequence > 0


async def test_sessions_not_in_use_leave_memory_and_come_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox_agent.sessions.service.KEPT_IN_MEMORY", 1)
    made = [(await world.create()).id for _ in range(4)]
    for session_id in made:
        await world.prompt(session_id, f"[[say {session_id}]]")
    await world.restart()
    for session_id in made * 2:
        assert (await world.texts(session_id))[1] == ("agent", session_id)
        assert len(world.sessions._live) <= 2


async def test_activity_is_told_while_a_prompt_runs(world: World) -> None:
    session = await world.create()
    assert not world.sessions.busy
    prompt = await world.send(session.id, "[[sleep 0.2]] [[say done]]")
    assert world.sessions.busy
    await world.ended(prompt)
    assert not world.sessions.busy


async def test_events_are_emitted_with_ids_and_states_and_never_with_words(world: World) -> None:
    session = await world.create()
    prompt = await world.send(session.id, "secret words [[ask May I?]]")
    asked = await world.asked(session.id)
    await world.answer(asked, "once", by="ann")
    await world.ended(prompt)
    assert [name for name, _ in world.told] == [
        "session_created",
        "turn_started",
        "permission_asked",
        "permission_resolved",
        "turn_ended",
    ]
    assert all(data["sessionId"] == session.id and data["agent"] == "mock" for _, data in world.told)
    assert world.told[-1][1]["state"] == "completed"
    assert "secret" not in str(world.told)


async def test_stopping_ends_every_agent(world: World, tmp_path: Path) -> None:
    for _ in range(3):
        await world.send((await world.create()).id, "[[sleep 60]]")
    supervisor = world.supervisor
    await world.sessions.stop()
    assert supervisor.children() == []
