"""Looking at a running server from outside, through /proc."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .server import Server


def descriptors(server: Server) -> list[str]:
    """What the server has open: paths, those of files without a name too, and other things by their kind."""
    found = []
    for fd in os.listdir(f"/proc/{server.process.pid}/fd"):  # noqa: PTH208 - it changes meanwhile
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{server.process.pid}/fd/{fd}"))  # noqa: PTH115 - may be no path
    return found


def memory(server: Server, what: str = "VmRSS") -> int:
    """Bytes of memory: ``VmRSS`` is what it has, ``VmHWM`` the most it had since `forget_peak`."""
    with open(f"/proc/{server.process.pid}/status") as status:  # noqa: PTH123 - of another process
        line = next(line for line in status if line.startswith(what))
    return int(line.split()[1]) * 1024


def forget_peak(server: Server) -> None:
    """Let the most it had be what it has (proc_pid_clear_refs(5))."""
    with open(f"/proc/{server.process.pid}/clear_refs", "w") as refs:  # noqa: PTH123 - of another process
        refs.write("5")
