"""Folders with skills, and git repositories of them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    run = subprocess.run(
        ["git", *identity, *words], cwd=folder, env=os.environ | GIT, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def write_skill(folder: Path, name: str | None = None, text: str = "Do it well.") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    head = f"---\nname: {name}\ndescription: For tests\n---\n" if name else ""
    (folder / "SKILL.md").write_text(f"{head}# Skill\n{text}\n")
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With the skills ``review`` and ``ship`` on main, and ``old`` alone on a branch of that name."""
    root = tmp_path / "origin"
    root.mkdir()
    git(root, "init", "-q")
    write_skill(root / "skills" / "old", "old")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "old")
    git(root, "branch", "old")
    git(root, "rm", "-rq", "skills/old")
    write_skill(root / "skills" / "review", "review")
    write_skill(root / "skills" / "shipping-folder", "ship")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "new")
    return root


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    await supervisor.start()
    yield supervisor
    await supervisor.stop()
