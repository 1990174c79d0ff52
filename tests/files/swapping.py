"""Somebody who swaps folders and links while others use them (S7)."""

from __future__ import annotations

import contextlib
import itertools
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class Swapping:
    """A thread that makes a folder a link out of the root and back, and a file likewise, as fast as it can."""

    def __init__(self, root: Path, outside: Path) -> None:
        self.swaps = 0
        self._stop = threading.Event()
        self._pairs = [
            (root / "folder", root / "folder-spare", outside),
            (root / "file", root / "file-spare", outside / "file"),
        ]
        for _, spare, target in self._pairs:
            spare.symlink_to(target)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for pair, count in zip(itertools.cycle(self._pairs), itertools.count(1), strict=False):
            if self._stop.is_set():
                return
            self._swap(*pair)
            self.swaps = count

    @staticmethod
    def _swap(name: Path, spare: Path, target: Path) -> None:
        """Let two names change places, as far as both are there: what is swapped may be deleted meanwhile."""
        third = name.with_name("third")
        for one, other in ((name, third), (spare, name), (third, spare)):
            with contextlib.suppress(OSError):
                one.rename(other)
        if not name.is_symlink() and not spare.is_symlink():
            with contextlib.suppress(OSError):
                spare.unlink(missing_ok=True)
                spare.symlink_to(target)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
