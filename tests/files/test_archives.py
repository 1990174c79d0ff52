"""Archives in and out by the service: S6, and trees that go up and come down the same."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox_agent.files.archive_plan import ArchiveLimits
from sandbox_agent.files.archives import DOWNLOAD_TYPES, Archives
from sandbox_agent.files.root import Root
from sandbox_agent.problems import InvalidRequest, NotFound, PayloadTooLarge, PermissionDenied

from ..support.archives import STEADY, Entry, gzipped, in_chunks, joined, tar, tree, zipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.files.archives import Form
    from sandbox_agent.wire.files import FsUploadBatchResponse

PACKED: dict[str, tuple[str, Callable[..., bytes]]] = {
    "tar": ("application/x-tar", tar),
    "tar.gz": ("application/gzip", lambda *entries: gzipped(tar(*entries))),
    "tar.zst": ("application/zstd", lambda *entries: zstandard.compress(tar(*entries))),
    "zip": ("application/zip", zipped),
}


def unpack(archives: Archives, path: Path, media: str, data: bytes) -> FsUploadBatchResponse:
    return asyncio.run(archives.unpack(str(path), media, in_chunks(data)))


def packed_by(archives: Archives, path: Path, form: Form = "tar") -> bytes:
    return asyncio.run(joined(archives.pack(str(path), form)))


def check(archives: Archives, path: Path) -> None:
    asyncio.run(archives.check(str(path)))


def names(packed: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return archive.getnames()


@pytest.fixture
def archives() -> Archives:
    return Archives(Root())


@pytest.mark.parametrize("form", PACKED)
@pytest.mark.parametrize(
    ("tricks", "name"),
    [
        ([Entry("../escaped", b"x")], "../escaped"),
        ([Entry("a/../../escaped", b"x")], "a/../../escaped"),
        ([Entry("/escaped", b"x")], "/escaped"),
        ([Entry("link", kind=tarfile.SYMTYPE, target="/"), Entry("link/escaped", b"x")], "link"),
        ([Entry("link", kind=tarfile.SYMTYPE, target="..")], "link"),
        ([Entry("fifo", kind=tarfile.FIFOTYPE)], "fifo"),
        ([Entry("device", kind=tarfile.CHRTYPE)], "device"),
        ([Entry("twice", b"1"), Entry("twice", b"2")], "twice"),
        ([Entry("file", b"1"), Entry("file/below", b"2")], "file/below"),
        ([Entry("n" * 256, b"1")], "n" * 256),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")  # the standard library's, of the archive that is made here
def test_s6_a_trick_is_refused_by_name_and_nothing_is_written(
    form: str, tricks: list[Entry], name: str, archives: Archives, tmp_path: Path
) -> None:
    """The trick comes last, after members that could be written: none of them is."""
    media, pack = PACKED[form]
    data = pack(Entry("good", b"x"), Entry("folder/good", b"y"), *tricks)
    destination = tmp_path / "up" / "here"
    with pytest.raises(InvalidRequest) as refused:
        unpack(archives, destination, media, data)
    assert refused.value.status == 400
    assert name in {told["name"] for told in refused.value.extensions["members"]}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.zst"])
@pytest.mark.parametrize(
    "trick",
    [
        Entry("hard", kind=tarfile.LNKTYPE, target="/etc/passwd"),
        Entry("block", kind=tarfile.BLKTYPE),
        Entry("sparse", kind=tarfile.GNUTYPE_SPARSE),
    ],
)
def test_s6_what_only_tar_can_hold_is_refused_by_name(
    form: str, trick: Entry, archives: Archives, tmp_path: Path
) -> None:
    media, pack = PACKED[form]
    with pytest.raises(InvalidRequest) as refused:
        unpack(archives, tmp_path / "here", media, pack(Entry("good", b"x"), trick))
    assert [told["name"] for told in refused.value.extensions["members"]] == [trick.name]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["tar.gz", "tar.zst", "zip"])
def test_s6_a_bomb_is_refused_by_name_and_nothing_is_written(form: str, tmp_path: Path) -> None:
    archives = Archives(Root(), ArchiveLimits(ratio=100, ratio_from=1 << 20))
    media, pack = PACKED[form]
    data = pack(Entry("good", b"x"), Entry("bomb", bytes(32 << 20)))
    assert len(data) < 1 << 18
    with pytest.raises(PayloadTooLarge) as refused:
        unpack(archives, tmp_path / "here", media, data)
    assert [told["name"] for told in refused.value.extensions["members"]] == ["bomb"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", PACKED)
def test_s6_links_in_the_destination_are_not_followed(form: str, archives: Archives, tmp_path: Path) -> None:
    outside, destination = tmp_path / "outside", tmp_path / "here"
    outside.mkdir()
    destination.mkdir()
    (outside / "file").write_bytes(b"untouched")
    (destination / "folder").symlink_to(outside)
    (destination / "file").symlink_to(outside / "file")
    media, pack = PACKED[form]
    with pytest.raises(InvalidRequest) as refused:
        unpack(archives, destination, media, pack(Entry("file", b"1"), Entry("folder/new", b"2")))
    assert [told["name"] for told in refused.value.extensions["members"]] == ["folder"]
    assert (destination / "file").is_symlink()
    unpack(archives, destination, media, pack(Entry("file", b"1")))
    assert not (destination / "file").is_symlink()
    assert tree(outside) == {b"file": ("file", 0o644, b"untouched")}


@pytest.mark.parametrize("form", PACKED)
def test_a_broken_archive_writes_nothing(form: str, archives: Archives, tmp_path: Path) -> None:
    media, pack = PACKED[form]
    data = pack(Entry("first", b"x"), Entry("second", os.urandom(5000)))
    with pytest.raises(InvalidRequest):
        unpack(archives, tmp_path / "here", media, data[: 4000 if form == "tar" else -30])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", PACKED)
def test_the_first_1024_paths_are_told(form: str, archives: Archives, tmp_path: Path) -> None:
    media, pack = PACKED[form]
    answer = unpack(archives, tmp_path / "here", media, pack(*(Entry(f"d/{number}") for number in range(1025))))
    assert answer.paths == tuple(f"{tmp_path}/here/d/{number}" for number in range(1024))
    assert answer.truncated
    assert len(list((tmp_path / "here" / "d").iterdir())) == 1025
    answer = unpack(archives, tmp_path / "here", media, pack(Entry("d/0", b"new")))
    assert (answer.paths, answer.truncated) == ((f"{tmp_path}/here/d/0",), False)
    assert (tmp_path / "here" / "d" / "0").read_bytes() == b"new"


def test_a_compressed_tar_that_is_sent_as_a_plain_one_is_recognised(archives: Archives, tmp_path: Path) -> None:
    for number, form in enumerate(("tar.gz", "tar.zst")):
        data = PACKED[form][1](Entry(f"file{number}", b"x"))
        unpack(archives, tmp_path, "application/x-tar", data)
    assert tree(tmp_path).keys() == {b"file0", b"file1"}


def test_paths_that_cannot_be_unpacked_to_are_problems(archives: Archives, tmp_path: Path) -> None:
    data = tar(Entry("x", b"x"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidRequest, match="not a directory"):
        unpack(archives, tmp_path / "file", "application/x-tar", data)
    with pytest.raises(InvalidRequest, match="not a directory"):
        unpack(archives, tmp_path / "file" / "below", "application/x-tar", data)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InvalidRequest) as refused:
        unpack(archives, tmp_path / "dangling", "application/x-tar", data)
    assert refused.value.extensions["members"][0]["name"] == "dangling"
    with pytest.raises(InvalidRequest):
        unpack(archives, tmp_path, "application/x-rar", data)


def test_a_confined_root_holds_for_both_ways(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "way-out").symlink_to(outside)
    archives = Archives(Root(root))
    for path in (outside, root / "way-out", root / "way-out" / "new", Path("/new")):
        with pytest.raises((PermissionDenied, InvalidRequest)):
            unpack(archives, path, "application/x-tar", tar(Entry("x", b"x")))
        with pytest.raises((PermissionDenied, InvalidRequest, NotFound)):
            check(archives, path)
    assert not list(outside.iterdir())
    unpack(archives, root / "new", "application/x-tar", tar(Entry("x", b"x")))
    packed = packed_by(archives, root, "tar")
    assert names(packed) == [
        "root",
        "root/new",
        "root/new/x",
        "root/way-out",
    ]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with some of everything."""
    made = tmp_path / "sourcé"
    (made / "empty").mkdir(parents=True, mode=0o700)
    (made / "script").write_bytes(b"#!/bin/sh\n")
    (made / "script").chmod(0o751)
    (made / ("long" * 50)).write_bytes(os.urandom(100_000))
    (made / "link").symlink_to("../nowhere")
    (made / os.fsdecode(b"\xff")).write_bytes(b"")
    os.mkfifo(made / "fifo")
    return made


@pytest.mark.parametrize("form", ["tar", "tar.gz"])
def test_gnu_tar_reads_what_is_packed(form: Form, source: Path, archives: Archives, tmp_path: Path) -> None:
    """Links, modes, names that are not UTF-8 and an empty folder included; a fifo is left out."""
    there = tmp_path / "there"
    there.mkdir()
    packed = packed_by(archives, source, form)
    option = "-xpzf" if form == "tar.gz" else "-xpf"
    subprocess.run(["tar", option, "-", "-C", there], input=packed, check=True, stderr=subprocess.DEVNULL)
    assert tree(there / source.name) == tree(source)


def test_zipfile_reads_what_is_packed(source: Path, archives: Archives) -> None:
    archive = zipfile.ZipFile(io.BytesIO(packed_by(archives, source, "zip")))
    assert archive.testzip() is None
    forms = {stat.S_IFDIR: "folder", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
    found = {}
    for info in archive.infolist():
        mode = info.external_attr >> 16
        name = info.filename.encode() if info.flag_bits & 0x800 else info.filename.encode("cp437")
        form = forms[stat.S_IFMT(mode)]
        found[name.rstrip(b"/")] = (form, 0 if form == "link" else stat.S_IMODE(mode), archive.read(info))
    top = source.name.encode()
    expected = {top + b"/" + name: entry for name, entry in tree(source).items()}
    assert found == expected | {top: ("folder", stat.S_IMODE(source.stat().st_mode), b"")}


NAME = st.binary(min_size=1, max_size=12).filter(lambda name: not {0, 0x2F} & set(name) and name not in {b".", b".."})
MODE = st.integers(0, 0o777)
CONTENT = st.binary(max_size=600) | st.integers(1, 300_000).map(lambda size: os.urandom(16) * (size // 16))
FILE = st.tuples(st.just("file"), MODE.map(lambda mode: mode | 0o400), CONTENT)
LINK = st.tuples(st.just("link"), st.just(0), NAME)
NODE = st.recursive(
    FILE | LINK,
    lambda inner: st.tuples(st.just("folder"), MODE.map(lambda mode: mode | 0o700), st.dictionaries(NAME, inner)),
    max_leaves=12,
)


def plant(folder: Path, nodes: dict[bytes, tuple[str, int, Any]]) -> None:
    for name, (kind, mode, value) in nodes.items():
        path = folder / os.fsdecode(name)
        if kind == "link":
            path.symlink_to(os.fsdecode(value))
            continue
        if kind == "folder":
            path.mkdir()
            plant(path, value)
        else:
            path.write_bytes(value)
        path.chmod(mode)


@settings(STEADY, max_examples=60)
@given(nodes=st.dictionaries(NAME, NODE, max_size=5), form=st.sampled_from(sorted(DOWNLOAD_TYPES)))
def test_random_trees_come_down_and_go_up_and_are_the_same(
    nodes: dict[bytes, tuple[str, int, Any]], form: Form
) -> None:
    """Names in any bytes, empty folders, modes. Links come down as links; on the way up they are refused."""

    def both_ways(here: Path, there: Path) -> None:
        archives = Archives(Root())
        packed = packed_by(archives, here, form)
        planted = tree(here)
        if form == "tar":
            with tarfile.open(fileobj=io.BytesIO(packed), errors="surrogateescape") as archive:
                links = {m.name.encode(errors="surrogateescape"): m.linkname for m in archive if m.issym()}
            assert links == {
                b"here/" + name: os.fsdecode(target) for name, (kind, _, target) in planted.items() if kind == "link"
            }
        linked = [name for name, (kind, _, _) in planted.items() if kind == "link"]
        if linked:
            with pytest.raises(InvalidRequest):
                unpack(archives, there, DOWNLOAD_TYPES[form], packed)
            assert not there.exists()
            for name in linked:
                (here / os.fsdecode(name)).unlink()
            packed = packed_by(archives, here, form)
        unpack(archives, there, DOWNLOAD_TYPES[form], packed)
        assert tree(there / "here") == tree(here)

    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder) / "here"
        here.mkdir()
        plant(here, nodes)
        both_ways(here, Path(folder) / "there")


def test_a_single_file_is_packed_under_its_name(archives: Archives, source: Path) -> None:
    packed = packed_by(archives, source / "script", "tar")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert [(m.name, m.mode, m.size) for m in archive] == [("script", 0o751, 10)]


def test_what_cannot_be_packed_is_told_before_anything_is_sent(archives: Archives, source: Path) -> None:
    for path, kind in ((source / "none", NotFound), (source / "fifo", InvalidRequest), (source / "link", NotFound)):
        with pytest.raises(kind):
            check(archives, path)
        with pytest.raises(kind):
            packed_by(archives, path, "tar")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_reader_that_goes_away_leaves_nothing_open(archives: Archives, source: Path) -> None:
    before = open_files()
    for _ in range(20):
        chunks = archives.pack(str(source), "zip")
        assert await anext(chunks)
        await chunks.aclose()
    assert open_files() == before


def test_folders_nested_beyond_reason_are_told_not_stumbled_over(archives: Archives, tmp_path: Path) -> None:
    """A thousand levels deep, beyond what Python's stack takes."""
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1000):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    with pytest.raises(InvalidRequest, match="too long"):
        packed_by(archives, tmp_path, "tar")
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)
