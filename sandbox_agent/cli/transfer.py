"""How far an upload or a download is, on a terminal."""

from __future__ import annotations

import posixpath
import shutil
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

_STEP: Final = 0.1
"""Seconds between two looks of the line."""

_WIDTH: Final = 20
_NAME: Final = 30


class TransferBar:
    """A line that is drawn over while bytes go by, and is gone at the end; nothing where nobody looks.

    It is what the SDK's ``progress`` may be: called with the bytes that are through and how many there are, if known.
    """

    def __init__(self, stream: TextIO, name: str, *, quiet: bool = False) -> None:
        self._stream = stream
        self._name = cut(posixpath.basename(name.rstrip("/")) or name)
        self._live = stream.isatty() and not quiet
        self._next = 0.0
        self._drawn = False

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if not self._live or (now < self._next and done != total):
            return
        self._next = now + _STEP
        self._drawn = True
        self._stream.write("\r\x1b[K" + self._line(done, total)[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()

    def _line(self, done: int, total: int | None) -> str:
        from sandbox_agent.render import size_text

        if not total:
            return f"{self._name} {size_text(done)}"
        share = min(done / total, 1.0)
        full = round(share * _WIDTH)
        bar = "#" * full + "." * (_WIDTH - full)
        return f"{self._name} [{bar}] {share:4.0%} {size_text(done)} of {size_text(total)}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def cut(name: str) -> str:
    """A name that leaves room for the bar."""
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
