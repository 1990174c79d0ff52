"""Owned background tasks."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from sandbox_agent.tasks import spawn_task


async def test_a_task_nobody_holds_still_runs_to_its_end() -> None:
    done = asyncio.Event()
    gate = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await gate
        done.set()

    spawn_task(work(), name="work")
    gc.collect()
    gate.set_result(None)
    await asyncio.wait_for(done.wait(), 60)


async def test_the_death_of_a_task_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    async def die() -> None:
        raise ValueError("spoilt")

    with caplog.at_level(logging.ERROR), pytest.raises(ValueError, match="spoilt"):
        await spawn_task(die(), name="doomed")
    assert "task doomed died" in caplog.text


async def test_a_cancelled_task_is_not_reported_as_dead(caplog: pytest.LogCaptureFixture) -> None:
    task = spawn_task(asyncio.sleep(60), name="sleeper")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caplog.text == ""
