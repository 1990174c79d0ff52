"""Whether and when a process that has ended is started again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox_agent.supervisor import Exit
    from sandbox_agent.wire.processes import RestartPolicy


def wanted(policy: RestartPolicy, exit_: Exit) -> bool:
    """Whether the policy wants a process that ended this way started again."""
    return policy == "always" or (policy == "on_failure" and not exit_.success)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Pauses between lives, in seconds: ``first``, then twice as long each time, at most ``most``.

    A life of at least ``calm`` seconds was a good one: the next pause is ``first`` again.
    """

    first: float = 1.0
    most: float = 60.0
    calm: float = 10.0

    def pause(self, short_lives: int) -> float:
        """The pause after so many short lives in a row."""
        return min(self.most, self.first * 2.0 ** min(max(short_lives - 1, 0), 32))
