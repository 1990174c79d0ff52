"""Opening, deleting and keeping journals by name, on each store."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.journal import JournalClosed, Reset, Retention, StoreStopped, open_journals
from sandbox_agent.problems import InvalidRequest, StoreUnavailable

if TYPE_CHECKING:
    from sandbox_agent.journal import Journals
    from tests.journal.conftest import Place, Tools


async def test_open_gives_one_object_as_long_as_it_is_open(journals: Journals) -> None:
    """However many ask at once, there is one journal of a name."""
    first, *rest = await asyncio.gather(*(journals.open("a") for _ in range(20)))
    assert all(journal is first for journal in rest)
    assert await journals.open("b") is not first


async def test_exists_knows_open_stored_and_deleted(place: Place) -> None:
    """A journal exists from its opening on, across restarts, until it is deleted."""
    journals = await place.start()
    assert not await journals.exists("a")
    journal = await journals.open("a")
    assert await journals.exists("a")
    journal.close()
    assert await journals.exists("a")
    if place.survives:
        journals = await place.restart()
        assert await journals.exists("a")
    await journals.delete("a")
    assert not await journals.exists("a")
    await journals.delete("a")


async def test_a_restart_keeps_entries_and_numbers(lasting: Place, tools: Tools) -> None:
    """Another server on the same store finds every entry under its number, and goes on counting."""
    journals = await lasting.start()
    for name in ("a", "b"):
        journal = await journals.open(name)
        journal.extend([name.encode(), b"2"])
        journal.append(b"3")
    journals = await lasting.restart()
    for name in ("a", "b"):
        journal = await journals.open(name)
        assert (journal.first, journal.head, journal.visible) == (1, 3, 3)
        assert await tools.read_all(journal) == [(1, name.encode()), (2, b"2"), (3, b"3")]
        assert journal.append(b"4") == 4


async def test_stop_writes_what_is_queued(lasting: Place, tools: Tools) -> None:
    """A graceful stop loses nothing, and afterwards nothing is accepted."""
    journals = await lasting.start()
    journal = await journals.open("a")
    for n in range(5000):
        journal.append(b"%d" % n)
    journals.records.put("kind", "key", b"value")
    await lasting.stop()
    with pytest.raises(JournalClosed):
        journal.append(b"late")
    with pytest.raises(StoreStopped):
        journals.records.put("kind", "late", b"")
    with pytest.raises(StoreStopped):
        await journals.open("b")
    journals = await lasting.start()
    assert [payload for _, payload in await tools.read_all(await journals.open("a"))] == [
        b"%d" % n for n in range(5000)
    ]
    assert await journals.records.get("kind", "key") == b"value"


async def test_stop_ends_followers(place: Place) -> None:
    """A follower that has had everything ends with the server."""
    journals = await place.start()
    journal = await journals.open("a")

    async def drain() -> int:
        last = 0
        async for found in journal.follow(0):
            assert not isinstance(found, Reset)
            last = found[-1].last
        return last

    draining = asyncio.ensure_future(drain())
    await asyncio.sleep(0)
    journal.append(b"1")
    await place.stop()
    assert await draining == 1


async def test_delete_removes_all_and_ends_followers(place: Place) -> None:
    """A deleted journal ends its followers, refuses appends, and a new one of the name starts afresh."""
    journals = await place.start()
    journal = await journals.open("a")
    journal.extend([b"x" * 100] * 10)
    reader = journal.follow(0)
    await anext(reader)
    waiting = asyncio.ensure_future(anext(reader, None))
    await asyncio.sleep(0)
    await journals.delete("a")
    assert await waiting is None
    with pytest.raises(JournalClosed):
        journal.append(b"late")
    assert await journal.read(0) == []
    fresh = await journals.open("a")
    assert (fresh.head, await fresh.read(0)) == (0, [])
    assert fresh.append(b"new") == 1
    if place.survives:
        journals = await place.restart()
        assert (await journals.open("a")).head == 1


async def test_delete_of_a_journal_that_is_not_open(place: Place) -> None:
    """It is removed from the store just as well."""
    journals = await place.start()
    journal = await journals.open("a")
    journal.append(b"1")
    await journals.records.durable()
    journal.close()
    await journals.delete("a")
    assert not await journals.exists("a")
    assert (await journals.open("a")).head == 0


async def test_opening_amid_deletes_never_finds_a_dead_journal(journals: Journals) -> None:
    """Opens and deletes of one name at once: whoever opens gets a journal that works."""

    async def opens() -> None:
        for _ in range(30):
            journal = await journals.open("a")
            number = journal.append(b"x")
            assert number == journal.head
            await asyncio.sleep(0)

    async def deletes() -> None:
        for _ in range(30):
            await journals.delete("a")

    await asyncio.gather(opens(), opens(), deletes())
    await journals.delete("a")
    assert not await journals.exists("a")


async def test_reopening_at_once_never_reuses_a_number(journals: Journals, tools: Tools) -> None:
    """Closing and opening by several tasks at once still gives each number once."""
    given: list[int] = []

    async def turn(count: int) -> None:
        for n in range(count):
            journal = await journals.open("a")
            given.append(journal.append(b"x"))
            if n % 3 == 0:
                journal.close()

    await asyncio.gather(*(turn(50) for _ in range(4)))
    assert sorted(given) == list(range(1, 201))
    await journals.records.durable()
    assert len(await tools.read_all(await journals.open("a"))) == 200


async def test_retention_may_come_with_a_later_open(journals: Journals, tools: Tools) -> None:
    """A journal opened for reading alone gets its limits when its producer opens it."""
    journal = await journals.open("a")
    for _ in range(100):
        journal.append(b"x" * 100)
    await journals.records.durable()
    assert journal.first == 1
    assert await journals.open("a", Retention(max_bytes=1000)) is journal
    await tools.eventually(lambda: journal.first > 80)


async def test_retention_knows_the_size_after_a_restart(lasting: Place, tools: Tools) -> None:
    """What an earlier server wrote counts towards the limit."""
    journals = await lasting.start()
    journal = await journals.open("a", Retention(max_bytes=5000))
    for _ in range(100):
        journal.append(b"x" * 100)
    journals = await lasting.restart()
    journal = await journals.open("a", Retention(max_bytes=1000))
    await tools.eventually(lambda: journal.first == 91)


async def test_two_servers_on_one_store_are_refused(lasting: Place) -> None:
    """The second is told plainly, and the first goes on; when it has stopped, the second may start."""
    journals = await lasting.start()
    journal = await journals.open("a")
    second = open_journals(lasting.where)
    with pytest.raises(StoreUnavailable, match="in use by another server") as caught:
        await second.start()
    assert caught.value.hint
    assert journal.append(b"1") == 1
    assert await journal.durable()
    journals = await lasting.restart()
    assert (await journals.open("a")).head == 1


async def test_the_sqlite_file_is_private(tmp_path: Path) -> None:
    """The folder is made with mode 0700 and the files with 0600, whatever the umask."""
    journals = open_journals(f"sqlite://{tmp_path}/deep/er/store.db")
    await journals.start()
    (await journals.open("a")).append(b"1")
    await journals.records.durable()
    folder = tmp_path / "deep" / "er"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes) >= {"store.db", "store.db-wal", "store.db-lock"}
    assert set(modes.values()) == {0o600}
    await journals.stop()


async def test_addresses_that_name_no_store_are_refused() -> None:
    """The message says which would do."""
    with pytest.raises(InvalidRequest, match="redis") as caught:
        open_journals("redis://localhost")
    assert "sqlite:///" in (caught.value.hint or "")


async def test_a_file_that_is_no_store_is_told_apart(tmp_path: Path) -> None:
    """A damaged file and a forbidden folder give a problem with a hint, not a trace."""
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"not a database, by any means" * 100)
    for path in (damaged, Path("/proc/none/store.db")):
        with pytest.raises(StoreUnavailable) as caught:
            await open_journals(path).start()
        assert caught.value.hint
