"""Real agents, replayed from their recordings, behind sessions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.journal import Sender
from sandbox_agent.wire.sessions import PermissionPolicy, PermissionRule
from sandbox_agent.wire.transcript import MessageItem, PermissionItem, ToolCallItem, TurnItem

from ..support.shared import recording

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import World

AGENTS = ["claude", "codex", "opencode", "gemini"]


def prompts_of(name: str) -> list[str]:
    """The texts that were prompted when it was recorded."""
    messages = [json.loads(line)["msg"] for line in recording(name).read_text().splitlines()]
    asked = [message["params"]["prompt"] for message in messages if message.get("method") == "session/prompt"]
    return ["".join(block.get("text", "") for block in blocks) for blocks in asked]


async def start(world: World, *names: str) -> None:
    """A world in which each recording is an agent, by its name with a dash for the slash."""
    agents = {name.replace("/", "-"): {"replay": str(recording(name))} for name in names}
    await world.start(config={"agents": agents})


async def test_texts_of_real_agents_are_told(stopped: World) -> None:
    await start(stopped, *(f"{agent}/text" for agent in AGENTS))
    for agent in AGENTS:
        session = await stopped.create(f"{agent}-text")
        for text in prompts_of(f"{agent}/text"):
            info = await stopped.prompt(session.id, text)
            assert (info.state, info.stop_reason) == ("completed", "end_turn"), agent
        said = await stopped.texts(session.id)
        assert [text for role, text in said if role == "user"] == prompts_of(f"{agent}/text"), agent
        assert any("You said" in text for role, text in said if role == "agent"), agent


@pytest.mark.parametrize("agent", ["claude", "codex", "copilot", "gemini", "kimi", "opencode", "qwen", "vibe"])
async def test_permissions_of_real_agents_are_asked_and_answered_by_kind(stopped: World, agent: str) -> None:
    name = f"{agent}/bash_allow"
    await start(stopped, name)
    session = await stopped.create(f"{agent}-bash_allow")
    for text in prompts_of(name):
        prompt = await stopped.send(session.id, text)
        while (await stopped.sessions.wait_prompt(session.id, prompt.id, 0.05)).state == "running":
            for asked in (await stopped.sessions.permissions(session.id, pending_only=True)).items:
                assert asked.tool_call.get("title"), "also where the request names nothing but the call's id"
                await stopped.answer(asked, "once")
        info = await stopped.sessions.prompt_info(session.id, prompt.id)
        assert info.state == "completed", info.error
    items = (await stopped.sessions.transcript(session.id)).items
    permissions = [item for item in items if isinstance(item, PermissionItem)]
    assert permissions
    assert {item.state for item in permissions} == {"selected"}
    assert any(isinstance(item, ToolCallItem) and item.status == "completed" for item in items)


@pytest.mark.parametrize("agent", ["claude", "codex", "copilot", "opencode", "qwen", "vibe"])
async def test_a_command_rule_reads_the_commands_of_real_agents(stopped: World, agent: str) -> None:
    """``touch made.txt && echo hi`` is no plain ``touch``: it is asked about. Denying it needs no such certainty."""
    name = f"{agent}/bash_allow"
    await start(stopped, name)
    allow = PermissionPolicy(rules=(PermissionRule(decision="allow", command="touch"),))
    session = await stopped.create(f"{agent}-bash_allow", permission_policy=allow)
    await _until_asked(stopped, session.id, name)
    deny = PermissionPolicy(default="allow_all", rules=(PermissionRule(decision="deny", command="touch"),))
    second = await stopped.create(f"{agent}-bash_allow", permission_policy=deny)
    for text in prompts_of(name):
        await stopped.prompt(second.id, text)
    decided = (await stopped.sessions.permissions(second.id)).items
    assert {(one.reply, one.rule) for one in decided} == {("reject", "rule 0")}


async def _until_asked(world: World, session_id: str, name: str) -> None:
    for text in prompts_of(name):
        prompt = await world.send(session_id, text)
        while (await world.sessions.wait_prompt(session_id, prompt.id, 0.05)).state == "running":
            if (await world.sessions.permissions(session_id, pending_only=True)).items:
                return
    pytest.fail("nothing was asked")


@pytest.mark.parametrize("agent", ["claude", "codex", "copilot", "gemini", "opencode", "qwen"])
async def test_edits_of_real_agents_below_the_working_directory_are_allowed(stopped: World, agent: str) -> None:
    """All name ``/workspace/notes.txt``, each in its own members."""
    name = f"{agent}/client_fs"
    await start(stopped, name)
    policy = PermissionPolicy(
        rules=(PermissionRule(decision="allow", kinds=("edit",), path="/workspace"), PermissionRule(decision="deny"))
    )
    session = await stopped.create(f"{agent}-client_fs", permission_policy=policy)
    for text in prompts_of(name):
        await stopped.prompt(session.id, text)
    edits = [
        one for one in (await stopped.sessions.permissions(session.id)).items if one.tool_call.get("kind") == "edit"
    ]
    assert edits
    assert {(one.reply, one.rule) for one in edits} == {("once", "rule 0")}


@pytest.mark.parametrize("agent", [*AGENTS, "copilot", "kimi", "qwen", "vibe"])
async def test_a_cancel_while_a_real_agent_asks_for_permission(stopped: World, agent: str) -> None:
    name = f"{agent}/cancel_permission"
    await start(stopped, name)
    session = await stopped.create(f"{agent}-cancel_permission")
    *_, asking, after = prompts_of(name)
    prompt = await stopped.send(session.id, asking)
    await stopped.asked(session.id)
    await stopped.sessions.cancel(session.id)
    assert (await stopped.sessions.prompt_info(session.id, prompt.id)).state == "cancelled"
    assert (await stopped.sessions.permissions(session.id)).items[0].state == "cancelled"
    assert (await stopped.prompt(session.id, after)).state == "completed"


@pytest.mark.parametrize("agent", ["claude", "codex", "opencode", "gemini", "qwen", "vibe"])
async def test_errors_of_real_agents_fail_the_turn(stopped: World, agent: str) -> None:
    name = f"{agent}/error_401"
    await start(stopped, name)
    session = await stopped.create(f"{agent}-error_401")
    info = await stopped.prompt(session.id, prompts_of(name)[0])
    assert info.state == "failed"
    assert info.error is not None
    assert info.error["type"].endswith(":stream_error")
    turns = [item for item in (await stopped.sessions.transcript(session.id)).items if isinstance(item, TurnItem)]
    assert [turn.state for turn in turns] == ["failed"]


@pytest.mark.parametrize("agent", ["pi", "kimi", "copilot"])
async def test_failures_that_real_agents_keep_quiet_about_are_failures_too(stopped: World, agent: str) -> None:
    """Their answer is ``end_turn``; the transcript tells the turn failed, and so does the prompt."""
    name = f"{agent}/error_401"
    await start(stopped, name)
    session = await stopped.create(f"{agent}-error_401")
    info = await stopped.prompt(session.id, prompts_of(name)[0])
    turn = next(item for item in (await stopped.sessions.transcript(session.id)).items if isinstance(item, TurnItem))
    assert turn.state == info.state == "failed"


@pytest.mark.parametrize(
    ("agent", "chosen"),
    [
        ("claude", {"model": "opus", "mode": "plan", "thought_level": "low"}),
        ("codex", {"model": "gpt-6-sol", "mode": "read-only", "thought_level": "xhigh"}),
        ("gemini", {"model": "gemini-3-flash-preview", "mode": "plan"}),
        ("kimi", {"model": "stub", "mode": "default"}),
        ("opencode", {"model": "opencode/big-pickle", "mode": "build"}),
        ("pi", {"model": "stub/stub-model", "thought_level": "minimal"}),
        ("pi-ref", {"thought_level": "off"}),
        ("qwen", {"mode": "auto-edit"}),
        ("vibe", {"mode": "ask", "thought_level": "medium"}),
    ],
)
async def test_options_of_real_agents_hold_from_the_first_prompt_on(
    stopped: World, agent: str, chosen: dict[str, Any]
) -> None:
    """However an agent offers them; the effective values are answered, and recorded on the turn."""
    await start(stopped, f"{agent}/modes")
    session = await stopped.create(f"{agent}-modes", permission_policy="allow_all", **chosen)
    assert {choice: getattr(session, choice) for choice in chosen} == chosen
    asked = [payload for sender, payload in await stopped.events(session.id) if sender is Sender.CLIENT]
    assert not any(b'"session/prompt"' in payload for payload in asked)
    turn = await stopped.prompt(session.id, prompts_of(f"{agent}/modes")[0])
    assert {choice: getattr(turn, choice) for choice in chosen} == chosen


@pytest.mark.parametrize("agent", ["claude", "codex", "opencode", "gemini", "pi", "qwen", "kimi", "vibe"])
async def test_a_replay_of_a_real_agent_is_not_recorded(stopped: World, agent: str) -> None:
    """A first process (``load_1``), the server restarts, a second process loads the session (``load``)."""
    first, second = prompts_of(f"{agent}/load_1"), prompts_of(f"{agent}/load")
    config: dict[str, Any] = {"agents": {"real": {"replay": str(recording(f"{agent}/load_1"))}}}
    await stopped.start(config=config)
    session = await stopped.create("real", permission_policy="allow_all")
    for text in first:
        await stopped.prompt(session.id, text)
    before = await stopped.texts(session.id)
    await stopped.stop()
    config["agents"]["real"]["replay"] = str(_without_resume(recording(f"{agent}/load"), stopped.folder))
    await stopped.start(config=config)
    info = await stopped.prompt(session.id, second[0])
    assert info.state == "completed", info.error
    after = await stopped.texts(session.id)
    assert (await stopped.sessions.get(session.id)).continuity == "loaded"
    assert after[: len(before)] == before
    assert after[len(before)] == ("user", second[0])
    assert [role for role, _ in after].count("user") == len(first) + 1


def _without_resume(path: Path, folder: Path) -> Path:
    """The recording of an agent that can only load (loading is what was recorded)."""
    lines = []
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        result = entry["msg"].get("result")
        if isinstance(result, dict) and isinstance(result.get("agentCapabilities"), dict):
            result["agentCapabilities"].get("sessionCapabilities", {}).pop("resume", None)
        lines.append(json.dumps(entry))
    copy = folder / "load.jsonl"
    copy.write_text("\n".join(lines) + "\n")
    return copy


async def test_messages_keep_their_content_as_the_agent_sent_it(stopped: World) -> None:
    await start(stopped, "claude/blocks")
    session = await stopped.create("claude-blocks")
    for text in prompts_of("claude/blocks"):
        await stopped.prompt(session.id, text or "blocks")
    items = (await stopped.sessions.transcript(session.id)).items
    assert any(isinstance(item, MessageItem) and item.role == "agent" for item in items)
