"""What has changed since a reader last looked, told once for each path. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

ChangeKind: TypeAlias = Literal["created", "modified", "deleted"]

MAX_PENDING = 10_000
_AFTER: dict[tuple[ChangeKind, ChangeKind], ChangeKind] = {
    ("created", "modified"): "created",
    ("deleted", "created"): "modified",
}


class Change(NamedTuple):
    """``created`` is also what takes the place of something else by a rename."""

    kind: ChangeKind
    path: bytes
    folder: bool


class Changes:
    """Changes in the order in which their paths first changed.

    A reader that is far behind is told that it missed some: ``overflow`` is then set and the rest forgotten, for
    what it must do is to look at everything anew.
    """

    def __init__(self, limit: int = MAX_PENDING) -> None:
        self.overflow = False
        self._limit = limit
        self._pending: dict[bytes, Change] = {}

    def __bool__(self) -> bool:
        return self.overflow or bool(self._pending)

    def note(self, kind: ChangeKind, path: bytes, *, folder: bool) -> None:
        """What happened to ``path`` after what is known of it already."""
        before = self._pending.get(path)
        if before is not None:
            kind = _AFTER.get((before.kind, kind), kind)
        self._pending[path] = Change(kind, path, folder)
        if len(self._pending) > self._limit:
            self.lose()

    def lose(self) -> None:
        """Some changes are not known."""
        self._pending.clear()
        self.overflow = True

    def take(self) -> tuple[list[Change], bool]:
        """All that is pending, and whether some before it were lost. They are pending no more."""
        taken, lost = list(self._pending.values()), self.overflow
        self._pending, self.overflow = {}, False
        return taken, lost
