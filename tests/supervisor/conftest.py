"""A supervisor for each test, and ways to see what it left behind."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.supervisor import Command, PipeReader, Supervisor, proctree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sandbox_agent.supervisor import Child

PROGRAMS = Path(__file__).parent / "programs"
SCALE = float(os.environ.get("SANDBOX_AGENT_TEST_SCALE", "1"))


@pytest.fixture(scope="session")
def scale() -> float:
    """How much longer than usual the long tests are to run."""
    return SCALE


class Remembering(Supervisor):
    """Knows all children it ever started."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Child] = []

    def _adopted(self, *args: Any) -> Child:
        child = super()._adopted(*args)
        self.all.append(child)
        return child


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    """Started, and stopped at the end; no descriptor and no process may be left by then."""
    before = descriptors()
    supervisor = Remembering()
    await supervisor.start()
    yield supervisor
    await supervisor.stop(0.2)
    for child in supervisor.all:
        child.close_fds()
    assert descriptors() == before
    assert not survivors(supervisor._instance)


def descriptors() -> set[str]:
    """Those open now; the one the folder is read through has gone by the second look."""
    return {entry.name for entry in Path("/proc/self/fd").iterdir() if entry.exists()}


def program(name: str, *args: str) -> Command:
    """A Python program of this folder."""
    return Command((sys.executable, "-I", "-S", str(PROGRAMS / name), *args))


def shell(script: str) -> Command:
    return Command(("sh", "-c", script))


def survivors(token: str) -> list[int]:
    """Processes alive that carry the token of a spawn, or of a supervisor."""
    return [row.pid for row in proctree.table() if token.encode() in row.spawns and not row.dead]


async def eventually(condition: Callable[[], bool], within: float = 60.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  # other processes set no event of ours
            await asyncio.sleep(0.01)


async def output(child: Child) -> bytes:
    """All the child writes until it has ended and closed its pipe."""
    data = bytearray()
    done = asyncio.Event()
    reader = PipeReader(child.stdout_fd, data.extend, done.set)
    await asyncio.wait_for(done.wait(), 60)
    reader.close()
    return bytes(data)


async def line(child: Child) -> str:
    """The first line the child writes."""
    data = bytearray()
    done = asyncio.Event()

    def take(more: bytes) -> None:
        data.extend(more)
        if b"\n" in data:
            done.set()

    reader = PipeReader(child.stdout_fd, take, done.set)
    await asyncio.wait_for(done.wait(), 60)
    reader.close()
    return data.split(b"\n")[0].decode()
