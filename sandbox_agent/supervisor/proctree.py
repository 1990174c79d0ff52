"""The process table, what of it descends from a spawn, and the keeper that ends it all when the server is killed.

Runs also as a program of its own (see `main`), so it imports nothing but the light part of the standard library.
Signals go through pidfds only: a number that was reused in the meantime is never hit (pidfd_open(2)).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

_MARKER = b"SANDBOX_AGENT_SPAWN="
_AFTER_COMM = 20  # fields of /proc/PID/stat after the command's name, up to the start time (proc_pid_stat(5))
_PAGE = 65536
_KEEPER_GRACE = 1.0


class Process:
    """One row of the table. ``start`` is in clock ticks since boot; with ``pid`` it names a process for good."""

    __slots__ = ("pgrp", "pid", "ppid", "sid", "spawns", "start", "state")

    def __init__(self, pid: int, stat: bytes) -> None:
        fields = stat[stat.rindex(b")") + 2 :].split(None, _AFTER_COMM)
        self.pid = pid
        self.state = fields[0]
        self.ppid = int(fields[1])
        self.pgrp = int(fields[2])
        self.sid = int(fields[3])
        self.start = int(fields[19])
        self.spawns = b""

    @property
    def dead(self) -> bool:
        """Ended, whether its parent has asked or not."""
        return self.state in (b"Z", b"X")


def _slurp(path: str) -> bytes:
    """The file's bytes; nothing when the process is gone or not ours to see."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        data = os.read(fd, _PAGE)
        if len(data) == _PAGE:
            while more := os.read(fd, _PAGE):
                data += more
    except OSError:
        return b""
    finally:
        os.close(fd)
    return data


def look(pid: int) -> Process | None:
    """The process of that number now."""
    stat = _slurp(f"/proc/{pid}/stat")
    return Process(pid, stat) if stat else None


def stat_fields(pid: int) -> list[bytes] | None:
    """The fields of /proc/PID/stat after the command's name; None when the process is gone."""
    stat = _slurp(f"/proc/{pid}/stat")
    return stat[stat.rindex(b")") + 2 :].split() if stat else None


def _spawns(pid: int) -> bytes:
    environ = b"\0" + _slurp(f"/proc/{pid}/environ")
    at = environ.find(b"\0" + _MARKER)
    if at < 0:
        return b""
    begin = at + 1 + len(_MARKER)
    return environ[begin : environ.find(b"\0", begin)]


def table(since: int = 0) -> list[Process]:
    """All processes that started at or after ``since``; older ones cannot descend from a spawn made then."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208  # pathlib is too heavy for the keeper
        if name.isdigit() and (process := look(int(name))) is not None and process.start >= since:
            if process.pgrp and not process.dead:  # neither a kernel thread nor without memory to read
                process.spawns = _spawns(process.pid)
            found.append(process)
    return found


def children_of_self() -> list[int]:
    """The numbers of this process's children, dead ones too."""
    numbers: list[int] = []
    for task in os.listdir("/proc/self/task"):  # noqa: PTH208  # as above
        path = f"/proc/self/task/{task}/children"
        if not os.path.exists(path):  # noqa: PTH110  # as above
            return [process.pid for process in table() if process.ppid == os.getpid()]
        numbers += map(int, _slurp(path).split())
    return numbers


def tree(processes: list[Process], token: bytes, known: set[tuple[int, int]], leader: int = 0) -> list[Process]:
    """What belongs to a spawn: carries its token, is in its leader's session or group, or descends from such.

    ``known`` are pids and start times seen to belong before, and gets those found now: who has neither marker nor
    parent left is recognised by it. ``leader`` must not have been reaped yet: until then the kernel gives its number
    to no other session or group.
    """
    inside = {
        p.pid
        for p in processes
        if token in p.spawns or (leader and leader in (p.pid, p.sid, p.pgrp)) or (p.pid, p.start) in known
    }
    children: dict[int, list[int]] = {}
    for process in processes:
        children.setdefault(process.ppid, []).append(process.pid)
    unseen = list(inside)
    while unseen:
        for pid in children.get(unseen.pop(), ()):
            if pid not in inside:
                inside.add(pid)
                unseen.append(pid)
    inside.discard(os.getpid())
    found = [process for process in processes if process.pid in inside]
    known.update((process.pid, process.start) for process in found)
    return found


def strike(process: Process, signum: int) -> int | None:
    """Signal exactly this process; its pidfd (the caller closes it), or None when it is gone or not ours."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return None
    now = look(process.pid)
    if now is not None and now.start == process.start:
        try:
            signal.pidfd_send_signal(fd, signum)
        except OSError:
            now = None
        else:
            return fd
    os.close(fd)
    return None


def reap(pid: int) -> None:
    """Take a dead child off the table, if it is a child of ours at all."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return


def _end_all(token: bytes) -> None:
    """End every process that carries the token: asked first, killed a moment later, until none is left."""
    kill_at = time.monotonic() + _KEEPER_GRACE
    known: set[tuple[int, int]] = set()
    asked: set[tuple[int, int]] = set()
    clean = 0
    while clean < 2:  # noqa: PLR2004  # one look may miss what forks while the table is read
        alive = [process for process in tree(table(), token, known) if not process.dead]
        clean = 0 if alive else clean + 1
        killing = time.monotonic() >= kill_at
        for process in alive:
            if killing or (process.pid, process.start) not in asked:
                asked.add((process.pid, process.start))
                fd = strike(process, signal.SIGKILL if killing else signal.SIGTERM)
                if fd is not None:
                    os.close(fd)
        if alive:
            time.sleep(0.01)


def main(token: str) -> None:
    """Wait for the server's end, which closes our standard input, then end what it left behind."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    while True:
        poll.poll()
        if not os.read(0, _PAGE):
            break
    _end_all(token.encode())


if __name__ == "__main__":
    main(sys.argv[1])
