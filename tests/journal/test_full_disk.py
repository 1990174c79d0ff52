"""A store that cannot write (R10): served from memory, told, bounded, and caught up."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.journal import Limits, Reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from sandbox_agent.journal import Journal, Journals
    from tests.journal.conftest import Place, Tools

# A small window and small batches: what is not stored must stay in memory all the same.
LIMITS = Limits(retry_s=0.02, idle_s=0.05, window_bytes=1000, cache_bytes=1000, batch_operations=7)


class Disk:
    """A disk of about one MiB with a store on it."""

    def __init__(self, place: Place, folder: Path, *, mounted: bool) -> None:
        self.place = place
        self.folder = folder
        self.mounted = mounted
        self._store: sqlite3.Connection

    async def start(self, limits: Limits = LIMITS) -> Journals:
        journals = await self.place.start(limits=limits)
        if not self.mounted:
            self._store = journals._engine.store._writer  # type: ignore[attr-defined]
            self._limit_pages(256)
        return journals

    def _limit_pages(self, pages: int) -> None:
        self._store.execute(f"PRAGMA max_page_count={pages}").fetchall()

    def grow(self) -> None:
        """Space returns."""
        if self.mounted:
            subprocess.run(["mount", "-o", "remount,size=64m", self.folder], check=True)
        else:
            self._limit_pages(1 << 20)


@pytest.fixture(params=["file system", "page limit"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, bool]]:
    """A tmpfs of 1 MiB and true; a common folder and false where mounting is refused or not asked for."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    mounted = request.param == "file system" and subprocess.run(command, check=False).returncode == 0
    yield folder, mounted
    if mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
async def disk(folder: tuple[Path, bool], tools: type[Tools]) -> AsyncIterator[Disk]:
    """A file system that fills up, or SQLite's own limit of pages."""
    path, mounted = folder
    disk = Disk(tools.Place(path / "store.db"), path, mounted=mounted)
    yield disk
    await disk.place.stop()


async def fill(journals: Journals, journal: Journal) -> int:
    """Appends until the store fails, and some more; how many entries there are."""
    while journals.health.persisted:
        journal.extend([b"%d" % (journal.head + n) + b"." * 400 for n in range(1, 11)])
        await asyncio.sleep(0.0005)
    for _ in range(100):
        journal.append(b"%d" % (journal.head + 1) + b"." * 400)
    return journal.head


def whole(entries: list[tuple[int, bytes]]) -> bool:
    return all(payload.split(b".")[0] == b"%d" % number for number, payload in entries)


async def test_streams_go_on_and_all_is_caught_up(disk: Disk, tools: Tools) -> None:
    """R10: a full disk is told, readers miss nothing, and when space returns everything is stored under its number."""
    journals = await disk.start()
    journal = await journals.open("a")
    got: list[tuple[int, bytes]] = []

    async def follow() -> None:
        async for found in journal.follow(0):
            assert not isinstance(found, Reset)
            got.extend(tools.flatten(found))

    following = asyncio.ensure_future(follow())
    count = await fill(journals, journal)
    assert journal.visible == journal.head
    assert journals.health.problem
    assert "space" in (journals.health.hint or "")
    assert not await journal.durable()
    journals.records.put("kind", "key", b"value")
    assert await journals.records.get("kind", "key") == b"value"
    assert not await journals.records.durable()
    other = await journals.open("opened while full")
    assert other.append(b"x") == 1
    assert len(await tools.read_all(other)) == 1
    await tools.eventually(lambda: len(got) == count)
    disk.grow()
    await tools.eventually(lambda: journals.health.persisted)
    assert await journal.durable()
    assert journal.append(b"%d." % (count + 1)) == count + 1
    assert await journal.durable()
    journal.close()
    await following
    await disk.place.stop()

    assert [number for number, _ in got] == list(range(1, count + 2))
    assert whole(got)
    with sqlite3.connect(disk.place.where) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    journals = await disk.start()
    assert await tools.read_all(await journals.open("a")) == got
    assert (await journals.open("opened while full")).head == 1
    assert await journals.records.get("kind", "key") == b"value"


async def test_producers_pause_at_the_bound(disk: Disk, tools: Tools) -> None:
    """With more waiting in memory than the budget, ``writable`` is cleared; it is set once the store has caught up."""
    journals = await disk.start(Limits(retry_s=0.02, queue_bytes=300_000, jot_bytes=4000))
    journal = await journals.open("a")
    assert journal.writable.is_set()
    await fill(journals, journal)
    while journal.writable.is_set():
        journal.append(b"%d" % (journal.head + 1) + b"." * 400)
    assert journals._engine._queued_bytes < 310_000
    waiting = asyncio.ensure_future(journal.writable.wait())
    disk.grow()
    await waiting
    assert await journal.durable()
    assert whole(await tools.read_all(journal))


async def test_a_journal_deleted_while_full_is_gone(disk: Disk, tools: Tools) -> None:
    """Deleting does not wait for the disk, and holds when it is back."""
    journals = await disk.start()
    journal = await journals.open("a")
    await fill(journals, journal)
    await journals.delete("a")
    assert not await journals.exists("a")
    again = await journals.open("a")
    assert again.append(b"fresh") == 1
    disk.grow()
    await tools.eventually(lambda: journals.health.persisted)
    assert await again.durable()
    await disk.place.stop()
    journals = await disk.start()
    assert await tools.read_all(await journals.open("a")) == [(1, b"fresh")]


async def test_stop_does_not_wait_for_space(disk: Disk) -> None:
    """A server whose disk is full still stops, and what was on disk before is there afterwards."""
    journals = await disk.start()
    journal = await journals.open("a")
    journal.append(b"1.")
    assert await journal.durable()
    await fill(journals, journal)
    async with asyncio.timeout(60):
        await disk.place.stop()
    disk.place = type(disk.place)(shutil.copytree(disk.folder, disk.folder.parent / "copy") / "store.db")
    disk.mounted = True
    journals = await disk.start()
    assert (await (await journals.open("a")).read(0))[0].first == 1  # type: ignore[index]


async def test_what_waited_when_the_store_failed_is_shown(sqlite: Place) -> None:
    """An entry appended before the fault, with none after it, reaches its reader all the same."""
    journals = await sqlite.start(limits=LIMITS)
    journal = await journals.open("a")
    store = journals._engine.store
    store._writer.execute("PRAGMA max_page_count=1")  # type: ignore[attr-defined]
    store.jot = lambda _: False  # type: ignore[method-assign]
    journal.append(b"x" * 10_000)
    assert journal.visible == 0
    found = await anext(journal.follow(0))
    assert not isinstance(found, Reset)
    assert found[0].first == 1
    assert not journals.health.persisted


DYING = """
    import asyncio, os, signal, sys
    from pathlib import Path
    from sandbox_agent.journal import Limits, open_journals

    async def main():
        journals = open_journals(Path(sys.argv[1]), limits=Limits(retry_s=0.01))
        await journals.start()
        journal = await journals.open("a")
        journal.append(b"stored")
        await journal.durable()
        journals._engine.store._writer.execute("PRAGMA max_page_count=1")
        while journals.health.persisted:
            journal.append(b"x" * 5000)
            await asyncio.sleep(0.001)
        print(journal.visible, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
"""


async def test_numbers_shown_but_not_stored_are_not_given_again(
    tmp_path: Path, tools: Tools, lost: tuple[Path, int]
) -> None:
    """A server killed while its disk was full has shown numbers that are lost: the next one leaves them out."""
    path, shown = lost
    journals = await tools.Place(path).start()
    journal = await journals.open("a")
    stored = await tools.read_all(journal)
    assert stored[0] == (1, b"stored")
    assert journal.append(b"next") > shown
    assert await journal.durable()
    entries = [payload async for payload in _until_next(journal, tools)]
    assert entries == [*(payload for _, payload in stored), b"next"]
    await journals.stop()
    again = tools.Place(path)
    journals = await again.start()
    assert (await journals.open("a")).head == journal.head
    assert [payload for _, payload in await tools.read_all(await journals.open("a"))] == entries
    await again.stop()


async def _until_next(journal: Journal, tools: Tools) -> AsyncIterator[bytes]:
    journal.close()
    async for found in journal.follow(0, max_bytes=1):
        assert not isinstance(found, Reset)
        for _, payload in tools.flatten(found):
            yield payload


@pytest.fixture
def lost(tmp_path: Path) -> tuple[Path, int]:
    """A store whose server was killed after it had shown, up to a number, what it could not store."""
    path = tmp_path / "store.db"
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DYING), path], check=False, stdout=subprocess.PIPE, timeout=60
    )
    assert run.returncode == -signal.SIGKILL
    return path, int(run.stdout)
