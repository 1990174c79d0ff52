"""Where a turn is printed: what the agent says on stdout, everything else, and the spinner, on stderr."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from sandbox_agent.cli.live.story import Piece

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
        self._quiet = quiet
        self._shared = self._out is self._err or (self._out.isatty() and self._err.isatty())
        self.spins = self._err.isatty() and not quiet and os.environ.get("TERM") != "dumb"
        self._frames = FRAMES if "utf" in (self._err.encoding or "").lower() else ASCII_FRAMES
        self._started = time.monotonic()
        self._open = False  # whether the agent's last line has no end yet
        self._drawn = False

    def show(self, piece: Piece) -> None:
        if piece.kind == "text":
            self._text(piece.text)
        else:
            self.note(piece.text)

    def note(self, text: str) -> None:
        """Lines about the turn."""
        if self._quiet:
            return
        self._end_line()
        print(text, file=self._err, flush=True)

    def need(self, text: str) -> None:
        """What the user must know even where quiet was asked for."""
        self._end_line()
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

    def _text(self, text: str) -> None:
        self.clear()
        self._out.write(text)
        self._out.flush()
        self._open = not text.endswith("\n")

    def _end_line(self) -> None:
        self.clear()
        if self._open and self._shared:
            self._out.write("\n")
            self._out.flush()
            self._open = False
