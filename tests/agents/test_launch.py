"""Finding what starts an agent, and what it may inherit, in made-up folders and environments."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.agents import launch
from sandbox_agent.agents.catalogue import load

if TYPE_CHECKING:
    from pathlib import Path

SPECS, _ = load()


def program(path: Path, text: str = "#!/bin/sh\n", mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder to be on PATH, with `sh` in it."""
    program(tmp_path / "bin" / "sh")
    return tmp_path / "bin"


def found(agent: str, tmp_path: Path, path: Path) -> launch.Launcher | None:
    return launch.find(SPECS[agent], tmp_path / "root", {"PATH": str(path)})


@pytest.mark.parametrize(
    ("agent", "names"),
    [
        ("claude", ["claude-agent-acp", "claude-code-acp"]),
        ("codex", ["codex-acp"]),
        ("opencode", ["opencode"]),
        ("amp", ["amp-acp"]),
        ("pi", ["pi-acp"]),
        ("cursor", ["cursor-agent-acp"]),
    ],
)
def test_an_agent_is_found_on_path_by_each_of_its_names(
    tmp_path: Path, path: Path, agent: str, names: list[str]
) -> None:
    """None is there at first; then the last name is enough, and the first is preferred."""
    assert found(agent, tmp_path, path) is None
    for name in reversed(names):
        program(path / name)
        launcher = found(agent, tmp_path, path)
        assert launcher is not None
        assert launcher.argv[0] == launcher.path == str(path / name)
    if agent == "opencode":
        assert launcher is not None
        assert launcher.argv[1:] == ("acp",)


@pytest.mark.parametrize("agent", ["claude", "mock"])
def test_the_install_root_comes_first(tmp_path: Path, path: Path, agent: str) -> None:
    """For the mock too, so that a test or a user can put another program there."""
    program(path / "claude-agent-acp")
    installed = program(tmp_path / "root" / "agent_processes" / f"{agent}-acp")
    launcher = found(agent, tmp_path, path)
    assert launcher is not None
    assert launcher.argv == (str(installed),)
    installed.chmod(0o644)
    launcher = found(agent, tmp_path, path)
    assert launcher is not None
    assert launcher.path != str(installed)


def test_a_folder_in_the_install_root_is_no_launcher(tmp_path: Path, path: Path) -> None:
    (tmp_path / "root" / "agent_processes" / "claude-acp").mkdir(parents=True)
    assert found("claude", tmp_path, path) is None


def test_the_mock_runs_on_this_python_without_site_packages(tmp_path: Path, path: Path) -> None:
    launcher = found("mock", tmp_path, path)
    assert launcher is not None
    assert launcher.argv == (sys.executable, "-I", "-S", "-E", str(launch.BUILTIN["mock"]))
    assert (launcher.needs, launch.version(launcher)) == ((), "builtin")


def test_a_program_of_ours_may_be_forked_ready_and_no_other(tmp_path: Path, path: Path) -> None:
    """The supervisor is told which of the arguments is the program."""
    for agent in ("mock", "pi"):
        program(path / "pi-acp")
        spec, launcher = SPECS[agent], found(agent, tmp_path, path)
        assert launcher is not None
        ours = str(launch.BUILTIN["mock"]) if agent == "mock" else None
        assert launch.command(spec, launcher, {}).program == ours


def test_missing_programs_are_named(tmp_path: Path, path: Path) -> None:
    """The interpreter of its first line, and the program it drives."""
    program(path / "pi-acp", "#!/usr/bin/env -S node --flag\n")
    launcher = found("pi", tmp_path, path)
    assert launcher is not None
    assert (launcher.needs, launcher.interpreter) == (("node", "pi"), "node")
    program(path / "node")
    launcher = found("pi", tmp_path, path)
    assert launcher is not None
    assert (launcher.needs, launcher.interpreter) == (("pi",), None)
    program(path / "pi")
    launcher = found("pi", tmp_path, path)
    assert launcher is not None
    assert launcher.needs == ()


def test_what_the_user_brings_is_missed_wherever_the_agent_came_from(tmp_path: Path, path: Path) -> None:
    """Cursor's adapter drives a program that we do not install."""
    program(tmp_path / "root" / "agent_processes" / "cursor-acp")
    launcher = found("cursor", tmp_path, path)
    assert launcher is not None
    assert (launcher.needs, launcher.interpreter) == (("cursor-agent",), None)


def test_our_adapter_is_there_when_the_program_it_drives_is(tmp_path: Path, path: Path) -> None:
    """Amp on PATH is enough; a program that speaks ACP for it goes before ours."""
    program(path / "amp")
    launcher = found("amp", tmp_path, path)
    assert launcher is not None
    assert (launcher.argv[-1], launcher.builtin) == (str(launch.BUILTIN["amp"]), True)
    program(path / "amp-acp")
    launcher = found("amp", tmp_path, path)
    assert launcher is not None
    assert launcher.path == str(path / "amp-acp")


def test_a_path_of_its_own_is_searched(tmp_path: Path, path: Path) -> None:
    """An agent whose configuration sets PATH is looked for there."""
    program(tmp_path / "own" / "xy")
    specs, _ = load({"agents": {"x": {"command": "xy", "env": {"PATH": str(tmp_path / "own")}}}})
    launcher = launch.find(specs["x"], tmp_path / "root", {"PATH": str(path)})
    assert launcher is not None
    assert launcher.path == str(tmp_path / "own" / "xy")


@pytest.mark.parametrize("text", ["", "\x7fELF", "#!", "#!/bin/sh", "#!\n"])
def test_any_first_line_is_read(tmp_path: Path, path: Path, text: str) -> None:
    program(path / "amp-acp", text)
    launcher = found("amp", tmp_path, path)
    assert launcher is not None
    assert launcher.needs == ()


def test_the_version_is_that_of_the_npm_package(tmp_path: Path, path: Path) -> None:
    """By the manifest beside the real file; no program is run for it."""
    package = tmp_path / "lib" / "node_modules" / "amp-acp"
    program(package / "dist" / "index.js")
    (package / "package.json").write_text(json.dumps({"version": "1.2.3"}))
    (path / "amp-acp").symlink_to(package / "dist" / "index.js")
    launcher = found("amp", tmp_path, path)
    assert launcher is not None
    assert launch.version(launcher) == "1.2.3"


@pytest.mark.parametrize("manifest", [None, "{", "[]", "{}", '{"version": 1}'])
def test_a_version_that_cannot_be_told_is_none(tmp_path: Path, manifest: str | None) -> None:
    file = program(tmp_path / "node_modules" / "x" / "cli.js")
    if manifest is not None:
        (file.parent / "package.json").write_text(manifest)
    (tmp_path / "package.json").write_text('{"version": "not this one"}')
    assert launch.version(launch.Launcher((str(file),), str(file))) is None


def test_the_install_root_follows_the_environment(tmp_path: Path) -> None:
    """A relative XDG_DATA_HOME counts as unset, as its specification says."""
    home = {"HOME": str(tmp_path)}
    below = tmp_path / ".local" / "share" / "sandbox-agent" / "bin"
    assert launch.install_root(home) == below
    assert launch.install_root(home | {"XDG_DATA_HOME": "relative"}) == below
    assert launch.install_root(home | {"XDG_DATA_HOME": "/d"}).as_posix() == "/d/sandbox-agent/bin"


def test_an_agent_inherits_its_own_variables_and_no_secret_of_the_server() -> None:
    """Its provider's keys and its configuration's; never the server's token, whatever is asked for."""
    environ = {
        "ANTHROPIC_API_KEY": "a",
        "OPENAI_API_KEY": "o",
        "SANDBOX_AGENT_TOKEN": "secret",
        "JUPYTER_TOKEN": "secret",
        "JUPYTERHUB_API_TOKEN": "secret",
    }
    specs, _ = load({"agents": {"greedy": {"command": "x", "inheritEnv": ["*"], "env": {"OPENAI_API_KEY": "mine"}}}})
    launcher = launch.Launcher(("x",), "x")
    assert launch.command(specs["claude"], launcher, environ).env == {"ANTHROPIC_API_KEY": "a"}
    assert launch.command(specs["greedy"], launcher, environ).env == {
        "ANTHROPIC_API_KEY": "a",
        "OPENAI_API_KEY": "mine",
    }
