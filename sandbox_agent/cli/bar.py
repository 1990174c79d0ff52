"""How an install is told while it runs, and what it said last where it failed."""

from __future__ import annotations

import shutil
import sys
from typing import Any, Protocol, TextIO

_BAR = 20
_LOG = 12


class Step(Protocol):
    """What is told of an install, here or over the wire; ``fraction`` (0 to 1) is of the whole."""

    @property
    def stage(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def fraction(self) -> float | None: ...


class Bar:
    """A progress bar on a terminal; elsewhere a line for each stage. ``verbose`` shows every line."""

    def __init__(self, stream: TextIO, agent: str, *, verbose: bool) -> None:
        self._stream = stream
        self._agent = agent
        self._live = stream.isatty()
        self._verbose = verbose
        self._stage = ""
        self._fraction = 0.0
        self._drawn = False

    def show(self, progress: Step) -> None:
        self._fraction = progress.fraction if progress.fraction is not None else self._fraction
        fresh = progress.stage != self._stage
        self._stage = progress.stage
        if self._verbose or (fresh and not self._live):
            self.clear()
            self._stream.write(f"{self._agent} [{progress.stage}] {progress.text}\n")
        if self._live:
            done = round(self._fraction * _BAR)
            line = f"{self._agent} [{'#' * done}{'.' * (_BAR - done)}] {self._fraction:4.0%} {progress.text}"
            self._stream.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])
            self._drawn = True
        self._stream.flush()

    def clear(self) -> None:
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False


def last_words(extensions: dict[str, Any]) -> None:
    """The command that failed and what it said, for people; `--json` has them in the document."""
    if extensions.get("command"):
        sys.stderr.write(f"$ {extensions['command']}\n")
    for line in str(extensions.get("output") or "").splitlines()[-_LOG:]:
        sys.stderr.write(f"  {line}\n")
