"""Restarts: what an agent remembers, how it got it back, and that nothing is recorded or run twice."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.journal import Sender
from sandbox_agent.sessions import SessionOptions, view
from sandbox_agent.sessions.handshake import Greeting
from sandbox_agent.sessions.restore import Replay, last_prompt, priming, ways
from sandbox_agent.wire.sessions import SessionUpdateRequest
from sandbox_agent.wire.transcript import MessageItem, ToolCallItem, Transcript

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import World


def sent(events: list[tuple[Sender, bytes]]) -> list[str]:
    """Methods of the requests we sent the agent, in order."""
    decoded = [json.loads(payload) for sender, payload in events if sender is Sender.CLIENT]
    return [message["method"] for message in decoded if "id" in message and "method" in message]


async def told_last(world: World, session_id: str) -> str:
    """All that the last prompt told the agent."""
    decoded = [json.loads(payload) for sender, payload in await world.events(session_id) if sender is Sender.CLIENT]
    blocks = [message for message in decoded if message.get("method") == "session/prompt"][-1]["params"]["prompt"]
    return "".join(block["text"] for block in blocks)


WAYS = [
    ("", "native", "session/resume"),
    ("no_resume", "loaded", "session/load"),
    ("no_resume no_load", "rebootstrapped", "session/new"),
]


@pytest.mark.parametrize(("mock", "continuity", "method"), WAYS)
async def test_a_session_goes_on_after_a_restart_of_the_server(
    stopped: World, mock: str, continuity: str, method: str
) -> None:
    await stopped.start()
    session = await stopped.create(mode="plan", thought_level="high", title="Kept")
    await stopped.prompt(session.id, "[[say remember 42]]")
    before = await stopped.sessions.transcript(session.id)
    await stopped.restart(mock)
    assert stopped.agent_pids() == [], "an agent is started when it is needed"
    after = await stopped.sessions.transcript(session.id)
    assert after.items[: len(before.items)] == before.items
    info = await stopped.prompt(session.id, "[[recall]]")
    assert (info.state, info.mode, info.thought_level) == ("completed", "plan", "high")
    kept = await stopped.sessions.get(session.id)
    assert (kept.continuity, kept.title, kept.mode) == (continuity, "Kept", "plan")
    said = await stopped.texts(session.id)
    assert [role for role, _ in said] == ["user", "agent", "user", "agent"], "nothing is told twice"
    assert said[:2] == [("user", "[[say remember 42]]"), ("agent", "remember 42")]
    assert said[2] == ("user", "[[recall]]"), "what the agent is told of the past is not shown as the user's words"
    assert "remember 42" in (said[3][1] if continuity != "rebootstrapped" else await told_last(stopped, session.id))
    assert method in sent(await stopped.events(session.id))
    notes = [payload for sender, payload in await stopped.events(session.id) if b"_session/restored" in payload]
    assert [json.loads(note)["params"]["continuity"] for note in notes] == [continuity]


@pytest.mark.parametrize(("mock", "continuity", "method"), WAYS)
async def test_a_replayed_history_is_not_recorded_again(
    stopped: World, mock: str, continuity: str, method: str
) -> None:
    await stopped.start()
    session = await stopped.create()
    for number in range(3):
        await stopped.prompt(session.id, f"[[say number-{number}]]")
    for _ in range(2):
        await stopped.restart(mock)
        await stopped.prompt(session.id, "[[say again]]")
    events = await stopped.events(session.id)
    told = [payload for sender, payload in events if sender is Sender.AGENT and b"number-1" in payload]
    assert len(told) == 1
    assert sent(events).count(method) == (3 if method == "session/new" else 2)
    roles = [role for role, _ in await stopped.texts(session.id)]
    assert roles == ["user", "agent"] * 5


async def test_a_way_back_that_fails_is_followed_by_the_next(stopped: World) -> None:
    """The agent forgot the session: neither resume nor load finds it, so it is told the transcript."""
    await stopped.start()
    session = await stopped.create()
    await stopped.prompt(session.id, "[[say remember 42]]")
    await stopped.stop()
    for file in (stopped.folder / "mock").glob("*"):
        file.unlink()
    await stopped.start()
    assert (await stopped.prompt(session.id, "[[recall]]")).state == "completed"
    assert (await stopped.sessions.get(session.id)).continuity == "rebootstrapped"
    assert sent(await stopped.events(session.id))[-4:] == [
        "session/resume",
        "session/load",
        "session/new",
        "session/prompt",
    ]
    assert "You: remember 42" in await told_last(stopped, session.id)


@pytest.mark.parametrize("fault", ["exit", "hang"])
async def test_an_agent_that_dies_or_hangs_on_one_way_back_is_started_anew_for_the_next(
    stopped: World, fault: str
) -> None:
    await stopped.start()
    session = await stopped.create()
    await stopped.prompt(session.id, "[[say remember 42]]")
    await stopped.restart(f"{fault}=session/resume", SessionOptions(session_deadline=0.5, end_grace=0.2))
    assert (await stopped.prompt(session.id, "[[recall]]")).state == "completed"
    assert (await stopped.sessions.get(session.id)).continuity == "loaded"
    assert len(stopped.agent_pids()) == 1


async def test_the_past_is_told_once_and_again_only_after_another_loss(stopped: World) -> None:
    await stopped.start("no_resume no_load")
    session = await stopped.create()
    for text in ("[[say one]]", "[[crash code=1]]", "[[say two]]", "[[say three]]"):
        await stopped.prompt(session.id, text)
    prompts = [
        json.loads(payload)["params"]["prompt"]
        for sender, payload in await stopped.events(session.id)
        if sender is Sender.CLIENT and b'"session/prompt"' in payload
    ]
    assert [len(blocks) for blocks in prompts] == [1, 1, 2, 1]
    assert "You: one" in prompts[2][0]["text"]


async def test_a_session_without_a_word_so_far_has_lost_nothing(stopped: World) -> None:
    await stopped.start()
    session = await stopped.create()
    await stopped.restart("no_resume no_load")
    await stopped.prompt(session.id, "[[say hi]]")
    assert (await stopped.sessions.get(session.id)).continuity == "native"
    assert [role for role, _ in await stopped.texts(session.id)] == ["user", "agent"]


async def test_a_memory_that_nobody_has_any_more_is_said_to_be_lost(stopped: World) -> None:
    await stopped.start()
    session = await stopped.create()
    await stopped.prompt(session.id, "[[say remember 42]]")
    await stopped.sessions.stop()
    await stopped.journals.delete(f"session/{session.id}")
    await stopped.stop()
    await stopped.start("no_resume no_load")
    assert (await stopped.prompt(session.id, "[[say hi]]")).state == "completed"
    assert (await stopped.sessions.get(session.id)).continuity == "lost"
    assert await stopped.texts(session.id) == [("user", "[[say hi]]"), ("agent", "hi")]


async def test_choices_the_agent_forgot_are_made_again(stopped: World) -> None:
    await stopped.start()
    session = await stopped.create()
    await stopped.sessions.update(session.id, SessionUpdateRequest(mode="plan", model="mock-fast"))
    await stopped.prompt(session.id, "[[say hi]]")
    await stopped.restart("no_resume no_load")
    info = await stopped.prompt(session.id, "[[say again]]")
    assert (info.mode, info.model) == ("plan", "mock-fast")


async def test_a_choice_that_cannot_be_made_again_is_told_and_the_prompt_runs(stopped: World) -> None:
    await stopped.start()
    session = await stopped.create(mode="plan")
    await stopped.prompt(session.id, "[[say hi]]")
    await stopped.restart("no_resume no_load no_config")
    assert (await stopped.prompt(session.id, "[[say again]]")).state == "completed"
    notices = [
        item.text for item in (await stopped.sessions.transcript(session.id)).items if item.id.startswith("notice")
    ]  # type: ignore[union-attr]
    assert "The mode plan could not be set again" in notices


async def test_a_choice_restores_the_agent_too(stopped: World) -> None:
    await stopped.start()
    session = await stopped.create()
    await stopped.prompt(session.id, "[[say remember 42]]")
    await stopped.restart()
    changed = await stopped.sessions.update(session.id, SessionUpdateRequest(mode="plan"))
    assert (changed.mode, changed.continuity) == ("plan", "native")


# --- prompts over a restart


@pytest.mark.parametrize("ending", ["stop", "die"])
async def test_queued_prompts_run_after_a_restart_in_their_order_and_once(world: World, ending: str) -> None:
    """R16: a prompt is a job; the one that ran is failed, since nobody knows how far it got."""
    session = await world.create()
    texts = ["[[say first]] [[sleep 60]]", "[[say second]]", "[[say third]]"]
    prompts = [await world.send(session.id, text) for text in texts]
    await world.until(lambda: _said(world, session.id, "first"))
    await (world.stop() if ending == "stop" else world.die())
    await world.start()
    first, *rest = [await world.ended(prompt) for prompt in prompts]
    assert (first.state, first.stop_reason) == ("failed", "agent_exited")
    assert first.error is not None
    assert first.error["reason"] == "server_restarted"
    assert [prompt.state for prompt in rest] == ["completed", "completed"]
    said = [text for role, text in await world.texts(session.id) if role == "agent"]
    assert said == ["first", "second", "third"]
    await world.restart()
    await asyncio.sleep(0)
    assert not world.sessions.busy


async def _said(world: World, session_id: str, text: str) -> bool:
    return any(text in said for role, said in await world.texts(session_id) if role == "agent")


async def test_numbers_of_events_go_on_after_a_restart(world: World) -> None:
    session = await world.create()
    await world.prompt(session.id, "[[say one]]")
    head = (await world.sessions.journal(session.id)).head
    events = await world.events(session.id)
    await world.restart()
    await world.prompt(session.id, "[[say two]]")
    assert (await world.events(session.id))[:head] == events


async def test_a_checkpoint_and_the_rest_of_the_journal_make_the_same_transcript(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await world.create()
    await world.prompt(session.id, "[[burst count=6000 size=200]]")
    await world.prompt(session.id, "[[say after]]")
    before = await world.sessions.transcript(session.id)
    journal = await world.sessions.journal(session.id)
    assert 0 < (journal.retain_after or 0) < before.sequence
    await world.die()
    await world.start()
    folded: list[int] = []
    original = view._apply
    monkeypatch.setattr(view, "_apply", lambda fold, found: (folded.append(found[0].first), original(fold, found)))
    after = await world.sessions.transcript(session.id)
    assert after.items == before.items
    assert folded
    assert min(folded) > 6000, "only what came after the checkpoint is folded again"


# --- agents that replay their history only after they answered (gemini)


LATE = """
    import json, sys
    def say(**message):
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\\n"); sys.stdout.flush()
    def chunk(kind, text):
        update = {"sessionUpdate": kind, "content": {"type": "text", "text": text}}
        say(method="session/update", params={"sessionId": "s", "update": update})
    for line in sys.stdin:
        message = json.loads(line)
        method, request = message.get("method"), message.get("id")
        if method == "initialize":
            say(id=request, result={"protocolVersion": 1, "agentCapabilities": {"loadSession": True}})
        elif method == "session/new":
            say(id=request, result={"sessionId": "s"})
        elif method == "session/load":
            chunk("user_message_chunk", "<session_context>")
            say(id=request, result={})
            for number in range(20):
                chunk("user_message_chunk", "first prompt")
                chunk("agent_message_chunk", "old answer")
        elif method == "session/prompt":
            chunk("agent_message_chunk", "new answer to " + message["params"]["prompt"][-1]["text"])
            say(id=request, result={"stopReason": "end_turn"})
"""


async def test_a_history_replayed_after_the_answer_is_recognised_too(stopped: World) -> None:
    program = stopped.folder / "late.py"
    program.write_text(textwrap.dedent(LATE))
    config = {"agents": {"late": {"command": sys.executable, "args": [str(program)]}}}
    await stopped.start(config=config)
    session = await stopped.create("late")
    await stopped.prompt(session.id, "first prompt")
    await stopped.stop()
    await stopped.start(config=config)
    await stopped.prompt(session.id, "second prompt")
    assert (await stopped.sessions.get(session.id)).continuity == "loaded"
    assert await stopped.texts(session.id) == [
        ("user", "first prompt"),
        ("agent", "new answer to first prompt"),
        ("user", "second prompt"),
        ("agent", "new answer to second prompt"),
    ]


# --- the parts


@pytest.mark.parametrize(
    ("capabilities", "known", "expected"),
    [
        (
            {"loadSession": True, "sessionCapabilities": {"resume": {}}},
            "s",
            ("session/resume", "session/load", "session/new"),
        ),
        ({"loadSession": True, "sessionCapabilities": {"resume": None}}, "s", ("session/load", "session/new")),
        ({"loadSession": True, "sessionCapabilities": {"resume": {}}}, None, ("session/new",)),
        ({"loadSession": "yes", "sessionCapabilities": []}, "s", ("session/new",)),
        ({}, "s", ("session/new",)),
    ],
)
def test_the_ways_back_are_those_the_agent_offers_best_first(
    capabilities: dict[str, Any], known: str | None, expected: tuple[str, ...]
) -> None:
    assert ways(Greeting(capabilities=capabilities), known) == expected


def update(kind: str, text: str = "x") -> bytes:
    content = {"type": "text", "text": text}
    params = {"sessionId": "s", "update": {"sessionUpdate": kind, "content": content}}
    return json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": params}).encode()


def test_a_replay_is_history_and_not_the_sessions_present_state() -> None:
    replay = Replay("hi")
    for kind in ("user_message_chunk", "agent_message_chunk", "tool_call", "plan", "something_of_the_future"):
        assert not replay.accept(update(kind))
    for kind in ("available_commands_update", "current_mode_update", "usage_update", "session_info_update"):
        assert replay.accept(update(kind))
    replay.answered()
    assert not replay.accept(update("agent_message_chunk"))
    assert replay.accept(update("something_of_the_future"))


async def test_a_replay_heard_to_its_end_needs_little_waiting() -> None:
    replay = Replay("the last\n prompt")
    replay.accept(update("user_message_chunk", "the last "))
    replay.accept(update("user_message_chunk", "prompt"))
    async with asyncio.timeout(60):
        await replay.settled(1)


async def test_a_replay_not_heard_yet_is_waited_for_until_silence() -> None:
    replay = Replay("prompt")
    waiting = asyncio.ensure_future(replay.settled(0.2))
    replay.accept(update("agent_message_chunk"))
    await asyncio.sleep(0)
    assert not waiting.done()
    async with asyncio.timeout(60):
        await waiting


def message(role: Any, text: str) -> MessageItem:
    return MessageItem(
        id=text, created=1, updated=1, created_at_ms=1, role=role, content=({"type": "text", "text": text},)
    )


def transcript(*items: Any) -> Transcript:
    return Transcript(session_id="s", sequence=9, items=items)


def test_the_past_is_told_with_who_said_what_and_which_tools_ran() -> None:
    tool = ToolCallItem(
        id="t", created=1, updated=1, created_at_ms=1, tool_call_id="t", title="Edit a.txt", kind="edit",
        status="completed", locations=({"path": "/w/a.txt"},),
    )  # fmt: skip
    block = priming(transcript(message("user", "Do it"), tool, message("agent", "Done")), 10_000)
    assert block is not None
    assert block["_meta"] == {"sandboxAgentPriming": True}
    assert "User: Do it\nYou used a tool (edit, completed): Edit a.txt [/w/a.txt]\nYou: Done" in block["text"]


def test_a_long_past_keeps_its_newest_part_within_the_limit() -> None:
    items = [message("user", f"{number:04}" * 25) for number in range(100)]
    block = priming(transcript(*items), 1000)
    assert block is not None
    assert len(block["text"]) < 1500
    assert "0099" in block["text"]
    assert "(The 91 oldest entries are left out.)" in block["text"]
    huge = priming(transcript(message("user", "x" * 5000)), 1000)
    assert huge is not None
    assert len(huge["text"]) < 1500


def test_nothing_is_told_of_an_empty_past() -> None:
    assert priming(transcript(), 1000) is None
    assert last_prompt(transcript()) is None
    assert last_prompt(transcript(message("user", "a"), message("user", "b"), message("agent", "c"))) == "b"


def test_what_is_not_text_is_named(tmp_path: Path) -> None:
    content = (
        {"type": "image", "mimeType": "image/png", "data": "AAAA"},
        {"type": "resource", "resource": {"uri": "file:///a", "text": "body"}},
        {"type": "resource_link", "uri": "file:///b", "name": "b"},
    )
    item = MessageItem(id="m", created=1, updated=1, created_at_ms=1, role="user", content=content)
    block = priming(transcript(item), 1000)
    assert block is not None
    assert "AAAA" not in block["text"]
    for part in ("<image image/png>", "<resource uri='file:///a'>\nbody\n</resource>", "<resource_link file:///b>"):
        assert part in block["text"]
