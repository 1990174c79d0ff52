"""The service on a supervisor of its own, and ways to see what it left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.journal import Reset
from sandbox_agent.processes import Pace, Processes
from sandbox_agent.supervisor import Supervisor, proctree
from sandbox_agent.wire.processes import ProcessCreateRequest, ProcessRunRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sandbox_agent.processes import Process, ProcessLog
    from sandbox_agent.wire.processes import ProcessRunResponse

SCALE = float(os.environ.get("SANDBOX_AGENT_TEST_SCALE", "1"))
DEADLINE = 60.0


@pytest.fixture(scope="session")
def scale() -> float:
    """How much longer than usual the long tests are to run."""
    return SCALE


@contextlib.asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Processes]:
    """A running service; when it has ended no descriptor and no process of it may be left."""
    before = descriptors()
    supervisor = Supervisor()
    await supervisor.start()
    processes = Processes(supervisor, pace=Pace(first=0.01, most=0.02), **options)
    await processes.open()
    try:
        yield processes
    finally:
        await processes.close()
        await supervisor.stop(0.2)
    assert not marked(supervisor._instance)
    await eventually(lambda: descriptors() == before)


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    async with opened() as service:
        yield service


def descriptors() -> set[str]:
    """Those open now; the one the folder is read through has gone by the second look."""
    return {entry.name for entry in Path("/proc/self/fd").iterdir() if entry.exists()}


def marked(instance: str) -> list[int]:
    """Processes that a supervisor's spawns left behind."""
    return [row.pid for row in proctree.table() if instance.encode() in row.spawns and not row.dead]


async def eventually(condition: Callable[[], bool], within: float = DEADLINE) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  # other processes set no event of ours
            await asyncio.sleep(0.005)


def script(text: str, **options: Any) -> ProcessCreateRequest:
    """A managed shell script."""
    return ProcessCreateRequest(command="sh", args=("-c", text), **options)


async def ran(processes: Processes, text: str, **options: Any) -> ProcessRunResponse:
    """A shell script that was waited for."""
    return await processes.run(ProcessRunRequest(command="sh", args=("-c", text), **options))


async def kept(log: ProcessLog) -> bytes:
    """All that a log has now, of all streams."""
    excerpt = await log.excerpt(after=log.journal.first - 1)
    return b"".join(payload for segment in excerpt.segments for payload in segment.payloads)


async def said(process: Process, wanted: bytes) -> None:
    """Until the process has written this much, at least once."""
    seen = b""
    async with asyncio.timeout(DEADLINE):
        async for batch in process.log.follow(0):
            assert not isinstance(batch, Reset)
            seen += b"".join(payload for segment in batch for payload in segment.payloads)
            if wanted in seen:
                return
    raise AssertionError(f"it only said {seen!r}")


async def followed(log: ProcessLog, after: int = 0, stream: Any = "combined") -> tuple[bytes, list[Reset]]:
    """All that a follower gets until the process has ended, and what it is told is gone."""
    data, resets, last = bytearray(), list[Reset](), after
    async for batch in log.follow(after, stream):
        if isinstance(batch, Reset):
            resets.append(batch)
            last = batch.first - 1
            continue
        for segment in batch:
            assert segment.first > last
            last = segment.last
            data += b"".join(segment.payloads)
    return bytes(data), resets
