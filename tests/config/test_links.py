"""Skills where agents read them from: placed with care, and taken away without harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox_agent.config.links import SkillLinks
from sandbox_agent.config.skills import Skill

from .conftest import git, write_skill

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def links(tmp_path: Path) -> SkillLinks:
    return SkillLinks(tmp_path / "links")


@pytest.fixture
def skill(tmp_path: Path) -> Skill:
    return Skill("review", write_skill(tmp_path / "source" / "review", "review"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clone with a user's own exclude file."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / ".git" / "info").mkdir(exist_ok=True)
    (folder / ".git" / "info" / "exclude").write_text("*.mine")
    return folder


def test_a_skill_is_there_while_a_session_needs_it_and_nothing_is_left(
    links: SkillLinks, skill: Skill, project: Path
) -> None:
    placed = links.place("s1", project / ".claude" / "skills", skill)
    assert (placed.status, placed.path) == ("placed", project / ".claude" / "skills" / "review")
    assert (placed.path / "SKILL.md").is_file()
    assert git(project, "status", "--porcelain") == ""
    links.release("s1")
    assert not (project / ".claude").exists()
    assert (project / ".git" / "info" / "exclude").read_text() == "*.mine\n"
    assert (skill.folder / "SKILL.md").is_file()


def test_the_last_session_takes_it_away_also_in_another_run(
    links: SkillLinks, skill: Skill, project: Path, tmp_path: Path
) -> None:
    folder = project / ".agents" / "skills"
    for session in ("s1", "s2", "s1"):
        assert links.place(session, folder, skill).status == "placed"
    again = SkillLinks(tmp_path / "links")
    again.release("s1")
    assert (folder / "review").is_symlink()
    again.release("nobody")
    again.release("s2")
    assert not (project / ".agents").exists()


@pytest.mark.parametrize("order", [("s1", "s2"), ("s2", "s1")])
def test_the_last_link_takes_the_folders_along_whichever_made_them(
    links: SkillLinks, skill: Skill, project: Path, order: tuple[str, str]
) -> None:
    links.place("s1", project / "a" / "skills", skill)
    links.place("s2", project / "a" / "skills", skill._replace(name="other"))
    for session in order:
        assert (project / "a" / "skills").is_dir()
        links.release(session)
    assert not (project / "a").exists()


def test_what_the_user_has_there_stays(links: SkillLinks, skill: Skill, project: Path) -> None:
    own = write_skill(project / ".claude" / "skills" / "review", "review", "Mine.")
    placed = links.place("s1", own.parent, skill)
    assert placed.status == "kept"
    links.release("s1")
    assert "Mine." in (own / "SKILL.md").read_text()


def test_what_the_user_put_in_its_place_or_beside_it_stays(links: SkillLinks, skill: Skill, project: Path) -> None:
    placed = links.place("s1", project / "skills", skill)
    placed.path.unlink()
    write_skill(placed.path, "review", "Mine.")
    (project / "skills" / "notes").write_text("mine")
    links.release("s1")
    assert "Mine." in (placed.path / "SKILL.md").read_text()
    assert (project / "skills" / "notes").is_file()


def test_a_link_that_was_taken_away_is_made_again(links: SkillLinks, skill: Skill, project: Path) -> None:
    placed = links.place("s1", project / "skills", skill)
    placed.path.unlink()
    assert links.place("s1", project / "skills", skill).status == "placed"
    assert (placed.path / "SKILL.md").is_file()
    links.release("s1")
    assert not (project / "skills").exists()


def test_a_newer_copy_takes_the_place_of_the_older(
    links: SkillLinks, skill: Skill, project: Path, tmp_path: Path
) -> None:
    links.place("s1", project / "skills", skill)
    newer = Skill("review", write_skill(tmp_path / "newer", "review", "New."))
    placed = links.place("s2", project / "skills", newer)
    assert "New." in (placed.path / "SKILL.md").read_text()
    links.release("s2")
    links.release("s1")
    assert not (project / "skills").exists()


def test_a_work_tree_is_excluded_in_its_clone(
    links: SkillLinks, skill: Skill, repository: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "a tree"
    git(repository, "worktree", "add", "-q", "--detach", str(tree))
    placed = links.place("s1", tree / "sub [x]" / "skills", skill)
    assert placed.status == "placed"
    assert git(tree, "status", "--porcelain") == ""
    links.release("s1")
    assert git(tree, "status", "--porcelain", "--ignored") == ""


def test_a_folder_without_git_is_no_fault(links: SkillLinks, skill: Skill, tmp_path: Path) -> None:
    assert links.place("s1", tmp_path / "plain" / "skills", skill).status == "placed"
    links.release("s1")
    assert not (tmp_path / "plain").exists()


def test_a_place_that_cannot_be_made_is_told(links: SkillLinks, skill: Skill, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    placed = links.place("s1", tmp_path / "file" / "skills", skill)
    assert placed.status == "failed"
    assert "cannot be made" in (placed.detail or "")
