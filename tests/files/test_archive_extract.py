"""Writing a plan: all of it or nothing, and nothing through a link."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.files.archive_extract import Extraction
from sandbox_agent.files.archive_plan import Member, Plan
from sandbox_agent.problems import InvalidRequest

from ..support.archives import tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGE = os.urandom(1 << 20)


@contextmanager
def source(folder: Path, data: bytes) -> Iterator[int]:
    path = folder / "spool"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def extract(destination: Path, data: int | bytes, *members: Member) -> None:
    plan = Plan()
    for member in members:
        plan.add(member)
    folder = os.open(destination, os.O_PATH)
    try:
        Extraction(plan, data, folder).run()
    finally:
        os.close(folder)


def file(name: bytes, size: int = 3, offset: int = 0, mode: int = 0o644) -> Member:
    return Member(name, "file", size, offset, mode, 1_700_000_000_123_456_789)


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    made = tmp_path / "destination"
    made.mkdir()
    return made


def test_files_and_folders_get_content_mode_and_time(destination: Path, tmp_path: Path) -> None:
    members = (
        Member(b"d", "folder", mode=0o555, mtime_ns=1_600_000_000_000_000_000),
        file(b"d/small", mode=0o4755),
        file(b"d/\xff\xfe", mode=0o000),
        file(b"open", mode=0o666),
        Member(b"default", "file", 3),
        file(b"large", len(LARGE)),
        Member(b"deep/er", "folder"),
    )
    with source(tmp_path, LARGE) as fd:
        extract(destination, fd, *members)
    umask = 0o777 & ~(destination / "deep").stat().st_mode
    assert tree(destination) == {
        b"d": ("folder", 0o555, b""),
        b"d/small": ("file", 0o755, LARGE[:3]),
        b"d/\xff\xfe": ("file", 0, LARGE[:3]),
        b"open": ("file", 0o666, LARGE[:3]),
        b"default": ("file", 0o666 & ~umask, LARGE[:3]),
        b"large": ("file", 0o644, LARGE),
        b"deep": ("folder", 0o777 & ~umask, b""),
        b"deep/er": ("folder", 0o777 & ~umask, b""),
    }
    assert (destination / "d" / "small").stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert (destination / "d").stat().st_mtime_ns == 1_600_000_000_000_000_000


def test_contents_come_from_memory_just_as_from_a_file(destination: Path) -> None:
    extract(destination, LARGE, file(b"large", len(LARGE)), file(b"new/small", 5, 7), file(b"empty", 0))
    assert tree(destination)[b"large"][2] == LARGE
    assert tree(destination)[b"new/small"][2] == LARGE[7:12]
    assert tree(destination)[b"empty"][2] == b""


def test_what_is_there_is_replaced_and_the_rest_is_left_as_it_is(destination: Path) -> None:
    (destination / "d").mkdir(mode=0o700)
    (destination / "d" / "old").write_bytes(b"old")
    (destination / "d" / "kept").write_bytes(b"kept")
    reader = (destination / "d" / "old").open("rb")
    extract(destination, b"new", Member(b"d", "folder", mode=0o777), file(b"d/old"), file(b"d/added"))
    with reader:
        assert reader.read() == b"old", "a reader keeps what it opened"
    assert {name: entry[2] for name, entry in tree(destination).items()} == {
        b"d": b"",
        b"d/old": b"new",
        b"d/kept": b"kept",
        b"d/added": b"new",
    }
    assert stat.S_IMODE((destination / "d").stat().st_mode) == 0o700


def test_a_link_in_a_files_place_is_replaced_not_followed(destination: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"untouched")
    (destination / "link").symlink_to(tmp_path / "outside")
    (destination / "dangling").symlink_to(tmp_path / "nowhere")
    extract(destination, b"new", file(b"link"), file(b"dangling"))
    assert {name: entry[0] for name, entry in tree(destination).items()} == {b"link": "file", b"dangling": "file"}
    assert (tmp_path / "outside").read_bytes() == b"untouched"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("what", ["link", "file", "fifo"])
def test_what_lies_in_a_folders_place_is_refused_by_name_and_nothing_is_written(
    what: str, destination: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (destination / "there").mkdir()
    in_the_way = destination / "there" / "d"
    if what == "link":
        in_the_way.symlink_to(tmp_path / "outside")
    elif what == "file":
        in_the_way.write_bytes(b"")
    else:
        os.mkfifo(in_the_way)
    before = (os.lstat(in_the_way), sorted(destination.rglob("*")))
    with pytest.raises(InvalidRequest) as refused:
        extract(destination, b"new", file(b"first"), file(b"there/d/x"), file(b"new/y"))
    assert refused.value.extensions["members"] == [
        {"name": "there/d", "reason": "a link or a file lies where its folder would be"}
    ]
    assert (os.lstat(in_the_way), sorted(destination.rglob("*"))) == before
    assert not list((tmp_path / "outside").iterdir())


def test_a_folder_in_a_files_place_is_refused_by_name_and_nothing_is_written(destination: Path) -> None:
    (destination / "d" / "x").mkdir(parents=True)
    with pytest.raises(InvalidRequest) as refused:
        extract(destination, b"new", file(b"first"), file(b"d/x"))
    assert refused.value.extensions["members"] == [{"name": "d/x", "reason": "a folder lies where it would go"}]
    assert tree(destination).keys() == {b"d", b"d/x"}


def test_when_writing_fails_midway_all_that_was_written_is_taken_away_again(destination: Path) -> None:
    """The content ends before the last member's: as when the disk is full, or fails."""

    class Full(Extraction):
        def _copy(self, out: int, member: Member) -> None:
            raise OSError(28, "No space left on device")

    (destination / "there").mkdir()
    (destination / "there" / "old").write_bytes(b"old")
    before = tree(destination)
    plan = Plan()
    for member in (file(b"a"), file(b"new/b"), file(b"there/old"), file(b"there/c"), file(b"there/z", 1 << 19)):
        plan.add(member)
    folder = os.open(destination, os.O_PATH)
    with pytest.raises(OSError, match="No space"):
        Full(plan, b"new", folder).run()
    os.close(folder)
    assert tree(destination) == before


def test_links_swapped_in_while_writing_are_not_followed(destination: Path, tmp_path: Path) -> None:
    """S7's race, at its worst moment: after the check, before the first write."""
    (tmp_path / "outside").mkdir()
    (destination / "d").mkdir()

    class Raced(Extraction):
        def _stage(self, node: object, fd: int) -> None:
            swapped = destination / "d"
            if swapped.is_dir() and not swapped.is_symlink():
                swapped.rmdir()
                swapped.symlink_to(tmp_path / "outside")
            super()._stage(node, fd)  # type: ignore[arg-type]

    plan = Plan()
    plan.add(file(b"a"))
    plan.add(file(b"d/x"))
    folder = os.open(destination, os.O_PATH)
    with pytest.raises(NotADirectoryError):
        Raced(plan, b"new", folder).run()
    os.close(folder)
    assert not list((tmp_path / "outside").iterdir())
    assert tree(destination).keys() == {b"d"}
