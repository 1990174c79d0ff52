"""Many entries and slow readers (R4, R5): bounded memory, nothing lost."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.journal import Reset

if TYPE_CHECKING:
    from sandbox_agent.journal import Journal, Journals
    from tests.journal.conftest import Place, Tools

PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20


def resident() -> int:
    """Bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


async def produce(journal: Journal, batches: int, batch: list[bytes]) -> int:
    """Appends as fast as the store takes it; the most memory seen."""
    most = resident()
    for turn in range(batches):
        journal.extend(list(batch))
        await asyncio.sleep(0)
        await journal.writable.wait()
        if turn % 100 == 0:
            most = max(most, resident())
    await journal.durable()
    return max(most, resident())


async def count(journal: Journal) -> int:
    total = 0
    async for found in journal.follow(0):
        assert not isinstance(found, Reset)
        for segment in found:
            assert segment.first == total + 1
            total = segment.last
            segment.framed()
    return total


@pytest.mark.slow
async def test_a_million_entries_in_flat_memory(sqlite: Place) -> None:
    """R4: 200 MB pass through to a live reader and a later one, while memory grows by a fraction of it."""
    journals = await sqlite.start()
    journal = await journals.open("a")
    live = asyncio.ensure_future(count(journal))
    before = resident()
    most = await produce(journal, 10_000, [b"x" * 200] * 100)
    assert journal.head == 1_000_000
    assert most - before < 80 * MIB
    journal.close()
    assert await live == 1_000_000
    assert await count(journal) == 1_000_000
    assert resident() - before < 80 * MIB


@pytest.mark.slow
async def test_a_slow_reader_costs_nothing_and_misses_nothing(sqlite: Place, tools: Tools) -> None:
    """R5: one reader takes a KiB at a time, long after; the others keep up, memory is bounded, and it gets all."""
    journals = await sqlite.start()
    journal = await journals.open("a")
    digest = hashlib.sha256()
    progress = 0

    async def crawl() -> None:
        nonlocal progress
        async for found in journal.follow(0, max_bytes=1024):
            assert not isinstance(found, Reset)
            for number, payload in tools.flatten(found):
                assert number == progress + 1
                progress = number
                digest.update(payload)
            if not journal.closed:
                await asyncio.sleep(0.05)

    crawling = asyncio.ensure_future(crawl())
    quick = [asyncio.ensure_future(count(journal)) for _ in range(3)]
    before = resident()
    expected = hashlib.sha256()
    for turn in range(2000):
        payloads = [b"%d/%d " % (turn, n) + b"." * 400 for n in range(25)]
        expected.update(b"".join(payloads))
        journal.extend(payloads)
        await asyncio.sleep(0)
        await journal.writable.wait()
    await journal.durable()
    assert progress < 5000
    assert resident() - before < 64 * MIB
    assert journal.cached_bytes <= 5 * MIB
    journal.close()
    assert await asyncio.gather(*quick) == [50_000] * 3
    await crawling
    assert progress == 50_000
    assert digest.digest() == expected.digest()


async def test_idle_journals_cost_little(journals: Journals) -> None:
    """A hundred open journals with nothing in them take less than a megabyte."""
    await asyncio.gather(*(journals.open(f"first/{n}") for n in range(20)))  # all readers' threads, too
    before = resident()
    kept = [await journals.open(f"idle/{n}") for n in range(100)]
    assert resident() - before < 1_000_000
    assert len(kept) == 100


async def test_memory_of_many_journals_is_bounded_together(sqlite: Place, tools: Tools) -> None:
    """What is kept in memory beside the store has one limit for all journals; what it pushed out is still read."""
    journals = await sqlite.start()
    opened = [await journals.open(f"j/{n}") for n in range(80)]
    for journal in opened:
        journal.extend([b"x" * 1000] * 900)
        await journal.durable()
    limit = journals._engine.limits.cache_bytes
    assert sum(journal.cached_bytes for journal in opened) <= limit
    assert sum(journal.cached_bytes for journal in opened) > limit // 2
    assert opened[0].cached_bytes == 0
    assert len(await tools.read_all(opened[0])) == 900


async def test_the_loop_stays_free_while_the_store_is_slow(sqlite: Place) -> None:
    """While a transaction takes long, appending and other work on the loop do not wait for it."""
    journals = await sqlite.start()
    store = journals._engine.store
    commit = store.commit
    entered, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(batch: object) -> None:
        loop.call_soon_threadsafe(entered.set)
        go_on.wait()
        commit(batch)  # type: ignore[arg-type]

    store.commit = slow  # type: ignore[method-assign]
    store.jot = lambda _: False  # type: ignore[method-assign]
    journal = await journals.open("a")
    await entered.wait()
    for _ in range(1000):
        journal.append(b"x")
        await asyncio.sleep(0)
    assert journal.visible == 0
    go_on.set()
    assert await journal.durable()
    store.commit = commit  # type: ignore[method-assign]
