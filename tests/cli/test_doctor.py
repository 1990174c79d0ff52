"""`sandbox-agent doctor`, as a command in a made-up home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-ant-0123456789-never-told"
LOGIN = "a-login-token-0123456789"


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (home / ".codex").mkdir(exist_ok=True)
    (home / ".codex" / "auth.json").write_text(json.dumps({"tokens": {"access_token": LOGIN}}))
    return subprocess.run(
        [sys.executable, "-m", "sandbox_agent", "doctor", *arguments],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "ANTHROPIC_API_KEY": KEY},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_tells_people_what_works(tmp_path: Path) -> None:
    """The machine, the agents, the next step; credentials by where they are."""
    done = run(tmp_path, "mock", "claude")
    assert done.returncode == 0, done.stderr
    assert "data directory     ~/.local/share/sandbox-agent" in done.stdout
    assert "ANTHROPIC_API_KEY" in done.stdout
    assert "sandbox-agent install-agent claude" in done.stdout
    assert KEY not in done.stdout + done.stderr


def test_the_status_tells_programs_whether_an_agent_is_usable(tmp_path: Path) -> None:
    """0 when one of those asked about is, else 1; JSON is the report of the API."""
    assert run(tmp_path, "kimi", "--offline").returncode == 1
    done = run(tmp_path, "--json", "--offline", "mock")
    report = json.loads(done.stdout)
    assert (done.returncode, report["usable"], report["agents"][0]["id"]) == (0, True, "mock")
    assert report["agents"][0]["handshake"]["state"] == "skipped"
    assert run(tmp_path, "nobody").returncode == 1


def test_a_report_is_ready_to_paste_and_holds_no_secret(tmp_path: Path) -> None:
    """Whatever the reporter put in: keys of the environment and of agents' files are taken out, home is told as ~."""
    trace = tmp_path / "trace.txt"
    trace.write_text(f"401 for {KEY} at {tmp_path}/x.py\nheaders: {{'x-api-key': 'not-known-here-1'}}")
    arguments = ("--report", str(tmp_path / "report.md"), "--symptoms", "it fails", "--error", f"@{trace}")
    done = run(
        tmp_path,
        "mock",
        "--offline",
        *arguments,
        "--code",
        f"login({LOGIN!r})",
        "--deployed",
        "somewhere",
        "--provider",
        "a gateway",
    )
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "report.md").read_text()
    assert "it fails" in report
    assert "401 for [redacted] at ~/x.py" in report
    assert "login('[redacted]')" in report
    assert "deployed: somewhere" in report
    assert "### Provider\n\na gateway\n" in report
    assert "not-known-here" not in report
    assert KEY not in report
    assert LOGIN not in report
    assert str(tmp_path) not in report


def test_without_a_file_the_report_goes_to_stdout(tmp_path: Path) -> None:
    done = run(tmp_path, "--offline", "mock", "--report")
    assert done.stdout.startswith("## Problem report\n")


@pytest.mark.parametrize("arguments", [("--report", "/no/such/folder/x.md"), ("--report", "--error", "@/no/such/file")])
def test_a_file_that_cannot_be_used_is_said(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, "--offline", "mock", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "/no/such" in done.stderr
