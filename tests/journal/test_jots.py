"""Segments that are safe, and shown, before they are committed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.journal import Limits, Reset, Retention
from sandbox_agent.journal import jots as jots_module
from sandbox_agent.journal.bulk import LEAST
from sandbox_agent.journal.jots import MOST_BYTES, Jots, pack, parse
from sandbox_agent.journal.sqlite import JOT_BYTES
from sandbox_agent.journal.store import Create, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox_agent.journal import Journals, Segment
    from sandbox_agent.journal.store import Operation
    from tests.journal.conftest import Place, Tools

LATER = Limits(jot_s=3600)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine busy with other tests is no slow disk."""
    monkeypatch.setattr(jots_module, "SLOW_S", 60.0)


rows_jotted = st.builds(
    Row,
    st.integers(1, 1 << 23),
    st.integers(1, 1 << 39),
    st.just(1_800_000_000_000),
    st.integers(0, 1 << 50),
    st.integers(0, 1 << 60),
    st.integers(0, 2),
    st.binary(max_size=20),
    st.binary(max_size=50),
)
creates = st.builds(Create, st.integers(1, 1 << 23), st.text(max_size=20))


def content(jot: Row | Create) -> tuple[object, ...]:
    return (jot.journal, jot.name) if isinstance(jot, Create) else jot


@given(st.lists(rows_jotted | creates, max_size=4), st.data())
def test_what_is_whole_is_read_whatever_follows(given: list[Row | Create], data: st.DataObject) -> None:
    """Jots come back as they were; where the file was torn, those before it do."""
    packed = [pack(jot) for jot in given]
    joined = b"".join(packed)
    assert [content(jot) for jot in parse(joined)] == [content(jot) for jot in given]
    cut = data.draw(st.integers(0, len(joined)))
    whole = sum(sum(map(len, packed[: n + 1])) <= cut for n in range(len(packed)))
    for torn in (joined[:cut], joined[:cut] + bytes(len(joined) - cut)):
        assert [content(jot) for jot in parse(torn)][:whole] == [content(jot) for jot in given[:whole]]


def one(number: int, data: bytes = b"x") -> Row:
    return Row(1, number, 0, 0, 0, 0, len(data).to_bytes(4, "little"), data)


def test_the_file_has_a_limit_and_is_emptied(tmp_path: Path) -> None:
    """Beyond its limit it takes no more; cleared, it does again."""
    jots = Jots(tmp_path / "jots")
    given = []
    while jots.ready(time.monotonic()):
        given.append(one(len(given) + 1, b"x" * 10_000))
        assert jots.add(pack(given[-1]))
    assert MOST_BYTES < (tmp_path / "jots").stat().st_size < MOST_BYTES + 20_000
    assert jots.read() == given
    jots.clear()
    assert jots.ready(time.monotonic())
    jots.close()


def test_a_full_disk_leaves_no_half_of_a_jot(tmp_path: Path) -> None:
    """What could not be written whole is taken back, and said."""
    path = tmp_path / "jots"
    path.symlink_to("/dev/full")
    jots = Jots(path)
    assert not jots.add(pack(one(1)))
    jots.close()


def test_a_slow_disk_is_left_to_the_writer(tmp_path: Path) -> None:
    """A write that held the loop up is the last for a hundred times as long: it can take no more than 1 % of time."""
    jots = Jots(tmp_path / "jots")
    begun = time.monotonic()
    jots.took(begun)
    assert jots.ready(begun)
    jots.took(begun - 2 * jots_module.SLOW_S)
    held_up = time.monotonic() - begun + 2 * jots_module.SLOW_S
    assert not jots.ready(begun + 99 * jots_module.SLOW_S)
    assert jots.ready(time.monotonic() + 100 * held_up)
    jots.close()


@pytest.mark.parametrize("size", [1, LEAST, 1_000_000])
async def test_on_a_slow_disk_all_goes_by_the_writer(
    sqlite: Place, tools: Tools, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Whatever its size, what comes after a write that took long is shown once it is committed, and not before."""
    journals = await sqlite.start(limits=LATER)
    journal = await journals.open("a")
    await journals.records.durable()
    monkeypatch.setattr(jots_module, "SLOW_S", 0.0)
    monkeypatch.setattr(jots_module, "REST", float("inf"))
    with held_commits(journals):
        journal.append(b"x" * size)
        assert journal.visible == 1
        journal.append(b"y" * size)
        await asyncio.sleep(0)
        assert journal.visible == 1
    await tools.eventually(lambda: journal.visible == 2)
    journal.evict(0)
    assert await tools.read_all(journal) == [(1, b"x" * size), (2, b"y" * size)]


@contextlib.contextmanager
def held_commits(journals: Journals) -> Iterator[None]:
    """Within it, the writer's thread gets nothing done."""
    store = journals._engine.store
    commit = store.commit
    go_on = threading.Event()

    def held(batch: Sequence[Operation]) -> None:
        go_on.wait()
        commit(batch)

    store.commit = held  # type: ignore[method-assign]
    try:
        yield
    finally:
        go_on.set()


def left_by_a_killed_server(place: Place, copy: Path) -> Path:
    """What the running server's death would leave: its files as they are."""
    lost = shutil.ignore_patterns("*-shm", "*-lock")
    return shutil.copytree(Path(place.where).parent, copy, ignore=lost) / "store.db"


def jotted(place: Place) -> bytes:
    """What is in the file."""
    return Path(f"{place.where}-jots").read_bytes()


def rows(store: str | Path, query: str) -> list[tuple[object, ...]]:
    """What a look at the database finds."""
    with contextlib.closing(sqlite3.connect(store)) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("size", [1, LEAST // 2, 500_000])
async def test_a_segment_is_shown_and_survives_before_its_commit(
    sqlite: Place, tools: Tools, tmp_path: Path, size: int
) -> None:
    """A reader gets it while the store commits nothing, and the next server has it, with the numbers going on."""
    journals = await sqlite.start()
    given = [word * size for word in (b"1", b"2", b"3")]
    with held_commits(journals):
        journal = await journals.open("a")
        assert journal.extend(given[:2]) == 2
        assert journal.append(given[2]) == 3
        assert await tools.read_all(journal) == list(enumerate(given, 1))
        next_life = tools.Place(left_by_a_killed_server(sqlite, tmp_path / "copy"))
    again = await (await next_life.start()).open("a")
    assert await tools.read_all(again) == list(enumerate(given, 1))
    assert again.append(b"four") == 4
    again = await (await next_life.restart()).open("a")
    assert await tools.read_all(again) == list(enumerate([*given, b"four"], 1))
    await next_life.stop()


async def test_what_would_hold_the_loop_up_is_the_writers(sqlite: Place) -> None:
    """A very large segment is written by the thread, and shown when it is committed."""
    journals = await sqlite.start()
    journal = await journals.open("a")
    await journals.records.durable()
    with held_commits(journals):
        journal.append(b"x" * JOT_BYTES)
        await asyncio.sleep(0)
        assert journal.visible == 0
    assert await journal.durable()
    assert journal.visible == 1


async def test_a_new_journal_survives_with_its_name_before_its_commit(
    sqlite: Place, tools: Tools, tmp_path: Path
) -> None:
    """The next server has it, empty or not, though the store never heard of it; its number is nobody else's."""
    journals = await sqlite.start(limits=LATER)
    with held_commits(journals):
        await journals.open("empty")
        (await journals.open("full")).append(b"one")
        next_life = tools.Place(left_by_a_killed_server(sqlite, tmp_path / "copy"))
    again = await next_life.start()
    assert await again.exists("empty")
    assert await tools.read_all(await again.open("full")) == [(1, b"one")]
    (await again.open("new")).append(b"other")
    assert await tools.read_all(await again.open("full")) == [(1, b"one")]
    assert await tools.read_all(await again.open("empty")) == []
    await next_life.stop()


@pytest.mark.parametrize("later", ["nothing else", "another journal"])
async def test_a_journal_that_was_made_and_deleted_stays_away(
    sqlite: Place, tools: Tools, tmp_path: Path, later: str
) -> None:
    """Its making was jotted down; a server that finds that, but no trace of its end, does not make it again."""
    journals = await sqlite.start(limits=LATER)
    (await journals.open("a")).append(b"one")
    before = jotted(sqlite)
    assert b"one" in before
    if later == "another journal":
        await journals.open("b")
    await journals.delete("a")
    store = sqlite.where
    await tools.eventually(lambda: not rows(store, "SELECT 1 FROM segment"))
    await journals.records.durable()
    path = left_by_a_killed_server(sqlite, tmp_path / "copy")
    path.with_name(f"{path.name}-jots").write_bytes(before)
    next_life = tools.Place(path)
    again = await next_life.start()
    assert not await again.exists("a")
    assert await again.exists("b") == (later == "another journal")
    assert await tools.read_all(await again.open("a")) == []
    await next_life.stop()


async def test_what_is_safe_is_offered_to_a_waiting_follower_within_the_append(sqlite: Place) -> None:
    """What the follower takes is not handed to it again; what it refuses is."""
    journals = await sqlite.start(limits=LATER)
    journal = await journals.open("a")
    await journals.records.durable()
    willing = True
    taken: list[int] = []
    handed: list[int] = []

    def take(segment: Segment) -> bool:
        if willing:
            taken.append(segment.first)
        return willing

    async def follow() -> None:
        async for found in journal.follow(0, take=take):
            assert not isinstance(found, Reset)
            handed.extend(segment.first for segment in found)

    following = asyncio.ensure_future(follow())
    await asyncio.sleep(0)
    journal.append(b"1")
    assert taken == [1]
    journal.extend([b"2", b"3"])
    assert taken == [1, 2]
    willing = False
    journal.append(b"4")
    willing = True
    journal.append(b"5")
    assert taken == [1, 2]
    journal.close()
    await following
    assert handed == [4, 5]
    assert taken == [1, 2]


async def test_nothing_overtakes_what_is_not_safe(sqlite: Place, tools: Tools) -> None:
    """What comes after a record is shown only once that is committed."""
    journals = await sqlite.start()
    journal = await journals.open("a")
    await journals.records.durable()
    with held_commits(journals):
        journals.records.put("kind", "key", b"first")
        journal.append(b"then")
        await asyncio.sleep(0.05)
        assert journal.visible == 0
    await tools.eventually(lambda: journal.visible == 1)
    await tools.eventually(lambda: not journals._engine._unsafe)
    journal.append(b"now at once")
    assert journal.visible == 2


async def test_what_is_committed_is_crossed_out(sqlite: Place, tools: Tools) -> None:
    """A moment later the small segments are in the database, and the file beside it is empty."""
    journals = await sqlite.start(limits=Limits(jot_s=0.01))
    journal = await journals.open("a")
    await journals.records.durable()
    journal.append(b"one")
    assert jotted(sqlite)
    await tools.eventually(lambda: not jotted(sqlite))
    assert await tools.read_all(journal) == [(1, b"one")]


@pytest.mark.parametrize("how", ["trimmed", "deleted"])
async def test_what_went_stays_away(sqlite: Place, tools: Tools, tmp_path: Path, how: str) -> None:
    """What was trimmed or deleted after it was jotted down does not come back with the next server."""
    journals = await sqlite.start(limits=LATER)
    journal, other = await journals.open("a"), await journals.open("b")
    await journals.records.durable()
    for number in range(1, 11):
        journal.append(b"%d" % number * 100)
    other.append(b"keeps")
    before = jotted(sqlite)
    await journal.durable()
    if how == "trimmed":
        journal.retention = Retention(max_bytes=300)
        await tools.eventually(lambda: journal.first > 1)
    else:
        await journals.delete("a")
    await journals.records.durable()
    path = left_by_a_killed_server(sqlite, tmp_path / "copy")
    path.with_name(f"{path.name}-jots").write_bytes(before)
    next_life = tools.Place(path)
    again = await next_life.start()
    assert await tools.read_all(await again.open("b")) == [(1, b"keeps")]
    found = await again.open("a")
    kept = range(journal.first, 11) if how == "trimmed" else range(1, 1)
    assert [number for number, _ in await tools.read_all(found, found.first - 1)] == list(kept)
    await next_life.stop()


async def test_what_waits_for_its_commit_does_not_stop_the_loop(sqlite: Place, tools: Tools) -> None:
    """Nothing is lent to a writer that has nothing to do yet."""
    journals = await sqlite.start(limits=LATER)
    journal = await journals.open("a")
    await journals.records.durable()
    journal.append(b"one")
    await tools.eventually(lambda: journals._engine._lender._timer is None)
    journal.append(b"two")
    assert journals._engine._lender._timer is None
