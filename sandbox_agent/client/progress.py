"""How far a transfer is: a bar by tqdm, where that is installed, once the transfer has taken a second."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

if TYPE_CHECKING:
    from types import TracebackType

Progress: TypeAlias = bool | Callable[[int, int | None], object] | None
"""True for a bar from the start, False for none, None for one where somebody looks and it takes over a second.

Or what is called with the bytes that are through, and how many there are where that is known.
"""

LATER: Final = 1.0
"""Seconds after which a transfer is shown."""


class Meter:
    """Counts the bytes of one transfer. A failed try begins anew by :meth:`restart`."""

    def __init__(self, progress: Progress, label: str, total: int | None = None) -> None:
        self.done = 0
        self.total = total
        self._label = label
        self._told = progress if callable(progress) else None
        self._wanted = watched() if progress is None else progress is True
        self._since = time.monotonic() - (LATER if progress is True else 0.0)
        self._bar: Any = None

    def add(self, count: int) -> None:
        """So many bytes more are through."""
        self.done += count
        if self._told is not None:
            self._told(self.done, self.total)
        elif self._bar is not None:
            self._bar.update(count)
        elif self._wanted and time.monotonic() - self._since >= LATER:
            self._bar = bar(self._label, self.total, self.done)
            self._wanted = self._bar is not None

    def restart(self) -> None:
        """The transfer starts again from its beginning."""
        self.done = 0
        if self._bar is not None:
            self._bar.reset(self.total)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def watched() -> bool:
    """Whether somebody looks: standard error is a terminal, or this is a notebook's kernel."""
    with contextlib.suppress(AttributeError, ValueError):  # no standard error, or a closed one
        if sys.stderr.isatty():
            return True
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


def bar(label: str, total: int | None, done: int) -> Any:
    """A bar of tqdm's kind for where this runs; None where tqdm is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that widgets are missing, and then does without them
        try:
            from tqdm.auto import tqdm  # noqa: PLC0415 - most transfers are over before it is wanted
        except ImportError:
            return None
        return tqdm(total=total, initial=done, desc=label, unit="B", unit_scale=True, unit_divisor=1024, leave=False)
