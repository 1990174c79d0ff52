"""Where archives wait, and how their compression comes off."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import zstandard

from sandbox_agent.files.archive_plan import ArchiveError, ArchiveLimits
from sandbox_agent.files.archive_spool import Spool, expand, temporary

from ..support.archives import Entry, gzipped, tar

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.files.archive_spool import Coding

ARCHIVE = tar(Entry("kind", b"x"), Entry("much", os.urandom(3 << 20) + bytes(3 << 20)))


def squeezed(data: bytes, coding: Coding) -> bytes:
    return gzipped(data) if coding == "gzip" else zstandard.compress(data)


def expanded(data: bytes, coding: Coding, limits: ArchiveLimits | None = None) -> bytes:
    with tempfile.TemporaryFile() as sent, tempfile.TemporaryFile() as into:
        sent.write(data)
        expand(sent, coding, into, limits or ArchiveLimits())
        into.seek(0)
        return into.read()


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_what_was_compressed_comes_out_also_from_several_streams_in_a_row(coding: Coding) -> None:
    assert expanded(squeezed(ARCHIVE, coding), coding) == ARCHIVE
    assert expanded(squeezed(b"one", coding) + squeezed(b"two", coding), coding) == b"onetwo"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("cut", [10, 1000, -1])
def test_a_stream_that_ends_early_is_refused(coding: Coding, cut: int) -> None:
    with pytest.raises(ArchiveError, match=r"damaged|ends early"):
        expanded(squeezed(ARCHIVE, coding)[:cut], coding)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_what_is_no_such_stream_is_refused(coding: Coding) -> None:
    with pytest.raises(ArchiveError, match="damaged"):
        expanded(b"no stream at all", coding)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_bomb_is_refused_while_it_expands_and_told_by_the_member_that_does(coding: Coding) -> None:
    data = squeezed(tar(Entry("kind", b"x"), Entry("bomb", bytes(64 << 20))), coding)
    with pytest.raises(ArchiveError, match="20 times") as refused:
        expanded(data, coding, ArchiveLimits(ratio=20, ratio_from=1 << 20))
    assert refused.value.member == b"bomb"
    assert refused.value.limit == 20


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("size", [10, 3 << 20, 9 << 20])
def test_a_spool_gives_back_what_it_took_from_memory_or_from_a_file(size: int, begun: bool, tmp_path: Path) -> None:
    data = os.urandom(size)
    folder = os.open(tmp_path, os.O_PATH)
    with closing(Spool(bytearray(data[:5]) if begun else None)) as spool:
        spool.folder = folder
        for at in range(5 if begun else 0, size, 1 << 20):
            spool.write(data[at : at + (1 << 20)])
        assert spool.head(4) == data[:4]
        source = spool.source()
        assert (os.pread(source, size, 0) if isinstance(source, int) else source) == data
        assert isinstance(source, int) is (size > 4 << 20)
        assert os.pread(spool.file().fileno(), size, 0) == data
    assert not list(tmp_path.iterdir())
    os.close(folder)


def test_a_temporary_file_lies_in_the_file_system_of_its_folder_or_where_it_can(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_PATH)
    with temporary(folder) as file:
        assert os.fstat(file.fileno()).st_dev == tmp_path.stat().st_dev
    os.close(folder)
    system = os.open("/proc", os.O_PATH)  # where nobody may write
    with temporary(system) as file:
        assert file.write(b"x") == 1
    os.close(system)
