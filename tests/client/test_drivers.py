"""What both drivers do with work that blocks, and with bodies that come in pieces."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.client.async_driver import AsyncDriver
from sandbox_agent.client.effects import do
from sandbox_agent.client.sync_driver import SyncDriver
from sandbox_agent.client.target import Target

if TYPE_CHECKING:
    from sandbox_agent.client.effects import Program

TARGET = Target("http://127.0.0.1:1")


def careful(events: list[str], error: OSError) -> Program[str]:
    """A program whose work fails, and which can tell."""

    def fail() -> None:
        raise error

    try:
        yield from do(fail)
    except OSError as caught:
        events.append(str(caught))
    outcome: Any = yield from do(threading.get_ident)
    return f"on {outcome}"


def test_the_fault_of_a_work_reaches_the_program() -> None:
    """As it is: it is no fault of the transport. Blocking code works where it runs."""
    events: list[str] = []
    driver = SyncDriver(TARGET)
    assert driver.run(careful(events, OSError("full"))) == f"on {threading.get_ident()}"
    assert events == ["full"]
    driver.close()


async def test_awaited_work_is_done_on_a_thread() -> None:
    events: list[str] = []
    driver = AsyncDriver(TARGET)
    assert await driver.run(careful(events, OSError("full"))) != f"on {threading.get_ident()}"
    assert events == ["full"]
    await driver.close()


async def test_a_cancelled_program_cleans_up_after_its_work() -> None:
    """A thread cannot be stopped, so what it works with is not taken from under it."""
    begun, may_end = threading.Event(), threading.Event()
    events: list[str] = []

    def work() -> None:
        begun.set()
        may_end.wait(60)
        events.append("worked")

    def program() -> Program[None]:
        try:
            yield from do(work)
        finally:
            events.append("cleaned")

    driver = AsyncDriver(TARGET)
    task = asyncio.create_task(driver.run(program()))
    await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    asyncio.get_running_loop().call_later(0.05, may_end.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events == ["worked", "cleaned"]
    await driver.close()
