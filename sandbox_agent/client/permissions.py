"""Answering permission requests by a callback, beside whatever else the program does."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Self, TypeAlias

from sandbox_agent.client.results import PermissionInfo
from sandbox_agent.problems import Conflict, NotFound, Problem, SandboxAgentError, SessionNotFound
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from types import TracebackType

    from sandbox_agent.client.async_driver import AsyncStream
    from sandbox_agent.client.sync_driver import Stream

logger = logging.getLogger("sandbox_agent.client")

Decide: TypeAlias = Callable[[PermissionInfo], str | None]
"""``once``, ``always``, ``reject``, one of the request's option ids, or ``None`` to leave it to somebody else."""

AsyncDecide: TypeAlias = Callable[[PermissionInfo], Awaitable[str | None] | str | None]

JOIN_SECONDS = 5.0


class PermissionWatch:
    """A background thread that asks a callback. :meth:`stop` it, or use it in a ``with`` statement.

    It ends by itself with its session or its client. ``error`` is what ended it otherwise. A callback that raises
    leaves its request unanswered; the exception is logged.
    """

    def __init__(self, stream: Stream[PermissionInfo], decide: Decide, answer: Callable[[str, str], object]) -> None:
        self.error: SandboxAgentError | None = None
        self._stream = stream
        self._decide = decide
        self._answer = answer
        self._thread = threading.Thread(target=self._run, name="sandbox-agent-permissions", daemon=True)
        self._thread.start()

    @property
    def active(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask the callback no more; any number of times."""
        self._stream.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        try:
            for permission in self._stream:
                self._ask(permission)
        except SessionNotFound:
            return
        except SandboxAgentError as error:
            self.error = error
            logger.warning("permission requests are no longer answered: %s", error)

    def _ask(self, permission: PermissionInfo) -> None:
        try:
            choice = self._decide(permission)
        except Exception:  # the user's code, on a thread that must go on
            logger.exception("the permission callback failed; the request stays unanswered")
            return
        if choice is None:
            return
        try:
            self._answer(permission.id, choice)
        except (Conflict, NotFound) as error:
            logger.debug("the permission request was resolved by somebody else: %s", error)
        except Problem as error:
            logger.error("the permission callback's answer was refused; the request stays unanswered: %s", error)  # noqa: TRY400

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class AsyncPermissionWatch:
    """A background task that asks a callback. :meth:`stop` it, or use it in an ``async with`` statement.

    It ends by itself with its session or its client. ``error`` is what ended it otherwise. A callback that raises
    leaves its request unanswered; the exception is logged.
    """

    def __init__(
        self,
        stream: AsyncStream[PermissionInfo],
        decide: AsyncDecide,
        answer: Callable[[str, str], Awaitable[object]],
    ) -> None:
        self.error: SandboxAgentError | None = None
        self._stream = stream
        self._decide = decide
        self._answer = answer
        self._task = spawn_task(self._run(), name="sandbox-agent-permissions")

    @property
    def active(self) -> bool:
        return not self._task.done()

    async def stop(self) -> None:
        """Ask the callback no more; any number of times."""
        if asyncio.current_task() is self._task:
            self._task.cancel()
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._stream.aclose()

    async def _run(self) -> None:
        try:
            async for permission in self._stream:
                await self._ask(permission)
        except SessionNotFound:
            return
        except SandboxAgentError as error:
            self.error = error
            logger.warning("permission requests are no longer answered: %s", error)

    async def _ask(self, permission: PermissionInfo) -> None:
        try:
            choice = self._decide(permission)
            if inspect.isawaitable(choice):
                choice = await choice
        except Exception:  # the user's code, on a task that must go on
            logger.exception("the permission callback failed; the request stays unanswered")
            return
        if choice is None:
            return
        try:
            await self._answer(permission.id, choice)
        except (Conflict, NotFound) as error:
            logger.debug("the permission request was resolved by somebody else: %s", error)
        except Problem as error:
            logger.error("the permission callback's answer was refused; the request stays unanswered: %s", error)  # noqa: TRY400

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
