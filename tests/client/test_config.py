"""Configuration of folders through both SDKs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent import InvalidRequest, NotFound
from sandbox_agent.wire.config import LocalMcpServer, SkillsConfig, SkillSource

if TYPE_CHECKING:
    from pathlib import Path


def test_an_mcp_server_is_configured_read_and_forgotten(agent: Any, tmp_path: Path) -> None:
    agent.set_mcp_config(tmp_path, "one", LocalMcpServer(command=("mcp", "--here"), env={"A": "b"}))
    told = agent.get_mcp_config(tmp_path, "one")
    assert told == {"type": "local", "command": ["mcp", "--here"], "env": {"A": "b"}}
    agent.set_mcp_config(str(tmp_path), "a name/with all?", {"type": "remote", "url": "http://x", "own": 1})
    assert agent.get_mcp_config(tmp_path, "a name/with all?")["own"] == 1
    agent.delete_mcp_config(tmp_path, "one")
    for call in (agent.get_mcp_config, agent.delete_mcp_config):
        with pytest.raises(NotFound):
            call(tmp_path, "one")


def test_skills_are_configured_and_reach_a_session(agent: Any, tmp_path: Path) -> None:
    skill = tmp_path / "library" / "review"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("---\nname: review\n---\nDo it.")
    sources = (SkillSource(type="local", source="library"),)
    agent.set_skills_config(tmp_path, "mine", SkillsConfig(sources=sources))
    assert agent.get_skills_config(tmp_path, "mine") == {"sources": [{"type": "local", "source": "library"}]}
    (tmp_path / "work").mkdir()
    session = agent.create_session("mock", cwd=tmp_path / "work")
    assert [(one.name, one.status) for one in session.info.skills] == [("review", "placed")]
    assert (tmp_path / "work" / ".agents" / "skills" / "review" / "SKILL.md").is_file()
    session.destroy()
    assert not (tmp_path / "work" / ".agents").exists()
    agent.delete_skills_config(tmp_path, "mine")
    with pytest.raises(NotFound):
        agent.get_skills_config(tmp_path, "mine")


def test_what_has_another_shape_is_refused_by_the_server(agent: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="command"):
        agent.set_mcp_config(tmp_path, "one", {"type": "local"})
