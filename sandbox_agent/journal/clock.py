"""Time as the journal needs it: what to show, and what to measure ages by."""

from __future__ import annotations

import time


class Clock:
    """The wall clock for time stamps, and a steady one for ages.

    The steady clock is the wall clock of the start plus the time that really passed since (suspension included), so
    a wall clock that jumps during a run neither ages nor rejuvenates an entry.
    """

    def __init__(self) -> None:
        self._anchor = self.now_ms() - self.passed_ms()

    def now_ms(self) -> int:
        """Unix time in milliseconds; may jump."""
        return time.time_ns() // 1_000_000

    def passed_ms(self) -> int:
        """Milliseconds since boot; never jumps."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def steady_ms(self) -> int:
        """Milliseconds near Unix time, moving only as time passes."""
        return self._anchor + self.passed_ms()
