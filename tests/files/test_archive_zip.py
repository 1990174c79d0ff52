"""Reading zip archives: what the standard library wrote, and nothing that contradicts itself."""

from __future__ import annotations

import io
import struct
import subprocess
import tarfile
import tempfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.files.archive_plan import ArchiveError, ArchiveLimits
from sandbox_agent.files.archive_zip import read_zip

from ..support.archives import STEADY, Entry, zipped

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.files.archive_plan import Member

LIMITS = ArchiveLimits()


def read(data: bytes, limits: ArchiveLimits = LIMITS) -> list[tuple[Member, bytes]]:
    with tempfile.TemporaryFile() as into:
        members = read_zip(data, into, limits)
        into.seek(0)
        whole = into.read()
    return [(member, whole[member.offset : member.offset + member.size]) for member in members]


NAMES = st.text(st.characters(exclude_characters="\0/\\"), min_size=1, max_size=20).filter(
    lambda name: name.isprintable()
)


@STEADY
@given(
    entries=st.dictionaries(NAMES, st.tuples(st.binary(max_size=3000), st.integers(1, 0o777)), max_size=6),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_members_are_those_that_the_standard_library_wrote(entries: dict[str, tuple[bytes, int]], method: int) -> None:
    data = zipped(*(Entry(name, body, mode=mode) for name, (body, mode) in entries.items()), method=method)
    found = {member.name.decode(): (content, member.mode) for member, content in read(data)}
    assert found == entries


def test_what_info_zip_writes_is_read_with_modes_and_times(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "folder").mkdir(parents=True)
    (source / "folder" / "script").write_bytes(b"#!/bin/sh\n" * 1000)
    (source / "folder" / "script").chmod(0o750)
    with zipfile.ZipFile(tmp_path / "out.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(source / "folder", "folder")
        archive.write(source / "folder" / "script", "folder/script")
    found = {member.name: (member, content) for member, content in read((tmp_path / "out.zip").read_bytes())}
    assert found[b"folder/"][0].kind == "folder"
    script, content = found[b"folder/script"]
    assert (script.kind, script.mode, content) == ("file", 0o750, b"#!/bin/sh\n" * 1000)
    assert abs((script.mtime_ns or 0) / 1e9 - (source / "folder" / "script").stat().st_mtime) <= 2


def test_sizes_of_64_bits_are_read_from_the_extra_field() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("wide", "w", force_zip64=True) as file:
        file.write(b"content")
    assert [(member.name, content) for member, content in read(out.getvalue())] == [(b"wide", b"content")]


def test_names_without_a_mark_are_bytes_from_unix_and_code_page_437_from_elsewhere() -> None:
    def named(system: int) -> bytes:
        data = bytearray(zipped(Entry("a", b"x")))
        listed = data.rindex(b"PK\1\2")
        data[listed + 5] = system
        data[listed + 46 : listed + 47] = b"\x81"
        data[30:31] = b"\x81"
        return read(bytes(data))[0][0].name

    assert named(3) == b"\x81"
    assert named(0) == "ü".encode()


def test_links_and_devices_are_known_by_their_mode_and_encrypted_or_odd_members_by_theirs() -> None:
    data = zipped(
        Entry("link", kind=tarfile.SYMTYPE, target="/etc"),
        Entry("fifo", kind=tarfile.FIFOTYPE),
        Entry("device", kind=tarfile.CHRTYPE),
    )
    assert [member.kind for member, _ in read(data)] == ["symbolic link", "fifo", "device or socket"]
    assert [m.kind for m, _ in read(zipped(Entry("x", b"x" * 99), method=zipfile.ZIP_BZIP2))] == [
        "compressed (method 12)"
    ]
    locked = bytearray(zipped(Entry("x", b"x")))
    locked[6] |= 1
    locked[locked.rindex(b"PK\1\2") + 8] |= 1
    assert [member.kind for member, _ in read(bytes(locked))] == ["encrypted"]


GOOD = zipped(Entry("first", b"x" * 600), Entry("second", b"y" * 600))


def patched(at: int, form: str, *values: int, data: bytes = GOOD) -> bytes:
    copy = bytearray(data)
    struct.pack_into(form, copy, at, *values)
    return bytes(copy)


LISTED = GOOD.index(b"PK\1\2")
SECOND = GOOD.index(b"PK\1\2", LISTED + 4)
END = GOOD.index(b"PK\5\6")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no zip archive"),
        (b"hello", "no zip archive"),
        (GOOD[:-1], "no zip archive|follows"),
        (GOOD + b"x", "follows its end"),
        (b"x" + GOOD, "precedes"),
        (patched(END + 10, "<H", 3), "volumes"),
        (patched(END + 8, "<2H", 3, 3), "damaged"),
        (patched(END + 8, "<2H", 1, 1), "longer or shorter"),
        (patched(LISTED + 16, "<L", 1), "content is damaged"),
        (patched(LISTED + 20, "<L", 5), "content ends early|content is damaged"),
        (patched(LISTED + 24, "<L", 599), "more than it says"),
        (patched(LISTED + 24, "<L", 601), "content is damaged"),
        (patched(LISTED + 42, "<L", 1), "not where the list"),
        (patched(30, "<B", 0x2F), "says otherwise"),
        (patched(8, "<H", 0), "says otherwise"),
        (patched(SECOND + 42, "<L", 0), "says otherwise"),
        (patched(SECOND + 20, "<L", 1 << 30), "middle of a member"),
        (patched(36, "<B", 0xFF), "content"),
    ],
)
def test_an_archive_that_is_damaged_or_contradicts_itself_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        read(data)


def test_members_that_overlap_are_refused() -> None:
    """How a small archive becomes a large bomb: many entries share one content."""
    data = zipped(Entry("same", b"x" * 600))
    listed, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    entry = data[listed:end]
    twice = data[:listed] + entry * 2 + data[end:]
    twice = patched(len(twice) - 22 + 8, "<2HL", 2, 2, 2 * len(entry), data=twice)
    with pytest.raises(ArchiveError, match="overlaps") as refused:
        read(twice)
    assert refused.value.member == b"same"


def test_a_bomb_is_refused_by_its_name_before_it_is_expanded() -> None:
    limits = ArchiveLimits(ratio=50, ratio_from=1 << 20)
    with pytest.raises(ArchiveError, match="50 times") as refused:
        read(zipped(Entry("kind", b"x"), Entry("bomb", bytes(4 << 20))), limits)
    assert refused.value.member == b"bomb"
    with pytest.raises(ArchiveError, match="more than 1000 bytes"):
        read(zipped(Entry("large", b"x" * 2000)), ArchiveLimits(expanded_bytes=1000))
    with pytest.raises(ArchiveError, match="more than 1 members"):
        read(GOOD, ArchiveLimits(members=1))


def test_a_large_member_comes_through_in_pieces(tmp_path: Path) -> None:
    """Content of more than one piece, compressible and not, is expanded as it was."""
    content = (
        bytes(3 << 20)
        + subprocess.run(["head", "-c", "3000000", "/dev/urandom"], capture_output=True, check=True).stdout
    )
    assert read(zipped(Entry("large", content)))[0][1] == content


@STEADY
@given(st.binary(max_size=400), st.integers(0, len(GOOD)))
def test_whatever_the_bytes_it_is_read_or_refused(noise: bytes, at: int) -> None:
    for data in (noise, GOOD[:at] + noise + GOOD[at + len(noise) :], GOOD[:at] + noise + GOOD[at:]):
        try:
            read(data)
        except ArchiveError:
            continue
