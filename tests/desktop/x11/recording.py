"""The recorder's window, and what it has written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .programs import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.desktop.x11.desktop import X11
    from sandbox_agent.wire.desktop import DesktopWindowInfo

    from .programs import Screen

PROGRAM = __file__.replace("recording.py", "recorder.py")

Event = dict[str, Any]


class Recorder:
    """A Tk window of 400x300 pixels: a button at 20, 20 of 100x40, and a red square at 200, 100 that F2 turns blue."""

    def __init__(self, window: DesktopWindowInfo, file: Path) -> None:
        self.window = window
        self._file = file

    @classmethod
    async def start(cls, x11: X11, screen: Screen, folder: Path) -> Recorder:
        file = folder / "events"
        screen.start("/usr/bin/python3", PROGRAM, str(file))
        recorder = cls(await screen.window(x11, window_class="Recorder"), file)
        await recorder.until(lambda events: any(event["kind"] == "ready" for event in events), "the recorder")
        return recorder

    def at(self, x: int, y: int) -> tuple[int, int]:
        """A place in the window, on the screen."""
        return self.window.x + x, self.window.y + y

    def events(self, *kinds: str) -> list[Event]:
        events = [json.loads(line) for line in self._file.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [event for event in events if not kinds or event["kind"] in kinds]

    async def until(self, condition: Any, what: str, *kinds: str) -> list[Event]:
        """The events of these kinds, once the condition holds for them."""

        async def there() -> list[Event] | None:
            events = self.events(*kinds)
            return events if condition(events) else None

        found: list[Event] = await eventually(there, what)
        return found

    async def last(self, key: str, kind: str = "KeyPress") -> list[Event]:
        """The keys of this kind, once the last of them is ``key``."""
        return await self.until(lambda events: events and events[-1]["key"] == key, key, kind)

    async def count(self, number: int, *kinds: str) -> list[Event]:
        """The events of these kinds once there are so many; there must not be more."""
        events = await self.until(lambda events: len(events) >= number, f"{number} of {kinds}", *kinds)
        assert len(events) == number
        return events
