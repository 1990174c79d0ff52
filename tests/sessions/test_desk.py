"""Permissions: asked once, answered once, on disk; by a person, by policy, or cancelled. Never by time."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.journal import Sender
from sandbox_agent.problems import Conflict, InvalidRequest, NotFound
from sandbox_agent.wire.sessions import (
    PermissionAnswer,
    PermissionPolicy,
    PermissionRule,
    SessionUpdateRequest,
)

if TYPE_CHECKING:
    from .conftest import World


async def test_a_tool_waits_until_a_person_answers_and_then_runs(world: World) -> None:
    (world.cwd / "notes.txt").write_text("one two")
    session = await world.create()
    prompt = await world.send(session.id, "[[edit path=notes.txt old=two new=2]]")
    asked = await world.asked(session.id)
    assert (await world.sessions.get(session.id)).state == "waiting"
    assert (asked.state, asked.prompt_id, asked.tool_call["kind"]) == ("pending", prompt.id, "edit")
    assert set(asked.available_replies) >= {"once", "reject"}
    assert (world.cwd / "notes.txt").read_text() == "one two"
    answered = await world.answer(asked, "once", by="ann")
    assert (answered.state, answered.reply, answered.resolved_by, answered.resolved_by_name) == (
        "selected",
        "once",
        "client",
        "ann",
    )
    assert (await world.ended(prompt)).state == "completed"
    assert (world.cwd / "notes.txt").read_text() == "one 2"


async def test_a_rejected_tool_does_not_run_and_the_turn_goes_on(world: World) -> None:
    session = await world.create()
    prompt = await world.send(session.id, "[[write path=new.txt text=x]] [[say after]]")
    await world.answer(await world.asked(session.id), "reject")
    assert (await world.ended(prompt)).state == "completed"
    assert not (world.cwd / "new.txt").exists()
    assert ("agent", "after") in await world.texts(session.id)


async def test_an_option_can_be_chosen_by_its_own_id(world: World) -> None:
    session = await world.create()
    prompt = await world.send(session.id, "[[ask May I?]]")
    asked = await world.asked(session.id)
    option = next(option for option in asked.options if option.kind == "allow_always")
    answer = PermissionAnswer(option_id=option.option_id)
    answered = await world.sessions.answer(session.id, asked.id, answer, by=None)
    assert (answered.option_id, answered.reply) == (option.option_id, "always")
    await world.ended(prompt)


async def test_the_first_of_many_answers_counts_and_the_others_learn_of_it(world: World) -> None:
    session = await world.create()
    prompt = await world.send(session.id, "[[ask May I?]]")
    asked = await world.asked(session.id)
    answers = await asyncio.gather(
        *(world.answer(asked, reply, by=who) for who, reply in (("ann", "reject"), ("bob", "once"), ("cid", "once"))),
        return_exceptions=True,
    )
    first, *others = answers
    assert not isinstance(first, BaseException)
    assert first.resolved_by_name == "ann"
    for late in others:
        assert isinstance(late, Conflict)
        assert late.extensions["permission"]["resolvedByName"] == "ann"
    await world.ended(prompt)
    sent = [
        payload
        for sender, payload in await world.events(session.id)
        if sender is Sender.CLIENT and b'"outcome":"selected"' in payload
    ]
    assert len(sent) == 1, "the agent is answered once"
    with pytest.raises(Conflict):
        await world.answer(asked, "once")


async def test_unknown_permissions_and_answers_are_refused(world: World) -> None:
    session = await world.create()
    prompt = await world.send(session.id, "[[ask May I?]]")
    asked = await world.asked(session.id)
    for permission_id in ("perm_99", "", "../x"):
        with pytest.raises(NotFound):
            await world.sessions.answer(session.id, permission_id, PermissionAnswer(reply="once"), by=None)
    for answer in (PermissionAnswer(), PermissionAnswer(reply="once", option_id="x"), PermissionAnswer(option_id="x")):
        with pytest.raises(InvalidRequest):
            await world.sessions.answer(session.id, asked.id, answer, by=None)
    assert (await world.asked(session.id)).state == "pending"
    await world.answer(asked, "once")
    await world.ended(prompt)


async def test_a_permission_of_one_session_cannot_be_answered_through_another(world: World) -> None:
    mine, other = await world.create(), await world.create()
    await world.send(mine.id, "[[ask May I?]]")
    asked = await world.asked(mine.id)
    with pytest.raises(NotFound):
        await world.sessions.answer(other.id, asked.id, PermissionAnswer(reply="once"), by=None)


async def test_nothing_is_approved_while_nobody_answers(world: World) -> None:
    """S9: there is no time-out to run into; the request waits, and a cancel ends it as cancelled."""
    session = await world.create()
    prompt = await world.send(session.id, "[[write path=new.txt text=x]]")
    await world.asked(session.id)
    assert (await world.sessions.wait_prompt(session.id, prompt.id, 1)).state == "running"
    await world.sessions.cancel(session.id)
    assert not (world.cwd / "new.txt").exists()
    told = (await world.sessions.permissions(session.id)).items[0]
    assert (told.resolved_by, told.reason) == ("cancel", "turn_cancelled")


# --- policies


async def test_what_a_policy_allows_runs_without_asking_and_is_recorded(world: World) -> None:
    session = await world.create(permission_policy="allow_edits")
    info = await world.prompt(session.id, "[[write path=new.txt text=x]]")
    assert info.state == "completed"
    assert (world.cwd / "new.txt").read_text() == "x"
    decided = (await world.sessions.permissions(session.id)).items[0]
    assert (decided.state, decided.reply, decided.resolved_by, decided.rule) == (
        "selected",
        "once",
        "policy",
        "default allow_edits",
    )
    transcript = await world.sessions.transcript(session.id)
    shown = next(item for item in transcript.items if item.id == f"permission:{decided.id}")
    assert (shown.state, shown.resolved_by, shown.rule) == ("selected", "policy", "default allow_edits")  # type: ignore[union-attr]


async def test_what_a_policy_leaves_open_is_asked(world: World) -> None:
    session = await world.create(permission_policy="allow_edits")
    prompt = await world.send(session.id, "[[bash touch made.txt]]")
    asked = await world.asked(session.id)
    assert not (world.cwd / "made.txt").exists()
    await world.answer(asked, "once")
    await world.ended(prompt)
    assert (world.cwd / "made.txt").exists()


async def test_an_edit_outside_the_working_directory_is_asked_about(world: World) -> None:
    session = await world.create(permission_policy="allow_edits")
    await world.send(session.id, f"[[write path={world.folder / 'outside.txt'} text=x]]")
    assert (await world.asked(session.id)).tool_call["kind"] == "edit"
    assert not (world.folder / "outside.txt").exists()


async def test_a_denying_policy_rejects_and_the_turn_lives(world: World) -> None:
    session = await world.create(permission_policy="deny")
    info = await world.prompt(session.id, "[[bash touch made.txt]] [[say on]]")
    assert (info.state, info.stop_reason) == ("completed", "end_turn")
    assert not (world.cwd / "made.txt").exists()
    decided = (await world.sessions.permissions(session.id)).items[0]
    assert (decided.reply, decided.resolved_by, decided.rule) == ("reject", "policy", "default deny")
    assert ("agent", "on") in await world.texts(session.id)


async def test_rules_decide_by_command_and_name_themselves(world: World) -> None:
    policy = PermissionPolicy(rules=(PermissionRule(decision="allow", kinds=("execute",), command="echo"),))
    session = await world.create(permission_policy=policy)
    assert (await world.prompt(session.id, "[[bash echo hi]]")).state == "completed"
    assert (await world.sessions.permissions(session.id)).items[0].rule == "rule 0"
    await world.send(session.id, "[[bash echo hi; touch made.txt]]")
    assert "touch" in str((await world.asked(session.id)).tool_call)


async def test_a_policy_given_later_holds_from_then_on(world: World) -> None:
    session = await world.create()
    await world.sessions.update(session.id, SessionUpdateRequest(permission_policy="allow_all"))
    assert (await world.prompt(session.id, "[[bash touch made.txt]]")).state == "completed"
    assert (world.cwd / "made.txt").exists()


async def test_decisions_are_on_disk_before_the_agent_hears_them(world: World) -> None:
    session = await world.create(permission_policy="allow_all")
    await world.prompt(session.id, "[[bash touch made.txt]]")
    path = world.folder / "sessions.db"
    await world.die()
    await world.start()
    assert path.exists()
    assert (await world.sessions.permissions(session.id)).items[0].resolved_by == "policy"


# --- restarts


@pytest.mark.parametrize("ending", ["stop", "die"])
async def test_a_permission_that_was_pending_is_cancelled_after_a_restart(world: World, ending: str) -> None:
    session = await world.create()
    prompt = await world.send(session.id, "[[write path=new.txt text=x]]")
    asked = await world.asked(session.id)
    await (world.stop() if ending == "stop" else world.die())
    await world.start()
    told = (await world.sessions.permissions(session.id)).items
    assert [(one.id, one.state, one.resolved_by) for one in told] == [(asked.id, "cancelled", "cancel")]
    assert told[0].reason == "server_restarted"
    assert (await world.sessions.permissions(session.id, pending_only=True)).items == ()
    with pytest.raises(Conflict, match="since the server was restarted"):
        await world.answer(asked, "once")
    after = await world.sessions.prompt_info(session.id, prompt.id)
    assert (after.state, after.stop_reason) == ("failed", "agent_exited")
    assert after.error is not None
    assert after.error["reason"] == "server_restarted"
    assert not (world.cwd / "new.txt").exists()
    items = {item.id: item for item in (await world.sessions.transcript(session.id)).items}
    assert items[f"permission:{asked.id}"].state == "cancelled"  # type: ignore[union-attr]
    assert items[f"turn:{prompt.id}"].state == "failed"  # type: ignore[union-attr]


async def test_permission_numbers_go_on_after_a_restart(world: World) -> None:
    session = await world.create(permission_policy="deny")
    await world.prompt(session.id, "[[ask One?]]")
    await world.restart()
    await world.prompt(session.id, "[[ask Two?]]")
    asked = (await world.sessions.permissions(session.id)).items
    assert [one.id for one in asked] == ["perm_1", "perm_2"]


async def test_every_permission_is_told_in_the_events(world: World) -> None:
    session = await world.create()
    prompt = await world.send(session.id, "[[ask May I?]]")
    await world.answer(await world.asked(session.id), "once", by="ann")
    await world.ended(prompt)
    told: list[dict[str, Any]] = [
        json.loads(payload)["params"]
        for sender, payload in await world.events(session.id)
        if sender is Sender.SERVER and b"_session/permission" in payload
    ]
    assert [note["state"] for note in told] == ["pending", "selected"]
    assert (told[1]["resolvedBy"], told[1]["resolvedByName"], told[1]["reply"]) == ("client", "ann", "once")
