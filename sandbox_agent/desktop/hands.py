"""What one viewer does with mouse and keyboard: in its order, away from whoever brings it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from sandbox_agent.desktop import batch
from sandbox_agent.problems import DesktopInvalidAction, Problem
from sandbox_agent.wire.desktop_actions import (
    KeyDownAction,
    KeyUpAction,
    MouseDownAction,
    MouseUpAction,
    MoveAction,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox_agent.desktop.acts import Acts
    from sandbox_agent.wire.desktop_stream import StreamInput

MOST_WAITING = 512
"""Actions that may wait for others to be done."""


class Hands:
    """Does what it is given, one after the other, while `run` runs; ``tell`` gets the problems of what fails.

    Of moves that come faster than they are done, only the last is made. Keys and buttons that are held down at the
    end are let go by `let_go`.
    """

    def __init__(self, acts: Acts, tell: Callable[[Problem], Awaitable[None]]) -> None:
        self._acts = acts
        self._tell = tell
        self._waiting: deque[StreamInput] = deque()
        self._news = asyncio.Event()
        self._held: dict[str, StreamInput] = {}

    def do(self, action: StreamInput) -> None:
        """Have an action done. Raises ``DesktopInvalidAction`` where too many wait already."""
        if isinstance(action, MoveAction) and self._waiting and isinstance(self._waiting[-1], MoveAction):
            self._waiting.pop()
        if len(self._waiting) >= MOST_WAITING:
            raise DesktopInvalidAction(f"{MOST_WAITING} actions wait to be done, no more are taken")
        self._waiting.append(action)
        self._news.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            while self._waiting:
                action = self._waiting.popleft()
                try:
                    await self._do(action)
                except Problem as problem:
                    await self._tell(problem)
            self._news.clear()
            await self._news.wait()

    async def _do(self, action: StreamInput) -> None:
        match action:
            case MouseDownAction():
                self._held[f"button {action.button}"] = MouseUpAction(button=action.button)
            case MouseUpAction():
                self._held.pop(f"button {action.button}", None)
            case KeyDownAction():
                self._held[f"key {action.key}"] = KeyUpAction(key=action.key)
            case KeyUpAction():
                self._held.pop(f"key {action.key}", None)
        await batch.perform(self._acts, action)

    async def let_go(self) -> None:
        """Release what is held down."""
        held, self._held = self._held, {}
        for release in held.values():
            with contextlib.suppress(Problem):  # what never went down, or a desktop that has gone
                await batch.perform(self._acts, release)
