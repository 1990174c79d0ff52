"""How commands say what went wrong."""

from __future__ import annotations

import sys
from typing import TextIO


def fail(message: str, *, hint: str | None = None, stream: TextIO | None = None) -> int:
    """Print the error and what would help; the exit status."""
    out = stream or sys.stderr
    print(f"error: {message}", file=out)
    if hint:
        print(f"hint: {hint}", file=out)
    return 1
