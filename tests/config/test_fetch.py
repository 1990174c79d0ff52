"""Skills from folders and git repositories."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.config.fetch import FRESH_S, FetchFailed, SkillSources, _github
from sandbox_agent.config.skills import select
from sandbox_agent.wire.config import SkillSource

from .conftest import git, write_skill

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.supervisor import Supervisor


@pytest.fixture
def sources(tmp_path: Path, supervisor: Supervisor) -> SkillSources:
    return SkillSources(tmp_path / "kept", supervisor)


def of_git(repository: Path, **more: Any) -> SkillSource:
    return SkillSource(type="git", source=repository.as_uri(), **more)


def names(folder: Path) -> list[str]:
    return [skill.name for skill in select(folder, None, called="x").skills]


async def test_a_local_folder_is_where_it_is(sources: SkillSources, tmp_path: Path) -> None:
    write_skill(tmp_path / "mine" / "a", "a")
    for path in ("mine", str(tmp_path / "mine")):
        fetched = await sources.fetch(SkillSource(type="local", source=path), tmp_path)
        assert fetched.folder == tmp_path / "mine"
    inner = await sources.fetch(SkillSource(type="local", source="mine", subpath="a"), tmp_path)
    assert (inner.folder, inner.called) == (tmp_path / "mine" / "a", "a")


async def test_a_repository_is_fetched_without_its_git(sources: SkillSources, repository: Path, tmp_path: Path) -> None:
    fetched = await sources.fetch(of_git(repository), tmp_path)
    assert names(fetched.folder) == ["review", "ship"]
    assert fetched.called == "origin"
    assert not (fetched.folder / ".git").exists()
    assert [one.name for one in (tmp_path / "kept").rglob(".new-*")] == []


async def test_branch_tag_and_commits_long_or_short_are_refs(
    sources: SkillSources, repository: Path, tmp_path: Path
) -> None:
    git(repository, "tag", "v1", "old")
    commit = git(repository, "rev-parse", "old")
    for ref in ("old", "v1", commit, commit[:9]):
        fetched = await sources.fetch(of_git(repository, ref=ref), tmp_path)
        assert names(fetched.folder) == ["old"], ref


async def test_a_newer_commit_comes_with_time_and_leaves_the_older_one_alone(
    sources: SkillSources, repository: Path, tmp_path: Path
) -> None:
    first = await sources.fetch(of_git(repository), tmp_path)
    write_skill(repository / "skills" / "new", "new")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "more")
    assert (await sources.fetch(of_git(repository), tmp_path)).folder == first.folder, "it is fresh"
    _age(tmp_path / "kept")
    second = await sources.fetch(of_git(repository), tmp_path)
    assert names(second.folder) == ["new", "review", "ship"]
    assert names(first.folder) == ["review", "ship"]


async def test_the_last_copy_serves_when_its_source_is_gone(
    sources: SkillSources, repository: Path, tmp_path: Path
) -> None:
    first = await sources.fetch(of_git(repository), tmp_path)
    shutil.rmtree(repository)
    _age(tmp_path / "kept")
    second = await sources.fetch(of_git(repository), tmp_path)
    assert second.folder == first.folder
    assert "older copy" in (second.note or "")


async def test_those_who_ask_at_once_have_it_fetched_once(
    sources: SkillSources, repository: Path, tmp_path: Path
) -> None:
    got = await asyncio.gather(*(sources.fetch(of_git(repository), tmp_path) for _ in range(5)))
    assert len({fetched.folder for fetched in got}) == 1


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (SkillSource(type="local", source="nowhere"), "no folder"),
        (SkillSource(type="local", source=".", subpath="../.."), "leads out"),
        (SkillSource(type="git", source="file:///nowhere"), "git fetch failed"),
        (SkillSource(type="git", source="--upload-pack=touch x"), "names no repository"),
        (SkillSource(type="git", source="ext::sh -c 'touch hacked'"), "git fetch failed"),
        (SkillSource(type="git", source="https://x", ref="--force"), "names no repository"),
        (SkillSource(type="github", source="not a repository"), "owner/name"),
        (SkillSource(type="svn", source="x"), "types are"),
    ],
)
async def test_what_cannot_be_had_says_why(
    sources: SkillSources, tmp_path: Path, source: SkillSource, told: str
) -> None:
    with pytest.raises(FetchFailed, match=told):
        await sources.fetch(source, tmp_path)
    assert not _all(tmp_path, "hacked")


async def test_an_unknown_ref_or_subpath_is_told(sources: SkillSources, repository: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="git checkout failed"):
        await sources.fetch(of_git(repository, ref="nothing"), tmp_path)
    with pytest.raises(FetchFailed, match="origin has no folder docs"):
        await sources.fetch(of_git(repository, subpath="docs"), tmp_path)


@pytest.mark.parametrize("source", ["a-b/c.d", "github.com/a-b/c.d", "https://github.com/a-b/c.d.git"])
def test_a_repository_of_github_is_named_in_short_or_in_full(source: str) -> None:
    assert _github(source) == ("https://github.com/a-b/c.d.git", "c.d")


def _all(folder: Path, name: str) -> list[Path]:
    return list(folder.rglob(name))


def _age(kept: Path) -> None:
    for current in kept.rglob("current"):
        then = current.stat().st_mtime - FRESH_S - 1
        os.utime(current, (then, then))
