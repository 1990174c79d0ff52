"""Screenshots by id: where their pixels lie on the screen, so that a click can be told in a screenshot's own."""

from __future__ import annotations

import itertools
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from sandbox_agent.problems import DesktopInvalidAction

_KEPT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """A screenshot of ``width`` x ``height`` pixels that shows ``source_width`` x ``source_height`` of the screen.

    They are those from ``x``, ``y`` on.
    """

    x: int
    y: int
    source_width: int
    source_height: int
    width: int
    height: int

    def point(self, x: int, y: int) -> tuple[int, int]:
        """The pixel of the screen in the middle of what a pixel of the screenshot shows."""
        return (
            self.x + (2 * x + 1) * self.source_width // (2 * self.width),
            self.y + (2 * y + 1) * self.source_height // (2 * self.height),
        )


class Shots:
    """The transforms of the last screenshots. Ids of another desktop or server are unknown here."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Transform] = OrderedDict()
        self._numbers = itertools.count(1)
        self._prefix = secrets.token_hex(4)

    def keep(self, transform: Transform) -> str:
        """The id of a screenshot with this transform; the oldest of 512 is forgotten."""
        name = f"shot_{self._prefix}_{next(self._numbers)}"
        self._kept[name] = transform
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return name

    def point(self, name: str | None, x: int, y: int) -> tuple[int, int]:
        """The pixel of the screen that a pixel of a screenshot shows; without a name it is the screen's already.

        Raises ``DesktopInvalidAction`` for an unknown screenshot and for a point outside of it.
        """
        if name is None:
            return x, y
        shot = self._kept.get(name)
        if shot is None:
            raise DesktopInvalidAction(f"no screenshot {name!r} is known", hint="take a new one and use its id")
        if not (0 <= x < shot.width and 0 <= y < shot.height):
            raise DesktopInvalidAction(
                f"({x}, {y}) is outside of the screenshot, which has {shot.width}x{shot.height} pixels"
            )
        return shot.point(x, y)
