"""How long to wait before the next try (pure)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Doubling delays from ``first`` to ``longest`` seconds, each shortened at random by up to half.

    The jitter keeps the clients of a restarted server from coming back all at once. ``reset`` after progress.
    """

    first: float = 0.1
    longest: float = 5.0
    source: random.Random = field(default_factory=random.Random)
    _next: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._next = self.first

    def delay(self) -> float:
        """The next delay in seconds."""
        ceiling = min(self._next, self.longest)
        self._next = ceiling * 2
        return ceiling * (1 - self.source.random() / 2)
