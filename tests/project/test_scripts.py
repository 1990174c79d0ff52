"""The README's two commands tell a newcomer what is missing and how to get it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from .checkout import ROOT

if TYPE_CHECKING:
    from pathlib import Path

OLD = """#!/bin/sh
case "$1" in -V) echo Python 3.9.2;; -c) exit 1;; esac
"""
# Debian's Python without its -venv package: new enough, knows its version, cannot import ensurepip.
BARE = """#!/bin/sh
case "$2" in
  *ensurepip*) exit 1;;
  *print*) echo 3.12;;
esac
"""


def run(script: str, python: str | None, tmp_path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """The script on a machine that has the shell's own tools and, perhaps, one odd `python3`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in ("bash", "sh", "dirname", "cat", "id", "mktemp", "rm", "sed", "nproc"):
        (programs / tool).symlink_to(shutil.which(tool) or tool)
    if python:
        (programs / "python3").write_text(python)
        (programs / "python3").chmod(0o755)
    environ = {"PATH": str(programs), "VENV": str(tmp_path / "venv"), "HOME": str(tmp_path)}
    return subprocess.run(
        [ROOT / "scripts" / script, *args], env=environ, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("script", ["start", "test"])
@pytest.mark.parametrize(
    ("python", "fault", "remedy"),
    [
        (None, "no Python was found", "apt-get install python3 python3-venv"),
        (OLD, "Python 3.11 or newer is needed", "PYTHON=/path/to/python"),
        (BARE, "has no venv module", "apt-get install python3.12-venv"),
    ],
    ids=["none", "too old", "without venv"],
)
def test_a_missing_python_is_told_with_its_remedy(
    script: str, python: str | None, fault: str, remedy: str, tmp_path: Path
) -> None:
    """Each fault ends the script at once, with one sentence and the command that mends it, and makes nothing."""
    done = run(script, python, tmp_path)
    assert done.returncode == 1
    assert fault in done.stderr
    assert remedy in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("script", ["start", "test"])
def test_help_is_told_without_making_anything(script: str, tmp_path: Path) -> None:
    done = run(script, None, tmp_path, "--help")
    assert (done.returncode, done.stdout.splitlines()[0][:20]) == (0, f"usage: scripts/{script} "[:20])


def test_the_scripts_are_programs() -> None:
    for script in ("scripts/start", "scripts/test", ".ci/run"):
        assert os.access(ROOT / script, os.X_OK), script
