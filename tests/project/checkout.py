"""Where the checkout's files are, for the tests that read them."""

from __future__ import annotations

import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = {
    "sandbox_agent": ROOT / "sandbox_agent",
    "sandbox_agent_jupyter": ROOT / "jupyter_extension" / "sandbox_agent_jupyter",
    "sandbox_agent_widgets": ROOT / "widgets" / "sandbox_agent_widgets",
}


@cache
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file git tracks and that is there, as absolute paths."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(path for name in names.split("\0") if name and (path := ROOT / name).is_file())


@cache
def modules() -> dict[str, Path]:
    """Dotted name to file, for every module of the three packages."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if "static" not in parts:
                found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found
