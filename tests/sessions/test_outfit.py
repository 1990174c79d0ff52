"""MCP servers and skills of a session: from its request and from its folder, to the agent, and what is told of them."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.config import DirectoryConfig
from sandbox_agent.journal import Sender
from sandbox_agent.wire.config import SkillSource
from sandbox_agent.wire.transcript import NoticeItem

if TYPE_CHECKING:
    from sandbox_agent.wire.sessions import McpStatus

    from .conftest import World

SERVER = str(Path(__file__).parents[1] / "support" / "mcp_server.py")


async def configure(directory: Path, kind: Any, **entries: Any) -> None:
    for name, entry in entries.items():
        await DirectoryConfig().put(kind, str(directory), name, json.dumps(entry).encode())


def local(**more: Any) -> dict[str, Any]:
    return {"type": "local", "command": [sys.executable, SERVER]} | more


def write_skill(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(f"---\nname: {name}\ndescription: x\n---\nDo it.\n")
    return folder


async def mcp(world: World, session_id: str, name: str = "tiny") -> McpStatus:
    info = await world.sessions.get(session_id)
    return next(status for status in info.mcp if status.name == name)


async def notices(world: World, session_id: str) -> list[str]:
    items = (await world.sessions.transcript(session_id)).items
    return [item.text for item in items if isinstance(item, NoticeItem)]


# -- MCP servers


async def test_a_session_gets_the_servers_of_its_folder_and_those_above(world: World) -> None:
    await configure(world.folder, "mcp", far=local(), both=local(env={"MCP_TEXT": "far"}))
    await configure(world.cwd, "mcp", both=local(env={"MCP_TEXT": "near"}))
    session = await world.create()
    await world.prompt(session.id, "[[mcp]][[mcp name=both tool=shout]]")
    said = "\n".join(text for role, text in await world.texts(session.id) if role == "agent")
    assert "far: shout, die" in said
    assert said.endswith("near")
    origins = {status.name: status.origin for status in (await world.sessions.get(session.id)).mcp}
    assert origins == {"both": str(world.cwd), "far": str(world.folder)}


async def test_a_server_of_the_request_comes_before_one_that_is_configured(world: World) -> None:
    await configure(world.cwd, "mcp", tiny=local(env={"MCP_TEXT": "configured"}))
    own = {"name": "tiny", "command": sys.executable, "args": [SERVER], "env": {"MCP_TEXT": "requested"}}
    session = await world.create(mcp_servers=(own,))
    await world.prompt(session.id, "[[mcp name=tiny tool=shout]]")
    assert ("agent", "requested") in await world.texts(session.id)
    assert (await mcp(world, session.id)).origin == "session"


async def test_what_is_configured_later_reaches_the_agent_when_it_is_started_again(world: World) -> None:
    session = await world.create()
    await configure(world.cwd, "mcp", tiny=local())
    await world.restart()
    await world.prompt(session.id, "[[mcp]]")
    assert ("agent", "tiny: shout, die") in await world.texts(session.id)


async def test_a_server_that_dies_is_told_and_the_session_goes_on(world: World) -> None:
    """R19."""
    pid = world.folder / "pid"
    await configure(world.cwd, "mcp", tiny=local(args=[str(pid)]), other=local())
    session = await world.create()
    await world.prompt(session.id, "[[mcp]]")

    async def status() -> str:
        return (await mcp(world, session.id)).status

    async def alive() -> bool:
        return await status() == "running"

    async def dead() -> bool:
        return await status() == "exited"

    await world.until(alive)
    number = pid.read_text().split()[0]
    assert (await mcp(world, session.id)).detail == f"process {number}"
    os.kill(int(number), signal.SIGKILL)
    await world.until(dead)
    assert (await mcp(world, session.id, "other")).status == "running"
    assert "The MCP server tiny has ended; the session goes on" in await notices(world, session.id)
    assert (await world.prompt(session.id, "[[mcp name=tiny tool=shout]][[say on]]")).state == "completed"
    assert any(text.endswith("on") for _, text in await world.texts(session.id))
    assert (await world.sessions.get(session.id)).state == "idle"


async def test_servers_that_end_with_their_agent_are_no_news(world: World) -> None:
    await configure(world.cwd, "mcp", tiny=local())
    session = await world.create()
    await world.prompt(session.id, "[[mcp]]")
    await world.prompt(session.id, "[[crash code=3]]")
    assert (await world.prompt(session.id, "[[mcp]]")).state == "completed"
    assert not any("MCP server" in text for text in await notices(world, session.id))

    async def alive() -> bool:
        return (await mcp(world, session.id)).status == "running"

    await world.until(alive)


async def test_what_the_agent_cannot_take_is_told_and_not_offered(stopped: World) -> None:
    await stopped.start("no_remote_mcp")
    await configure(
        stopped.cwd,
        "mcp",
        web={"type": "remote", "url": "http://x"},
        off=local(enabled=False),
        keyless={"type": "remote", "url": "http://x", "bearerTokenEnvVar": "NO_SUCH_VARIABLE"},
    )
    session = await stopped.create()
    told = {status.name: (status.status, status.detail) for status in (await stopped.sessions.get(session.id)).mcp}
    assert told["web"] == ("unsupported", "the agent takes no MCP servers over http, only over stdio")
    assert told["off"] == ("disabled", None)
    assert told["keyless"][0] == "failed"
    assert "The MCP server web is not available to the agent" in await notices(stopped, session.id)
    await stopped.prompt(session.id, "[[mcp]]")
    assert ("agent", "no MCP servers") in await stopped.texts(session.id)


async def test_a_damaged_configuration_stops_no_session(world: World) -> None:
    await configure(world.cwd, "mcp", tiny=local())
    file = world.cwd / ".sandbox-agent" / "config" / "mcp.json"
    file.write_text("{")
    session = await world.create()
    (status,) = session.mcp
    assert (status.status, status.name) == ("failed", str(file))


async def test_an_agent_known_to_use_none_is_offered_none(stopped: World) -> None:
    """Pi: its recordings show that it takes the servers and passes over them."""
    mock = stopped.folder / "pi-acp"
    await stopped.start(config={"agents": {"pi": {"command": str(mock)}}})
    argv = (await stopped.agents.command("mock")).argv
    mock.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in argv) + "\n")
    mock.chmod(0o700)
    await configure(stopped.cwd, "mcp", tiny=local())
    session = await stopped.create("pi")
    assert [(one.status, one.detail) for one in session.mcp] == [("unsupported", "pi uses no MCP servers")]


async def test_secrets_of_servers_are_in_no_event(stopped: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server's environment holds goes to the agent, and to nobody else; its own token not even there."""
    monkeypatch.setenv("WEB_TOKEN", "hush-hush")
    monkeypatch.setenv("SANDBOX_AGENT_TOKEN", "own-token")
    await stopped.start()
    await configure(
        stopped.cwd,
        "mcp",
        web={"type": "remote", "url": "http://x", "bearerTokenEnvVar": "WEB_TOKEN"},
        thief={"type": "remote", "url": "http://x", "bearerTokenEnvVar": "SANDBOX_AGENT_TOKEN"},
    )
    session = await stopped.create()
    events = await stopped.events(session.id)
    assert any(sender is Sender.CLIENT and b'"Authorization"' in payload for sender, payload in events)
    assert not any(b"hush" in payload or b"own-token" in payload for _, payload in events)
    assert "hush" not in repr(await stopped.sessions.get(session.id))
    assert (await mcp(stopped, session.id, "thief")).status == "failed"
    await stopped.prompt(session.id, "[[say hush-hush]]")
    assert ("agent", "[redacted]") in await stopped.texts(session.id), "nor in a transcript, should the agent print it"


# -- skills


async def test_skills_are_where_the_agent_reads_them_while_the_session_lasts(world: World) -> None:
    write_skill(world.folder / "library" / "review", "review")
    write_skill(world.cwd / "more", "ship")
    library = {"type": "local", "source": str(world.folder / "library")}
    await configure(world.cwd, "skills", mine={"sources": [library]})
    session = await world.create(skills=(SkillSource(type="local", source="more"),))
    folder = world.cwd / ".agents" / "skills"
    assert {(one.name, one.status, one.path) for one in session.skills} == {
        ("ship", "placed", str(folder / "ship")),
        ("review", "placed", str(folder / "review")),
    }
    assert (folder / "review" / "SKILL.md").is_file()
    await world.restart()
    assert (folder / "review" / "SKILL.md").is_file(), "the session outlives the server"
    await world.sessions.delete(session.id)
    assert not (world.cwd / ".agents").exists()
    assert (world.folder / "library" / "review" / "SKILL.md").is_file()


async def test_each_agent_has_its_own_place_for_skills(world: World) -> None:
    places = {agent: world.agents.spec(agent).skills_folder for agent in ("claude", "codex", "pi", "qwen", "vibe")}
    assert places == {
        "claude": ".claude/skills",
        "codex": ".agents/skills",
        "pi": ".pi/skills",
        "qwen": ".qwen/skills",
        "vibe": ".vibe/skills",
    }


async def test_skills_that_cannot_be_had_are_told_and_stop_nothing(world: World) -> None:
    write_skill(world.cwd / ".agents" / "skills" / "mine", "mine")
    write_skill(world.folder / "library" / "mine", "mine")
    (world.cwd / "empty").mkdir()
    session = await world.create(
        skills=(
            SkillSource(type="local", source="nowhere"),
            SkillSource(type="local", source="empty"),
            SkillSource(type="local", source=str(world.folder / "library"), skills=("mine", "other")),
        )
    )
    assert [(one.name, one.status) for one in session.skills] == [
        ("nowhere", "failed"),
        ("empty", "failed"),
        ("other", "failed"),
        ("mine", "kept"),
    ]
    assert len(await notices(world, session.id)) == 3
    assert (await world.prompt(session.id, "[[say hi]]")).state == "completed"
    await world.sessions.delete(session.id)
    assert (world.cwd / ".agents" / "skills" / "mine" / "SKILL.md").is_file()


async def test_a_session_that_is_not_made_leaves_no_skills(stopped: World) -> None:
    await stopped.start("fail=session/new")
    write_skill(stopped.folder / "one", "one")
    with pytest.raises(Exception, match="told to fail"):
        await stopped.create(skills=(SkillSource(type="local", source=str(stopped.folder / "one")),))
    assert not (stopped.cwd / ".agents").exists()
