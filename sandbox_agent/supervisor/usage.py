"""What the trees of children use, read from the process table (proc_pid_stat(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox_agent.supervisor import proctree

if TYPE_CHECKING:
    from collections.abc import Sequence

_UTIME, _CSTIME, _RSS = 11, 14, 21  # places after the command's name
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds of those alive and of their children that ended; resident bytes; how many are alive."""

    cpu_seconds: float
    memory_bytes: int
    processes: int


def measure(rows: list[proctree.Process], trees: Sequence[tuple[bytes, int]]) -> list[Usage]:
    """For each tree, given by its token and its leader."""
    return [_sum(proctree.tree(rows, token, set(), leader)) for token, leader in trees]


def _sum(members: list[proctree.Process]) -> Usage:
    ticks = pages = count = 0
    for row in members:
        fields = proctree.stat_fields(row.pid)
        if row.dead or fields is None:
            continue
        ticks += sum(map(int, fields[_UTIME : _CSTIME + 1]))
        pages += int(fields[_RSS])
        count += 1
    return Usage(ticks / _TICKS, pages * _PAGE, count)
