"""Logs: bounded, in order, and for followers without loss."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox_agent.journal import Reset
from sandbox_agent.processes import log as log_module
from sandbox_agent.processes import service
from sandbox_agent.processes.log import ENTRY_COST, Logs
from sandbox_agent.processes.spool import Spool
from sandbox_agent.wire.processes import ProcessConfigRequest, ProcessCreateRequest

from .conftest import followed, kept, opened, said, script

if TYPE_CHECKING:
    import pytest

    from sandbox_agent.processes import ProcessLog

MIB = 1 << 20


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def a_log(limit: int, spool: Spool | None = None) -> tuple[Logs, ProcessLog]:
    logs = Logs(spool)
    await logs.start()
    return logs, await logs.open("proc_1", limit)


async def test_streams_are_told_apart() -> None:
    """Numbers run over both; one stream has its own entries, the combination all."""
    logs, log = await a_log(MIB)
    for stream, data in (("stdout", b"1"), ("stderr", b"2"), ("stdout", b"3")):
        log.append(stream, data)  # type: ignore[arg-type]
    log.close()
    assert [s.first for s in (await log.excerpt("stdout", after=0)).segments] == [1, 3]
    assert [s.first for s in (await log.excerpt("stderr", after=0)).segments] == [2]
    assert (await log.excerpt("pty", after=0)).segments == []
    assert await followed(log) == (b"123", [])
    assert await followed(log, 1) == (b"23", [])
    assert await followed(log, 0, "stderr") == (b"2", [])
    await logs.stop()


async def test_where_to_begin_is_counted_in_entries_of_the_stream() -> None:
    logs, log = await a_log(MIB)
    for number in range(10):
        log.append("stdout" if number % 2 else "stderr", b"x")
    assert await log.cursor() == 0
    assert await log.cursor(since=3) == 3
    assert await log.cursor(tail=2) == 8
    assert await log.cursor(tail=100) == 0
    assert await log.cursor(tail=2, since=9) == 9
    assert await log.cursor("stdout", tail=2) == 7
    assert await log.cursor("stdout", tail=0) == 10
    assert await log.cursor("stdout", tail=9) == 0
    await logs.stop()


async def test_a_cursor_of_another_process_counts_as_too_old() -> None:
    """After a restart the same name is another process: its reader is told, and gets all."""
    logs, log = await a_log(MIB)
    log.append("stdout", b"x")
    log.close()
    assert await followed(log, 500) == (b"x", [Reset(500, 1)])
    await logs.stop()


async def test_the_oldest_go_and_that_is_said() -> None:
    logs, log = await a_log(MIB)
    for number in range(400):
        log.append("stdout", bytes([number % 256]) * 10_000)
    assert MIB // 2 < log.size <= MIB * 5 // 4
    excerpt = await log.excerpt(after=0)
    assert excerpt.reset
    assert not (await log.excerpt(after=await log.cursor())).reset
    log.close()
    data, resets = await followed(log)
    assert len(resets) == 1
    assert len(data) == log.size
    await logs.stop()


async def test_tiny_entries_are_counted_with_what_they_cost() -> None:
    """A log of a million single characters takes as much memory as one of large pieces: entries are bounded too."""
    logs, log = await a_log(MIB)
    for _ in range(100_000):
        log.append("stdout", b"x")
    assert (log.journal.head - log.journal.first) * ENTRY_COST <= MIB * 3 // 2
    for _ in range(400):
        log.append("stdout", bytes(10_000))
    assert MIB // 2 < log.size <= MIB * 5 // 4
    await logs.stop()


async def test_a_limit_may_change_at_any_time() -> None:
    async with opened() as processes:
        process = await processes.start(script("head -c 4000000 /dev/zero"))
        await process.wait()
        assert process.log.size == 4_000_000
        processes.configure(ProcessConfigRequest(max_log_bytes_per_process=MIB))
        assert process.log.size <= MIB * 5 // 4


async def test_a_slow_reader_loses_nothing_and_holds_up_nobody() -> None:
    """R5: forty times the limit, one reader far behind: the process ends meanwhile, and it gets every byte."""
    async with opened() as processes:
        processes.configure(ProcessConfigRequest(max_log_bytes_per_process=MIB))
        process = await processes.start(script("read go; head -c 40000000 /dev/zero"))
        got = 0
        behind = process.log.follow(0)
        first = asyncio.ensure_future(anext(behind))
        await asyncio.sleep(0)
        await processes.input(process.id, b"\n")
        got += sum(segment.size for segment in await first)  # type: ignore[union-attr]  not a reset
        before = resident()
        data, resets = await followed(process.log)
        assert (len(data), resets) == (40_000_000, [])
        del data
        assert process.exit is not None
        assert process.log.size > 30_000_000
        async for batch in behind:
            assert not isinstance(batch, Reset)
            got += sum(segment.size for segment in batch)
        assert got == 40_000_000
        assert process.log.size <= 2 * MIB
        assert resident() - before < 60_000_000


async def test_what_cannot_be_held_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is too far behind is told what is gone, and goes on."""
    monkeypatch.setattr(log_module, "HOLD_BYTES", 2 * MIB)
    logs, log = await a_log(MIB)
    log.append("stdout", b"x" * 1000)
    behind = log.follow(0)
    assert not isinstance(await anext(behind), Reset)
    for _ in range(100):
        log.append("stdout", b"y" * 100_000)
    assert log.size <= 5 * MIB
    log.close()
    rest = [batch async for batch in behind]
    assert [isinstance(batch, Reset) for batch in rest].count(True) == 1
    await logs.stop()


async def test_nothing_is_held_on_a_full_disk() -> None:
    """Memory is not for readers that are behind."""

    class Full(Spool):
        def allocate(self) -> int:
            raise OSError(28, "No space left on device")

    logs, log = await a_log(MIB, Full())
    log.append("stdout", b"x" * 1000)
    behind = log.follow(0)
    await anext(behind)
    for _ in range(100):
        log.append("stdout", b"y" * 100_000)
    assert log.size <= 2 * MIB
    await behind.aclose()  # type: ignore[attr-defined]  a generator
    await logs.stop()


async def test_a_flood_is_followed_in_flat_memory() -> None:
    """Two hundred megabytes, twenty times what is kept."""
    async with opened() as processes:
        before = resident()
        process = await processes.start(script("read go; head -c 200000000 /dev/zero"))
        await processes.input(process.id, b"\n")
        got = 0
        async for batch in process.log.follow(0):
            assert not isinstance(batch, Reset)
            got += sum(segment.size for segment in batch)
        assert got == 200_000_000
        assert resident() - before < 60_000_000


async def test_logs_of_the_ended_are_bounded_in_all(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """R31: the oldest go first and their readers are told; with scale 20 it is a thousand full logs."""
    monkeypatch.setattr(service, "ENDED_LOG_BYTES", 20 * MIB)
    async with opened() as processes:
        before = resident()
        for _ in range(round(50 * scale)):
            process = await processes.start(ProcessCreateRequest(command="head", args=("-c", "4M", "/dev/zero")))
            await process.wait()
        assert len(await kept(process.log)) == 4 * MIB
        sizes = [process.log.size for process in processes.list()]
        assert sizes[-5:-1] == [4 * MIB] * 4
        assert sum(sizes[:-6]) == 0
        assert (await processes.list()[0].log.excerpt(after=0)).reset
        assert resident() - before < 60_000_000


async def test_only_so_many_of_the_ended_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ENDED_PROCESSES", 3)
    async with opened() as processes:
        running = await processes.start(script("echo up; exec sleep 1000"))
        await said(running, b"up")
        for _ in range(6):
            process = await processes.start(script("true"))
            await process.wait()
            async with asyncio.timeout(60):
                while process.id not in processes._ended or len(processes._ended) > 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        assert [process.id for process in processes.list()] == ["proc_1", "proc_5", "proc_6", "proc_7"]
