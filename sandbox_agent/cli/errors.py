"""How commands say what went wrong."""

from __future__ import annotations

import sys
from typing import TextIO

COMMANDS = {
    "POST /v1/desktop/start": "sandbox-agent api desktop start",
    "POST /v1/desktop/recording/start": "sandbox-agent api desktop record start",
    "POST /v1/desktop/recording/stop": "sandbox-agent api desktop record stop",
}
"""What is done from a shell in place of a request that a server's hint names."""


def fail(message: str, *, hint: str | None = None, stream: TextIO | None = None) -> int:
    """Print the error and what would help; the exit status."""
    out = stream or sys.stderr
    print(f"error: {message}", file=out)
    if hint:
        for request, command in COMMANDS.items():
            hint = hint.replace(request, command)
        print(f"hint: {hint}", file=out)
    return 1
