"""Looking at the process table, also where a look does not come back."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from typing import TYPE_CHECKING

from sandbox_agent.supervisor import proctree
from sandbox_agent.supervisor.census import Census

if TYPE_CHECKING:
    import pytest


async def test_a_look_that_the_kernel_keeps_waiting_is_replaced_by_one_that_cannot_be(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever ends a process goes on, told of everybody that it is unclear what they carry; the next look is whole."""
    freed = threading.Event()

    def stuck_once(since: int) -> list[proctree.Process]:
        if not seen:
            seen.append(since)
            freed.wait()
        return proctree.table(since)

    seen: list[int] = []
    census = Census(lambda: 0, stuck_once, patience=0.05)
    with subprocess.Popen(["sleep", "3600"]) as child:  # noqa: ASYNC220 - it is started at once
        try:
            outlines = {row.pid: row for row in await asyncio.wait_for(census.take(), 60)}
            assert outlines[child.pid].ppid == os.getpid()
            assert outlines[child.pid].unclear
            assert "looking without environments" in caplog.text
            census._patience = 60
            whole = {row.pid: row for row in await asyncio.wait_for(census.take(), 60)}
            assert not whole[child.pid].unclear
        finally:
            freed.set()
            child.kill()
            census.executor.shutdown()
