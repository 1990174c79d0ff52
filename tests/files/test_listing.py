"""Listings: in order, page by page, and as deep as asked."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox_agent.files.glob import matcher
from sandbox_agent.files.listing import Listing, from_cursor, to_cursor
from sandbox_agent.files.root import Root
from sandbox_agent.problems import InvalidRequest, NotFound

if TYPE_CHECKING:
    from sandbox_agent.files import Files
    from sandbox_agent.wire.files import FsEntry


def names(found: list[FsEntry], base: Path) -> list[str]:
    return [os.path.relpath(entry.path, base) for entry in found]


def tree(base: Path) -> None:
    for path in ("a/x/1", "a/x/2", "a/y", "b", "c/z/deep/er"):
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_text(path)


async def test_an_entry_is_told_as_it_is_and_a_link_as_a_link(files: Files, base: Path) -> None:
    (base / "folder").mkdir(mode=0o750)
    (base / "file").write_text("12345")
    os.utime(base / "file", ns=(1, 1795459232_456467016))
    (base / "link").symlink_to("folder")
    (base / "dead").symlink_to("nowhere")
    os.mkfifo(base / "pipe")
    found = {entry.name: entry for entry in (await files.entries(str(base))).entries}
    assert list(found) == ["dead", "file", "folder", "link", "pipe"]
    file = found["file"]
    assert (file.path, file.entry_type, file.size) == (f"{base}/file", "file", 5)
    assert file.modified == "2026-11-23T18:40:32.456467016+00:00"
    assert (found["folder"].entry_type, found["folder"].mode) == ("directory", 0o750)
    assert (found["link"].entry_type, found["link"].link_target) == ("file", "folder")
    assert found["dead"].link_target == "nowhere"
    assert (found["pipe"].entry_type, found["pipe"].kind) == ("file", "fifo")
    assert all(entry.kind is None and entry.encoded_path is None for entry in found.values() if entry.name != "pipe")


async def test_the_home_is_listed_unless_something_else_is_named(files: Files, base: Path) -> None:
    (base / "here").touch()
    for path in (".", "./", str(base)):
        assert [entry.path for entry in (await files.entries(path)).entries] == [f"{base}/here"]
    assert (await files.entries()).cursor is None


async def test_a_name_that_is_not_utf8_is_kept_and_can_be_addressed(files: Files, base: Path) -> None:
    name = b"bad\xff\xfename"
    (base / os.fsdecode(name)).write_bytes(b"x")
    (entry,) = (await files.entries(str(base))).entries
    assert os.fsencode(entry.name) == name
    assert entry.encoded_path == f"{base}/bad%FF%FEname"
    assert (await files.stat(entry.path)).size == 1
    await files.delete(entry.path)
    assert (await files.entries(str(base))).entries == []


async def test_depth_says_how_far_down_and_a_folders_content_follows_it(files: Files, base: Path) -> None:
    tree(base)
    everything = ["a", "a/x", "a/x/1", "a/x/2", "a/y", "b", "c", "c/z", "c/z/deep", "c/z/deep/er"]
    for depth in (1, 2, 3, 4):
        page = await files.entries(str(base), depth=depth)
        assert names(page.entries, base) == [name for name in everything if name.count("/") < depth]
    assert names((await files.entries(str(base), recursive=True)).entries, base) == everything
    assert names((await files.entries(str(base))).entries, base) == ["a", "b", "c"]


async def test_a_glob_chooses_and_what_it_does_not_choose_is_still_gone_into(files: Files, base: Path) -> None:
    tree(base)
    page = await files.entries(str(base), recursive=True, glob="[12]")
    assert names(page.entries, base) == ["a/x/1", "a/x/2"]
    page = await files.entries(str(base), recursive=True, glob="c/**/er")
    assert names(page.entries, base) == ["c/z/deep/er"]
    assert names((await files.entries(str(base), glob="b")).entries, base) == ["b"]


async def test_links_to_folders_are_not_gone_into(files: Files, base: Path) -> None:
    (base / "a").mkdir()
    (base / "a" / "round").symlink_to("..")
    assert names((await files.entries(str(base), recursive=True)).entries, base) == ["a", "a/round"]


async def test_pages_go_on_after_the_last_entry_even_when_it_has_gone(files: Files, base: Path) -> None:
    for number in range(10):
        (base / f"f{number}").touch()
    first = await files.entries(str(base), limit=4)
    assert [entry.name for entry in first.entries] == ["f0", "f1", "f2", "f3"]
    (base / "f3").unlink()
    (base / "f2.5").touch()
    second = await files.entries(str(base), limit=4, cursor=first.cursor)
    assert [entry.name for entry in second.entries] == ["f4", "f5", "f6", "f7"]
    third = await files.entries(str(base), limit=4, cursor=second.cursor)
    assert [entry.name for entry in third.entries] == ["f8", "f9"]
    assert third.cursor is None


NAMES = st.sampled_from(["a", "b", "c", "a b", "\udcff", "é"])
TREES = st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=12)


@settings(deadline=None)
@given(paths=TREES, limit=st.integers(1, 5), depth=st.none() | st.integers(1, 4), glob=st.sampled_from([None, "a*"]))
def test_pages_together_are_the_whole_listing(
    paths: list[str], limit: int, depth: int | None, glob: str | None
) -> None:
    """Over random trees, page sizes, depths and globs."""
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            with contextlib.suppress(FileExistsError, NotADirectoryError):
                Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
                Path(folder, path).touch()
        matches = matcher(glob) if glob else None
        root = Root()
        whole = Listing(root, folder, depth=depth, matches=matches).page().entries
        assert [entry.path.split("/") for entry in whole] == sorted(entry.path.split("/") for entry in whole)
        pages: list[FsEntry] = []
        cursor: str | None = None
        while True:
            listing = Listing(root, folder, depth=depth, matches=matches, limit=limit, after=from_cursor(cursor))
            page = listing.page()
            assert len(page.entries) <= limit
            pages += page.entries
            cursor = page.cursor
            if cursor is None:
                break
        assert pages == whole


@pytest.mark.parametrize("cursor", ["", "nonsense!", "💥", "AA", to_cursor("a//b"), to_cursor("/a")])
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        from_cursor(cursor)
    assert caught.value.extensions["code"] == "invalid_cursor"


async def test_what_is_no_folder_or_is_not_there_is_told(files: Files, base: Path) -> None:
    (base / "file").touch()
    (base / "link").symlink_to("file")
    for name in ("file", "link"):
        with pytest.raises(InvalidRequest) as caught:
            await files.entries(f"{base}/{name}")
        assert caught.value.extensions == {"code": "not_a_directory", "path": f"{base}/{name}"}
    with pytest.raises(NotFound) as missing:
        await files.entries("nowhere")
    assert missing.value.extensions == {"code": "not_found", "path": f"{base}/nowhere"}
