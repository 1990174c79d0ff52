"""Nothing leads out of a root: by the kernel's openat2 and by our own walk alike (S7)."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis import strategies as st

from sandbox_agent.files.beneath import Beneath, OutsideRoot, has_openat2, openat2

from .swapping import Swapping

if TYPE_CHECKING:
    from collections.abc import Iterator

SCALE = float(os.environ.get("SANDBOX_AGENT_TEST_SCALE", "1"))
SECRET = "outside of the root"  # noqa: S105 - what must not be read
WAYS = [pytest.param(None, id="openat2"), pytest.param(False, id="walk")]
"""The kernel's way where it is there, which `test_the_kernel_is_asked_where_it_can_be` looks after; and our own."""


@pytest.fixture(params=WAYS)
def beneath(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Beneath]:
    """A root with a file, a folder and links, beside a secret."""
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "f").write_text("inside")
    (tmp_path / "secret").write_text(SECRET)
    for name, target in {
        "to_file": "a/f",
        "to_folder": "a",
        "a/up": "../a/f",
        "a/b/round": "../../a/../a/f",
        "absolute": f"{root}/a/f",
        "absolute_folder": f"{root}/a",
        "to_root": str(root),
        "chain": "to_folder/up",
        "passwd": "/etc/passwd",
        "above": "../secret",
        "a/far_above": "../../../secret",
        "beside": f"{root}-beside/x",
        "loop": "loop",
        "one": "other",
        "other": "one",
        "dead": "nowhere",
        "magic": "/proc/self/root/etc/passwd",
    }.items():
        (root / name).symlink_to(target)
    beside = tmp_path / "root-beside"
    beside.mkdir()
    (beside / "x").write_text(SECRET)
    made = Beneath(str(root), kernel=request.param)
    yield made
    made.close()


def content(beneath: Beneath, relative: str) -> str:
    fd = beneath.open(f"{beneath.folder}/{relative}", os.O_RDONLY)
    with os.fdopen(fd) as file:
        return file.read()


@pytest.mark.parametrize(
    "path", ["a/f", "to_file", "to_folder/f", "a/up", "a/b/round", "absolute", "absolute_folder/f", "to_root/a/f"]
)
def test_links_that_stay_inside_are_followed_absolute_ones_too(beneath: Beneath, path: str) -> None:
    assert content(beneath, path) == "inside"


@pytest.mark.parametrize("path", ["chain", "a/../a/f", "./a//b/.././f", "a/b/../../to_folder/b/../f"])
def test_up_within_the_root_is_up_where_the_way_came_from(beneath: Beneath, path: str) -> None:
    assert content(beneath, path) == "inside"


@pytest.mark.parametrize(
    "path",
    ["passwd", "above", "a/far_above", "beside", "magic", "../secret", "a/../../secret", "to_folder/../../secret"],
)
def test_what_leads_out_is_refused_and_named(beneath: Beneath, path: str) -> None:
    with pytest.raises(OutsideRoot) as caught:
        content(beneath, path)
    assert caught.value.filename == f"{beneath.folder}/{path}"


@pytest.mark.parametrize("path", ["/etc/passwd", "/", "", "relative"])
def test_paths_that_are_not_below_the_root_are_refused_as_they_stand(beneath: Beneath, path: str) -> None:
    with pytest.raises(OutsideRoot):
        beneath.open(path, os.O_PATH)
    with pytest.raises(OutsideRoot):
        beneath.open(f"{beneath.folder}-beside/x", os.O_PATH)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("loop", errno.ELOOP),
        ("one/x", errno.ELOOP),
        ("dead", errno.ENOENT),
        ("nothing", errno.ENOENT),
        ("nothing/x", errno.ENOENT),
        ("a/f/x", errno.ENOTDIR),
        ("to_file/x", errno.ENOTDIR),
        ("x" * 300, errno.ENAMETOOLONG),
    ],
)
def test_what_the_system_says_is_said(beneath: Beneath, path: str, number: int) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        beneath.open(f"{beneath.folder}/{path}", os.O_RDONLY)
    assert (caught.value.errno, caught.value.filename) == (number, f"{beneath.folder}/{path}")


def test_the_root_itself_opens_by_any_of_its_spellings(beneath: Beneath, tmp_path: Path) -> None:
    alias = tmp_path / "alias"
    alias.symlink_to(beneath.folder)
    by_alias = Beneath(str(alias), kernel=beneath._kernel)
    try:
        for path in (f"{alias}/a/f", f"{beneath.folder}/a/f"):
            os.close(by_alias.open(path, os.O_RDONLY))
        for path in (str(alias), f"{beneath.folder}/", f"{beneath.folder}/."):
            os.close(by_alias.open(path, os.O_RDONLY | os.O_DIRECTORY))
    finally:
        by_alias.close()


def test_a_file_is_created_inside_and_never_through_a_link_out(beneath: Beneath, tmp_path: Path) -> None:
    os.close(beneath.open(f"{beneath.folder}/a/new", os.O_WRONLY | os.O_CREAT, 0o640))
    assert (Path(beneath.folder) / "a" / "new").stat().st_mode & 0o777 == 0o640
    (Path(beneath.folder) / "out").symlink_to(tmp_path / "created")
    with pytest.raises(OutsideRoot):
        beneath.open(f"{beneath.folder}/out", os.O_WRONLY | os.O_CREAT)
    assert not (tmp_path / "created").exists()


def test_a_link_itself_is_opened_only_when_asked_for(beneath: Beneath) -> None:
    """O_PATH alone follows; with O_NOFOLLOW it is the link, even one that leads out."""
    path = f"{beneath.folder}/passwd"
    with pytest.raises(OutsideRoot):
        beneath.open(path, os.O_PATH)
    fd = beneath.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        assert os.readlink("", dir_fd=fd) == "/etc/passwd"
    finally:
        os.close(fd)


def test_once_closed_nothing_is_beneath_it(beneath: Beneath) -> None:
    beneath.close()
    with pytest.raises(OSError, match="descriptor"):
        beneath.open(f"{beneath.folder}/a/f", os.O_RDONLY)


def test_no_descriptor_is_left_open(beneath: Beneath) -> None:
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers are wanted
    for path in ("a/f", "absolute", "passwd", "loop", "a/../../x", "nothing/x"):
        with contextlib.suppress(OSError):
            os.close(beneath.open(f"{beneath.folder}/{path}", os.O_RDONLY))
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_the_kernel_is_asked_where_it_can_be(tmp_path: Path) -> None:
    """It has openat2 from Linux 5.6 on, unless a container forbids it; without it, ours is the only way."""
    beneath = Beneath(str(tmp_path))
    beneath.close()
    assert beneath._kernel is has_openat2()
    if not has_openat2():
        return
    fd = os.open(tmp_path, os.O_PATH)
    try:
        with pytest.raises(OSError, match="cross-device") as caught:
            openat2(fd, "..", os.O_PATH)
        assert caught.value.errno == errno.EXDEV
    finally:
        os.close(fd)


# -- any tree of links --------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c"])
PARTS = st.sampled_from(["a", "b", "c", "..", "."])
RELATIVE = st.lists(PARTS, min_size=1, max_size=5).map("/".join)
NODES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join),
    st.one_of(st.just("folder"), st.just("file"), RELATIVE, RELATIVE.map(lambda path: f"ROOT/{path}")),
    max_size=8,
)


def build(root: Path, nodes: dict[str, str]) -> None:
    for name, kind in sorted(nodes.items(), key=lambda item: item[0].count("/")):
        with contextlib.suppress(OSError):  # what cannot be beside what is there is left out
            if kind == "folder":
                (root / name).mkdir()
            elif kind == "file":
                (root / name).write_text("inside")
            else:
                (root / name).symlink_to(kind.replace("ROOT", str(root)))


@hypothesis.settings(deadline=None, max_examples=int(150 * SCALE))
@hypothesis.given(nodes=NODES, asked=RELATIVE)
def test_the_walk_means_what_the_kernel_means_and_neither_leaves(nodes: dict[str, str], asked: str) -> None:
    """Over random trees of links: both ways open the same thing or refuse, and what they open is inside."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "root"
        root.mkdir()
        build(root, nodes)
        outcomes: list[object] = []
        for kernel in (None, False):
            beneath = Beneath(str(root), kernel=kernel)
            try:
                fd = beneath.open(f"{root}/{asked}", os.O_PATH)
            except OutsideRoot:
                outcomes.append("outside")
            except OSError as error:
                outcomes.append(error.errno)
            else:
                where = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - of a descriptor
                os.close(fd)
                assert where == str(root) or where.startswith(f"{root}/")
                outcomes.append(where)
            finally:
                beneath.close()
        assert outcomes[0] == outcomes[1]
        if isinstance(outcomes[0], str) and outcomes[0] != "outside":
            assert outcomes[0] == os.path.realpath(f"{root}/{asked}")


# -- S7 -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kernel", WAYS)
def test_no_read_and_no_write_escapes_while_a_folder_and_a_file_are_swapped(
    kernel: bool | None, tmp_path: Path
) -> None:
    """S7: 10,000 reads and writes beside a thread that swaps."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder, text in ((root, "inside"), (outside, SECRET)):
        (folder / "folder").mkdir(parents=True)
        for name in ("file", "folder/file"):
            (folder / name).write_text(text)
    beneath = Beneath(str(root), kernel=kernel)
    before = {path: path.read_text() for path in outside.rglob("*") if path.is_file()}
    seen: set[str] = set()
    refused = 0
    with Swapping(root, outside) as swapping:
        for turn in itertools.count():
            if turn >= 10_000 * SCALE and swapping.swaps > 100 and refused:  # refused: a link out was met
                break
            path = f"{root}/folder/file" if turn % 4 < 2 else f"{root}/file"
            flags = os.O_RDONLY if turn % 2 else os.O_WRONLY | os.O_CREAT
            try:
                fd = beneath.open(path, flags)
            except OSError:
                refused += 1
                continue
            if turn % 2:
                seen.add(os.read(fd, 100).decode())
            else:
                os.write(fd, b"inside")
            os.close(fd)
    beneath.close()
    assert seen <= {"inside", ""}
    assert {path: path.read_text() for path in outside.rglob("*") if path.is_file()} == before
