"""How many descriptors may be open: more for a server with many terminals, as many as before for what it starts.

Programs that use ``select`` break above 1024, and some close every number they might have inherited, so the limit that
a process is given by default is not theirs to lose.
"""

from __future__ import annotations

import contextlib
import resource

ENOUGH = 1 << 16
_usual: list[tuple[int, int]] = []


def raise_limit() -> None:
    """For this process: as many as it may have, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        _usual.append((soft, hard))


def give_usual(pid: int) -> None:
    """For a child that was just started: what this process had at first."""
    if _usual:
        with contextlib.suppress(OSError):  # it has ended, or changed its user
            resource.prlimit(pid, resource.RLIMIT_NOFILE, _usual[0])
