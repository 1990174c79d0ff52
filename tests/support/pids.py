"""Whether a process is there."""

from __future__ import annotations

from sandbox_agent.supervisor import proctree


def alive(pid: int) -> bool:
    """Also when nobody has reaped a dead one yet, as in a container whose first process reaps nothing."""
    row = proctree.look(pid)
    return row is not None and not row.dead
