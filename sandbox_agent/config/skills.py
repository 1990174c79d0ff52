"""Skills in a folder: each is a folder with a ``SKILL.md`` (https://agentskills.io/specification)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

DEEPEST = 4
"""Folders below the root that are searched; an index of thousands is none of skills."""

_PASSED_OVER = frozenset({".git", "node_modules"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FRONT_NAME = re.compile(r"^name:\s*[\"']?([^\"'\n]+?)[\"']?\s*$", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A\ufeff?---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)
_HEAD = 16_384


class Skill(NamedTuple):
    """``name`` is that of its front matter, which agents want its folder to have, too."""

    name: str
    folder: Path


class Selection(NamedTuple):
    skills: list[Skill]
    missing: list[str]


def select(root: Path, wanted: tuple[str, ...] | None, *, called: str) -> Selection:
    """The skills below ``root``, or ``root`` itself (``called`` so if it has no name); all unless some are wanted."""
    found = _found(root, called)
    if wanted is None:
        return Selection(found, [])
    chosen = [skill for skill in found if skill.name in wanted or skill.folder.name in wanted]
    known = {name for skill in chosen for name in (skill.name, skill.folder.name)}
    return Selection(chosen, [name for name in wanted if name not in known])


def _found(root: Path, called: str) -> list[Skill]:
    found: dict[str, Skill] = {}
    for parent, folders, files in os.walk(root):
        folder = Path(parent)
        depth = len(folder.relative_to(root).parts)
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER) if depth < DEEPEST else []
        if "SKILL.md" in files:
            folders.clear()
            skill = _skill(folder, called if folder == root else folder.name)
            found.setdefault(skill.name, skill)
    return list(found.values())


def _skill(folder: Path, otherwise: str) -> Skill:
    with (folder / "SKILL.md").open("rb") as file:
        head = file.read(_HEAD).decode(errors="replace")
    matter = _FRONT_MATTER.search(head)
    named = _FRONT_NAME.search(matter[1]) if matter else None
    name = named[1] if named and _NAME.fullmatch(named[1]) else otherwise
    return Skill(re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "skill", folder)
