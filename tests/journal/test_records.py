"""Records beside the journals, on each store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sandbox_agent.journal import Journals, Record
    from tests.journal.conftest import Place, Tools


def keys(records: list[Record]) -> list[str]:
    return [record.key for record in records]


async def test_a_record_is_read_at_once_and_later(journals: Journals) -> None:
    """Stored or not yet, the newest value is what one gets; deleted is gone."""
    records = journals.records
    for settled in (False, True):
        records.put("kind", "key", b"1")
        records.put("kind", "key", b"2", scope="s", ordinal=7)
        if settled:
            await records.durable()
        assert await records.get("kind", "key") == b"2"
        (only,) = await records.list("kind")
        assert (only.key, only.scope, only.ordinal, only.value) == ("key", "s", 7, b"2")
        assert await records.get("other", "key") is None
        records.delete("kind", "key")
        if settled:
            await records.durable()
        assert await records.get("kind", "key") is None
        assert await records.list("kind") == []


@pytest.mark.parametrize("settled", [True, False], ids=["stored", "queued"])
async def test_lists_are_ordered_and_paged(journals: Journals, settled: bool) -> None:
    """By ordinal, then key as bytes; pages join without a gap, both ways, within a scope as over all."""
    records = journals.records
    names = ["a", "B", "ä", "z", "10", "9"]
    for place, (ordinal, key) in enumerate((o, k) for o in (3, -1, 2) for k in names):
        records.put("kind", f"{ordinal}:{key}", b"v", scope="even" if place % 2 == 0 else "odd", ordinal=ordinal)
        records.put("else", f"{ordinal}:{key}", b"v")
    if settled:
        await records.durable()
    expected = [f"{o}:{k}" for o in (-1, 2, 3) for k in sorted(names)]
    assert keys(await records.list("kind")) == expected
    for scope, wanted in ((None, expected), ("even", [r.key for r in await records.list("kind") if r.scope == "even"])):
        for descending in (False, True):
            paged: list[str] = []
            after = None
            while page := await records.list("kind", scope=scope, after=after, limit=4, descending=descending):
                assert len(page) <= 4
                paged += keys(page)
                after = (page[-1].ordinal, page[-1].key)
            assert paged == (wanted[::-1] if descending else wanted)


async def test_pages_mix_stored_and_queued(journals: Journals, tools: Tools) -> None:
    """A page is full though stored records were deleted, changed or added a moment ago."""
    records = journals.records
    for n in range(10):
        records.put("kind", f"k{n}", b"old", ordinal=n)
    await records.durable()
    with tools.held_back(journals):
        records.delete("kind", "k0")
        records.put("kind", "k1", b"new", ordinal=99)
        records.put("kind", "k5x", b"new", ordinal=5)
        assert keys(await records.list("kind", limit=4)) == ["k2", "k3", "k4", "k5"]
        assert keys(await records.list("kind", after=(5, "k5"), limit=2)) == ["k5x", "k6"]
        assert keys(await records.list("kind", limit=2, descending=True)) == ["k1", "k9"]


async def test_records_outlive_the_server(lasting: Place) -> None:
    """What is durable is there for the next server, in the order it was written."""
    journals = await lasting.start()
    journals.records.put("kind", "kept", b"\x00\xff")
    journals.records.put("kind", "gone", b"")
    journals.records.delete("kind", "gone")
    assert await journals.records.durable()
    journals = await lasting.restart()
    assert await journals.records.get("kind", "kept") == b"\x00\xff"
    assert await journals.records.get("kind", "gone") is None


async def test_records_and_entries_keep_their_order(lasting: Place) -> None:
    """A record put after an entry is never on disk before it: one queue, in order."""
    journals = await lasting.start()
    journal = await journals.open("a")
    for n in range(1, 200):
        journal.append(b"%d" % n)
        journals.records.put("checkpoint", "a", b"%d" % journal.head)
        if n % 20 == 0:
            await asyncio.sleep(0.001)
            assert int(await journals.records.get("checkpoint", "a") or b"0") <= journal.head
    journals = await lasting.restart()
    assert await journals.records.get("checkpoint", "a") == b"199"
    assert (await journals.open("a")).head == 199


async def test_keys_that_no_store_can_hold_are_refused_at_once(journals: Journals) -> None:
    """A lone surrogate fails where it is put, not later on the writer's thread."""
    with pytest.raises(UnicodeEncodeError):
        journals.records.put("kind", "\ud800", b"")
