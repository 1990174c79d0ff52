"""Moving and deleting: nothing is lost on the way (R32)."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.files import move as move_module
from sandbox_agent.files import rename as rename_module
from sandbox_agent.files.copy import copy
from sandbox_agent.files.remove import remove
from sandbox_agent.problems import Conflict, InvalidRequest, NotFound, PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox_agent.files import Files


@pytest.fixture(params=["new kernel", "old kernel"], autouse=True)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With renameat2, and without it."""
    if request.param == "old kernel":
        monkeypatch.setattr(rename_module, "_renameat2", lambda: None)
    return str(request.param)


def everything(base: Path) -> dict[str, object]:
    """What lies below a folder: texts, link targets, ``None`` for folders."""

    def one(path: Path) -> object:
        if path.is_symlink():
            return f"-> {path.readlink()}"
        return path.read_text() if path.is_file() else None

    return {str(path.relative_to(base)): one(path) for path in sorted(base.rglob("*"))}


def make(base: Path, **files: str) -> None:
    for name, content in files.items():
        path = base / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


async def test_a_file_a_folder_and_a_link_get_another_name(files: Files, base: Path) -> None:
    make(base, f="f", d__x="x")
    (base / "l").symlink_to("nowhere")
    for name in ("f", "d", "l"):
        moved = await files.move(name, f"new/{name}2")
        assert (moved.source, moved.to) == (f"{base}/{name}", f"{base}/new/{name}2")
    assert everything(base) == {"new": None, "new/d2": None, "new/d2/x": "x", "new/f2": "f", "new/l2": "-> nowhere"}


@pytest.mark.parametrize("overwrite", [True, False])
async def test_onto_itself_is_nothing(files: Files, base: Path, overwrite: bool) -> None:
    make(base, f="f", d__x="x")
    (base / "round").symlink_to(".")
    before = everything(base)
    for source, target in (
        ("f", "f"),
        ("d", f"{base}//d/"),
        ("f", "round/f"),
        ("round/d/x", "d/x"),
        ("round", "round"),
    ):
        await files.move(source, target, overwrite=overwrite)
    assert everything(base) == before


@pytest.mark.parametrize("overwrite", [True, False])
async def test_into_its_own_child_is_refused_and_makes_nothing(files: Files, base: Path, overwrite: bool) -> None:
    make(base, d__e__x="x")
    (base / "l").symlink_to("d/e")
    before = everything(base)
    for target in ("d/new", "d/e/new", "d/a/b/c", "l/new", "d/e/x/y"):
        with pytest.raises(InvalidRequest) as caught:
            await files.move("d", target, overwrite=overwrite)
        assert caught.value.extensions["code"] in {"into_itself", "not_a_directory"}
        assert everything(base) == before


async def test_onto_a_folder_that_holds_it_is_refused(files: Files, base: Path) -> None:
    make(base, d__e__x="x", d__y="y")
    before = everything(base)
    for source in ("d/e/x", "d/e"):
        with pytest.raises(InvalidRequest) as caught:
            await files.move(source, "d", overwrite=True)
        assert caught.value.extensions["code"] == "onto_parent"
    assert everything(base) == before


async def test_a_name_that_is_taken_is_taken(files: Files, base: Path) -> None:
    make(base, f="f", g="g", d__x="x", e__y="y")
    (base / "dead").symlink_to("nowhere")
    (base / "empty").mkdir()
    before = everything(base)
    for source, target in (("f", "g"), ("f", "d"), ("d", "f"), ("d", "e"), ("d", "empty"), ("f", "dead")):
        with pytest.raises(InvalidRequest, match="exists") as caught:
            await files.move(source, target)
        assert caught.value.extensions == {"code": "exists", "path": f"{base}/{target}"}
    assert everything(base) == before


@pytest.mark.parametrize(
    ("source", "target", "after"),
    [
        ("f", "g", {"g": "f"}),
        ("f", "e", {"e": "f"}),
        ("d", "g", {"g": None, "g/x": "x"}),
        ("d", "e", {"e": None, "e/x": "x"}),
        ("f", "l", {"l": "f"}),
        ("l", "f", {"f": "-> e"}),
    ],
)
async def test_with_overwrite_it_takes_the_place_of_whatever_is_there(
    files: Files, base: Path, source: str, target: str, after: dict[str, object]
) -> None:
    make(base, f="f", g="g", d__x="x", e__y="y", e__z__deep="deep")
    (base / "l").symlink_to("e")
    untouched = {
        name: value for name, value in everything(base).items() if name.partition("/")[0] not in {source, target}
    }
    await files.move(source, target, overwrite=True)
    assert everything(base) == untouched | after


async def test_two_names_of_one_file_become_one(files: Files, base: Path) -> None:
    make(base, f="f")
    (base / "g").hardlink_to(base / "f")
    await files.move("f", "g", overwrite=True)
    assert everything(base) == {"g": "f"}


async def test_what_is_missing_or_the_root_of_all_is_told(files: Files, base: Path) -> None:
    make(base, f="f")
    with pytest.raises(NotFound) as caught:
        await files.move("nothing", "new/x")
    assert caught.value.extensions["path"] == f"{base}/nothing"
    assert everything(base) == {"f": "f"}
    with pytest.raises(InvalidRequest) as caught_file:
        await files.move("f", "f/x")
    assert caught_file.value.extensions["code"] == "not_a_directory"
    for source, target in (("/", "x"), ("f", "/")):
        with pytest.raises((Conflict, PermissionDenied)):
            await files.move(source, target, overwrite=True)
    assert everything(base) == {"f": "f"}


async def test_nothing_moves_out_of_the_root_or_into_it(files: Files, base: Path) -> None:
    if files.root.folder is None:
        return
    make(base, f="f")
    (base.parent / "secret").write_text("secret")
    (base / "up").symlink_to("..")
    for source, target in (
        ("f", str(base.parent / "out")),
        ("f", "up/out"),
        (str(base.parent / "secret"), "in"),
        ("up/secret", "in"),
        ("f", f"{base}/../secret"),
    ):
        with pytest.raises(PermissionDenied) as caught:
            await files.move(source, target, overwrite=True)
        assert caught.value.extensions["code"] == "outside_root"
    assert everything(base) == {"f": "f", "up": "-> .."}
    assert everything(base.parent).keys() == {"base", "base/f", "base/up", "secret"}


# -- from one file system to another --------------------------------------------------------------------------------


@pytest.fixture
def free(base: Path) -> Iterator[Files]:
    from sandbox_agent.files import Files  # noqa: PLC0415 - of both file systems

    made = Files(home=base)
    yield made
    made.close()


async def test_between_file_systems_a_tree_arrives_as_it_was(free: Files, base: Path, elsewhere: Path) -> None:
    make(base, d__e__x="x", d__run="run")
    (base / "d" / "run").chmod(0o751)
    (base / "d" / "l").symlink_to("e/x")
    os.mkfifo(base / "d" / "pipe", 0o640)
    (base / "d").chmod(0o710)
    os.utime(base / "d" / "e" / "x", ns=(1_000_000_001, 2_000_000_002))
    os.utime(base / "d" / "e", ns=(3, 4_000_000_000))
    with (base / "d" / "big").open("wb") as file:
        file.truncate(3 << 20)
    before = everything(base / "d")
    await free.move("d", f"{elsewhere}/new/d")
    there = elsewhere / "new" / "d"
    assert everything(base) == {}
    assert everything(there) == before
    assert stat.S_IMODE(there.stat().st_mode) == 0o710
    assert stat.S_IMODE((there / "run").stat().st_mode) == 0o751
    assert (there / "e" / "x").stat().st_mtime_ns == 2_000_000_002
    assert (there / "e").stat().st_mtime_ns == 4_000_000_000
    assert stat.S_ISFIFO((there / "pipe").lstat().st_mode)


async def test_between_file_systems_what_is_there_is_swapped_once_the_copy_is_whole(
    free: Files, base: Path, elsewhere: Path
) -> None:
    make(base, f="f", d__x="x")
    make(elsewhere, old__y="y", file="old")
    for source, target in (("f", "old"), ("d", "file")):
        with pytest.raises(InvalidRequest, match="exists"):
            await free.move(source, f"{elsewhere}/{target}")
    assert everything(elsewhere) == {"file": "old", "old": None, "old/y": "y"}
    await free.move("f", f"{elsewhere}/old", overwrite=True)
    await free.move("d", f"{elsewhere}/file", overwrite=True)
    assert everything(base) == {}
    assert everything(elsewhere) == {"old": "f", "file": None, "file/x": "x"}


async def test_a_copy_that_fails_leaves_both_sides_as_they_were(
    free: Files, base: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(base, d__x="x", d__y="y")
    make(elsewhere, old__z="z")
    before = everything(base), everything(elsewhere)

    def half(source: tuple[int, str], target: tuple[int, str]) -> None:
        copy(source, target)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(move_module, "copy", half)
    for target, overwrite in (("old", True), ("new", False)):
        with pytest.raises(Exception, match="no space"):
            await free.move("d", f"{elsewhere}/{target}", overwrite=overwrite)
        assert (everything(base), everything(elsewhere)) == before


# -- deleting -----------------------------------------------------------------------------------------------------


async def test_a_file_a_link_and_an_empty_folder_are_deleted(files: Files, base: Path) -> None:
    make(base, f="f", d__x="x")
    (base / "to_folder").symlink_to("d")
    (base / "dead").symlink_to("nowhere")
    (base / "empty").mkdir()
    for name in ("f", "to_folder", "dead", "empty/"):
        assert (await files.delete(name)).path == f"{base}/{name}".rstrip("/")
    assert everything(base) == {"d": None, "d/x": "x"}


async def test_a_folder_with_something_in_it_is_deleted_only_recursively(files: Files, base: Path) -> None:
    make(base, d__e__x="x", d__y="y", keep="keep")
    (base / "d" / "link").symlink_to("../keep")
    (base / "d" / "up").symlink_to("..")
    with pytest.raises(InvalidRequest) as caught:
        await files.delete("d")
    assert caught.value.extensions["code"] == "not_empty"
    assert "recursive" in (caught.value.hint or "")
    await files.delete("d", recursive=True)
    assert everything(base) == {"keep": "keep"}


async def test_what_is_missing_cannot_be_deleted_nor_can_the_root_of_all(files: Files, base: Path) -> None:
    make(base, f="f")
    for path in ("nothing", "nothing/x"):
        with pytest.raises(NotFound):
            await files.delete(path)
    with pytest.raises(InvalidRequest):
        await files.delete("f/x")
    for path in ("/", str(base)) if files.root.folder else ("/",):
        with pytest.raises((Conflict, PermissionDenied)):
            await files.delete(path, recursive=True)
    with pytest.raises(InvalidRequest):
        await files.delete(f"{base}/..", recursive=True)
    assert everything(base) == {"f": "f"}


def test_a_tree_of_any_depth_is_deleted_with_few_descriptors(base: Path) -> None:
    """A thousand folders in each other, deeper than recursion and paths go."""
    here = os.open(base, os.O_RDONLY)
    fd = os.dup(here)
    for number in range(1000):
        os.mkdir("d", dir_fd=fd)
        os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    remove(here, "d", recursive=True)  # it is what tidies up, too: nothing else goes as deep
    os.close(here)
    assert everything(base) == {"f0": ""}


async def test_a_folder_is_made_with_those_above_it_and_may_be_there(files: Files, base: Path) -> None:
    for _ in range(2):
        assert (await files.mkdir("a/b/c")).path == f"{base}/a/b/c"
    assert everything(base) == {"a": None, "a/b": None, "a/b/c": None}
    make(base, f="f")
    for name in ("f", "f/x"):
        with pytest.raises(InvalidRequest) as caught:
            await files.mkdir(name)
        assert caught.value.extensions["code"] == "not_a_directory"
