"""`sandbox-agent api agents` against the real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sandbox_agent.cli.api.agents import report
from sandbox_agent.client import AgentInfo
from sandbox_agent.wire.agents import AgentCapabilities

if TYPE_CHECKING:
    from ...support.command import Command


def test_people_get_a_table_with_what_to_do(command: Command) -> None:
    head, *rows = command("api", "agents", "list").stdout.splitlines()
    assert head.split()[:3] == ["Agent", "Version", "Installed"]
    assert [row.split()[0] for row in rows][:7] == ["claude", "codex", "opencode", "amp", "pi", "cursor", "mock"]
    assert "install-agent claude" in rows[0]


def test_programs_get_what_the_server_says(command: Command) -> None:
    [mock] = [agent for agent in command.json("api", "agents", "list", "--json")["agents"] if agent["id"] == "mock"]
    assert mock["installed"]
    assert "configOptions" not in mock
    told = command.json("api", "agents", "list", "--json", "--config", "--no-cache")
    [mock] = [agent for agent in told["agents"] if agent["id"] == "mock"]
    assert [option["category"] for option in mock["configOptions"]] == ["model", "mode", "thought_level"]


def test_the_report_is_that_of_old_scripts(command: Command) -> None:
    told = command.json("api", "agents", "report")
    assert told["endpoint"] == command.environ()["SANDBOX_AGENT_URL"]
    assert isinstance(told["generatedAtMs"], int)
    [mock] = [agent for agent in told["agents"] if agent["id"] == "mock"]
    assert mock["installed"]
    assert mock["models"]["currentValue"] == "mock"
    assert {value["value"] for value in mock["models"]["values"]} == {"mock", "mock-fast"}
    assert {value["value"] for value in mock["modes"]["values"]} == {"normal", "plan"}
    assert {value["value"] for value in mock["thoughtLevels"]["values"]} == {"low", "medium", "high"}


def test_the_report_reads_options_in_groups_and_says_what_failed() -> None:
    groups = [{"group": "g", "name": "G", "options": [{"value": "a", "name": "A", "description": "dropped"}]}]
    option = {"id": "m", "category": "model", "currentValue": "a", "options": groups}
    base: dict[str, Any] = {"installed": True, "credentials_available": True, "capabilities": AgentCapabilities()}
    good = AgentInfo(id="good", config_options=(option,), **base)
    bad = AgentInfo(id="bad", config_error="it did not start", **base)
    first, second = report([good, bad], "http://x", 5)["agents"]
    assert first["models"] == {"currentValue": "a", "values": [{"value": "a", "name": "A"}]}
    assert first["modes"] == {"values": []}
    assert "error" not in first
    assert second["error"] == "it did not start"


def test_installing_what_is_there_says_so(command: Command) -> None:
    assert "mock is installed already" in command("api", "agents", "install", "mock").stdout
    told = command.json("api", "agents", "install", "mock", "--json")
    assert told["already_installed"]
    assert told["artifacts"][0]["kind"] == "agent_process"


def test_an_agent_nobody_knows_is_a_problem(command: Command) -> None:
    told = json.loads(command("api", "agents", "install", "nobody", "--json", status=1).stderr)
    assert told["type"] == "urn:sandbox-agent:error:unsupported_agent"
