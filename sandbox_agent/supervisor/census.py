"""Looks at the process table, in a thread, and shares one look among all who wait for the next."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sandbox_agent.supervisor import proctree
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Callable


class Census:
    """``since`` tells the start time before which no process is of interest."""

    def __init__(self, since: Callable[[], int]) -> None:
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="supervisor")
        self._since = since
        self._turn = asyncio.Lock()
        self._next: asyncio.Future[list[proctree.Process]] | None = None

    async def take(self) -> list[proctree.Process]:
        """The processes as they are at some moment after this call."""
        if self._next is None:
            self._next = spawn_task(self._take(), name="read the process table")
        return await asyncio.shield(self._next)

    async def _take(self) -> list[proctree.Process]:
        async with self._turn:
            self._next = None  # who asks from now on must get a later look
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.executor, proctree.table, self._since())
