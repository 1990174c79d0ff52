"""Where a turn is printed: what the agent says on stdout, everything else, and the spinner, on stderr."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from sandbox_agent.render.story import Piece

FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
ASCII_FRAMES: Final = "|/-\\"
TICK: Final = 0.1
"""Seconds between the spinner's frames."""

_ERASE: Final = "\r\x1b[K"


class Console:
    """Keeps notes, spinner and text on lines of their own where they share a terminal."""

    def __init__(self, *, quiet: bool = False, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self.quiet = quiet
        self._shared = self._out is self._err or os.path.sameopenfile(self._out.fileno(), self._err.fileno())
        self.spins = self._err.isatty() and not quiet and os.environ.get("TERM") != "dumb"
        self._frames = FRAMES if "utf" in (self._err.encoding or "").lower() else ASCII_FRAMES
        self._started = time.monotonic()
        self._open = False  # whether the agent's last line has no end yet
        self._drawn = False
        self._spoken = False
        self._noted = False  # whether something was told since the agent spoke

    def show(self, piece: Piece) -> None:
        if piece.kind == "note":
            self.note(piece.text)
            return
        self.clear()
        if piece.kind == "message" and self._spoken and not (self._shared and self._noted):
            self._out.write("\n\n" if self._open else "\n")
        self._out.write(piece.text)
        self._out.flush()
        self._open = not piece.text.endswith("\n")
        self._spoken, self._noted = True, False

    def note(self, text: str) -> None:
        """Lines about the turn."""
        if not self.quiet:
            self.need(text)

    def need(self, text: str) -> None:
        """What the user must know even where quiet was asked for."""
        self._end_line()
        self._noted = True
        print(text, file=self._err, flush=True)

    def spin(self, doing: str) -> None:
        """Draw the next frame, unless the agent is in the middle of a line there."""
        if not self.spins or (self._open and self._shared):
            return
        seconds = time.monotonic() - self._started
        frame = self._frames[int(seconds / TICK) % len(self._frames)]
        self._err.write(f"{_ERASE}{frame} {doing} {seconds:.0f} s")
        self._err.flush()
        self._drawn = True

    def clear(self) -> None:
        """Take the spinner away."""
        if self._drawn:
            self._err.write(_ERASE)
            self._err.flush()
            self._drawn = False

    def finish(self) -> None:
        """End what is open, so that the shell's own prompt starts a line."""
        self.clear()
        if self._open:
            self._out.write("\n")
            self._out.flush()
            self._open = False

    def _end_line(self) -> None:
        self.clear()
        if self._open and self._shared:
            self._out.write("\n")
            self._out.flush()
            self._open = False
