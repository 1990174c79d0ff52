"""`sandbox-agent install-agent`, without a server."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.agents.install.versions import this_platform

from ..agents.registries import ANSWER, serving, tarball
from ..support.command import Command
from ..support.server import environment, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = [sys.executable, "-m", "sandbox_agent", "install-agent"]
AGENT = "#!/bin/sh\nread line\necho '" + ANSWER.replace("%s", '"sa-1"') + "'\ncat\n"


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A user whose registry has one agent that installs, and one that does not."""
    with serving() as registries:
        data = tarball({"agent": AGENT})
        good = {
            "archive": registries.file("a.tar.gz", data),
            "cmd": "agent",
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        entries = [
            {"id": name, "name": name, "version": "1.0.0", "distribution": {"binary": {this_platform(): given}}}
            for name, given in (("tiny", good), ("broken", good | {"sha256": "0" * 64}))
        ]
        file = tmp_path / "registry.json"
        file.write_text(json.dumps({"agents": entries}))
        yield environment(tmp_path, {"SANDBOX_AGENT_ACP_REGISTRY_URL": file.as_uri()})


def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], env=env, capture_output=True, text=True, check=False, timeout=60)


def test_an_agent_is_installed(env: dict[str, str], tmp_path: Path) -> None:
    """Forbidding lazy installs does not forbid this; a line for each stage where there is no terminal."""
    done = run(env, "tiny")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tiny installed\n  agent process 1.0.0 (binary) ")
    assert "tiny [verify] " in done.stderr
    assert (tmp_path / "data" / "sandbox-agent" / "bin" / "agent_processes" / "tiny-acp").exists()
    again = run(env, "tiny", "--json")
    told = json.loads(again.stdout)
    assert (told["agent"], told["already_installed"], again.stderr) == ("tiny", True, "")


def test_a_failure_says_why_and_what_would_help(env: dict[str, str]) -> None:
    done = run(env, "broken")
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: installing broken failed: a.tar.gz has the digest" in done.stderr
    assert "hint: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name one agent"),
        (("tiny", "--all"), "name one agent"),
        (("--all", "--agent-version", "1"), "a version is of one agent"),
    ],
)
def test_a_wrong_command_line_is_told(env: dict[str, str], arguments: tuple[str, ...], told: str) -> None:
    done = run(env, *arguments)
    assert done.returncode == 2
    assert told in done.stderr


def test_an_unknown_agent_is_told_with_the_known(env: dict[str, str]) -> None:
    done = run(env, "nope")
    assert done.returncode == 1
    assert "unsupported agent: nope" in done.stderr
    assert "tiny" in done.stderr


def test_a_server_installs_and_tells_alike(env: dict[str, str], tmp_path: Path) -> None:
    """`sandbox-agent api agents install`: the same lines, the same last words."""
    registry = "SANDBOX_AGENT_ACP_REGISTRY_URL"
    with serve(tmp_path / "server", env={registry: env[registry]}) as server:
        command = Command(tmp_path / "user", server)
        done = command("api", "agents", "install", "tiny")
        assert done.stdout.startswith("tiny is installed\n")
        assert "tiny [verify] " in done.stderr
        assert "already" in command("api", "agents", "install", "tiny").stdout
        failed = command("api", "agents", "install", "broken", status=1)
        assert "error: installing broken failed: a.tar.gz has the digest" in failed.stderr
        assert "hint: " in failed.stderr
