"""Lending the interpreter to the writer's thread."""

from __future__ import annotations

import asyncio
import threading
import time

from sandbox_agent.journal.lender import LEND_S, TICK_S, Lender


class Counting(threading.Event):
    """Counts how often the loop stood still."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        return super().wait(timeout)


def lender(*, waiting: bool) -> tuple[Lender, Counting]:
    watched = Lender(asyncio.get_running_loop(), lambda: waiting)
    watched._returned = counting = Counting()
    return watched, counting


async def burn(ticks: int) -> None:
    """Keeps the loop busy in short turns."""
    until = time.monotonic() + ticks * (TICK_S + LEND_S)
    while time.monotonic() < until:  # noqa: ASYNC110  it is to be busy
        await asyncio.sleep(0)


async def test_a_loop_that_never_rests_stands_still_for_the_writer() -> None:
    """Entries wait, none gets stored, the loop is busy: it lends, again and again."""
    busy, stood = lender(waiting=True)
    busy.watch()
    await burn(50)
    busy.stop()
    assert stood.waits > 2


async def test_nothing_is_lent_while_commits_come() -> None:
    """A writer that gets on by itself needs no help."""
    busy, stood = lender(waiting=True)
    busy.watch()
    until = time.monotonic() + 50 * TICK_S
    while time.monotonic() < until:
        busy.committed()
        await asyncio.sleep(0)
    busy.stop()
    assert stood.waits == 0


async def test_nothing_is_lent_without_need() -> None:
    """Neither when nothing waits to be stored, nor by a loop that rests (the disk is slow then)."""
    empty, stood = lender(waiting=False)
    empty.watch()
    await burn(20)
    assert stood.waits == 0
    idle, stood = lender(waiting=True)
    idle.watch()
    await asyncio.sleep(20 * TICK_S)
    idle.stop()
    assert stood.waits == 0
