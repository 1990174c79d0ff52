"""From the SDK's arguments to the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox_agent.client.requests import create_request, update_request
from sandbox_agent.wire.config import SkillSource
from sandbox_agent.wire.sessions import PermissionPolicy, PermissionRule

if TYPE_CHECKING:
    from pathlib import Path


def created(**given: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "cwd": None,
        "local": True,
        "model": None,
        "mode": None,
        "thought_level": None,
        "permission_policy": "ask",
        "mcp_servers": (),
        "title": None,
        "session_id": None,
    }
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(create_request("mock", **(defaults | given))))
    return body


def test_a_session_works_where_the_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine; a relative path is the program's own too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    assert created()["cwd"] == str(tmp_path)
    assert created(cwd="sub")["cwd"] == str(tmp_path / "sub")
    assert created(cwd="~/x")["cwd"] == "/home/ann/x"


def test_a_path_of_another_machine_goes_as_it_is() -> None:
    assert "cwd" not in created(local=False)
    assert created(local=False, cwd="/srv/x")["cwd"] == "/srv/x"


def test_what_is_not_given_is_not_sent(tmp_path: Path) -> None:
    assert created(cwd=tmp_path) == {"agent": "mock", "cwd": str(tmp_path)}


def test_all_of_it_has_the_wires_names(tmp_path: Path) -> None:
    policy = PermissionPolicy(default="ask", rules=(PermissionRule(decision="allow", kinds=("read",)),))
    body = created(
        cwd=tmp_path,
        thought_level="high",
        permission_policy=policy,
        mcp_servers=[{"name": "x", "command": "y", "_meta": 1}],
        session_id="mine",
    )
    assert body["thoughtLevel"] == "high"
    assert body["permissionPolicy"] == {"rules": [{"decision": "allow", "kinds": ["read"]}]}
    assert body["mcpServers"] == [{"name": "x", "command": "y", "_meta": 1}]
    assert body["id"] == "mine"


def test_an_update_holds_only_what_changes() -> None:
    assert msgspec.json.encode(update_request(mode="plan")) == b'{"mode":"plan"}'
    assert msgspec.json.encode(update_request()) == b"{}"


def test_skills_are_given_as_objects_of_the_wire_or_as_structs() -> None:
    given = {"type": "git", "source": "https://x/y", "skills": ["a"]}
    struct = SkillSource(type="git", source="https://x/y", skills=("a",))
    assert created(skills=[struct, given])["skills"] == [given, given]
    with pytest.raises(msgspec.ValidationError, match="source"):
        created(skills=[{"type": "git"}])


def test_what_is_for_the_agent_alone_goes_with_the_request() -> None:
    """A key, a gateway and a way to log in; without them the body says nothing of it."""
    body = created(env={"A_KEY": "x"}, base_url="http://gateway", auth_method="api-key")
    assert (body["env"], body["baseUrl"], body["authMethod"]) == ({"A_KEY": "x"}, "http://gateway", "api-key")
    assert not {"env", "baseUrl", "authMethod"} & created().keys()
