"""The one way from a path to a descriptor, confined and not."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.files.remove import remove
from sandbox_agent.files.root import OutsideRoot, Root, split

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["free", "openat2", "walk"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Root]:
    base = tmp_path / "base"
    base.mkdir()
    made = Root() if request.param == "free" else Root(base, kernel=None if request.param == "openat2" else False)
    yield made
    made.close()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


def place(fd: int, name: str) -> str:
    return f"{os.readlink(f'/proc/self/fd/{fd}')}/{name}"  # noqa: PTH115 - of a descriptor


def test_a_path_is_a_folder_and_a_name() -> None:
    assert split("/a/b") == ("/a", "b")
    assert split("/a") == ("/", "a")
    assert split("/a/b/") == ("/a", "b")
    for path, number in (("/", errno.EBUSY), ("/a/..", errno.EINVAL), ("/a/.", errno.EINVAL)):
        with pytest.raises(OSError, match="it ") as caught:
            split(path)
        assert caught.value.errno == number


def test_the_parent_is_held_while_its_name_is_used(root: Root, base: Path) -> None:
    (base / "a").mkdir()
    with root.parent(f"{base}/a/new") as (fd, name):
        (base / "a").rename(base / "renamed")
        os.mkdir(name, dir_fd=fd)
    assert (base / "renamed" / "new").is_dir()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(fd)


def test_missing_folders_are_made_when_asked_for(root: Root, base: Path) -> None:
    with pytest.raises(FileNotFoundError), root.parent(f"{base}/x/y/z"):
        pass
    assert not (base / "x").exists()
    with root.parent(f"{base}/x/y/z", make=True) as (fd, name):
        assert place(fd, name) == f"{base}/x/y/z"
    assert (base / "x" / "y").is_dir()


def test_a_thousand_folders_are_made_at_once(root: Root, base: Path) -> None:
    try:
        os.close(root.make_folders(f"{base}/{'d/' * 1000}"))
        assert os.path.isdir(f"{base}/{'d/' * 1000}")  # noqa: PTH112 - deeper than pathlib likes
    finally:  # deeper than what tidies up after tests can go
        with root.parent(f"{base}/d") as (fd, name):
            remove(fd, name, recursive=True)


def test_a_file_on_the_way_is_in_the_way(root: Root, base: Path) -> None:
    (base / "file").touch()
    with pytest.raises(NotADirectoryError):
        root.make_folders(f"{base}/file/x")
    with pytest.raises(NotADirectoryError):
        root.make_folders(f"{base}/file")


def test_a_target_is_where_links_end_and_need_not_exist(root: Root, base: Path) -> None:
    (base / "a").mkdir()
    (base / "one").symlink_to("a/two")
    (base / "a" / "two").symlink_to(f"{base}/a/three")
    (base / "a" / "three").symlink_to("../end")
    with root.target(f"{base}/one") as (fd, name):
        assert place(fd, name) == f"{base}/end"
    (base / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic") as caught, root.target(f"{base}/loop"):
        pass
    assert caught.value.errno == errno.ELOOP


def test_names_outside_of_the_root_have_no_parent_and_no_target(base: Path) -> None:
    base.mkdir()
    (base / "out").symlink_to("../secret")
    for kernel in (None, False):
        root = Root(base, kernel=kernel)
        for path in (f"{base}/out", f"{base}/../secret", "/etc/passwd"):
            with pytest.raises(OutsideRoot), root.target(path, make=True):
                pass
        with root.parent(f"{base}/out") as (fd, name):  # the link itself is inside
            assert place(fd, name) == f"{base}/out"
        with pytest.raises(OSError, match="confined") as caught, root.parent(str(base)):
            pass
        assert caught.value.errno == errno.EBUSY
        root.close()
    assert not (base.parent / "secret").exists()
