"""A process's terminal for those who look at it: output by byte offset, and the screen for who comes later.

Output is counted in bytes from the start of the process. A looker who was there before goes on at the offset where it
stopped; anyone else gets the screen as it is now, drawn anew. Nothing is done for that while nobody comes: what the
screen has not been fed yet waits, and of a flood, which no one could follow either, only the end and what lasts.
"""

from __future__ import annotations

import asyncio
import re
import time
from array import array
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandbox_agent.supervisor import Size
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from sandbox_agent.processes.log import ProcessLog
    from sandbox_agent.processes.screen import Screen

TAIL: Final = 64 << 10
"""Bytes that the screen may be behind by; as much of a flood is kept for it."""
FLOOD: Final = 256 << 10
_LASTING: Final = 16 << 10
_PAUSE: Final = 0.25
_SLICE: Final = 1 << 10
_BREATH: Final = 0.0002  # s that a feeding thread leaves the interpreter to the loop after each slice
_SLACK: Final = 4096
_CUT: Final = b""
_BEGIN: Final = re.compile(rb"[\n\x1b]")


@dataclass(frozen=True, slots=True)
class View:
    """Where a looker begins: at byte ``offset``, which is ``skip`` bytes beyond the log's entry ``after``.

    ``repaint`` draws the screen as it is at that byte, where the output before it is not to be had or not wanted.
    """

    offset: int
    after: int
    skip: int = 0
    repaint: bytes | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """The screen as text; the cursor's place counts from 0."""

    lines: tuple[str, ...]
    cursor_col: int
    cursor_row: int
    size: Size
    title: str
    alternate: bool


class Terminal:
    """``take`` is given the output as it comes, and puts it into the log."""

    def __init__(self, log: ProcessLog, size: Size) -> None:
        self.log = log
        self.size = size
        self.total = 0
        self._seen = False
        self._base = log.journal.head + 1
        self._offsets = array("q")  # where each entry begins
        self._pending: deque[bytes | Size] = deque([size])
        self._behind = 0
        self._flooded = False
        self._screen: Screen | None = None
        self._turn = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None

    def take(self, data: bytes) -> None:
        """Output."""
        self._offsets.append(self.total)
        self.total += len(data)
        self._pending.append(data)
        self._behind += len(data)
        self.log.append("pty", data)
        if self._behind > TAIL:
            self._limit()
        if len(self._offsets) > _SLACK and (gone := self.log.journal.first - self._base) > len(self._offsets) // 2:
            del self._offsets[:gone]
            self._base += gone

    def resize(self, size: Size) -> None:
        """The size it has from here on."""
        self.size = size
        if isinstance(self._pending[-1] if self._pending else None, Size):
            self._pending.pop()
        self._pending.append(size)

    async def view(self, offset: int | None = None, *, ended: bool = False) -> View:
        """The output from ``offset`` on, if it is still there; else, and without one, the screen drawn anew.

        Who is the first to look gets all output as it was: programs ask terminals questions, which want an answer. It
        is not told again to others, unless the process has ``ended``, for they would answer a second time.
        """
        if offset is None and (ended or not self._seen) and self.total <= TAIL:
            offset = 0
        self._seen = True
        if offset is not None and (place := self._place(offset)) is not None:
            return place
        async with self._turn:
            items, after, offset = self._due(), self.log.journal.head, self.total
            return View(offset, after, repaint=await asyncio.to_thread(self._draw, items))

    async def shown(self) -> Shown:
        """What is on the screen."""
        async with self._turn:
            return await asyncio.to_thread(self._look, self._due())

    async def end(self) -> None:
        """There will be no more: what is shown is kept as what draws it, which is smaller."""
        if self._timer is not None:
            self._timer.cancel()
        async with self._turn:
            if self._screen is not None:
                drawn = await asyncio.to_thread(self._draw, self._due())
                self._pending, self._screen = deque([self.size, drawn]), None

    # -- offsets --------------------------------------------------------------------------------------------------

    def _place(self, offset: int) -> View | None:
        journal = self.log.journal
        if offset == self.total:
            return View(offset, journal.head)
        at = bisect_right(self._offsets, offset) - 1
        sequence = self._base + at
        if not 0 <= offset < self.total or at < 0 or sequence < journal.first:
            return None
        return View(offset, sequence - 1, skip=offset - self._offsets[at])

    # -- the screen -----------------------------------------------------------------------------------------------

    def _limit(self) -> None:
        """A screen that is behind catches up once it is a bit calmer, so that whoever comes need not wait for it."""
        if self._behind > FLOOD:
            self._flooded = True
            self._shorten()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._calm)

    def _calm(self) -> None:
        self._timer = None
        if self._flooded:
            self._flooded = False
            self._limit()
        else:
            spawn_task(self._catch_up(), name="keep a terminal's screen")

    async def _catch_up(self) -> None:
        async with self._turn:
            await asyncio.to_thread(self._feed, self._due())

    def _due(self) -> list[bytes | Size]:
        """What the screen has to be fed to be as it is now."""
        if self._behind > 2 * TAIL:
            self._shorten()
        items = list(self._pending)
        self._pending.clear()
        self._behind = 0
        return items

    def _shorten(self) -> None:
        """Leave of what waits its end, and of the rest what lasts."""
        from sandbox_agent.processes.screen import lasting  # noqa: PLC0415 - who has no such terminal does not pay

        kept: list[bytes] = []
        size = self.size
        while self._behind > TAIL:
            item = self._pending.popleft()
            if isinstance(item, Size):
                size = item
                continue
            if (over := self._behind - TAIL) < len(item):  # a single read may be more than is kept
                self._pending.appendleft(item[over:])
                item = item[:over]
            self._behind -= len(item)
            kept.append(lasting(item))
        sequences = b"".join(kept)[-_LASTING:]
        first = self._pending[0]
        if isinstance(first, bytes) and (begin := _BEGIN.search(first)):  # not in the middle of a sequence
            self._behind -= begin.start()
            self._pending[0] = first[begin.start() :]
        self._behind += len(sequences)
        self._pending.extendleft((sequences, _CUT, size))

    def _feed(self, items: list[bytes | Size]) -> Screen:
        """In a thread, which lets the event loop have its turn often."""
        from sandbox_agent.processes.screen import Screen  # noqa: PLC0415 - who has no terminal does not pay for it

        screen = self._screen or Screen(self.size.cols, self.size.rows)
        self._screen = screen
        for item in items:
            if isinstance(item, Size):
                screen.resize(item.rows, item.cols)
                continue
            if not item:
                screen.cut()
            for start in range(0, len(item), _SLICE):
                screen.feed(item[start : start + _SLICE])
                if len(item) > _SLICE:
                    time.sleep(_BREATH)
        return screen

    def _draw(self, items: list[bytes | Size]) -> bytes:
        return self._feed(items).repaint()

    def _look(self, items: list[bytes | Size]) -> Shown:
        screen = self._feed(items)
        return Shown(
            lines=tuple(screen.text()),
            cursor_col=min(screen.cursor.x, screen.columns - 1),
            cursor_row=screen.cursor.y,
            size=Size(screen.columns, screen.lines),
            title=screen.title,
            alternate=screen.alternate,
        )
