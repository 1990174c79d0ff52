"""Looks at the process table, in a thread, and shares one look among all who wait for the next."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sandbox_agent.supervisor import proctree
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Callable


log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds a look may take. The kernel may keep who reads another process's environment waiting for its memory."""


class Census:
    """``since`` tells the start time before which no process is of interest; ``look`` is how a look is taken."""

    def __init__(
        self,
        since: Callable[[], int],
        look: Callable[[int], list[proctree.Process]] = proctree.table,
        patience: float = PATIENCE,
    ) -> None:
        self.executor = _executor()
        self._since = since
        self._look = look
        self._patience = patience
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
            since = self._since()
            try:
                async with asyncio.timeout(self._patience):
                    return await loop.run_in_executor(self.executor, self._look, since)
            except TimeoutError:
                log.warning("the process table cannot be read as a whole: looking without environments")
            self.executor.shutdown(wait=False)  # its thread ends when the kernel lets it go
            self.executor = _executor()
            return await loop.run_in_executor(self.executor, proctree.outlines, since)


def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="supervisor")
