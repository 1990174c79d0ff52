"""The fork server: what it makes is as if it had been started the usual way, and nobody notices when it cannot."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.supervisor import Command, SpawnFailed, proctree
from sandbox_agent.supervisor.pty import Spawned

from .conftest import PROGRAMS, descriptors, eventually, line, output, shell, survivors
from .test_service import AS_SERVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.supervisor import Child, Supervisor

PROGRAM = str(PROGRAMS / "forked.py")
INTERPRETER = (sys.executable, "-I", "-S", "-E")


def ready(*args: str, **more: Any) -> Command:
    return Command((*INTERPRETER, PROGRAM, *args), program=PROGRAM, **more)


def plain(*args: str, **more: Any) -> Command:
    return Command((*INTERPRETER, PROGRAM, *args), **more)


def forked(child: Child) -> bool:
    return isinstance(child._process, Spawned)


async def told(supervisor: Supervisor, command: Command) -> dict[str, Any]:
    child = await supervisor.spawn(command, owner="test")
    found: dict[str, Any] = json.loads(await line(child))
    assert found["prepared"] == (command.program is not None) == forked(child)
    assert found["ids"] == [os.getpid(), child.pid, child.pid, child.pid]
    await child.end(0.2)
    return found


async def test_a_fork_is_what_a_plain_start_would_be(supervisor: Supervisor, tmp_path: Path) -> None:
    """Arguments, environment (its own and as /proc shows it), folder, session, parent, descriptors, signals."""
    env = {"KEY": "välue = \udcff", "EMPTY": "", "LONG": "x" * 20_000}
    details: dict[str, Any] = {"env": env, "cwd": str(tmp_path)}
    usual = await told(supervisor, plain("a  b", "", **details))
    fork = await told(supervisor, ready("a  b", "", **details))
    for found, token in ((usual, "1/"), (fork, "2/")):
        marker = f"{supervisor._instance}.{token}"
        assert found["env"].pop("SANDBOX_AGENT_SPAWN").endswith(marker)
        found["shown"] = [word for word in found["shown"] if not word.endswith(marker)]
    assert fork | {"ids": 0, "prepared": 0} == usual | {"ids": 0, "prepared": 0}
    assert fork["fds"][:3] == ["0", "1", "2"]
    assert fork["thread"]


async def test_the_next_one_knows_nothing_of_the_keys_of_the_one_before(supervisor: Supervisor) -> None:
    """One interpreter serves all; what it was told for one child is gone when the next is made."""
    secret = "s3cret" + "!" * 500
    await told(supervisor, ready(env={"KEY": secret}))
    child = await supervisor.spawn(ready(), owner="test")
    await line(child)
    assert secret[:50].encode() not in memory(supervisor._forks.pid)
    assert secret[:50].encode() not in memory(child.pid)


def memory(pid: int) -> bytes:
    """All that a process has written to its memory."""
    found = bytearray()
    folder = Path(f"/proc/{pid}")
    with (folder / "maps").open() as maps, (folder / "mem").open("rb", 0) as mem:
        for row in maps:
            span, rights, *_ = row.split()
            if rights.startswith("rw"):
                begin, end = (int(at, 16) for at in span.split("-"))
                mem.seek(begin)
                found += mem.read(end - begin)
    return bytes(found)


async def test_it_ends_like_any_program(supervisor: Supervisor) -> None:
    """Its exit code, its signal and its last words are told; it is reaped."""
    for word, code, signum, said in (("fail", 1, None, b"told to fail\n"), ("raise", None, signal.SIGSEGV, b"")):
        child = await supervisor.spawn(ready(), owner="test")
        await line(child)
        os.write(child.stdin_fd, word.encode() + b"\n")
        ended = await child.wait()
        assert (ended.code, ended.signal) == (code, signum)
        assert os.read(child.stderr_fd, 99) == said if said else True
        await child.end()
        assert proctree.look(child.pid) is None
    assert supervisor.children() == []


async def test_its_tree_ends_with_it(supervisor: Supervisor) -> None:
    child = await supervisor.spawn(ready(), owner="test")
    await line(child)
    fork_server = supervisor._forks.pid
    await child.end(0.1)
    assert child.exit is not None
    assert child.exit.signal == signal.SIGTERM
    assert survivors(supervisor._instance) == [fork_server]  # which is none of its tree


async def test_many_at_once_share_one_interpreter(supervisor: Supervisor) -> None:
    children = await asyncio.gather(*(supervisor.spawn(ready(str(n)), owner="test") for n in range(30)))
    found = [json.loads(await line(child)) for child in children]
    assert [one["argv"] for one in found] == [[str(n)] for n in range(30)]
    assert all(forked(child) for child in children)
    assert len(survivors(f"{supervisor._instance}.0/")) == 1
    await asyncio.gather(*(child.end() for child in children))


async def test_pipes_end_with_the_child(supervisor: Supervisor) -> None:
    """The fork server keeps no copy of them, nor does the next child."""
    first = await supervisor.spawn(ready(), owner="test")
    second = await supervisor.spawn(ready(), owner="test")
    first.close_stdin()
    assert json.loads(await output(first))["prepared"]
    assert second.exit is None


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
async def test_one_that_died_is_replaced(supervisor: Supervisor, signum: int) -> None:
    """The launch that finds it dead goes the usual way, the next one has a new one."""
    before = descriptors()
    assert forked(await supervisor.spawn(ready(), owner="test"))
    process = supervisor._forks._process
    assert process is not None
    process.send_signal(signum)
    await asyncio.to_thread(process.wait)
    for expected in (False, True):
        child = await supervisor.spawn(ready(), owner="test")
        assert json.loads(await line(child))["prepared"] is expected
    for child in supervisor.children():
        await child.end(0.1)
        child.close_fds()
    await supervisor.stop()
    assert descriptors() <= before


async def test_one_that_does_not_answer_holds_nobody_up(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped by somebody: it is ended, and the program starts the usual way."""
    monkeypatch.setattr("sandbox_agent.supervisor.forkserver._PATIENCE", 0.05)
    await supervisor.spawn(ready(), owner="test")
    process = supervisor._forks._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    assert not forked(await supervisor.spawn(ready(), owner="test"))
    assert forked(await supervisor.spawn(ready(), owner="test"))
    await eventually(lambda: proctree.look(process.pid) is None, 60)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(lambda: ready(env={"LC_ALL": "C"}), id="locale"),
        pytest.param(lambda: ready(env={"BIG": "x" * 70_000}), id="size"),
        pytest.param(lambda: Command((sys.executable, "-I", PROGRAM), program=PROGRAM), id="interpreter"),
    ],
)
async def test_what_wants_an_interpreter_of_its_own_gets_one(
    supervisor: Supervisor, command: Callable[[], Command]
) -> None:
    await supervisor.spawn(ready(), owner="test")
    child = await supervisor.spawn(command(), owner="test")
    assert not json.loads(await line(child))["prepared"]
    assert forked(await supervisor.spawn(ready(), owner="test"))


async def test_a_folder_that_is_not_there_is_told(supervisor: Supervisor) -> None:
    """As for any program; the fork server goes on."""
    before = await supervisor.spawn(ready(), owner="test")
    with pytest.raises(SpawnFailed) as caught:
        await supervisor.spawn(ready(cwd="/no/such/folder"), owner="test")
    assert isinstance(caught.value.error, FileNotFoundError)
    after = await supervisor.spawn(ready(), owner="test")
    assert forked(before)
    assert forked(after)


@pytest.mark.parametrize("fault", ["import sys; sys.exit(1)", "import os, signal; os.kill(os.getpid(), 9)"])
async def test_where_none_works_programs_start_the_usual_way(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """One try for the life of the server: no other follows one that never made a child."""
    broken = tmp_path / "forker.py"
    broken.write_text(fault)
    monkeypatch.setattr("sandbox_agent.supervisor.forkserver._FORKER", str(broken))
    for _ in range(2):
        child = await supervisor.spawn(ready(), owner="test")
        assert not json.loads(await line(child))["prepared"]
        broken.write_text("no Python: nobody runs it")
    assert not supervisor._forks._works
    assert supervisor._forks.pid == 0


async def test_nobody_else_starts_one(supervisor: Supervisor) -> None:
    await supervisor.spawn(shell("cat"), owner="test")
    await supervisor.spawn(plain(), owner="test")
    assert supervisor._forks.pid == 0


async def test_it_ends_with_a_killed_server() -> None:
    """SIGKILL: neither it nor what it made is left."""
    server = await asyncio.create_subprocess_exec(*AS_SERVER, "forks", "guest", PROGRAM, stdout=subprocess.PIPE)
    assert server.stdout is not None
    instance = json.loads(await server.stdout.readline())["instance"]
    assert len(survivors(instance)) == 3
    server.kill()
    await server.wait()
    await eventually(lambda: not survivors(instance), 60)
