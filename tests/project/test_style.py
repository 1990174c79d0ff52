"""The house style, as far as programs can tell."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .checkout import ROOT


@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "--no-cache", "."), ("ruff", "format", "--no-cache", "--check", "."), ("mypy",)],
    ids=["lint", "format", "types"],
)
@pytest.mark.timeout(300)
def test_the_checker_finds_nothing(command: tuple[str, ...]) -> None:
    """Lint, format and strict types are clean over the whole checkout."""
    run = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{' '.join(command)}\n{run.stdout[-6000:]}{run.stderr[-2000:]}"
