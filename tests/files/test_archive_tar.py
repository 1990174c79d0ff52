"""Reading tar archives: the same members as the standard library sees, and none where it is damaged."""

from __future__ import annotations

import io
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.files.archive_plan import ArchiveError
from sandbox_agent.files.archive_tar import clamped, read_tar

from ..support.archives import STEADY, Entry, tar

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.files.archive_plan import Member

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def members(data: bytes) -> list[Member]:
    return list(read_tar(data))


def content(data: bytes, member: Member) -> bytes:
    return data[member.offset : member.offset + member.size]


NAMES = st.text(st.characters(exclude_characters="\0/"), min_size=1, max_size=40).filter(
    lambda name: name.isprintable()
)
PATHS = st.lists(NAMES, min_size=1, max_size=12).map("/".join)


@STEADY
@given(
    entries=st.lists(st.tuples(PATHS, st.binary(max_size=2000), st.integers(0, 0o7777), st.integers(0, 1 << 34))),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_members_are_those_that_the_standard_library_wrote(
    entries: list[tuple[str, bytes, int, int]], form: int
) -> None:
    data = tar(*(Entry(name, body, mode=mode, mtime=mtime) for name, body, mode, mtime in entries), form=form)
    found = members(data)
    told = [(m.name.decode(), content(data, m), m.mode, m.mtime_ns) for m in found]
    assert told == [(name, body, mode, clamped(mtime * 10**9)) for name, body, mode, mtime in entries]
    assert {m.kind for m in found} <= {"file"}


@pytest.mark.parametrize("form", FORMATS)
def test_each_type_of_member_is_known_for_what_it_is(form: int) -> None:
    data = tar(
        Entry("file", b"x"),
        Entry("folder", kind=tarfile.DIRTYPE),
        Entry("old/", kind=tarfile.AREGTYPE),
        Entry("symlink", kind=tarfile.SYMTYPE, target="/etc/passwd"),
        Entry("hard", kind=tarfile.LNKTYPE, target="file"),
        Entry("char", kind=tarfile.CHRTYPE),
        Entry("block", kind=tarfile.BLKTYPE),
        Entry("fifo", kind=tarfile.FIFOTYPE),
        Entry("sparse", kind=tarfile.GNUTYPE_SPARSE),
        Entry("odd", kind=b"Z"),
        form=form,
    )
    assert {m.name.decode().rstrip("/"): m.kind for m in members(data)} == {
        "file": "file",
        "folder": "folder",
        "old": "folder",
        "symlink": "symbolic link",
        "hard": "hard link",
        "char": "character device",
        "block": "block device",
        "fifo": "fifo",
        "sparse": "sparse file",
        "odd": "unknown ('Z')",
    }


def test_names_that_are_not_utf8_and_times_before_1970_and_with_fractions_are_read_exactly() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
        info = tarfile.TarInfo("\udcff" + "long" * 60)
        info.pax_headers = {"mtime": "-1.25"}
        archive.addfile(info)
    (member,) = members(out.getvalue())
    assert member.name == b"\xff" + b"long" * 60
    assert member.mtime_ns == -1_250_000_000
    assert clamped(1 << 80) == (1 << 63) - 1


def test_a_size_beyond_eight_gibibytes_is_read_from_its_binary_field() -> None:
    info = tarfile.TarInfo("huge")
    info.size = 9 << 30
    with pytest.raises(ArchiveError, match="middle of a member") as refused:
        members(info.tobuf(tarfile.GNU_FORMAT))
    assert refused.value.member == b"huge"


def test_a_sparse_file_in_pax_form_is_known_as_one(tmp_path: Path) -> None:
    """As GNU tar writes it: an ordinary file to who does not know, with a map before its content."""
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"x")
    archive = tmp_path / "sparse.tar"
    subprocess.run(["tar", "--sparse", "--format=pax", "-cf", archive, "-C", tmp_path, "holes"], check=True)
    assert [m.kind for m in members(archive.read_bytes())] == ["sparse file"]


@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "pax"])
def test_every_form_that_gnu_tar_writes_is_read(form: str, tmp_path: Path) -> None:
    name = "n" * (90 if form == "v7" else 95)
    (tmp_path / "top" / "deep").mkdir(parents=True)
    (tmp_path / "top" / "deep" / "file").write_bytes(b"content" * 100)
    (tmp_path / "top" / name).write_bytes(b"")
    archive = tmp_path / "out.tar"
    subprocess.run(["tar", f"--format={form}", "-cf", archive, "-C", tmp_path, "top"], check=True)
    data = archive.read_bytes()
    found = {m.name: m for m in members(data)}
    assert found.keys() == {b"top/", b"top/deep/", b"top/deep/file", b"top/" + name.encode()}
    assert content(data, found[b"top/deep/file"]) == b"content" * 100
    assert found[b"top/deep/"].kind == "folder"


def _broken(data: bytes, start: int, new: bytes) -> bytes:
    """With other bytes in the first header, whose checksum is made right again."""
    header = bytearray(data[:512])
    header[start : start + len(new)] = new
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


GOOD = tar(Entry("first", b"x" * 600), Entry("second", b"y"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello", "no tar archive"),
        (b"x" * 2048, "no tar archive"),
        (GOOD[:700], "middle of a member"),
        (GOOD[:1600], "middle of a member's header"),
        (GOOD[:1536] + b"z" + GOOD[1537:], "checksum"),
        (_broken(GOOD, 124, b"99999999999\0"), "malformed"),
        (_broken(GOOD, 124, b"-0000000001\0"), "malformed"),
        (_broken(GOOD, 124, b"0_000000001\0"), "malformed"),
        (_broken(GOOD, 124, b"\xff" * 12), "malformed"),
        (_broken(tar(Entry("x", kind=tarfile.XHDTYPE, data=b"no record")), 156, b"x"), "extended header is malformed"),
        (_broken(tar(Entry("x", data=b"999 path=a\n")), 156, b"x"), "extended header is malformed"),
        (_broken(tar(Entry("x", data=b"11 path=a\n\n")), 156, b"x"), "before the member"),
        (_broken(tar(Entry("x", data=b"10 path=a\n")), 156, b"g"), "same name"),
        (_broken(tar(Entry("x", data=b"9 size=z\n")) + b"", 156, b"x")[:1024] + tar(Entry("y")), "not a number"),
        (_broken(tar(Entry("x", data=b"11 mtime=z\n")), 156, b"x")[:1024] + tar(Entry("y")), "not a number"),
        (_broken(tar(Entry("x", data=b"x" * ((1 << 20) + 1))), 156, b"x"), "longer than"),
    ],
)
def test_a_damaged_archive_is_told_what_is_wrong_with_it(data: bytes, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        members(data)


def test_what_follows_the_end_is_not_read_and_an_empty_archive_has_no_members() -> None:
    assert members(b"") == []
    assert members(bytes(1024)) == []
    assert [m.name for m in members(tar(Entry("one")) + tar(Entry("two")))] == [b"one"]


@STEADY
@given(st.binary(max_size=3000), st.integers(0, 2000))
def test_whatever_the_bytes_it_is_read_or_refused(noise: bytes, at: int) -> None:
    """No input raises anything but ``ArchiveError``, and no member reaches beyond the data."""
    for data in (noise, GOOD[:at] + noise + GOOD[at + len(noise) :]):
        try:
            found = members(data)
        except ArchiveError:
            continue
        assert all(m.offset + m.size <= len(data) for m in found)
