"""A display that changes in place while it lives and is static HTML from then on.

Front ends without a kernel (GitHub, nbviewer, an export) show the last state: nothing in it needs a script.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from IPython.display import display

from sandbox_agent.render import to_html, to_text

if TYPE_CHECKING:
    from sandbox_agent.wire.transcript import Transcript

FASTEST_S = 0.1
"""Least time between two updates: ten a second look fluent, and a long answer is sent a bounded number of times."""

RENDER_SHARE = 4
"""Rendering may take at most one part in so many of the time: long turns are drawn less often."""


class LiveDisplay:
    """Shows a transcript in the cell it was made in."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._next = 0.0

    @property
    def wait_s(self) -> float:
        """How long to wait before the next `update` is worth its cost, in seconds."""
        return max(0.0, self._next - time.monotonic())

    def update(self, transcript: Transcript, *, live: bool = True) -> None:
        """Draw ``transcript``; with ``live=False`` for the last time."""
        began = time.monotonic()
        bundle = {"text/html": to_html(transcript, live=live), "text/plain": to_text(transcript)}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)
        ended = time.monotonic()
        self._next = ended + max(FASTEST_S, RENDER_SHARE * (ended - began))
