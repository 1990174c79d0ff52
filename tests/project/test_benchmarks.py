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


def test_the_benchmarks_run_and_lose_nothing(tmp_path: Path) -> None:
    """Each measure of ours yields its numbers; every event arrives once and in order, every request is answered."""
    assert shutil.which("cc"), "a C compiler is missing: run scripts/test, which brings it"
    told = tmp_path / "told.json"
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "run.py", "--host", "ours", "--quick", "--json", told],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(told.read_text())["results"]
    assert len(results) == 13
    for measure, numbers in results.items():
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
