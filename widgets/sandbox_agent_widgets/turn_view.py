"""One turn as a cell shows it: the items of the turn alone, kept up to date by upserts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.wire.transcript import PermissionItem, Transcript, TurnItem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.wire.transcript import TranscriptItem

ENDED = frozenset({"completed", "cancelled", "failed"})


class TurnView:
    """Collects what belongs to prompt ``prompt_id`` out of a session's transcript changes."""

    def __init__(self, session_id: str, prompt_id: str, *, agent: str | None = None) -> None:
        self.session_id = session_id
        self.prompt_id = prompt_id
        self.agent = agent
        self.sequence = 0
        self._items: dict[str, TranscriptItem] = {}

    def apply(self, items: Iterable[TranscriptItem]) -> bool:
        """Upsert the items of this turn; whether any was."""
        mine = {item.id: item for item in items if item.turn == self.prompt_id}
        self._items |= mine
        self.sequence = max([self.sequence, *(item.updated for item in mine.values())])
        return bool(mine)

    @property
    def turn(self) -> TurnItem | None:
        return next((item for item in self._items.values() if isinstance(item, TurnItem)), None)

    @property
    def ended(self) -> bool:
        return self.turn is not None and self.turn.state in ENDED

    def pending(self) -> list[PermissionItem]:
        """Permission requests that wait for an answer, oldest first."""
        waiting = [i for i in self._items.values() if isinstance(i, PermissionItem) and i.state == "pending"]
        return sorted(waiting, key=lambda item: item.created)

    def transcript(self) -> Transcript:
        """The turn as a transcript of its own, for the renderers."""
        items = tuple(sorted(self._items.values(), key=lambda item: item.created))
        return Transcript(session_id=self.session_id, sequence=self.sequence, items=items, agent=self.agent)
