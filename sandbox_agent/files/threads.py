"""Work in threads that is seen through: a thread cannot be cancelled, and what it works with must not go before it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


def start(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    """Begin ``work`` in a thread. Who gives the future up waits for it by `ended`."""
    return asyncio.get_running_loop().run_in_executor(None, lambda: work(*args, **kwargs))


async def run(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``work`` in a thread. A caller that is cancelled, once or again, is so only when the thread is done."""
    future = start(work, *args, **kwargs)
    try:
        return await asyncio.shield(future)
    finally:
        await ended(future)


async def opened(work: Callable[P, int], *args: P.args, **kwargs: P.kwargs) -> int:
    """Like `run`, for a descriptor that is to be opened: a caller that is cancelled does not leave it open."""
    future = start(work, *args, **kwargs)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        future.add_done_callback(_close)
        raise


def _close(future: asyncio.Future[int]) -> None:
    if not future.cancelled() and future.exception() is None:
        os.close(future.result())


async def ended(future: asyncio.Future[Any]) -> None:
    """Until it is done, however; a cancellation that comes meanwhile is raised then."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as error:
            cancelled = error
    if not future.cancelled():
        future.exception()  # seen, so that the loop does not report it
    if cancelled is not None:
        raise cancelled
