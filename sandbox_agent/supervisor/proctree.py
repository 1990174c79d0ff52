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
_THREADS, _ENV_START, _ENV_END = 17, 47, 48  # places after the command's name
_PAGE = 65536
_ROUNDS = 8
_FEW = 64
_KEEPER_GRACE = 1.0
_KEEPER_DOUBT = 2.0


class Process:
    """One row of the table. ``start`` is in clock ticks since boot; with ``pid`` it names a process for good.

    ``unclear`` is who was amid an ``exec``: nobody can tell then what it carries in its environment.
    """

    __slots__ = ("pgrp", "pid", "ppid", "sid", "spawns", "start", "state", "threads", "unclear")

    def __init__(self, pid: int, stat: bytes) -> None:
        fields = stat[stat.rindex(b")") + 2 :].split(None, _AFTER_COMM)
        self.pid = pid
        self.state = fields[0]
        self.ppid = int(fields[1])
        self.pgrp = int(fields[2])
        self.sid = int(fields[3])
        self.threads = int(fields[_THREADS])
        self.start = int(fields[19])
        self.spawns = b""
        self.unclear = False

    @property
    def dead(self) -> bool:
        """Ended, whether its parent has asked or not. A zombie whose first thread alone has ended goes on."""
        return self.state == b"X" or (self.state == b"Z" and self.threads <= 1)


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, _PAGE)
        if len(data) == _PAGE:
            while more := os.read(fd, _PAGE):
                data += more
    finally:
        os.close(fd)
    return data


def _slurp(path: str) -> bytes:
    """The file's bytes; nothing when the process is gone or not ours to see."""
    try:
        return _read(path)
    except OSError:
        return b""


def look(pid: int) -> Process | None:
    """The process of that number now."""
    stat = _slurp(f"/proc/{pid}/stat")
    return Process(pid, stat) if stat else None


def stat_fields(pid: int) -> list[bytes] | None:
    """The fields of /proc/PID/stat after the command's name; None when the process is gone."""
    stat = _slurp(f"/proc/{pid}/stat")
    return stat[stat.rindex(b")") + 2 :].split() if stat else None


def _environ(pid: int) -> bytes | None:
    """The environment; None amid an ``exec``.

    The kernel gives the process its new memory first and says where in it the environment is last. Whoever reads in
    between reads nothing, as of a process that has no environment; /proc/PID/stat tells the two apart.
    """
    path = f"/proc/{pid}/environ"
    try:
        if environ := _read(path):
            return environ
        fields = stat_fields(pid)
        if fields is None or (fields[_ENV_START] == fields[_ENV_END] != b"0"):
            return b""
        return _read(path) or None  # the exec may be over by now
    except OSError:
        return b""


def inspect(pid: int) -> Process | None:
    """As `look`, and what it carries in its environment."""
    process = look(pid)
    if process is not None and process.pgrp and not process.dead:  # neither a kernel thread nor without memory to read
        environ = _environ(pid)
        process.unclear = environ is None
        process.spawns = _spawns(environ or b"")
    return process


def _spawns(environ: bytes) -> bytes:
    environ = b"\0" + environ
    at = environ.find(b"\0" + _MARKER)
    if at < 0:
        return b""
    begin = at + 1 + len(_MARKER)
    return environ[begin : environ.find(b"\0", begin)]


def table(since: int = 0) -> list[Process]:
    """All processes that started at or after ``since``; older ones cannot descend from a spawn made then.

    Who starts while it is read is in it too, for whoever started it may be gone before it is looked at; not where
    they are many, as with a fork bomb, which must be struck soon and is looked at again.
    """
    found = []
    seen: set[str] = set()
    for turn in range(_ROUNDS):
        listed = os.listdir("/proc")  # noqa: PTH208  # pathlib is too heavy for the keeper
        names = [name for name in listed if name.isdigit() and name not in seen]
        if not names or (turn and len(names) > _FEW):
            break
        for name in names:
            if (process := inspect(int(name))) is not None:
                seen.add(name)
                if process.start >= since:
                    found.append(process)
    return found


def outlines(since: int = 0) -> list[Process]:
    """As `table`, but what each carries is `unclear`: nothing here waits for the memory of a process."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208  # as above
        if name.isdigit() and (process := look(int(name))) is not None and process.start >= since:
            process.unclear = bool(process.pgrp) and not process.dead
            found.append(process)
    return found


def doubtful(processes: list[Process], members: list[Process], since: int = 0) -> bool:
    """Whether somebody may belong to the tree of ``members`` of whom it could not be seen."""
    return any(process.unclear and process.start >= since and process not in members for process in processes)


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
    while clean < 2:  # noqa: PLR2004  # who has lost the marker is known only by parents seen before
        rows = table()
        members = tree(rows, token, known)
        alive = [process for process in members if not process.dead]
        doubt = doubtful(rows, members) and time.monotonic() < kill_at + _KEEPER_DOUBT
        clean = 0 if alive or doubt else clean + 1
        killing = time.monotonic() >= kill_at
        for process in alive:
            if killing or (process.pid, process.start) not in asked:
                asked.add((process.pid, process.start))
                fd = strike(process, signal.SIGKILL if killing else signal.SIGTERM)
                if fd is not None:
                    os.close(fd)
        if alive or doubt:
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
