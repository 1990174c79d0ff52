"""What an install tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Progress:
    """A step or a line of a program's output.

    ``stage`` is one of wait, node, python, packages, setup, download, verify, done; ``fraction`` of the whole install
    (0 to 1) only grows, None where a line says nothing about it.
    """

    agent: str
    stage: str
    text: str
    fraction: float | None = None


Listener: TypeAlias = Callable[[Progress], None]
