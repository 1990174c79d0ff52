"""Waiting for whichever of several things comes first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def first(*waits: Coroutine[Any, Any, object]) -> None:
    """Until one of them is over; the others are given up."""
    tasks = [spawn_task(wait, name="wait for a part of the desktop") for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
