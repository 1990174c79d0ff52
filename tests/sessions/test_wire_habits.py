"""What real agents do on the wire, each habit from the recordings. Where another test shows one, it is named here.

- single lines of 564 KB, ids of any kind, ``protocolVersion`` 1, requests nobody offered: here
- end of stdin ignored: here and `tests/acp/test_servers.py` (a stubborn agent)
- errors in four shapes are one state: `test_every_shape_of_failure_is_one_state` in `test_transcript.py`, and
  `test_errors_of_real_agents_fail_the_turn` and the test after it in `test_recordings.py`
- tools first named in a permission request: `test_a_call_first_named_in_a_permission_request`, and
  `test_permissions_of_real_agents_are_asked_and_answered_by_kind` (choices by ``kind``, never by option id)
- calls left open at a turn's end: `test_calls_left_open_are_closed_with_their_turn`
- diffs of every shape: `test_diffs_keep_every_shape`; output in ``_meta`` alone: `test_output_told_in_meta_is_shown...`
- ``messageId`` or none: `test_a_new_message_id_is_a_new_message`, `test_chunks_of_one_message_are_one_item`
- history replayed after the answer: `test_a_history_replayed_after_the_answer_is_recognised_too`
- commands told early and again: here
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.journal import Sender
from sandbox_agent.wire.transcript import ToolCallItem

from .test_recordings import prompts_of, recording, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import World

ALL = ["claude", "codex", "copilot", "gemini", "kimi", "opencode", "pi", "qwen", "vibe"]
LONGEST = 564_000
"""Bytes of the longest line that was seen, a list of qwen's commands."""


def changed(name: str, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a recording with each of its messages changed."""
    entries = [json.loads(line) for line in recording(name).read_text().splitlines()]
    for entry in entries:
        change(entry["msg"])
    copy = folder / f"{name.replace('/', '-')}.jsonl"
    copy.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return copy


async def told(world: World, session_id: str, sender: Sender) -> list[dict[str, Any]]:
    return [json.loads(payload) for who, payload in await world.events(session_id) if who is sender]


async def test_a_line_of_half_a_megabyte_passes_whole(stopped: World) -> None:
    """The recordings cut long texts; here they have their length again."""

    def lengthen(message: dict[str, Any]) -> None:
        update = (message.get("params") or {}).get("update") or {}
        if update.get("sessionUpdate") == "available_commands_update":
            update["availableCommands"][0]["description"] = "x" * LONGEST

    file = changed("qwen/text", stopped.folder, lengthen)
    await stopped.start(config={"agents": {"qwen-long": {"replay": str(file)}}})
    session = await stopped.create("qwen-long")
    assert (await stopped.prompt(session.id, prompts_of("qwen/text")[0])).state == "completed"
    lengths = [len(payload) for _, payload in await stopped.events(session.id)]
    assert max(lengths) > LONGEST
    commands = (await stopped.sessions.transcript(session.id)).available_commands
    assert len(commands[0]["description"]) == LONGEST


@pytest.mark.parametrize("agent", ALL)
async def test_the_agents_first_request_may_have_the_id_0(stopped: World, agent: str) -> None:
    await _ask_with_ids(stopped, f"{agent}/bash_allow", recording(f"{agent}/bash_allow"))


@pytest.mark.parametrize("agent", ["claude", "gemini"])
async def test_the_agents_requests_may_have_uuids(stopped: World, agent: str) -> None:
    renamed: dict[int, str] = {}

    def rename(message: dict[str, Any]) -> None:
        asks = "method" in message and message["method"].startswith("session/request_permission")
        if asks:
            renamed[message["id"]] = str(uuid.uuid5(uuid.NAMESPACE_OID, str(message["id"])))
        answers = "method" not in message and "outcome" in (message.get("result") or {})
        if asks or answers:
            message["id"] = renamed[message["id"]]

    file = changed(f"{agent}/bash_allow", stopped.folder, rename)
    ids = await _ask_with_ids(stopped, f"{agent}/bash_allow", file)
    assert set(renamed.values()) >= set(ids)
    assert ids


async def _ask_with_ids(world: World, name: str, file: Path) -> list[Any]:
    """Every request of the agent's is answered under its own id; those ids."""
    await world.start(config={"agents": {"real": {"replay": str(file)}}})
    session = await world.create("real", permission_policy="allow_all")
    for text in prompts_of(name):
        assert (await world.prompt(session.id, text)).state == "completed"
    asked = [one["id"] for one in await told(world, session.id, Sender.AGENT) if "method" in one and "id" in one]
    answered = [one["id"] for one in await told(world, session.id, Sender.CLIENT) if "method" not in one]
    assert sorted(map(repr, answered)) == sorted(map(repr, asked))
    return asked


@pytest.mark.parametrize("agent", ALL)
async def test_we_always_say_which_version_we_speak(stopped: World, agent: str) -> None:
    await start(stopped, f"{agent}/text")
    session = await stopped.create(f"{agent}-text")
    first = (await told(stopped, session.id, Sender.CLIENT))[0]
    assert (first["method"], first["params"]["protocolVersion"]) == ("initialize", 1)


@pytest.mark.parametrize(
    ("name", "method", "code"),
    [("opencode/edit", "fs/write_text_file", -32003), ("qwen/edit", "craft/drainMidTurnQueue", -32601)],
)
async def test_requests_that_are_not_carried_out_are_refused_and_the_turn_goes_on(
    stopped: World, name: str, method: str, code: int
) -> None:
    """A file outside what the sandbox may touch, and a method that nobody knows."""
    await start(stopped, name)
    session = await stopped.create(name.replace("/", "-"), permission_policy="allow_all")
    for text in prompts_of(name):
        assert (await stopped.prompt(session.id, text)).state == "completed"
    asked = {one["id"] for one in await told(stopped, session.id, Sender.AGENT) if one.get("method") == method}
    answers = [one for one in await told(stopped, session.id, Sender.CLIENT) if "error" in one]
    assert asked
    assert {one["id"] for one in answers} == asked
    assert {one["error"]["code"] for one in answers} == {code}


async def test_an_agent_that_outlives_its_stdin_is_ended(stopped: World) -> None:
    await stopped.start("ignore_eof,ignore_term")
    session = await stopped.create()
    await stopped.sessions.delete(session.id)
    assert stopped.agent_pids() == []


@pytest.mark.parametrize("agent", ["claude", "codex", "copilot", "gemini", "opencode", "qwen"])
async def test_commands_told_early_or_again_are_told_once(stopped: World, agent: str) -> None:
    """Copilot tells them before it answers ``session/new``, and again after."""
    name = f"{agent}/text"
    await start(stopped, name)
    session = await stopped.create(f"{agent}-text")
    for text in prompts_of(name):
        await stopped.prompt(session.id, text)
    commands = (await stopped.sessions.transcript(session.id)).available_commands
    names = [command["name"] for command in commands]
    assert names
    assert len(names) == len(set(names))


@pytest.mark.parametrize("agent", ["claude", "codex", "copilot", "gemini", "opencode", "qwen", "vibe"])
async def test_relative_and_absolute_paths_of_tools_are_kept_as_they_were_told(stopped: World, agent: str) -> None:
    name = f"{agent}/edit"
    await start(stopped, name)
    session = await stopped.create(f"{agent}-edit", permission_policy="allow_all")
    for text in prompts_of(name):
        await stopped.prompt(session.id, text)
    items = (await stopped.sessions.transcript(session.id)).items
    shown = {
        block["path"] for item in items if isinstance(item, ToolCallItem) for block in item.content if "path" in block
    }
    recorded = json.dumps([json.loads(line)["msg"] for line in recording(name).read_text().splitlines()])
    assert shown
    assert all(json.dumps(path) in recorded for path in shown)
