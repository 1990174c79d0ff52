"""Answers SIGTERM by forking itself away into a new session."""

import os
import signal
import sys


def again(_signum: int, _frame: object) -> None:
    if os.fork():
        os._exit(0)
    os.setsid()


signal.signal(signal.SIGTERM, again)
sys.stdout.write("ready\n")
sys.stdout.flush()
while True:
    signal.pause()
