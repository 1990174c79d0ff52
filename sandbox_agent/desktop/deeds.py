"""What has been done by mouse and keyboard, told to those who show it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A click, at ``at`` in pixels of the screen, or keys, as ``text``. ``time`` is monotonic."""

    kind: Literal["click", "keys"]
    at: tuple[int, int] = (0, 0)
    text: str = ""
    time: float = field(default_factory=time.monotonic)


class Deeds:
    """Tells listeners of deeds once they are done; without any it costs nothing."""

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[Deed], None], ...] = ()

    def listen(self, listener: Callable[[Deed], None]) -> Callable[[], None]:
        """Have ``listener`` told; the answer ends that."""
        self._listeners = (*self._listeners, listener)
        return lambda: self._forget(listener)

    def _forget(self, listener: Callable[[Deed], None]) -> None:
        self._listeners = tuple(other for other in self._listeners if other != listener)

    def click(self, x: int, y: int) -> None:
        self._tell(Deed(kind="click", at=(x, y)))

    def keys(self, text: str) -> None:
        self._tell(Deed(kind="keys", text=text))

    def _tell(self, deed: Deed) -> None:
        for listener in self._listeners:
            listener(deed)
