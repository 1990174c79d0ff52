"""Which skills a folder holds, and what they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox_agent.config.skills import DEEPEST, select

from .conftest import write_skill

if TYPE_CHECKING:
    from pathlib import Path


def names(root: Path, wanted: tuple[str, ...] | None = None) -> list[str]:
    return [skill.name for skill in select(root, wanted, called="root").skills]


def test_a_folder_that_is_a_skill_is_the_only_one(tmp_path: Path) -> None:
    write_skill(tmp_path)
    write_skill(tmp_path / "examples" / "inner", "inner")
    assert names(tmp_path) == ["root"], "what lies in a skill is its own affair"


def test_skills_are_found_in_folders_below_and_named_by_their_front_matter(tmp_path: Path) -> None:
    write_skill(tmp_path / "skills" / "b", "beta")
    write_skill(tmp_path / "skills" / "a")
    write_skill(tmp_path / ".claude" / "skills" / "hidden", '"quoted"')
    write_skill(tmp_path / "node_modules" / "x", "never")
    assert names(tmp_path) == ["quoted", "a", "beta"]


def test_folders_too_deep_are_not_searched(tmp_path: Path) -> None:
    write_skill(tmp_path.joinpath(*"abcdefgh"[:DEEPEST]), "deep")
    write_skill(tmp_path.joinpath(*"xbcdefgh"[: DEEPEST + 1]), "deeper")
    assert names(tmp_path) == ["deep"]


def test_wanted_ones_are_chosen_by_either_name_and_missing_ones_told(tmp_path: Path) -> None:
    write_skill(tmp_path / "folder", "name")
    write_skill(tmp_path / "other", "other")
    assert names(tmp_path, ("name",)) == names(tmp_path, ("folder",)) == ["name"]
    assert select(tmp_path, ("name", "nothing"), called="x").missing == ["nothing"]


@pytest.mark.parametrize("name", ["../../escape", "a/b", "", ".", "x" * 65])
def test_a_name_that_is_no_plain_one_gives_way_to_the_folders(tmp_path: Path, name: str) -> None:
    write_skill(tmp_path / "folder", name or "''")
    assert names(tmp_path) == ["folder"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    write_skill(tmp_path / "outside", "outside")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    assert names(tmp_path / "root") == []
