"""The transcript of one session, kept up to its journal on demand: one fold, shared by all who look.

Nothing is folded while nobody looks. What was folded is saved as a checkpoint now and then, so that a session of an
earlier run is read from its checkpoint and the rest of its journal, and retention may remove what lies before.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeAlias, cast

from sandbox_agent.journal import Reset
from sandbox_agent.sessions.transcript import Fold
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from sandbox_agent.journal import Journal, Segment
    from sandbox_agent.sessions.records import SessionRecords
    from sandbox_agent.wire.transcript import Transcript, TranscriptUpsert, TurnItem

Told: TypeAlias = "Transcript | TranscriptUpsert"
"""What a follower is told: the whole, or what changed."""

CHECKPOINT_ENTRIES = 5_000
CHECKPOINT_BYTES = 4 << 20
"""A checkpoint is worth writing when the journal grew by either since the last."""

LONG_TURN = 16
"""How many times that a turn may grow before it is saved while it runs."""

UPDATE_INTERVAL_S = 0.03
"""Changes to one reader come at most this often: text that streams in is told by the sentence, not by the token."""


class TranscriptView:
    """Reads the journal of a session into a fold."""

    def __init__(self, session_id: str, agent: str, journal: Journal, records: SessionRecords) -> None:
        self._session_id = session_id
        self._agent = agent
        self._journal = journal
        self._records = records
        self._fold: Fold | None = None
        self._lock = asyncio.Lock()
        self._saved = 0
        self._bytes = 0
        self._saving: asyncio.Task[None] | None = None
        self.readers = 0
        journal.retain_after = 0  # until the checkpoint is read, all may be needed

    async def prepare(self) -> None:
        """Find the checkpoint, so that retention knows what it may remove."""
        async with self._lock:
            await self._opened()

    async def snapshot(self) -> Transcript:
        """The transcript up to all that readers may see."""
        async with self._lock:
            return (await self._current()).snapshot()

    async def turn(self, prompt_id: str) -> TurnItem | None:
        """How the fold sees the turn of a prompt."""
        async with self._lock:
            return (await self._current()).turn(prompt_id)

    async def follow(self, after: int) -> AsyncIterator[Told]:
        """A snapshot where ``after`` is 0 or not of this journal; then what changed, until the journal is closed.

        Changes that come close together are told together.
        """
        self.readers += 1
        try:
            async with self._lock:
                fold = await self._current()
                snapshot = fold.snapshot() if not 0 < after <= fold.sequence else None
                cursor = after if snapshot is None else fold.sequence
            if snapshot is not None:
                yield snapshot
            while True:
                async with self._lock:
                    fold = await self._current()
                    changed = fold.changes(cursor)
                    cursor = max(cursor, fold.sequence)
                if changed is not None:
                    yield changed
                    await asyncio.sleep(UPDATE_INTERVAL_S)
                if not await self._grows_beyond(cursor):
                    return
        finally:
            self.readers -= 1

    async def _grows_beyond(self, sequence: int) -> bool:
        """Wait until readers may see more than ``sequence``; false when the journal was closed without."""
        following = cast("AsyncGenerator[object]", self._journal.follow(sequence, max_bytes=1))
        async with aclosing(following) as news:
            async for _ in news:
                return True
        return False

    def save_soon(self) -> None:
        """Save a checkpoint in the background, when enough has come since the last."""
        if self._saving is None and self.worth_saving():
            self._saving = spawn_task(self.checkpoint(), name=f"checkpoint of {self._session_id}")
            self._saving.add_done_callback(self._saved_now)

    async def close(self, *, save: bool) -> None:
        """Wait for a checkpoint that is being saved; save a last one if it is worth it."""
        if self._saving is not None:
            await asyncio.wait({self._saving})
        if save and self.worth_saving():
            await self.checkpoint()

    async def checkpoint(self) -> None:
        """Save what is folded."""
        async with self._lock:
            fold = await self._current()
            state = await asyncio.to_thread(fold.state)
            self._records.put_checkpoint(self._session_id, fold.sequence, state)
            sequence = fold.sequence
            self._bytes = 0
        if await self._records.durable():
            self._saved = self._journal.retain_after = sequence

    def _saved_now(self, _task: asyncio.Task[None]) -> None:
        self._saving = None

    def grew(self, size: int) -> None:
        """An entry of ``size`` bytes was added; a turn that goes on and on is saved in between."""
        self._bytes += size
        if self._bytes > LONG_TURN * CHECKPOINT_BYTES:
            self.save_soon()

    def worth_saving(self) -> bool:
        """Whether so much has come that a checkpoint is worth it."""
        return self._journal.head - self._saved > CHECKPOINT_ENTRIES or self._bytes > CHECKPOINT_BYTES

    async def _opened(self) -> Fold:
        if self._fold is None:
            state = await self._records.checkpoint(self._session_id)
            self._fold = Fold(self._session_id, self._agent, state)
            self._saved = self._fold.sequence
            self._journal.retain_after = self._saved
        return self._fold

    async def _current(self) -> Fold:
        fold = await self._opened()
        cursor = fold.sequence
        while found := await self._journal.read(cursor):
            if isinstance(found, Reset):
                cursor = found.first - 1
                continue
            _apply(fold, found)
            cursor = fold.sequence
            await asyncio.sleep(0)
        return fold


def _apply(fold: Fold, segments: list[Segment]) -> None:
    for segment in segments:
        for sequence, payload in enumerate(segment.payloads, segment.first):
            fold.apply(sequence, segment.created_ms, segment.sender, payload)
