"""The supervisor: spawning, isolation, and nothing left behind whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.supervisor import Command, PipeReader, SpawnFailed, Supervisor, proctree

from .conftest import PROGRAMS, descriptors, eventually, line, output, program, shell, survivors

if TYPE_CHECKING:
    from pathlib import Path

AS_SERVER = (sys.executable, str(PROGRAMS / "as_server.py"))
AS_PID_1 = ("unshare", *(() if os.geteuid() == 0 else ("--map-root-user",)), "--pid", "--fork", "--mount-proc")
ways = pytest.mark.parametrize(
    ("wrap", "adopt"),
    [
        pytest.param((), "adopt", id="standalone"),
        pytest.param((), "guest", id="guest"),
        pytest.param(AS_PID_1, "adopt", id="pid1"),
        pytest.param(AS_PID_1, "guest", id="guest-pid1"),
    ],
)


def run(wrap: tuple[str, ...], *args: str) -> dict[str, Any]:
    done = subprocess.run([*wrap, *AS_SERVER, *args], capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["pid"] == 1) == bool(wrap)
    return found


async def test_children_are_listed_until_they_are_ended(supervisor: Supervisor) -> None:
    child = await supervisor.spawn(shell("exit 0"), owner="me")
    assert supervisor.children() == [child]
    assert child.owner == "me"
    await child.end()
    assert supervisor.children() == []


async def test_directory_environment_and_arguments_are_the_commands(supervisor: Supervisor, tmp_path: Path) -> None:
    command = Command(("sh", "-c", 'pwd; echo "$1 $HELLO"', "sh", "a  b"), env={"HELLO": "hi"}, cwd=str(tmp_path))
    child = await supervisor.spawn(command, owner="test")
    assert await output(child) == f"{tmp_path}\na  b hi\n".encode()


async def test_a_child_leads_its_own_session_and_group(supervisor: Supervisor) -> None:
    child = await supervisor.spawn(shell("cat"), owner="test")
    row = proctree.look(child.pid)
    assert row is not None
    assert row.sid == row.pgrp == child.pid


async def test_no_child_inherits_a_descriptor(supervisor: Supervisor, tmp_path: Path) -> None:
    """R30: sockets, files, terminals and other children's pipes stay ours, those marked inheritable as well."""
    other = await supervisor.spawn(shell("cat"), owner="other")
    with socket.socket() as listener, (tmp_path / "file").open("w") as file:
        terminal = os.openpty()
        for fd in (listener.fileno(), file.fileno(), other.stdin_fd, *terminal):
            os.set_inheritable(fd, True)
        child = await supervisor.spawn(Command(("ls", "/proc/self/fd")), owner="test")
        seen = (await output(child)).split()
        for fd in terminal:
            os.close(fd)
    assert seen == [b"0", b"1", b"2", b"3"]  # 3 is the folder that ls reads


async def test_the_servers_token_is_not_in_a_childs_environment(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_AGENT_TOKEN", "s3cret-token")
    child = await supervisor.spawn(shell("env"), owner="test")
    assert b"s3cret-token" not in await output(child)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (Command(("/no/such/program",)), FileNotFoundError),
        (Command(("sh",), cwd="/no/such/folder"), FileNotFoundError),
        (Command(("/etc",)), PermissionError),
    ],
)
async def test_what_cannot_start_is_told_and_leaves_nothing(
    supervisor: Supervisor, command: Command, error: type[OSError]
) -> None:
    await supervisor.spawn(shell("cat"), owner="first, so that the keeper runs")
    before = descriptors()
    with pytest.raises(SpawnFailed, match="cannot start") as caught:
        await supervisor.spawn(command, owner="test")
    assert isinstance(caught.value.error, error)
    assert descriptors() == before
    assert len(supervisor.children()) == 1


async def test_a_stopped_supervisor_starts_nothing(supervisor: Supervisor) -> None:
    await supervisor.stop()
    with pytest.raises(SpawnFailed, match="stopped"):
        await supervisor.spawn(shell("true"), owner="test")


async def test_stopping_ends_all_children_at_once(supervisor: Supervisor) -> None:
    """Deaf ones too: the graces run side by side, not one after another."""
    children = [
        await supervisor.spawn(shell("trap '' TERM; echo up; while :; do sleep 0.1; done"), owner="test")
        for _ in range(10)
    ]
    for child in children:
        assert await line(child) == "up"
    await asyncio.wait_for(supervisor.stop(0.3), 60)
    assert {child.exit.signal for child in children if child.exit} == {signal.SIGKILL}
    assert not survivors(supervisor._instance)


async def test_a_hundred_spawns_and_ends_leave_no_descriptor(supervisor: Supervisor) -> None:
    children = [await supervisor.spawn(shell("cat"), owner="test") for _ in range(100)]
    await asyncio.gather(*(child.end() for child in children))
    for child in children:
        child.close_fds()
    assert not survivors(supervisor._instance + ".1")
    assert supervisor.children() == []


async def test_spawning_works_off_the_main_thread() -> None:
    """Jupyter and the tests of others may run the loop in any thread."""
    result: list[bytes] = []

    async def work() -> None:
        supervisor = Supervisor()
        await supervisor.start()
        child = await supervisor.spawn(shell("echo hi"), owner="test")
        result.append(await output(child))
        child.close_fds()
        await supervisor.stop()

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    await asyncio.to_thread(thread.join, 20)
    assert result == [b"hi\n"]


async def printed(supervisor: Supervisor) -> bytes:
    """Run `printf x`; what was in its pipe at the moment its exit was known."""
    child = await supervisor.spawn(Command(("printf", "x")), owner="test", stdin=False)
    got = bytearray()
    reader = PipeReader(child.stdout_fd, got.extend)
    reader.pause()
    await child.wait()
    assert reader.drain()
    await child.end()
    child.close_fds()
    return bytes(got)


@pytest.mark.slow
async def test_no_output_is_lost_at_exit(supervisor: Supervisor, scale: float) -> None:
    """R21: so many runs of `printf x`, so many x."""
    for _ in range(int(25 * scale)):
        assert await asyncio.gather(*(printed(supervisor) for _ in range(20))) == [b"x"] * 20


@pytest.mark.slow
@pytest.mark.parametrize("stay", ["stay", "exit"])
@ways
def test_daemons_are_ended_with_their_child_and_reaped(
    wrap: tuple[str, ...], adopt: str, stay: str, scale: float
) -> None:
    """R13: forked twice, by the hundred (10,000 at scale 50); none is left alive or dead, as PID 1 and not."""
    count = int(200 * scale)
    found = run(wrap, "end", adopt, str(count), stay)
    assert found["before"] > count
    assert (found["alive"], found["dead"], found["left"]) == (0, 0, 0)


@pytest.mark.parametrize("wrap", [(), AS_PID_1], ids=["standalone", "pid1"])
def test_orphans_that_end_by_themselves_are_reaped(wrap: tuple[str, ...], scale: float) -> None:
    """R13: what is re-parented to us and dies leaves no zombie while the server runs."""
    found = run(wrap, "reap", "adopt", str(int(50 * scale)))
    assert found["adopted"] == int(50 * scale)
    assert found["left"] == 0


def test_what_a_dead_child_left_unmarked_ends_with_the_server() -> None:
    """A daemon that took off its marker, whose parents are gone: only the adopting server still knows it."""
    found = run((), "unmarked", "adopt")
    assert found["adopted"] == 1
    assert found["left"] == 0


@pytest.mark.parametrize("adopt", ["adopt", "guest"])
async def test_nothing_outlives_a_killed_server(adopt: str) -> None:
    """R23: SIGKILL to the server; its children, deaf ones and daemons, go as well."""
    server = await asyncio.create_subprocess_exec(*AS_SERVER, "leave", adopt, stdout=subprocess.PIPE)
    assert server.stdout is not None
    found = json.loads(await server.stdout.readline())
    instance = found["instance"]
    assert len(survivors(instance)) > 20
    server.kill()
    await server.wait()
    await eventually(lambda: not survivors(instance))
    keepers = [row for row in proctree.table() if instance.encode() in proctree._slurp(f"/proc/{row.pid}/cmdline")]
    assert not [row for row in keepers if not row.dead] or await gone(instance)


async def gone(instance: str) -> bool:
    """The keeper itself leaves when it has found nobody any more."""

    def keeping() -> bool:
        mark = instance.encode()
        return any(mark in proctree._slurp(f"/proc/{row.pid}/cmdline") for row in proctree.table())

    await eventually(lambda: not keeping())
    return True


async def test_a_keeper_that_was_killed_is_replaced_at_the_next_spawn(supervisor: Supervisor) -> None:
    await supervisor.spawn(shell("cat"), owner="test")
    first = supervisor._keeper
    assert first is not None
    first.kill()
    first.wait()
    await supervisor.spawn(shell("cat"), owner="test")
    assert supervisor._keeper is not None
    assert supervisor._keeper.poll() is None


def test_the_keeper_lives_through_interrupts(tmp_path: Path) -> None:
    """Ctrl-C and a service manager's SIGTERM go to the server; the keeper stays until the server has gone."""
    keeper = subprocess.Popen([sys.executable, "-I", "-S", proctree.__file__, "none."], stdin=subprocess.PIPE)
    assert keeper.stdin is not None
    with keeper.stdin:
        while b"proctree" not in proctree._slurp(f"/proc/{keeper.pid}/cmdline") or not ignores(keeper.pid):
            assert keeper.poll() is None
        keeper.send_signal(signal.SIGTERM)
        keeper.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            keeper.wait(0.1)
    assert keeper.wait(60) == 0


def ignores(pid: int) -> bool:
    status = proctree._slurp(f"/proc/{pid}/status").decode()
    mask = next(int(row.split()[1], 16) for row in status.splitlines() if row.startswith("SigIgn"))
    return bool(mask >> (signal.SIGTERM - 1) & 1) and bool(mask >> (signal.SIGHUP - 1) & 1)


def test_program_helper_starts_python() -> None:
    assert program("daemons.py").argv[0] == sys.executable
