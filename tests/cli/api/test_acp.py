"""`sandbox-agent api acp` against the real server and the mock agent."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from ...support.command import Command

INITIALIZE = {"jsonrpc": "2.0", "id": 18446744073709551617, "method": "initialize", "params": {"protocolVersion": 1}}


@pytest.fixture
def server_id(command: Command) -> str:
    """A server made by a post."""
    name = f"cli-{uuid.uuid4().hex[:8]}"
    told = command.json("api", "acp", "post", "--server-id", name, "--agent", "mock", "--json", json.dumps(INITIALIZE))
    assert told["result"]["protocolVersion"] == 1
    return name


def test_an_envelope_from_stdin_or_a_file_goes_the_same_way(command: Command, server_id: str, tmp_path: Path) -> None:
    new = {"jsonrpc": "2.0", "id": 1, "method": "session/new", "params": {"cwd": str(tmp_path), "mcpServers": []}}
    path = tmp_path / "new.json"
    path.write_text(json.dumps(new))
    told = command.json("api", "acp", "post", "--server-id", server_id, "--json-file", str(path))
    assert told["result"]["sessionId"]
    done = command("api", "acp", "post", "--server-id", server_id, "--json", "-", stdin=json.dumps(new))
    assert json.loads(done.stdout)["result"]["sessionId"]


def test_a_notification_has_no_answer(command: Command, server_id: str) -> None:
    note = json.dumps({"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": "none"}})
    done = command("api", "acp", "post", "--server-id", server_id, "--json", note)
    assert done.stdout == ""
    assert "accepted" in done.stderr


def test_the_stream_has_the_agent_s_own_bytes_a_line_each(command: Command, server_id: str) -> None:
    """A number beyond 64 bits stays what it is."""
    done = command("api", "acp", "stream", "--server-id", server_id, "--count", "1")
    assert f'"id":{INITIALIZE["id"]}' in done.stdout.replace(" ", "")
    assert json.loads(done.stdout)["result"]["protocolVersion"] == 1


def test_the_stream_goes_on_after_an_event(command: Command, server_id: str, tmp_path: Path) -> None:
    with command.popen("api", "acp", "stream", "--server-id", server_id, "--last-event-id", "1") as process:
        assert process.stdout is not None
        new = {"jsonrpc": "2.0", "id": "later", "method": "session/new", "params": {"cwd": "/", "mcpServers": []}}
        command("api", "acp", "post", "--server-id", server_id, "--json", json.dumps(new))
        assert json.loads(process.stdout.readline())["id"] == "later"
        process.terminate()


def test_running_servers_are_listed_until_they_are_closed(command: Command, server_id: str) -> None:
    assert server_id in command("api", "acp", "list").stdout
    assert {"serverId": server_id, "agent": "mock"}.items() <= next(
        server for server in command.json("api", "acp", "list", "--json")["servers"] if server["serverId"] == server_id
    ).items()
    command("api", "acp", "close", "--server-id", server_id)
    assert server_id not in command("api", "acp", "list").stdout


def test_a_file_that_is_not_there_is_a_mistake_of_the_command_line(command: Command) -> None:
    done = command("api", "acp", "post", "--server-id", "a", "--json-file", "/nowhere", status=2)
    assert "/nowhere" in done.stderr
