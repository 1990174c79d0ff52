"""R8: deadlines count the time in which this process runs."""

from __future__ import annotations

import asyncio

import pytest

from sandbox_agent.tasks import AwakeTimer, awake_timeout


@pytest.mark.parametrize("seconds", [0.02, 1.02])
async def test_time_slept_through_does_not_count(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    running, slept = loop.time, [0.0]
    monkeypatch.setattr(loop, "time", lambda: running() + slept[0])
    called = loop.create_future()
    begun = loop.time()
    AwakeTimer(seconds, lambda: called.set_result(loop.time()))
    slept[0] = 100.0
    assert await called >= begun + 100 + seconds


async def test_a_cancelled_timer_calls_nobody() -> None:
    called: list[str] = []
    AwakeTimer(0.0, lambda: called.append("cancelled")).cancel()
    done = asyncio.Event()
    AwakeTimer(0.0, done.set)
    await done.wait()
    assert called == []


async def test_a_timeout_interrupts_and_none_never_does() -> None:
    with pytest.raises(TimeoutError):
        async with awake_timeout(0.01):
            await asyncio.Event().wait()
    async with awake_timeout(None):
        await asyncio.sleep(0)
