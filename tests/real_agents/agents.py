"""How each real agent is started so that it talks to the stub, and nobody else."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BIN = Path(__file__).parent / "node_modules" / ".bin"


@dataclass(frozen=True)
class RealAgent:
    """``mode`` is the one in which the agent asks before it runs a command."""

    name: str
    program: str
    arguments: tuple[str, ...] = ()
    mode: str | None = None

    def install(self, root: Path, home: Path, url: str) -> None:
        """Put the agent into an install root, as a launcher that brings its settings along."""
        slot = root / "sandbox-agent" / "bin" / "agent_processes" / f"{self.name}-acp"
        slot.parent.mkdir(parents=True, exist_ok=True)
        environ = {"HOME": str(home), **SETTINGS[self.name](home, url)}
        exports = "unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME\n"
        exports += "".join(f"export {key}={shlex.quote(value)}\n" for key, value in environ.items())
        node = Path(shutil.which("node") or "node").parent
        command = shlex.join([str(BIN / self.program), *self.arguments])
        slot.write_text(f'#!/bin/sh\n{exports}export PATH={shlex.quote(str(node))}:"$PATH"\nexec {command} "$@"\n')
        slot.chmod(0o755)


def opencode(home: Path, url: str) -> Mapping[str, str]:
    """OpenCode reads its provider from a file, and asks only where it is told to."""
    options = {"baseURL": f"{url}/v1", "apiKey": "x"}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"stub-model": {"name": "Stub"}}}
    config = {
        "model": "stub/stub-model",
        "small_model": "stub/stub-model",
        "provider": {"stub": provider},
        "permission": {"edit": "ask", "bash": "ask"},
    }
    path = home / ".config" / "opencode" / "opencode.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config))
    off = ("OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_LSP_DOWNLOAD")
    return dict.fromkeys(off, "1")


def claude(home: Path, url: str) -> Mapping[str, str]:
    """Claude Code takes its address from the environment; the rest keeps it from calling home."""
    off = (
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        "DISABLE_AUTOUPDATER",
        "DISABLE_ERROR_REPORTING",
        "DISABLE_TELEMETRY",
        "IS_SANDBOX",
    )
    address = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "x", "CLAUDE_CODE_MAX_RETRIES": "2"}
    return address | dict.fromkeys(off, "1")


SETTINGS = {"opencode": opencode, "claude": claude}
AGENTS = (RealAgent("opencode", "opencode", ("acp",)), RealAgent("claude", "claude-agent-acp", mode="default"))
