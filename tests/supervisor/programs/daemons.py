"""Starts N daemons (forked twice, in sessions of their own, parent gone), says so, then exits or stays."""

import os
import signal
import sys

count, stay = int(sys.argv[1]), sys.argv[2] == "stay"
lifetime = float(sys.argv[3]) if len(sys.argv) > 3 else 0
for _ in range(count):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if lifetime:
                signal.setitimer(signal.ITIMER_REAL, lifetime)
            signal.pause()
        os._exit(0)
    os.wait()
sys.stdout.write("ready\n")
sys.stdout.flush()
if stay:
    signal.pause()
