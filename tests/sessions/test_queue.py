"""Prompts as jobs: order, keys, ends of every kind, cancel."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.journal import Sender
from sandbox_agent.problems import Conflict, InvalidRequest, NotFound
from sandbox_agent.sessions import SessionOptions
from sandbox_agent.wire.sessions import PromptRequest, SessionUpdateRequest

from ..support.pids import alive

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import World


def notes(events: list[tuple[Sender, bytes]], method: str) -> list[dict[str, Any]]:
    """The parameters of the server's own entries of that method."""
    decoded = [json.loads(payload) for sender, payload in events if sender is Sender.SERVER]
    return [entry["params"] for entry in decoded if entry["method"] == method]


async def test_prompts_run_one_after_another_in_the_order_they_came(world: World) -> None:
    """R16: many at once; the log holds one turn after the other."""
    session = await world.create()
    sent = await asyncio.gather(*(world.send(session.id, f"[[say {number}]] [[sleep 0.01]]") for number in range(12)))
    assert len({prompt.id for prompt in sent}) == 12
    ended = [await world.ended(prompt) for prompt in sent]
    assert {prompt.state for prompt in ended} == {"completed"}
    turns = [(note["promptId"], note["state"]) for note in notes(await world.events(session.id), "_session/turn")]
    assert turns == [(prompt.id, state) for prompt in sent for state in ("running", "completed")]
    assert [text for role, text in await world.texts(session.id) if role == "agent"] == [str(n) for n in range(12)]


async def test_an_accepted_prompt_is_queued_at_once_while_another_runs(world: World) -> None:
    session = await world.create()
    await world.send(session.id, "[[sleep 100]]")
    second = await world.send(session.id, "[[say second]]")
    assert second.state == "queued"
    info = await world.sessions.get(session.id)
    assert (info.state, info.queued_prompts) == ("running", 1)
    assert info.current_prompt_id is not None
    assert info.current_prompt_id != second.id


async def test_a_prompts_events_lie_between_its_first_and_last(world: World) -> None:
    session = await world.create()
    info = await world.prompt(session.id, "[[say hi]]")
    events = await world.events(session.id)
    assert info.first_sequence is not None
    assert info.last_sequence is not None
    first, last = (json.loads(events[number - 1][1])["params"] for number in (info.first_sequence, info.last_sequence))
    assert (first["state"], last["state"]) == ("running", "completed")
    assert first["promptId"] == last["promptId"] == info.id


async def test_the_same_key_never_runs_a_prompt_twice(world: World) -> None:
    session = await world.create()
    one, two = await asyncio.gather(*(world.send(session.id, "[[say once]]", key="k") for _ in range(2)))
    assert one.id == two.id
    await world.ended(one)
    assert (await world.send(session.id, "[[say once]]", key="k")).state == "completed"
    with pytest.raises(Conflict, match="used for another prompt") as conflict:
        await world.send(session.id, "[[say twice]]", key="k")
    assert conflict.value.extensions["promptId"] == one.id
    await world.restart()
    assert (await world.send(session.id, "[[say once]]", key="k")).id == one.id
    assert [text for role, text in await world.texts(session.id) if role == "agent"] == ["once"]


async def test_a_key_belongs_to_one_session(world: World) -> None:
    first, second = await world.create(), await world.create()
    one, two = await world.send(first.id, "[[say a]]", key="k"), await world.send(second.id, "[[say b]]", key="k")
    assert one.id != two.id


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\nb"])
async def test_a_malformed_key_is_refused(world: World, key: str) -> None:
    session = await world.create()
    with pytest.raises(InvalidRequest, match="Idempotency-Key"):
        await world.send(session.id, "x", key=key)


async def test_content_the_agent_cannot_take_is_refused_before_it_is_queued(world: World) -> None:
    session = await world.create()
    world.sessions._live[session.id].core.change(agent_capabilities={"promptCapabilities": {"image": False}})
    image = {"type": "image", "data": "", "mimeType": "image/png"}
    with pytest.raises(InvalidRequest, match="mock takes no image content"):
        await world.sessions.prompt(session.id, PromptRequest(prompt=(image,)), idempotency_key="k")
    assert (await world.sessions.prompts(session.id)).items == ()


async def test_unknown_prompts_are_not_found(world: World) -> None:
    session = await world.create()
    for call in (world.sessions.prompt_info(session.id, "prm_x"), world.sessions.wait_prompt(session.id, "a/b", 1)):
        with pytest.raises(NotFound):
            await call


async def test_waiting_ends_with_the_prompt_or_with_the_time(world: World) -> None:
    session = await world.create()
    prompt = await world.send(session.id, "[[sleep 0.3]] [[say done]]")
    assert (await world.sessions.wait_prompt(session.id, prompt.id, 0.01)).state in {"queued", "running"}
    assert (await world.ended(prompt)).state == "completed"
    assert (await world.sessions.wait_prompt(session.id, prompt.id, 0)).state == "completed"


async def test_prompts_are_listed_in_pages_in_their_order(world: World) -> None:
    session = await world.create()
    sent = [(await world.prompt(session.id, f"[[say {number}]]")).id for number in range(3)]
    page = await world.sessions.prompts(session.id, limit=2)
    rest = await world.sessions.prompts(session.id, limit=2, cursor=page.next_cursor)
    assert [prompt.id for prompt in (*page.items, *rest.items)] == sent
    assert rest.next_cursor is None


async def test_an_agents_usage_and_stop_reason_are_kept(world: World) -> None:
    session = await world.create()
    info = await world.prompt(session.id, "[[say x]] [[stop max_tokens]]")
    assert (info.state, info.stop_reason) == ("completed", "max_tokens")
    assert info.usage is not None
    assert info.usage["totalTokens"] > 0


async def test_an_error_of_the_agent_fails_the_turn_and_not_the_session(world: World) -> None:
    session = await world.create()
    info = await world.prompt(session.id, "[[error code=-32042 message=no luck]]")
    assert info.state == "failed"
    assert info.error is not None
    assert info.error["type"] == "urn:sandbox-agent:error:stream_error"
    assert info.error["error"] == {"code": -32042, "message": "no luck"}
    assert (await world.sessions.get(session.id)).state == "idle"
    assert (await world.prompt(session.id, "[[say on]]")).state == "completed"


async def test_a_turn_that_ends_well_without_a_word_is_failed_as_the_transcript_shows_it(world: World) -> None:
    session = await world.create()
    info = await world.prompt(session.id, "[[stop end_turn]]")
    assert info.state == "failed"
    assert info.error is not None
    assert info.error["inferred"] == "empty"


async def test_no_answer_is_lost_when_the_caller_gave_up(world: World) -> None:
    """R22: nobody waits, and the answer is the turn's result all the same."""
    session = await world.create()
    prompt = await world.send(session.id, "[[sleep 0.2]] [[say late]]")
    waiting = asyncio.ensure_future(world.sessions.wait_prompt(session.id, prompt.id, 60))
    await asyncio.sleep(0)
    waiting.cancel()
    info = await world.ended(prompt)
    assert info.stop_reason == "end_turn"
    assert ("agent", "late") in await world.texts(session.id)


# --- the agent dies


@pytest.mark.parametrize(
    ("how", "code", "signal"), [("[[stderr last words]] [[crash code=7]]", 7, None), ("[[kill signal=9]]", None, 9)]
)
async def test_an_agent_that_dies_fails_its_turn_at_once_and_the_next_prompt_resumes(
    world: World, how: str, code: int | None, signal: int | None
) -> None:
    """R1."""
    session = await world.create()
    await world.prompt(session.id, "[[say remember me]]")
    prompt = await world.send(session.id, f"[[say a]] [[say b]] {how}")
    info = await world.ended(prompt)
    assert (info.state, info.stop_reason) == ("failed", "agent_exited")
    assert info.error is not None
    assert (info.error.get("exitCode"), info.error.get("signal")) == (code, signal)
    if code == 7:
        assert "last words" in info.error["stderr"]
    assert (await world.prompt(session.id, "[[recall]]")).state == "completed"
    after = await world.sessions.get(session.id)
    assert (after.continuity, after.state, after.error) == ("native", "idle", None)
    said = (await world.texts(session.id))[-1][1]
    assert "remember me" in said
    restored = notes(await world.events(session.id), "_session/restored")
    assert [note["continuity"] for note in restored] == ["native"]


async def test_permissions_end_with_the_agent_that_asked(world: World) -> None:
    """R1: pending permissions are cancelled."""
    session = await world.create()
    prompt = await world.send(session.id, "[[ask May I?]]")
    asked = await world.asked(session.id)
    os.kill(world.agent_pids()[0], 9)
    info = await world.ended(prompt)
    assert info.stop_reason == "agent_exited"
    told = (await world.sessions.permissions(session.id)).items[0]
    assert (told.id, told.state, told.resolved_by, told.reason) == (asked.id, "cancelled", "cancel", "agent_exited")
    with pytest.raises(Conflict):
        await world.answer(asked, "once")


async def test_queued_prompts_go_on_after_an_agent_died(world: World) -> None:
    session = await world.create()
    first, second = [await world.send(session.id, text) for text in ("[[crash code=1]]", "[[say on]]")]
    assert (await world.ended(first)).state == "failed"
    assert (await world.ended(second)).state == "completed"


async def test_an_agent_that_died_between_turns_is_restarted_by_the_next_prompt(world: World) -> None:
    session = await world.create()
    await world.prompt(session.id, "[[say one]]")
    os.kill(world.agent_pids()[0], 9)
    await world.until(lambda: _quiet(world))
    assert (await world.sessions.get(session.id)).state == "idle"
    assert (await world.prompt(session.id, "[[say two]]")).state == "completed"


async def _quiet(world: World) -> bool:
    return not world.servers.list()


# --- cancel


@pytest.mark.parametrize(
    "what", ["[[tick count=100000 every=0.01]]", "[[bash sleep 1000]]", "[[ask May I?]]", "[[sleep 1000]]"]
)
async def test_a_cancel_ends_the_turn_soon_and_the_next_prompt_works(world: World, what: str) -> None:
    """R25: while streaming, in a tool, waiting for permission, silent."""
    policy: Any = "ask" if "ask" in what else "allow_all"
    session = await world.create(permission_policy=policy)
    prompt = await world.send(session.id, what)
    if "ask" in what:
        await world.asked(session.id)
    else:
        await world.until(lambda: _permitted(world, session.id) if "bash" in what else _running(world, session.id))
    info = await world.sessions.cancel(session.id)
    assert (info.state, info.pending_permissions) == ("idle", 0)
    ended = await world.sessions.prompt_info(session.id, prompt.id)
    assert (ended.state, ended.stop_reason) == ("cancelled", "cancelled")
    assert len(world.agent_pids()) == 1, "the agent obeyed and lives on"
    assert (await world.prompt(session.id, "[[say next]]")).state == "completed"
    permissions = (await world.sessions.permissions(session.id)).items
    assert all(asked.state == ("cancelled" if policy == "ask" else "selected") for asked in permissions)


async def _permitted(world: World, session_id: str) -> bool:
    return any(asked.state == "selected" for asked in (await world.sessions.permissions(session_id)).items)


async def _running(world: World, session_id: str) -> bool:
    return (await world.sessions.get(session_id)).current_prompt_id is not None


@pytest.mark.parametrize("mock", ["", "ignore_term", "no_resume no_load"])
async def test_an_agent_that_ignores_a_cancel_is_replaced_after_the_grace_period(stopped: World, mock: str) -> None:
    """R25."""
    await stopped.start(mock)
    session = await stopped.create()
    await stopped.prompt(session.id, "[[say before]]")
    prompt = await stopped.send(session.id, "[[spawn count=2]] [[hang]]")
    await stopped.until(lambda: _said(stopped, session.id, "spawned"))
    pids = stopped.agent_pids()
    await stopped.sessions.cancel(session.id)
    assert (await stopped.sessions.prompt_info(session.id, prompt.id)).state == "cancelled"
    assert stopped.agent_pids() == []
    assert not any(alive(pid) for pid in pids)
    assert (await stopped.prompt(session.id, "[[recall]]")).state == "completed"
    assert (await stopped.sessions.get(session.id)).continuity == ("rebootstrapped" if "no_load" in mock else "native")
    turn = next(
        item for item in (await stopped.sessions.transcript(session.id)).items if item.id == f"turn:{prompt.id}"
    )
    assert turn.state == "cancelled"  # type: ignore[union-attr]


async def _said(world: World, session_id: str, text: str) -> bool:
    return any(text in said for _, said in await world.texts(session_id))


async def test_an_agent_that_does_not_read_its_input_is_cancelled_all_the_same(world: World) -> None:
    session = await world.create()
    prompt = await world.send(session.id, "[[sleep 60]]")
    await world.until(lambda: _running(world, session.id))
    os.kill(world.agent_pids()[0], 19)
    await world.sessions.cancel(session.id)
    assert (await world.sessions.prompt_info(session.id, prompt.id)).state == "cancelled"


async def test_a_cancel_empties_the_queue(world: World) -> None:
    session = await world.create()
    sent = [await world.send(session.id, text) for text in ("[[sleep 60]]", "[[say two]]", "[[say three]]")]
    await world.sessions.cancel(session.id)
    states = [(await world.sessions.prompt_info(session.id, prompt.id)).state for prompt in sent]
    assert states == ["cancelled"] * 3
    assert not world.sessions.busy
    assert all(role == "user" for role, _ in await world.texts(session.id))


async def test_a_cancel_when_nothing_runs_does_nothing(world: World) -> None:
    session = await world.create()
    assert (await world.sessions.cancel(session.id)).state == "idle"
    assert (await world.prompt(session.id, "[[say fine]]")).state == "completed"


async def test_a_turn_is_cancelled_while_its_agent_still_starts(stopped: World) -> None:
    await stopped.start()
    session = await stopped.create()
    await stopped.restart("hang=initialize")
    prompt = await stopped.send(session.id, "[[say x]]")
    await stopped.until(lambda: _has_agent(stopped))
    await stopped.sessions.cancel(session.id)
    assert (await stopped.sessions.prompt_info(session.id, prompt.id)).state == "cancelled"
    assert stopped.agent_pids() == []


async def _has_agent(world: World) -> bool:
    return bool(world.servers.list())


async def test_options_can_be_changed_while_a_turn_runs(world: World) -> None:
    session = await world.create()
    prompt = await world.send(session.id, "[[sleep 0.2]] [[say x]]")
    changed = await world.sessions.update(session.id, SessionUpdateRequest(model="mock-fast"))
    assert changed.model == "mock-fast"
    assert (await world.ended(prompt)).state == "completed"


async def test_a_long_turn_is_whole_in_the_journal(world: World) -> None:
    session = await world.create()
    info = await world.prompt(session.id, "[[burst count=20000 size=250]]")
    assert info.state == "completed"
    chunks = [
        payload for sender, payload in await world.events(session.id) if sender is Sender.AGENT and b"_chunk" in payload
    ]
    assert len(chunks) == 20000
    ((_, _), (_, text)) = await world.texts(session.id)
    assert text.startswith("00000000")
    assert "00019999" in text


async def test_an_agent_that_asks_for_something_unknown_is_told_that_there_is_no_such_method(world: World) -> None:
    session = await world.create()
    await world.prompt(session.id, '[[call method=fs/watch params={"path": "/etc/passwd"}]]')
    events = await world.events(session.id)
    answers = [json.loads(payload) for sender, payload in events if sender is Sender.CLIENT and b'"error"' in payload]
    assert [answer["error"]["code"] for answer in answers] == [-32601]
    initialize = next(json.loads(payload) for sender, payload in events if sender is Sender.CLIENT)
    assert initialize["params"]["clientInfo"]["name"] == "sandbox-agent"


async def test_a_grace_period_of_its_own_is_kept(stopped: World, tmp_path: Path) -> None:
    await stopped.start(options=SessionOptions(cancel_grace=0.05, end_grace=0.2))
    session = await stopped.create()
    prompt = await stopped.send(session.id, "[[hang]]")
    await stopped.until(lambda: _running(stopped, session.id))
    await stopped.sessions.cancel(session.id)
    assert (await stopped.sessions.prompt_info(session.id, prompt.id)).state == "cancelled"
