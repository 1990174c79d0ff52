"""What lies beneath logs: memory, then a file, then nothing, and never a byte that was not written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox_agent.journal import Journals, Limits, Reset, Retention, Sender
from sandbox_agent.processes import store as store_module
from sandbox_agent.processes.spool import BLOCK, Spool
from sandbox_agent.processes.store import COLD_BYTES, HOT_BYTES, LogStore

if TYPE_CHECKING:
    from sandbox_agent.journal import Journal


async def contents(journal: Journal) -> dict[int, bytes]:
    """Every entry there is, by number."""
    found: dict[int, bytes] = {}
    after = journal.first - 1
    while batch := await journal.read(after):
        assert not isinstance(batch, Reset)
        for segment in batch:
            found |= dict(enumerate(segment.payloads, segment.first))
        after = batch[-1].last
    return found


def memory(store: LogStore) -> int:
    """Bytes of payloads that it holds itself."""
    rows = [row for kept in store._logs.values() for row in kept.rows]
    return sum(row.segment.size for row in rows if row.segment is not None)


async def test_all_that_was_written_is_read_again() -> None:
    """Far beyond what memory keeps, in entries of all sizes, with numbers, streams and times as they were."""
    store = LogStore()
    journals = Journals(store, limits=Limits(window_bytes=1 << 16))
    await journals.start()
    journal = await journals.open("log")
    wrote = {}
    for number in range(1, 400):
        data = bytes([number % 251]) * ((number * 7919) % 60_000 + 1)
        journal.append(data, Sender(number % 3))
        wrote[number] = data
    assert await contents(journal) == wrote
    assert memory(store) <= HOT_BYTES
    (segment,) = await journal.read(7, max_bytes=1)  # type: ignore[misc]  not a reset
    assert (segment.first, segment.sender) == (8, Sender(8 % 3))
    journal.close()
    store.ended(journal.number)
    assert memory(store) <= COLD_BYTES
    assert await contents(journal) == wrote
    await journals.stop()
    store.close()


async def test_trimmed_blocks_are_used_again() -> None:
    """The file does not grow with what goes through a log, only with what is kept."""
    spool = Spool()
    store = LogStore(spool)
    journals = Journals(store)
    await journals.start()
    journal = await journals.open("log", Retention(max_bytes=2 << 20))
    for _ in range(1000):
        journal.append(os.urandom(100_000))
    assert spool.size <= 3 * BLOCK
    assert store.size(journal.number) <= 3 << 20
    await journals.delete("log")
    assert spool.size == 0
    await journals.stop()
    store.close()


async def test_a_full_disk_is_not_a_lost_log() -> None:
    """What cannot go to the file stays in memory, and is moved once there is room."""

    class Full(Spool):
        full = True

        def allocate(self) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().allocate()

    spool = Full()
    store = LogStore(spool)
    journals = Journals(store)
    await journals.start()
    journal = await journals.open("log")
    wrote = {number: os.urandom(50_000) for number in range(1, 41)}
    for data in wrote.values():
        journal.append(data)
    assert store.full
    assert await contents(journal) == wrote
    spool.full = False
    wrote[41] = b"more"
    journal.append(b"more")
    assert not store.full
    assert memory(store) <= HOT_BYTES
    assert await contents(journal) == wrote
    await journals.stop()
    store.close()


def test_the_file_has_no_name_and_becomes_shorter(tmp_path: os.PathLike[str]) -> None:
    """Nothing is to be found in the folder, and what is released at the end is given back."""
    spool = Spool(os.fspath(tmp_path))
    blocks = [spool.allocate() for _ in range(4)]
    assert blocks == [0, BLOCK, 2 * BLOCK, 3 * BLOCK]
    assert os.listdir(tmp_path) == []  # noqa: PTH208  the names alone
    spool.write(3 * BLOCK, [b"ab", b"c"] * 100)
    assert spool.read(3 * BLOCK + 1, 3) == b"bca"
    for at in (0, BLOCK, 3 * BLOCK):
        spool.release(at)
    assert os.fstat(spool._fd).st_size <= 3 * BLOCK
    assert (spool.size, spool.allocate()) == (BLOCK, 0)
    with pytest.raises(OSError, match="missing"):
        spool.read(9 * BLOCK, 1)
    spool.close()
    spool.close()


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 1), st.integers(1, 3000)),
        st.tuples(st.just("trim"), st.integers(0, 1), st.integers(0, 8000)),
        st.tuples(st.just("ended"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("delete"), st.integers(0, 1), st.just(0)),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=60)
@given(_STEPS)
async def test_a_log_is_the_end_of_what_was_written(steps: list[tuple[str, int, int]]) -> None:
    """Whatever is written, trimmed and deleted of two logs in one file: what is left is right, and no block lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "HOT_BYTES", 4096)
        patch.setattr(store_module, "COLD_BYTES", 100)
        patch.setattr(store_module, "BLOCK", 8192)
        patch.setattr("sandbox_agent.processes.spool.BLOCK", 8192)
        spool = Spool()
        store = LogStore(spool)
        journals = Journals(store, limits=Limits(window_bytes=1000))
        await journals.start()
        logs = [await journals.open(name) for name in "ab"]
        wrote: list[dict[int, bytes]] = [{}, {}]
        for number, (step, which, size) in enumerate(steps):
            journal = logs[which]
            if step == "append":
                data = bytes([number % 256]) * size
                wrote[which][journal.append(data)] = data
            elif step == "trim":
                journal.retention = Retention(max_bytes=size)
                journal.retention = Retention()
            elif step == "ended":
                store.ended(journal.number)
            else:
                await journals.delete("ab"[which])
                logs[which] = await journals.open("ab"[which])
                wrote[which] = {}
            for log, all_ in zip(logs, wrote, strict=True):
                kept = await contents(log)
                assert kept == {sequence: data for sequence, data in all_.items() if sequence >= log.first}
        for name in "ab":
            await journals.delete(name)
        assert spool.size == 0
        await journals.stop()
        store.close()
