"""`sandbox-agent credentials`, as a command in a made-up home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-ant-0123456789-abcdef"
LOGIN = "sk-ant-oat01-0123456789-xyz"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Claude Code's login, OpenCode's keys, and Pi's."""
    (tmp_path / ".claude").mkdir()
    login = {"claudeAiOauth": {"accessToken": LOGIN, "expiresAt": 4_102_444_800_000}}
    (tmp_path / ".claude" / ".credentials.json").write_text(json.dumps(login))
    folder = tmp_path / ".local" / "share" / "opencode"
    folder.mkdir(parents=True)
    keys = {
        "anthropic": {"type": "api", "key": KEY},
        "openai": {"type": "oauth", "access": "a-chatgpt-login-token"},
        "openrouter": {"type": "api", "key": "or key's"},
    }
    (folder / "auth.json").write_text(json.dumps(keys))
    (tmp_path / ".pi" / "agent").mkdir(parents=True)
    (tmp_path / ".pi" / "agent" / "auth.json").write_text('{"anthropic": {"type": "api_key", "key": "pi-own-key"}}')
    return tmp_path


def run(home: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox_agent", "credentials", *arguments],
        env={"HOME": str(home), "PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_all_are_shown_masked(home: Path) -> None:
    """With the keys of 0.4.2; nothing that is secret is on either stream."""
    done = run(home, "extract")
    assert json.loads(done.stdout) == {
        "anthropic": {
            "provider": "anthropic",
            "source": "claude-code",
            "auth_type": "oauth",
            "api_key": "sk-a...-xyz",
            "redacted": True,
        },
        "openai": {
            "provider": "openai",
            "source": "opencode",
            "auth_type": "oauth",
            "api_key": "a-ch...oken",
            "redacted": True,
        },
        "other": {
            "openrouter": {
                "provider": "openrouter",
                "source": "opencode",
                "auth_type": "api_key",
                "api_key": "****",
                "redacted": True,
            }
        },
    }
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_found_is_no_fault(tmp_path: Path) -> None:
    """The document is the same, with nothing in it."""
    done = run(tmp_path, "extract")
    assert (json.loads(done.stdout), done.returncode) == ({"anthropic": None, "openai": None, "other": {}}, 0)
    assert run(tmp_path, "extract-env").stdout == ""


def test_values_are_revealed_when_asked_for(home: Path) -> None:
    """The environment comes before files; logins can be left out; another home can be looked into."""
    told = json.loads(run(home, "extract", "--reveal", OPENAI_API_KEY="sk-env").stdout)
    assert (told["anthropic"]["api_key"], told["anthropic"]["redacted"]) == (LOGIN, False)
    assert (told["openai"]["api_key"], told["openai"]["source"]) == ("sk-env", "environment")
    told = json.loads(run(home / "nobody", "extract", "-r", "--no-oauth", "-d", str(home)).stdout)
    assert (told["anthropic"]["api_key"], told["openai"]) == (KEY, None)


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["-a", "claude", "-r"], LOGIN),
        (["-a", "claude"], "sk-a...-xyz"),
        (["-a", "codex", "-r"], "a-chatgpt-login-token"),
        (["-p", "openrouter", "-r"], "or key's"),
        (["-a", "opencode", "-p", "openai", "--reveal"], "a-chatgpt-login-token"),
        (["-a", "pi", "-r"], "pi-own-key"),
    ],
)
def test_one_value_is_printed_alone(home: Path, arguments: list[str], printed: str) -> None:
    """That of an agent, or of a provider: for a script, as nothing stands around it."""
    done = run(home, "extract", *arguments)
    assert (done.stdout, done.returncode) == (printed + "\n", 0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-p", "nobody"], "no credentials found for nobody"),
        (["-a", "claude", "-p", "openai"], "agent claude uses anthropic, not openai"),
        (["-a", "nobody"], "unsupported agent: nobody"),
        (["-a", "mock"], "asks for no provider's credentials"),
        (["-a", "pi", "-p", "openai"], "agent pi uses anthropic, not openai"),
    ],
)
def test_what_cannot_be_found_is_said(home: Path, arguments: list[str], told: str) -> None:
    """On stderr, with status 1, and with nothing on stdout that a script could take for a key."""
    done = run(home, "extract", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr


def test_a_shell_takes_the_assignments(home: Path) -> None:
    """Under each name that agents read, quoted; a login no variable takes is named and left out."""
    done = run(home, "extract-env", "--export", "--no-oauth")
    names = ("ANTHROPIC_API_KEY", "CLAUDE_API_KEY", "OPENROUTER_API_KEY")
    script = done.stdout + "".join(f'echo "${name}"\n' for name in names)
    echoed = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True, check=True, env={})
    assert echoed.stdout.splitlines() == [KEY, KEY, "or key's"]
    done = run(home, "extract-env")
    assert done.stdout.splitlines()[0] == f"CLAUDE_CODE_OAUTH_TOKEN={LOGIN}"
    assert "OPENAI" not in done.stdout
    assert "opencode's login for openai is left out" in done.stderr
    assert "chatgpt" not in done.stderr


def test_a_shell_takes_those_of_one_agent_or_provider(home: Path) -> None:
    """And nothing where there are none, so that a script that stops at errors stops."""
    done = run(home, "extract-env", "--provider", "openrouter", "--export")
    assert done.stdout == """export OPENROUTER_API_KEY='or key'"'"'s'\n"""
    done = run(home, "extract-env", "--agent", "claude", "--reveal")
    assert done.stdout == f"CLAUDE_CODE_OAUTH_TOKEN={LOGIN}\n"
    done = run(home, "extract-env", "--provider", "nobody")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: no credentials found for nobody\n")
