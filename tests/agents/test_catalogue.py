"""The catalogue: what the package brings, and what a configuration adds, changes or gets wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox_agent.agents.catalogue import AgentSpec, load
from sandbox_agent.agents.launch import BUILTIN
from sandbox_agent.problems import InvalidRequest

from .driver import mock

if TYPE_CHECKING:
    from pathlib import Path

# Each agent's capabilities as clients of 0.4.2 were answered.
CAPABLE = {
    "claude": "permissions questions toolCalls toolResults textMessages mcpTools streamingDeltas",
    "codex": "planMode permissions toolCalls toolResults textMessages images fileAttachments sessionLifecycle "
    "errorEvents reasoning status commandExecution fileChanges mcpTools streamingDeltas itemStarted",
    "opencode": "toolCalls toolResults textMessages images fileAttachments sessionLifecycle errorEvents mcpTools "
    "streamingDeltas itemStarted",
    "amp": "toolCalls toolResults textMessages errorEvents mcpTools",
    "pi": "toolCalls toolResults textMessages images sessionLifecycle errorEvents streamingDeltas itemStarted",
    "cursor": "planMode permissions toolCalls toolResults textMessages images sessionLifecycle errorEvents "
    "streamingDeltas itemStarted",
    "mock": "planMode permissions questions toolCalls toolResults textMessages images fileAttachments "
    "sessionLifecycle errorEvents reasoning status commandExecution fileChanges mcpTools streamingDeltas itemStarted",
}


def test_the_agents_come_in_the_order_of_the_contract() -> None:
    """Its seven, then ours; then those of a registry that are none of them, and those of the configuration."""
    first = ["claude", "codex", "opencode", "amp", "pi", "cursor", "mock", "gemini", "qwen", "copilot", "kimi", "vibe"]
    assert list(load()[0]) == first
    registry = [AgentSpec(id=name) for name in ("goose", "claude-acp", "qwen-code", "mock")]
    assert list(load({"agents": {"a": {"command": "a"}}}, registry)[0]) == [*first, "goose", "a"]


@pytest.mark.parametrize("agent", CAPABLE)
def test_an_agent_can_what_0_4_2_said_it_can(agent: str) -> None:
    """All 18 capabilities are told, the true ones as listed."""
    told = json.loads(msgspec.json.encode(load()[0][agent].able()))
    assert len(told) == 18
    assert {name for name, able in told.items() if able} == set(CAPABLE[agent].split())


def test_every_provider_an_agent_names_is_there() -> None:
    specs, providers = load()
    assert {name for spec in specs.values() for name in spec.providers} == set(providers)


def test_the_options_told_of_the_mock_are_those_it_answers(tmp_path: Path) -> None:
    with mock(env={"SANDBOX_AGENT_MOCK_STATE": str(tmp_path)}) as agent:
        answered = agent.call("session/new", cwd="/")["result"]["configOptions"]
    assert list(load()[0]["mock"].config_options or ()) == answered


def test_every_builtin_is_there() -> None:
    assert all(path.is_file() for path in BUILTIN.values())


def configured(entry: Any, agent: str = "gemini") -> Any:
    return load({"agents": {agent: entry}})[0][agent]


def test_a_configuration_adds_agents_after_the_others() -> None:
    spec = configured({"command": "aider", "args": ["--acp"], "env": {"A": "b"}, "inheritEnv": ["AIDER_*"]}, "aider")
    assert spec.programs == (("aider", "--acp"),)
    assert (spec.env, spec.inherit_env, spec.name) == ({"A": "b"}, ("AIDER_*",), "aider")
    assert spec.able().text_messages is True
    assert list(load({"agents": {"aider": {"command": "aider"}}})[0])[-1] == "aider"


def test_a_configuration_changes_how_a_known_agent_is_launched() -> None:
    """Name, capabilities and what it inherits stay; `mock` may be another program, too."""
    spec = configured({"command": "/x/claude", "inheritEnv": ["EXTRA"]}, "claude")
    assert spec.programs == (("/x/claude",),)
    assert (spec.name, spec.able().mcp_tools) == ("Claude Code", True)
    assert {"ANTHROPIC_*", "EXTRA"} < set(spec.inherit_env)
    assert configured({"command": "other"}, "mock").builtin is None


def test_capabilities_are_a_list_or_an_object() -> None:
    assert configured({"command": "x", "capabilities": ["images"]}).able().images is True
    able = configured({"command": "x", "capabilities": {"images": True, "status": False}}).able()
    assert (able.images, able.status, able.tool_calls) == (True, False, False)


def test_a_recording_may_stand_in_place_of_a_command() -> None:
    spec = configured({"replay": "/x/text.jsonl", "args": ["--pace=1"]})
    assert (spec.builtin, spec.arguments) == ("replay", ("/x/text.jsonl", "--pace=1"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("agents.json", '{"agents": {"x": {"command": "y", "args": ["-z"]}}, "else": 1}'),
        ("agents.toml", '[agents.x]\ncommand = "y"\nargs = ["-z"]\n'),
    ],
)
def test_a_configuration_is_a_json_or_toml_file(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert load(tmp_path / name)[0]["x"].programs == (("y", "-z"),)


@pytest.mark.parametrize(
    ("entry", "key", "what"),
    [
        ({}, "agents.x.command", "must be given"),
        ({"command": "a", "replay": "b"}, "agents.x.command", "excludes"),
        ({"command": 5}, "agents.x.command", "Expected `str"),
        ({"command": "a", "args": ["b", 5]}, "agents.x.args[1]", "Expected `str`"),
        ({"command": "a", "env": {"B": 1}}, "agents.x.env[...]", "Expected `str`"),
        ({"command": "a", "arg": []}, "agents.x", "unknown field `arg`"),
        ({"command": "a", "capabilities": ["flying"]}, "agents.x.capabilities", "flying"),
        ("a", "agents.x", "Expected `object`"),
    ],
)
def test_a_malformed_entry_is_told_with_file_and_key(tmp_path: Path, entry: Any, key: str, what: str) -> None:
    file = tmp_path / "agents.json"
    file.write_text(json.dumps({"agents": {"x": entry}}))
    with pytest.raises(InvalidRequest) as caught:
        load(file)
    assert caught.value.extensions == {"file": str(file), "key": key}
    assert what in caught.value.detail
    assert str(file) in caught.value.detail
    assert key in caught.value.detail


@pytest.mark.parametrize("agent", ["", "a/b", "../x", "a b", "x" * 65, ".hidden"])
def test_an_id_is_a_plain_name(agent: str) -> None:
    """It becomes part of file names and URLs."""
    with pytest.raises(InvalidRequest, match="is not an id"):
        configured({"command": "x"}, agent)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.json", "{"), ("a.json", "[]"), ("a.json", '{"agents": []}'), ("a.toml", "="), ("a.toml", b"\xff")],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str, content: str | bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidRequest) as caught:
        load(file)
    assert caught.value.extensions["file"] == str(file)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="No such file"):
        load(tmp_path / "no.json")
