"""The house style, as far as programs can tell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .checkout import ROOT

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
        ("mypy",),
        ("shellcheck", "--external-sources", "scripts/start", "scripts/test", ".ci/run"),
    ],
    ids=["lint", "format", "types", "shell"],
)
@pytest.mark.timeout(300)
def test_the_checker_finds_nothing(command: tuple[str, ...]) -> None:
    """Lint, format and strict types are clean over the whole checkout, and so are the shell scripts."""
    program, *args = command
    run = subprocess.run([BIN / program, *args], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{' '.join(command)}\n{run.stdout[-6000:]}{run.stderr[-2000:]}"
