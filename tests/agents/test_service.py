"""The service: commands and problems of agents, what it tells of them, and how often it asks one."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox_agent.agents import Agents
from sandbox_agent.problems import AgentNotInstalled, Timeout, UnsupportedAgent

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.supervisor import Command
    from sandbox_agent.wire.base import JsonObject

OPTION = {"id": "model", "currentValue": "a"}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A home and a PATH with nothing in them."""
    (tmp_path / "bin").mkdir()
    return {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}


def put(tmp_path: Path, name: str) -> Path:
    path = tmp_path / "bin" / name
    path.write_bytes(b"\x7fELF")
    path.chmod(0o755)
    return path


def encoded(info: Any) -> Any:
    return json.loads(msgspec.json.encode(info))


async def test_a_command_is_what_starts_the_agent(environ: dict[str, str], tmp_path: Path) -> None:
    path = put(tmp_path, "claude-code-acp")
    command = await Agents(environ=environ | {"ANTHROPIC_API_KEY": "k"}).command("claude")
    assert (command.argv, command.env) == ((str(path),), {"ANTHROPIC_API_KEY": "k"})


async def test_an_unknown_agent_is_unsupported(environ: dict[str, str]) -> None:
    with pytest.raises(UnsupportedAgent) as caught:
        await Agents(environ=environ).command("nope")
    assert caught.value.document()["detail"] == "unsupported agent: nope"
    assert caught.value.document()["agent"] == "nope"


async def test_an_agent_that_is_not_there_says_what_installs_it(environ: dict[str, str]) -> None:
    with pytest.raises(AgentNotInstalled) as caught:
        await Agents(environ=environ).command("codex")
    assert caught.value.hint == "sandbox-agent install-agent codex"
    custom = Agents(environ=environ, config={"agents": {"x": {"command": "xy"}}})
    with pytest.raises(AgentNotInstalled) as caught:
        await custom.command("x")
    assert "put xy on PATH" in (caught.value.hint or "")
    assert "agent_processes/x-acp" in (caught.value.hint or "")


async def test_the_list_tells_all_agents_without_asking_any(environ: dict[str, str]) -> None:
    """In order; only the mock is there, told with its version and path; options are told with `config` alone."""
    infos = [encoded(info) for info in await Agents(environ=environ).list()]
    assert [info["id"] for info in infos][:7] == ["claude", "codex", "opencode", "amp", "pi", "cursor", "mock"]
    assert [info["id"] for info in infos if info["installed"]] == ["mock"]
    assert set(infos[6]) == {*("id", "name", "installed", "version", "path", "credentialsAvailable", "capabilities")}
    assert "version" not in infos[0]


async def test_config_adds_the_options_of_the_mock(environ: dict[str, str]) -> None:
    info = encoded(await Agents(environ=environ).info("mock", config=True))
    assert info["version"] == "builtin"
    assert info["path"].endswith("__main__.py")
    assert [option["category"] for option in info["configOptions"]] == ["model", "mode", "thought_level"]
    assert [[value["value"] for value in option["options"]] for option in info["configOptions"]] == [
        ["mock", "mock-fast"],
        ["normal", "plan"],
        ["low", "medium", "high"],
    ]


async def test_problems_are_told_nearest_first(environ: dict[str, str], tmp_path: Path) -> None:
    """Not installed, then what it needs, then credentials, then none."""
    agents = Agents(environ=environ)
    info = await agents.info("claude")
    assert info.problem == "not installed: claude-agent-acp or claude-code-acp is not on PATH"
    assert info.hint == "sandbox-agent install-agent claude"
    path = put(tmp_path, "claude-agent-acp")
    path.write_text("#!/usr/bin/env node\n")
    info = await agents.info("claude")
    assert (info.installed, info.problem) == (True, f"{path} needs node, not found on PATH")
    with pytest.raises(AgentNotInstalled, match="needs node"):
        await agents.command("claude")
    put(tmp_path, "node")
    info = await agents.info("claude")
    assert info.problem == "no key or login for Anthropic found"
    assert "ANTHROPIC_API_KEY" in (info.hint or "")
    environ["ANTHROPIC_API_KEY"] = "k"
    info = await agents.info("claude")
    assert (info.problem, info.hint, info.credentials_available) == (None, None, True)


async def test_the_status_is_told_while_a_server_runs(environ: dict[str, str]) -> None:
    agents = Agents(environ=environ, running=lambda agent: 1500 if agent == "mock" else None)
    assert encoded(await agents.info("mock"))["serverStatus"] == {"status": "running", "uptimeMs": 1500}
    assert "serverStatus" not in encoded(await agents.info("codex"))


class Prober:
    """Stands for a real probe; ``fails`` for its first calls."""

    def __init__(self, fails: int = 0) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.fails = fails
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, agent: str, command: Command) -> tuple[JsonObject, ...]:
        self.asked.append((agent, command.argv))
        self.begun.set()
        await self.go.wait()
        if len(self.asked) <= self.fails:
            raise Timeout("no answer", hint="wait")
        return (OPTION,)


async def test_an_agent_is_asked_once_for_its_options(environ: dict[str, str], tmp_path: Path) -> None:
    """Then never again, but for `no_cache`; and only an agent that is there."""
    path = put(tmp_path, "codex-acp")
    prober = Prober()
    agents = Agents(environ=environ, prober=prober)
    assert encoded(await agents.info("codex", config=True))["configOptions"] == [OPTION]
    await agents.list(config=True)
    assert prober.asked == [("codex", (str(path),))]
    await agents.info("codex", config=True, no_cache=True)
    assert len(prober.asked) == 2


async def test_those_who_ask_at_once_get_one_answer(environ: dict[str, str], tmp_path: Path) -> None:
    """Also when the first of them gives up."""
    put(tmp_path, "codex-acp")
    prober = Prober()
    prober.go.clear()
    agents = Agents(environ=environ, prober=prober)
    asking = [asyncio.ensure_future(agents.info("codex", config=True)) for _ in range(5)]
    await prober.begun.wait()
    asking[0].cancel()
    prober.go.set()
    infos = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(infos[0], asyncio.CancelledError)
    assert [encoded(info)["configOptions"] for info in infos[1:]] == [[OPTION]] * 4
    assert len(prober.asked) == 1


async def test_a_failed_probe_is_told_and_tried_again(environ: dict[str, str], tmp_path: Path) -> None:
    put(tmp_path, "codex-acp")
    agents = Agents(environ=environ, prober=Prober(fails=1))
    info = encoded(await agents.info("codex", config=True))
    assert info["configError"] == "no answer (hint: wait)"
    assert "configOptions" not in info
    assert encoded(await agents.info("codex", config=True))["configOptions"] == [OPTION]


async def test_another_program_as_mock_is_asked(environ: dict[str, str], tmp_path: Path) -> None:
    """The options known of ours are not told of a program put in its place."""
    path = put(tmp_path, "other")
    prober = Prober()
    agents = Agents(environ=environ, prober=prober, config={"agents": {"mock": {"command": "other"}}})
    assert encoded(await agents.info("mock", config=True))["configOptions"] == [OPTION]
    assert prober.asked == [("mock", (str(path),))]
