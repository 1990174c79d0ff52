"""Large segments in files beside the database."""

from __future__ import annotations

import itertools
import os
import resource
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.journal import Limits, Retention
from sandbox_agent.journal.bulk import FILE_BYTES, LEAST, Bulk

if TYPE_CHECKING:
    from tests.journal.conftest import Place, Tools

SMALL = Limits(window_bytes=0, idle_s=0.01)


def files(place: Place) -> dict[str, int]:
    """The files of all journals, with their sizes."""
    folder = Path(f"{place.where}-bulk")
    return {str(file.relative_to(folder)): file.stat().st_size for file in folder.rglob("*") if file.is_file()}


def modes(place: Place) -> set[int]:
    folder = Path(f"{place.where}-bulk")
    return {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


async def test_large_and_small_segments_are_read_as_one_log(sqlite: Place, tools: Tools) -> None:
    """Whatever their sizes, entries come back in order and byte for byte, by this server and by the next."""
    journals = await sqlite.start(limits=SMALL)
    journal = await journals.open("a")
    given = [b"%d" % n + b"." * size for n, size in enumerate((5, LEAST, LEAST - 2, 300_000, 10, 2_000_000, LEAST), 1)]
    for payload in given:
        journal.append(payload)
    journal.extend([b"%d " % n * 40 for n in range(3000)])
    await journal.durable()
    expected = list(enumerate([*given, *(b"%d " % n * 40 for n in range(3000))], 1))
    journal.evict(0)
    assert await tools.read_all(journal) == expected
    assert sum(files(sqlite).values()) > 2_500_000
    assert modes(sqlite) == {0o700, 0o600}
    again = await (await sqlite.restart()).open("a")
    assert await tools.read_all(again) == expected
    assert await tools.read_all(again, 4) == expected[4:]
    again.append(b"x" * LEAST)
    await again.durable()
    assert again.head == expected[-1][0] + 1


async def test_retention_removes_files_no_entry_needs(sqlite: Place, tools: Tools) -> None:
    """Far more than is kept was written: the disk holds what is kept, and a file or so."""
    journals = await sqlite.start(limits=SMALL)
    journal = await journals.open("a", Retention(max_bytes=FILE_BYTES))
    for _ in range(100):
        journal.append(b"x" * 1_000_000)
        await journal.durable()
    await tools.eventually(lambda: not journal._trimming and sum(files(sqlite).values()) < 3 * FILE_BYTES)
    entries = await tools.read_all(journal, journal.first - 1)
    assert [number for number, _ in entries] == list(range(journal.first, 101))
    assert FILE_BYTES * 0.8 < sum(len(payload) for _, payload in entries) < FILE_BYTES * 1.2


async def test_deleting_a_journal_removes_its_files_alone(sqlite: Place, tools: Tools) -> None:
    """Others keep theirs."""
    journals = await sqlite.start(limits=SMALL)
    for name in "ab":
        journal = await journals.open(name)
        journal.append(name.encode() * LEAST)
        await journal.durable()
    await journals.delete("a")
    await tools.eventually(lambda: len(files(sqlite)) == 1)
    assert await tools.read_all(await journals.open("b")) == [(1, b"b" * LEAST)]


async def test_files_of_journals_that_are_gone_go_at_the_start(sqlite: Place) -> None:
    """A server killed between a deletion and its files leaves nothing behind for good."""
    journals = await sqlite.start()
    await journals.open("a")
    await sqlite.stop()
    left = Path(f"{sqlite.where}-bulk") / "77" / "1"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    await sqlite.start()
    assert files(sqlite) == {}


async def test_what_a_power_cut_took_is_left_out(sqlite: Place, tools: Tools) -> None:
    """A file shorter than the database says costs the segments that are not whole, and no other."""
    journals = await sqlite.start()
    journal = await journals.open("a")
    for number in range(3):
        journal.append(b"%d" % number * LEAST)
        await journal.durable()
    await sqlite.stop()
    os.truncate(Path(f"{sqlite.where}-bulk") / "1" / "1", LEAST * 5 // 2)
    again = await (await sqlite.start()).open("a")
    assert await tools.read_all(again) == [(1, b"0" * LEAST), (2, b"1" * LEAST)]
    assert again.append(b"next") == 4
    await again.durable()
    assert await tools.read_all(again, 2) == [(4, b"next")]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Where only a part has room, the part is taken back, and the next one is where it says."""
    bulk = Bulk(tmp_path)
    before = bulk.add(1, 1, [b"a" * 1000])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            bulk.add(1, 2, [b"b" * 700, b"c" * 700])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    after = bulk.add(1, 2, [b"b" * 100] * 100)
    assert bulk.read(1, before, 1000) == b"a" * 1000
    assert bulk.read(1, after, 10_000) == b"b" * 10_000
    bulk.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_files_are_of_bounded_size_and_number_open(tmp_path: Path) -> None:
    """Many journals written in turn hold few descriptors, and every place stays right."""
    bulk = Bulk(tmp_path)
    before = descriptors()
    places = []
    for turn, journal in itertools.product(range(5), range(1, 61)):
        places.append((journal, turn, bulk.add(journal, turn + 1, [b"%d %d" % (journal, turn)] * 10)))
        bulk.relieve()
        assert descriptors() - before < 50
    for journal, turn, place in places:
        wanted = b"%d %d" % (journal, turn) * 10
        assert bulk.read(journal, place, len(wanted)) == wanted
    bulk.close()


def test_files_that_wait_for_the_disk_are_counted(tmp_path: Path) -> None:
    """It is crowded while too many files are not synchronised, and no more once relieved; nothing is lost by that."""
    bulk = Bulk(tmp_path)
    places = []
    for number in range(1, 1000):
        if bulk.crowded:
            break
        places.append(bulk.add(number, 1, [b"%04d" % number]))
    assert bulk.crowded
    bulk.relieve()
    assert not bulk.crowded
    assert bulk.unsynced
    while bulk.sync():
        pass
    assert not bulk.unsynced
    assert [bulk.read(n, place, 4) for n, place in enumerate(places, 1)] == [
        b"%04d" % n for n in range(1, len(places) + 1)
    ]
    bulk.close()
