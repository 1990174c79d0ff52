"""The benchmarks work, so that their numbers can be had; what the numbers are, no test asserts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .checkout import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def results(program: str, tmp_path: Path) -> dict[str, dict[str, dict[str, float]]]:
    """What a benchmark program tells of our server alone, with little work."""
    assert shutil.which("cc"), "a C compiler is missing: run scripts/test, which brings it"
    told = tmp_path / "told.json"
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / program, "--host", "ours", "--quick", "--json", told],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, dict[str, dict[str, float]]] = json.loads(told.read_text())["results"]
    return found


def test_the_benchmarks_run_and_lose_nothing(tmp_path: Path) -> None:
    """Each measure of ours yields its numbers; every event arrives once and in order, every request is answered."""
    found = results("run.py", tmp_path)
    assert len(found) == 13
    for measure, numbers in found.items():
        for number in (
            "lost, %",
            "out of order",
            "unanswered or wrong",
            "unanswered",
            "agents left",
            "agents left of 10",
        ):
            if number in numbers:
                assert numbers[number]["ours"] == 0, (measure, number)


def test_the_benchmarks_of_files_and_processes_run_and_lose_nothing(tmp_path: Path) -> None:
    """Each measure yields its numbers; uploads are taken and there, and a log arrives whole, however it is read."""
    found = results("files_and_processes.py", tmp_path)
    assert len(found) == 9
    assert found["put"]["refused"]["ours"] == found["tar"]["refused"]["ours"] == 0
    assert found["log"]["lost, %"]["ours"] == found["log, slow reader"]["lost, %"]["ours"] == 0


@pytest.mark.parametrize(
    ("program", "options", "told"),
    [
        ("desktop.py", ["--host", "ours", "--times", "1", "--rounds", "1", "--shots", "2"], "1080p png p95"),
        ("desktop_stream.py", ["--seconds", "1"], "glass to glass p95"),
    ],
)
def test_the_benchmarks_of_the_desktop_run(tmp_path: Path, program: str, options: list[str], told: str) -> None:
    """From the start of a desktop to the last number."""
    assert shutil.which("cc"), "a C compiler is missing: run scripts/test, which brings it"
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / program, *options],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert told in done.stdout
