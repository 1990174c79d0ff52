"""A process ends also where a thread of it does not."""

from __future__ import annotations

import subprocess
import sys

STUCK = """
import os, threading
from concurrent.futures import ThreadPoolExecutor
from sandbox_agent.server.ending import end_within

reader, writer = os.pipe()
ThreadPoolExecutor(1).submit(os.read, reader, 1)
end_within({seconds}, 7)
"""


def test_a_thread_that_never_returns_holds_the_end_up_for_so_long_only() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STUCK.format(seconds=0.2)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 7
    assert "leaving behind what does not end" in ended.stderr


def test_who_ends_in_time_is_not_ended() -> None:
    code = "from sandbox_agent.server.ending import end_within; end_within(3600, 7)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
