"""The process table and the trees in it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.supervisor import proctree

from ..support.server import poll

if TYPE_CHECKING:
    from collections.abc import Iterator


AGAIN = 'exec /bin/sh -c "$0" "$0"'


@contextlib.contextmanager
def sleeping(**env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is through its ``exec``, which goes on when `subprocess` has started it."""
    process = subprocess.Popen(["sleep", "1000"], env=env)
    try:
        poll(lambda: (found := proctree.inspect(process.pid)) is not None and not found.unclear, what="the program")
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with sleeping(SANDBOX_AGENT_SPAWN="out.1/me.7/", OTHER="x") as process:
        yield process


def row(pid: int, ppid: int, sid: int, spawns: bytes = b"") -> proctree.Process:
    made = proctree.Process(pid, b"%d (a ) b) S %d %d %d %s 99 rest" % (pid, ppid, sid, sid, b"0 " * 15))
    made.spawns = spawns
    return made


def test_a_name_with_brackets_and_blanks_does_not_confuse_the_fields() -> None:
    made = row(10, 3, 7)
    assert (made.pid, made.ppid, made.pgrp, made.sid, made.start, made.dead) == (10, 3, 7, 7, 99, False)


def test_the_table_holds_this_process() -> None:
    me = next(found for found in proctree.table() if found.pid == os.getpid())
    assert me.ppid == os.getppid()
    assert not me.dead


def test_the_marker_is_read_from_the_environment(sleeper: subprocess.Popen[bytes]) -> None:
    found = {found.pid: found.spawns for found in proctree.table()}
    assert found[sleeper.pid] == b"out.1/me.7/"


def test_the_table_leaves_out_who_started_before(sleeper: subprocess.Popen[bytes]) -> None:
    mine = proctree.look(sleeper.pid)
    assert mine is not None
    assert 1 not in {found.pid for found in proctree.table(mine.start)} or mine.start == 0
    assert sleeper.pid in {found.pid for found in proctree.table(mine.start)}


def test_who_is_amid_an_exec_is_never_taken_for_a_stranger() -> None:
    """A program that executes itself without end: a look shows its marker, or that it could not be seen."""
    process = subprocess.Popen(["/bin/sh", "-c", AGAIN, AGAIN], env={"SANDBOX_AGENT_SPAWN": "me.7/"})
    try:
        looks = 0
        unclear = False
        deadline = time.monotonic() + 60
        while (not unclear or looks < 1000) and time.monotonic() < deadline:
            found = proctree.inspect(process.pid)
            assert found is not None
            assert found.spawns == (b"" if found.unclear else b"me.7/")
            unclear |= found.unclear
            looks += 1
        assert unclear
    finally:
        process.kill()
        process.wait()


def test_who_has_no_environment_is_clear() -> None:
    with sleeping() as process:
        found = proctree.inspect(process.pid)
        assert found is not None
        assert (found.spawns, found.unclear) == (b"", False)


def test_who_starts_while_the_table_is_read_is_in_it(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a first listing that came too early for it."""
    listed = os.listdir
    without = [name for name in listed("/proc") if name != str(sleeper.pid)]
    listings = [without]
    monkeypatch.setattr(proctree, "_FEW", 1 << 20)  # however many others start meanwhile
    monkeypatch.setattr(os, "listdir", lambda path: listings.pop() if listings else listed(path))
    found = [found.pid for found in proctree.table()]
    assert found.count(sleeper.pid) == 1
    assert found.count(os.getpid()) == 1


def test_a_process_whose_first_thread_alone_has_ended_is_not_dead() -> None:
    """The kernel shows it as a zombie (proc_pid_stat(5))."""
    program = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(1000,)).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", program])
    try:
        deadline = time.monotonic() + 60
        while (found := proctree.look(process.pid)) is None or found.state != b"Z":
            assert time.monotonic() < deadline
        assert not found.dead
    finally:
        process.kill()
        process.wait()


def test_doubt_is_about_the_young_of_whom_nothing_is_known() -> None:
    member, stranger = row(10, 1, 10), row(11, 1, 11)
    member.unclear = True
    assert not proctree.doubtful([member, stranger], [member])
    stranger.unclear = True
    assert proctree.doubtful([member, stranger], [member])
    assert not proctree.doubtful([member, stranger], [member], since=100)


def test_a_tree_is_marker_session_and_descent() -> None:
    rows = [
        row(10, 1, 10, b"a.1/"),  # the leader
        row(11, 10, 10),  # its child, marker gone
        row(12, 1, 12, b"a.1/"),  # a daemon
        row(13, 12, 13),  # the daemon's child, in a session of its own, marker gone
        row(14, 1, 14, b"a.12/"),  # another spawn, whose token begins alike
        row(15, 1, 10),  # an orphan in the leader's session
        row(16, 1, 16),  # a stranger
    ]
    assert [found.pid for found in proctree.tree(rows, b"a.1/", set(), 10)] == [10, 11, 12, 13, 15]


def test_who_was_seen_in_a_tree_stays_in_it() -> None:
    """Its parent ended and its marker is off: number and start time tell; a new process of that number is none."""
    known: set[tuple[int, int]] = set()
    proctree.tree([row(10, 1, 10, b"a.1/"), row(13, 10, 13)], b"a.1/", known)
    assert known == {(10, 99), (13, 99)}
    later = row(13, 1, 13)
    assert proctree.tree([later], b"a.1/", known) == [later]
    later.start = 100
    assert proctree.tree([later], b"a.1/", known) == []


def test_a_tree_never_holds_the_one_who_asks() -> None:
    rows = [row(os.getpid(), 1, 1, b"a.1/"), row(20, 1, 20, b"a.1/")]
    assert [found.pid for found in proctree.tree(rows, b"a.1/", set())] == [20]


def test_a_signal_does_not_reach_a_process_that_took_over_the_number(sleeper: subprocess.Popen[bytes]) -> None:
    """R14: number and start time must both be right."""
    found = proctree.look(sleeper.pid)
    assert found is not None
    found.start -= 1
    assert proctree.strike(found, signal.SIGKILL) is None
    assert sleeper.poll() is None


def test_a_signal_reaches_who_is_meant(sleeper: subprocess.Popen[bytes]) -> None:
    found = proctree.look(sleeper.pid)
    assert found is not None
    fd = proctree.strike(found, signal.SIGKILL)
    assert fd is not None
    os.close(fd)
    assert sleeper.wait() == -signal.SIGKILL


def test_who_is_gone_is_neither_seen_nor_struck() -> None:
    process = subprocess.Popen(["true"])
    found = proctree.look(process.pid)
    process.wait()
    assert found is not None
    assert proctree.look(process.pid) is None
    assert proctree.strike(found, signal.SIGKILL) is None
    proctree.reap(process.pid)  # nothing happens


def test_children_of_this_process_are_listed_dead_ones_too(sleeper: subprocess.Popen[bytes]) -> None:
    dead = subprocess.Popen(["true"])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    assert {sleeper.pid, dead.pid} <= set(proctree.children_of_self())
    dead.wait()
