"""The journal's own promises, on each store."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.journal import JournalClosed, Limits, Reset, Retention, Sender
from sandbox_agent.journal.sqlite import JOT_BYTES
from sandbox_agent.journal.store import Trim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox_agent.journal import Journal, Journals, Segment
    from sandbox_agent.journal.store import Operation
    from tests.journal.conftest import Place, Tools


async def collect(journal: Journal, after: int, into: list[tuple[int, bytes]]) -> None:
    async for found in journal.follow(after):
        assert not isinstance(found, Reset)
        for segment in found:
            into += enumerate(segment.payloads, segment.first)


def numbered(count: int, first: int = 1, size: int = 0) -> list[tuple[int, bytes]]:
    return [(n, b"%d" % n + b"." * size) for n in range(first, first + count)]


def payloads(entries: Sequence[tuple[int, bytes]]) -> list[bytes]:
    return [payload for _, payload in entries]


async def test_numbers_start_at_one_and_are_dense(journals: Journals) -> None:
    """Appends and batches share one row of numbers."""
    journal = await journals.open("a")
    assert (journal.first, journal.head, journal.visible) == (1, 0, 0)
    assert journal.append(b"x") == 1
    assert journal.extend([b"y", b"z"]) == 3
    assert journal.extend([]) == 3
    assert journal.head == 3


async def test_read_gives_what_was_appended(journals: Journals, tools: Tools) -> None:
    """Bytes, numbers and senders come back as they went in, empty payloads too."""
    journal = await journals.open("a")
    journal.append(b"\x00\xff", Sender.CLIENT)
    journal.extend([b"", b"b"], Sender.SERVER)
    await journals.records.durable()
    found = await journal.read(0)
    assert not isinstance(found, Reset)
    assert tools.flatten(found) == [(1, b"\x00\xff"), (2, b""), (3, b"b")]
    assert [segment.sender for segment in found] == [Sender.CLIENT, Sender.SERVER]
    assert all(segment.created_ms > 1_600_000_000_000 for segment in found)


async def test_read_cuts_a_segment_at_the_cursor(journals: Journals, tools: Tools) -> None:
    """A cursor within a batch gets the rest of it, and one at the end gets nothing."""
    journal = await journals.open("a")
    journal.extend([b"1", b"2", b"3"])
    await journals.records.durable()
    assert await tools.read_all(journal, 1) == [(2, b"2"), (3, b"3")]
    assert await journal.read(3) == []
    assert await journal.read(99) == []


async def test_read_stops_near_its_size(journals: Journals, tools: Tools) -> None:
    """One read hands over about what was asked for, and reading on gives the rest."""
    journal = await journals.open("a")
    for _, payload in numbered(20, size=100):
        journal.append(payload)
    await journals.records.durable()
    found = await journal.read(0, max_bytes=300)
    assert not isinstance(found, Reset)
    assert len(found) == 3
    assert await tools.read_all(journal, max_bytes=300) == numbered(20, size=100)


async def test_what_left_memory_is_read_from_the_store(place: Place, tools: Tools) -> None:
    """With a window of almost nothing, everything is still read, in order, whatever the cursor."""
    journals = await place.start(limits=Limits(window_bytes=1, cache_bytes=1))
    journal = await journals.open("a")
    for start in range(1, 200, 4):
        journal.extend(payloads(numbered(4, start, size=50)))
    await journals.records.durable()
    assert journal.cached_bytes < 2000
    for after in (0, 1, 3, 4, 5, 150, 197, 199):
        assert await tools.read_all(journal, after, max_bytes=1000) == numbered(200 - after, after + 1, size=50)


async def test_followers_get_everything_old_and_new_once(journals: Journals) -> None:
    """Followers that start before, amid and after the appends end with the same entries."""
    journal = await journals.open("a")
    early: list[tuple[int, bytes]] = []
    amid: list[tuple[int, bytes]] = []
    late: list[tuple[int, bytes]] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(collect(journal, 0, early))
        for n, payload in numbered(300):
            assert journal.append(payload) == n
            if n == 150:
                group.create_task(collect(journal, 100, amid))
            if n % 7 == 0:
                await asyncio.sleep(0)
        journal.close()
        group.create_task(collect(journal, 299, late))
    assert early == numbered(300)
    assert amid == numbered(200, 101)
    assert late == numbered(1, 300)


async def test_wake_ups_are_coalesced(journals: Journals) -> None:
    """A burst within one turn of the loop reaches a follower in few hand-overs, not one an entry."""
    journal = await journals.open("a")
    follower = journal.follow(0)
    first = asyncio.ensure_future(anext(follower))
    await asyncio.sleep(0)
    for _ in range(1000):
        journal.append(b"x")
    found = await first
    hand_overs = 1
    while not isinstance(found, Reset) and found[-1].last < 1000:
        found = await anext(follower)
        hand_overs += 1
    await follower.aclose()
    assert hand_overs < 100


async def test_a_follower_that_takes_now_and_then_gets_everything_once(journals: Journals) -> None:
    """What it is offered amid an append and what it is handed later add up, in order."""
    journal = await journals.open("a")
    got: list[tuple[int, bytes]] = []

    def take(segment: Segment) -> bool:
        if segment.first % 3 == 0:
            return False
        got.extend(enumerate(segment.payloads, segment.first))
        return True

    async def follow() -> None:
        async for found in journal.follow(0, take=take):
            assert not isinstance(found, Reset)
            for segment in found:
                got.extend(enumerate(segment.payloads, segment.first))

    async with asyncio.TaskGroup() as group:
        group.create_task(follow())
        for number in range(1, 301):
            journal.append(b"%d" % number)
            if number % 7 < 4:
                await asyncio.sleep(0)
            if number % 60 == 0:
                await journal.durable()
        journal.close()
    assert got == numbered(300)


async def test_a_cancelled_follower_leaves_the_others(journals: Journals) -> None:
    """One reader going away in its sleep disturbs nobody."""
    journal = await journals.open("a")
    gone: list[tuple[int, bytes]] = []
    stays: list[tuple[int, bytes]] = []
    leaving = asyncio.ensure_future(collect(journal, 0, gone))
    staying = asyncio.ensure_future(collect(journal, 0, stays))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    journal.extend([b"1", b"2"])
    journal.close()
    await staying
    assert (gone, stays) == ([], [(1, b"1"), (2, b"2")])


async def test_closed_journals_refuse_appends_and_end_followers(journals: Journals) -> None:
    """``close`` ends an idle follower at once; opening again goes on with the numbers."""
    journal = await journals.open("a")
    journal.append(b"1")
    got: list[tuple[int, bytes]] = []
    following = asyncio.ensure_future(collect(journal, 0, got))
    await asyncio.sleep(0)
    journal.close()
    await following
    assert got == [(1, b"1")]
    with pytest.raises(JournalClosed):
        journal.append(b"2")
    again = await journals.open("a")
    assert again.append(b"2") == 2


async def test_durable_tells_whether_it_is_on_disk(place: Place) -> None:
    """True after the commit on a lasting store, for a number as for all; false in memory, where all is visible."""
    journals = await place.start()
    journal = await journals.open("a")
    journal.append(b"1")
    assert await journal.durable() is place.survives
    journal.append(b"2")
    assert await journal.durable(1) is place.survives
    assert await journal.durable(2) is place.survives
    assert await journals.records.durable() is place.survives
    assert journal.visible == 2


async def test_nothing_is_visible_before_it_is_stored(lasting: Place) -> None:
    """Readers get an entry no sooner than the store holds it (unless it is very large, that is at once)."""
    journals = await lasting.start()
    journal = await journals.open("a")
    journal.append(b"1" * JOT_BYTES)
    assert (journal.head, journal.visible) == (1, 0)
    assert await journal.read(0) == []
    assert await journal.durable()
    assert journal.visible == 1


async def test_two_writers_are_strictly_ordered(journals: Journals, tools: Tools) -> None:
    """R16: two producers at once interleave, yet each number is given once and each writer's order holds."""
    journal = await journals.open("a")

    async def write(mark: bytes) -> list[int]:
        given = []
        for n in range(300):
            given.append(journal.append(b"%s%d" % (mark, n)))
            await asyncio.sleep(0)
        return given

    left, right = await asyncio.gather(write(b"l"), write(b"r"))
    await journals.records.durable()
    entries = await tools.read_all(journal)
    assert [n for n, _ in entries] == list(range(1, 601))
    assert [n for n, payload in entries if payload.startswith(b"l")] == left
    assert [n for n, payload in entries if payload.startswith(b"r")] == right
    assert [p for _, p in entries if p.startswith(b"l")] == [b"l%d" % n for n in range(300)]


async def test_huge_batches_are_split(journals: Journals, tools: Tools) -> None:
    """A batch beyond what a row may hold becomes several, and numbers stay dense."""
    journal = await journals.open("a")
    big = b"x" * (24 << 20)
    assert journal.extend([big, big, big, b"end"]) == 4
    await journals.records.durable()
    entries = await tools.read_all(journal)
    assert [(n, len(payload)) for n, payload in entries] == [(1, len(big)), (2, len(big)), (3, len(big)), (4, 3)]


async def test_retention_by_bytes_resets_old_cursors(journals: Journals, tools: Tools) -> None:
    """What is beyond the limit goes, an old cursor is told so, and one that lost nothing is not."""
    journal = await journals.open("a", Retention(max_bytes=10_000))
    for _, payload in numbered(500, size=100):
        journal.append(payload)
        await asyncio.sleep(0)
    await journals.records.durable()
    await tools.eventually(lambda: journal.first > 380)
    first = journal.first
    assert 380 < first <= 410
    assert await journal.read(0) == Reset(0, first)
    assert await journal.read(first - 2) == Reset(first - 2, first)
    assert await tools.read_all(journal, first - 1) == numbered(501 - first, first, size=100)


async def test_a_follower_meets_the_reset_and_goes_on(journals: Journals, tools: Tools) -> None:
    """A follower from an old cursor gets the reset first, then everything kept."""
    journal = await journals.open("a", Retention(max_bytes=1000))
    for _, payload in numbered(100, size=100):
        journal.append(payload)
    await journals.records.durable()
    await tools.eventually(lambda: journal.first > 80)
    journal.close()
    marks = [mark async for mark in journal.follow(5)]
    assert marks[0] == Reset(5, journal.first)
    rest: list[Segment] = [segment for mark in marks[1:] if not isinstance(mark, Reset) for segment in mark]
    assert tools.flatten(rest) == numbered(101 - journal.first, journal.first, size=100)


async def test_retention_spares_what_must_be_kept(journals: Journals, tools: Tools) -> None:
    """Nothing above ``retain_after`` goes, however much it is; when it moves on, retention catches up."""
    journal = await journals.open("a", Retention(max_bytes=1000))
    journal.retain_after = 10
    for _, payload in numbered(100, size=100):
        journal.append(payload)
    await journals.records.durable()
    await tools.eventually(lambda: journal.first == 11)
    assert await tools.read_all(journal, 10) == numbered(90, 11, size=100)
    journal.retain_after = 95
    await tools.eventually(lambda: journal.first > 85)


async def test_what_may_go_from_now_on_goes_though_a_trim_is_under_way(lasting: Place, tools: Tools) -> None:
    """``retain_after`` moves on while the store trims what was allowed before."""
    journals = await lasting.start()
    journal = await journals.open("a")
    for _, payload in numbered(100, size=100):
        journal.append(payload)
    await journal.durable()
    store = journals._engine.store
    commit, begun, go_on = store.commit, threading.Event(), threading.Event()

    def held(batch: Sequence[Operation]) -> None:
        if any(isinstance(operation, Trim) for operation in batch):
            begun.set()
            go_on.wait()
        commit(batch)

    store.commit = held  # type: ignore[method-assign]
    journal.retain_after = 10
    journal.retention = Retention(max_bytes=1000)
    await tools.eventually(begun.is_set)
    journal.retain_after = 95
    go_on.set()
    await tools.eventually(lambda: journal.first > 85)
    assert await tools.read_all(journal, journal.first - 1) == numbered(101 - journal.first, journal.first, size=100)


async def test_the_newest_segment_stays_however_large(journals: Journals, tools: Tools) -> None:
    """One entry above the limit is kept until a newer one comes."""
    journal = await journals.open("a", Retention(max_bytes=100))
    journal.append(b"small")
    journal.append(b"x" * 1000)
    await journals.records.durable()
    await tools.eventually(lambda: journal.first == 2)
    await journals.records.durable()
    assert await tools.read_all(journal, 1) == [(2, b"x" * 1000)]


async def test_numbers_outlive_an_emptied_journal(place: Place, tools: Tools) -> None:
    """When retention has removed all, the next number is still a new one, after a restart too."""
    journals = await place.start()
    journal = await journals.open("a", Retention(max_age_s=0.01))
    journal.extend([b"1", b"2"])
    await journals.records.durable()
    await tools.eventually(lambda: journal.first == 3)
    assert await journal.read(2) == []
    assert await journal.read(1) == Reset(1, 3)
    if place.survives:
        journals = await place.restart()
    else:
        journal.close()
    journal = await journals.open("a")
    assert (journal.first, journal.head) == (3, 2)
    assert journal.append(b"3") == 3


async def test_a_reader_never_takes_a_trimmed_hole_for_the_whole(place: Place, tools: Tools) -> None:
    """Reading while retention removes: each answer joins its cursor, or is a reset."""
    journals = await place.start(limits=Limits(window_bytes=1, cache_bytes=1))
    journal = await journals.open("a", Retention(max_bytes=20_000))

    async def write() -> None:
        for start in range(1, 4000, 20):
            journal.extend(payloads(numbered(20, start, size=20)))
            await asyncio.sleep(0.001)
        journal.close()

    writing = asyncio.ensure_future(write())
    after = resets = 0
    async for found in journal.follow(0, max_bytes=500):
        if isinstance(found, Reset):
            assert found.after == after
            after = found.first - 1
            resets += 1
        else:
            entries = tools.flatten(found)
            assert entries == numbered(len(entries), after + 1, size=20)
            after = found[-1].last
        if after % 3 == 0:
            await asyncio.sleep(0.01)
    await writing
    assert after == 4000


async def test_what_is_removed_amid_a_read_is_told(lasting: Place, tools: Tools) -> None:
    """A read that finds its rows gone, removed after it began, answers with a reset and not with a hole."""
    journals = await lasting.start(limits=Limits(window_bytes=1, cache_bytes=1))
    journal = await journals.open("a")
    for _, payload in numbered(100, size=100):
        journal.append(payload)
    await journal.durable()
    store = journals._engine.store
    read = store.read
    began, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def held(*arguments: int) -> list[Segment]:
        loop.call_soon_threadsafe(began.set)
        go_on.wait()
        return read(*arguments)

    store.read = held  # type: ignore[method-assign]
    reading = asyncio.ensure_future(journal.read(0))
    await began.wait()
    journal.retention = Retention(max_bytes=1000)
    await tools.eventually(lambda: journal.first > 1)
    go_on.set()
    assert await reading == Reset(0, journal.first)
