"""A display of a turn that changes in place while it lives and is static HTML from then on.

Front ends without a kernel (GitHub, nbviewer, an export) show the last state: nothing in it needs a script.
A terminal cannot take back what it shows, so there each update prints what is new.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from IPython.core.getipython import get_ipython
from IPython.display import display
from IPython.terminal.interactiveshell import TerminalInteractiveShell

from sandbox_agent.render import to_html, to_text
from sandbox_agent.render.story import TurnStory
from sandbox_agent.wire.transcript import TurnItem

if TYPE_CHECKING:
    from sandbox_agent.render.story import Piece
    from sandbox_agent.wire.transcript import Transcript

FASTEST_S = 0.1
"""Least time between two updates: ten a second look fluent, and a long answer is sent a bounded number of times."""

RENDER_SHARE = 4
"""Rendering may take at most one part in so many of the time: long turns are drawn less often."""


class TurnDisplay(Protocol):
    """Shows a turn where it was made."""

    @property
    def wait_s(self) -> float:
        """How long to wait before the next `update` is worth its cost, in seconds."""

    def update(self, transcript: Transcript, *, live: bool = True) -> None:
        """Show the turn's part of a transcript; with ``live=False`` for the last time."""


def turn_display(prompt_id: str) -> TurnDisplay:
    """The one for the front end this runs in."""
    return TurnPrintout(prompt_id) if on_terminal() else LiveDisplay()


def on_terminal() -> bool:
    """Whether what is displayed here stays as it was first shown."""
    return isinstance(get_ipython(), TerminalInteractiveShell)


class LiveDisplay:
    """Shows a transcript in the cell it was made in."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._next = 0.0

    @property
    def wait_s(self) -> float:
        return max(0.0, self._next - time.monotonic())

    def update(self, transcript: Transcript, *, live: bool = True) -> None:
        began = time.monotonic()
        bundle = {"text/html": to_html(transcript, live=live), "text/plain": to_text(transcript)}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)
        ended = time.monotonic()
        self._next = ended + max(FASTEST_S, RENDER_SHARE * (ended - began))


class TurnPrintout:
    """Prints what the agent says as it says it, and what it does on lines of their own."""

    wait_s = FASTEST_S

    def __init__(self, prompt_id: str) -> None:
        self._story = TurnStory(prompt_id)
        self._line = ""  # what stands on the last line

    def update(self, transcript: Transcript, *, live: bool = True) -> None:
        # A turn is as old as its beginning; that it has ended comes last.
        for item in sorted(transcript.items, key=lambda item: isinstance(item, TurnItem)):
            for piece in self._story.accept(item):
                self._print(piece)
        if not live or self._story.pending:
            self._end_line()

    def _print(self, piece: Piece) -> None:
        if piece.kind != "text":
            self._end_line()
        print(piece.text, end="\n" if piece.kind == "note" else "", flush=True)  # noqa: T201 - a terminal
        self._line = "" if piece.kind == "note" else piece.text.rpartition("\n")[2]

    def _end_line(self) -> None:
        if self._line:
            print(flush=True)  # noqa: T201 - a terminal
            self._line = ""
