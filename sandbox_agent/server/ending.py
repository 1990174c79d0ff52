"""The end of a process that must not be held up by threads, which nobody can cancel.

A thread may be in the kernel for as long as a disk, or another process's memory, is not to be had; Python waits for
all of them before it ends.
"""

from __future__ import annotations

import logging
import os
import threading
import time

log = logging.getLogger(__name__)


def end_within(seconds: float, status: int = 1) -> None:
    """From now on the process has so long to end by itself; then it ends with ``status``, whatever still goes on."""

    def leave() -> None:
        time.sleep(seconds)
        log.error("leaving behind what does not end: %s", ", ".join(thread.name for thread in threading.enumerate()))
        os._exit(status)

    threading.Thread(target=leave, name="end", daemon=True).start()
