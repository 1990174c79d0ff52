"""Children: how they end, and what ends with them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.supervisor import Exit, proctree

from .conftest import eventually, line, output, program, shell, survivors

if TYPE_CHECKING:
    from sandbox_agent.supervisor import Child, Supervisor


@pytest.mark.parametrize("code", [0, 1, 7, 255])
async def test_the_exit_code_is_exact(supervisor: Supervisor, code: int) -> None:
    child = await supervisor.spawn(shell(f"exit {code}"), owner="test")
    assert await child.wait() == Exit(code, None)
    assert child.exit is not None
    assert child.exit.success == (code == 0)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR1])
async def test_the_signal_that_ended_it_is_exact(supervisor: Supervisor, signum: int) -> None:
    child = await supervisor.spawn(shell(f"kill -{signum} $$"), owner="test")
    assert await child.wait() == Exit(None, signum)


async def test_a_signal_reaches_the_process_alone(supervisor: Supervisor) -> None:
    child = await supervisor.spawn(
        shell("trap 'echo got; exit 4' USR1; echo up; while :; do sleep 0.01; done"), owner="t"
    )
    assert await line(child) == "up"
    child.signal(signal.SIGUSR1)
    assert await child.wait() == Exit(4, None)
    assert await output(child) == b"got\n"


async def test_what_goes_in_comes_out(supervisor: Supervisor) -> None:
    """The three pipes are the child's standard streams."""
    child = await supervisor.spawn(shell("cat; echo bad >&2"), owner="test")
    os.write(child.stdin_fd, b"hello")
    child.close_stdin()
    assert await output(child) == b"hello"
    await child.wait()
    assert os.read(child.stderr_fd, 100) == b"bad\n"


async def test_without_stdin_a_child_reads_nothing(supervisor: Supervisor) -> None:
    child = await supervisor.spawn(shell("cat; echo end; echo lost >&2"), owner="test", stdin=False, stderr=False)
    assert (child.stdin_fd, child.stderr_fd) == (-1, -1)
    assert await output(child) == b"end\n"


async def test_ending_asks_first(supervisor: Supervisor) -> None:
    """SIGTERM lets the process put its things in order."""
    child = await supervisor.spawn(
        shell("trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.01; done"), owner="t"
    )
    await line(child)
    assert await child.end() == Exit(9, None)
    assert await output(child) == b"bye\n"


async def test_who_ignores_the_question_is_killed_after_the_grace(supervisor: Supervisor) -> None:
    child = await supervisor.spawn(shell("trap '' TERM; echo up; while :; do sleep 0.01; done"), owner="test")
    await line(child)
    begun = time.monotonic()
    assert await child.end(0.3) == Exit(None, signal.SIGKILL)
    assert time.monotonic() - begun >= 0.3


async def test_a_second_call_with_less_patience_hurries_the_first(supervisor: Supervisor) -> None:
    child = await supervisor.spawn(shell("trap '' TERM; echo up; while :; do sleep 0.01; done"), owner="test")
    await line(child)
    first = asyncio.ensure_future(child.end(60))
    await asyncio.sleep(0)
    assert await child.end(0) == Exit(None, signal.SIGKILL)
    assert await first == Exit(None, signal.SIGKILL)


async def test_ending_goes_on_when_its_caller_is_cancelled(supervisor: Supervisor) -> None:
    child = await supervisor.spawn(shell("trap '' TERM; echo up; while :; do sleep 0.01; done"), owner="test")
    await line(child)
    caller = asyncio.ensure_future(child.end(0.2))
    await asyncio.sleep(0)
    caller.cancel()
    assert await asyncio.wait_for(child.wait(), 60) == Exit(None, signal.SIGKILL)
    await eventually(lambda: not supervisor.children())


TREES = {
    "child": "sleep 1000 & echo up; wait",
    "session": "setsid sleep 1000 & echo up; wait",
    "daemon": "(setsid sh -c 'sleep 1000 & sleep 1000' &) ; echo up; sleep 1000",
    "bare session": "env -i setsid sleep 1000 & echo up; wait",
    "bare child": "env -i sleep 1000 & echo up; exit 0",
    "deaf": "trap '' TERM; (setsid sleep 1000 &); sleep 1000 & echo up; sleep 1000; sleep 1000",
    "orphan": "(setsid sleep 1000 &) ; sleep 1000 & echo up; exit 0",
}


def grown(child: Child) -> list[int]:
    tree = proctree.tree(proctree.table(), child.token, set(), child.pid)
    return [row.pid for row in tree if not row.dead and row.pid != child.pid]


def settled(pids: list[int]) -> bool:
    """All have come to what they were started for: to sleep."""
    names = {proctree._slurp(f"/proc/{pid}/comm") for pid in pids}
    return bool(names) and names <= {b"sleep\n", b"sh\n"}


@pytest.mark.parametrize("kind", TREES)
async def test_the_whole_tree_ends(supervisor: Supervisor, kind: str) -> None:
    """Children, other sessions, daemons, processes without our marker, deaf ones, and those whose parent has gone."""
    child = await supervisor.spawn(shell(TREES[kind]), owner="test")
    assert await line(child) == "up"
    await eventually(lambda: settled(grown(child)))
    pids = grown(child)
    await child.end(0.3)
    assert not [pid for pid in pids if (row := proctree.look(pid)) is not None and not row.dead]
    assert not survivors(child.token.decode())


async def test_waiting_for_the_deaf_costs_nothing(supervisor: Supervisor) -> None:
    """While a grace runs the table is not read over and over: who must end is waited for by pidfd."""
    looks: list[int] = []
    take = supervisor._census.take

    async def counted() -> list[proctree.Process]:
        looks.append(1)
        return await take()

    supervisor._census.take = counted  # type: ignore[method-assign]
    child = await supervisor.spawn(shell("(trap '' TERM; setsid sleep 1000) & sleep 0.1; echo up; wait"), owner="test")
    await line(child)
    await eventually(lambda: settled(grown(child)))
    await child.end(0.5)
    assert len(looks) < 12


@pytest.mark.parametrize("way", ["end", "settle"])
async def test_who_is_amid_an_exec_is_not_left_behind(supervisor: Supervisor, way: str) -> None:
    """Its parent has gone, it left the group, and its environment cannot be read yet: it is looked at again."""
    child = await supervisor.spawn(program("daemons.py", "1", "gone"), owner="test")
    await line(child)
    await child.wait()
    (daemon,) = survivors(child.token.decode())
    take = supervisor._census.take
    looks: list[int] = []

    async def blurred() -> list[proctree.Process]:
        rows = await take()
        looks.append(1)
        for row in rows:
            if row.pid == daemon and len(looks) <= 3:
                row.spawns, row.unclear = b"", True
        return rows

    supervisor._census.take = blurred  # type: ignore[method-assign]
    if way == "settle":
        settling = asyncio.ensure_future(child.settle())
        await eventually(lambda: len(looks) > 3 or settling.done(), within=60)
        assert not settling.done()
    await child.end(0)
    assert not survivors(child.token.decode())
    assert len(looks) > 3


async def test_who_stays_amid_an_exec_does_not_hold_up_an_end(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger whose program lies on a disk that does not answer."""
    monkeypatch.setattr("sandbox_agent.supervisor.child._DOUBT", 0.05)
    child = await supervisor.spawn(shell("exit 0"), owner="test")
    stranger = await supervisor.spawn(shell("exec sleep 1000"), owner="test")
    take = supervisor._census.take

    async def blurred() -> list[proctree.Process]:
        rows = await take()
        for row in rows:
            row.unclear |= row.pid == stranger.pid
        return rows

    supervisor._census.take = blurred  # type: ignore[method-assign]
    assert await asyncio.wait_for(child.end(0), 60) == Exit(0, None)


async def test_who_flees_from_the_question_does_not_escape_the_kill(supervisor: Supervisor) -> None:
    """A process that answers SIGTERM by forking away into a new session is found again."""
    child = await supervisor.spawn(program("respawn.py"), owner="test")
    await line(child)
    await child.end(0.3)
    assert not survivors(child.token.decode())


async def test_its_number_is_nobody_elses_until_the_tree_has_gone(supervisor: Supervisor) -> None:
    """R14: an ended child keeps its number until it is ended for good, so no signal can go astray."""
    child = await supervisor.spawn(shell("exit 0"), owner="test")
    await child.wait()
    row = proctree.look(child.pid)
    assert row is not None
    assert row.dead
    await child.end()
    assert proctree.look(child.pid) is None
    child.signal(signal.SIGKILL)  # nothing happens


async def test_ending_twice_is_ending_once(supervisor: Supervisor) -> None:
    child = await supervisor.spawn(shell("exit 3"), owner="test")
    await child.wait()
    assert await child.end() == Exit(3, None)
    assert await child.end() == Exit(3, None)


async def test_an_exit_taken_by_somebody_else_does_not_hang(supervisor: Supervisor) -> None:
    """Another part of the process may reap everything it finds; the child still counts as ended."""
    child = await supervisor.spawn(shell("echo up; cat"), owner="test")
    await line(child)
    child.close_stdin()
    os.waitpid(child.pid, 0)  # noqa: ASYNC222  # before the loop can look
    assert await child.end() == Exit(255, None)
