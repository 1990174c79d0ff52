"""Work in threads is seen through, whoever gives up on it."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from sandbox_agent.files import threads


async def test_the_result_or_the_error_of_the_work_comes_back() -> None:
    assert await threads.run(divmod, 7, 3) == (2, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.run(divmod, 7, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_caller_that_is_cancelled_again_and_again_goes_only_after_the_thread(fails: bool) -> None:
    begun, go = threading.Event(), threading.Event()
    done: list[bool] = []

    def work() -> None:
        begun.set()
        go.wait(60)
        done.append(True)
        if fails:
            raise ValueError

    task = asyncio.ensure_future(threads.run(work))
    await asyncio.to_thread(begun.wait, 60)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    go.set()
    await asyncio.wait({task})
    assert task.cancelled()
    assert done == [True]


async def test_a_descriptor_is_closed_when_nobody_waits_for_it_any_more() -> None:
    begun, go = threading.Event(), threading.Event()
    read, write = os.pipe()

    def work() -> int:
        begun.set()
        go.wait(60)
        return write

    task = asyncio.ensure_future(threads.opened(work))
    await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    await asyncio.wait({task})
    go.set()
    assert await asyncio.to_thread(os.read, read, 1) == b"", "the pipe ends once its last writer is closed"
    os.close(read)
    fd = await threads.opened(os.open, "/", os.O_PATH)
    os.close(fd)
