"""Managed processes: their lives, their input, their ends."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.problems import Conflict, InvalidRequest, NotFound, PayloadTooLarge, Timeout
from sandbox_agent.supervisor import Exit
from sandbox_agent.wire.processes import ProcessConfigRequest, ProcessCreateRequest

from ..support.pids import alive
from .conftest import eventually, followed, kept, marked, opened, said, script

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandbox_agent.processes import Processes
    from sandbox_agent.supervisor import Child, Usage

STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.05; done"


async def test_a_process_is_told_as_it_is(processes: Processes) -> None:
    """Running with a number, then ended with a code and a time."""
    process = await processes.start(script("echo hi; exit 4", interactive=True, cwd="/"))
    info = process.info()
    assert (info.id, info.command, info.args) == ("proc_1", "sh", ("-c", "echo hi; exit 4"))
    assert (info.tty, info.interactive, info.owner, info.cwd) == (False, True, "user", "/")
    assert await process.wait() == Exit(4, None)
    info = process.info()
    assert (info.status, info.exit_code, info.signal, info.pid) == ("exited", 4, None, None)
    assert info.exited_at_ms is not None
    assert await kept(process.log) == b"hi\n"


async def test_processes_are_listed_by_creation_and_by_owner(processes: Processes) -> None:
    """The tenth comes after the ninth, not after the first."""
    for number in range(11):
        await processes.start(script("true"), owner="desktop" if number % 2 else "user")
    assert [process.id for process in processes.list()] == [f"proc_{n}" for n in range(1, 12)]
    assert [process.id for process in processes.list("desktop")] == [f"proc_{n}" for n in range(2, 12, 2)]


async def test_what_a_process_says_is_in_its_log_when_it_has_ended(processes: Processes, scale: float) -> None:
    """R21 for managed processes, some at once."""
    for _ in range(round(5 * scale)):
        some = [await processes.start(ProcessCreateRequest(command="printf", args=("x",))) for _ in range(20)]
        for process in some:
            await process.wait()
            assert await kept(process.log) == b"x"
            await processes.delete(process.id)


async def test_input_reaches_it_in_order(processes: Processes) -> None:
    process = await processes.start(ProcessCreateRequest(command="cat"))
    words = [b"%d " % number for number in range(50)]
    assert sum(await asyncio.gather(*(processes.input(process.id, word) for word in words))) == len(b"".join(words))
    assert await processes.input(process.id, b"end", eof=True) == 3
    await process.wait()
    assert await kept(process.log) == b"".join(words) + b"end"


async def test_input_after_the_end_is_a_conflict(processes: Processes) -> None:
    process = await processes.start(script("true"))
    await process.wait()
    with pytest.raises(Conflict):
        await processes.input(process.id, b"x")
    deaf = await processes.start(script("exec <&-; echo deaf; exec sleep 1000"))
    await said(deaf, b"deaf")
    with pytest.raises(Conflict):
        await processes.input(deaf.id, b"x")


async def test_input_above_the_limit_is_refused(processes: Processes) -> None:
    process = await processes.start(ProcessCreateRequest(command="cat"))
    with pytest.raises(PayloadTooLarge):
        await processes.input(process.id, bytes((64 << 10) + 1))
    assert await processes.input(process.id, bytes(64 << 10)) == 64 << 10


async def test_a_process_that_does_not_read_holds_up_nobody() -> None:
    """R28: its input answers by the deadline and says how much was taken; all else goes on meanwhile."""
    async with opened(input_deadline=0.3) as processes:
        deaf = await processes.start(ProcessCreateRequest(command="sleep", args=("1000",)))
        other = await processes.start(ProcessCreateRequest(command="cat"))
        processes.configure(ProcessConfigRequest(max_input_bytes_per_request=1 << 20))
        sending = asyncio.ensure_future(processes.input(deaf.id, bytes(1 << 20)))
        assert await processes.input(other.id, b"x") == 1
        await said(other, b"x")
        assert [info.status for info in await processes.infos()] == ["running", "running"]
        with pytest.raises(Timeout) as failed:
            await sending
        taken = failed.value.extensions["bytesWritten"]
        assert 0 < taken < 1 << 20
        with pytest.raises(Timeout):  # what was not taken is not there either
            await processes.input(deaf.id, b"more")
        await processes.kill(deaf.id, 60_000)
        assert not deaf.running


async def test_input_that_waits_learns_of_the_end() -> None:
    async with opened(input_deadline=60) as processes:
        processes.configure(ProcessConfigRequest(max_input_bytes_per_request=1 << 20))
        deaf = await processes.start(ProcessCreateRequest(command="sleep", args=("1000",)))
        sending = asyncio.ensure_future(processes.input(deaf.id, bytes(1 << 20)))
        await asyncio.sleep(0)
        await processes.kill(deaf.id)
        with pytest.raises(Conflict):
            await sending


async def test_stop_asks_and_kill_does_not(processes: Processes) -> None:
    """SIGTERM may be heeded, refused and asked again; SIGKILL ends."""
    polite = await processes.start(script("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"))
    await said(polite, b"up")
    await processes.stop(polite.id, 60_000)
    assert polite.exit == Exit(7, None)
    assert (await kept(polite.log)).endswith(b"bye\n")
    stubborn = await processes.start(script(STUBBORN))
    await said(stubborn, b"up")
    for _ in range(2):
        await processes.stop(stubborn.id, 50)
        assert stubborn.running
    await processes.kill(stubborn.id, 60_000)
    assert stubborn.exit == Exit(None, signal.SIGKILL)


async def test_a_second_stop_asks_again(processes: Processes) -> None:
    second = "n=0; trap 'n=$((n+1)); echo asked; [ $n = 2 ] && exit 5' TERM; echo up; while :; do sleep 0.05; done"
    process = await processes.start(script(second))
    await said(process, b"up")
    await processes.stop(process.id, 0)
    await said(process, b"asked")
    await processes.stop(process.id, 60_000)
    assert process.exit == Exit(5, None)


async def test_the_whole_tree_goes(processes: Processes, tmp_path: Path) -> None:
    """R13: so do daemons that have left group and session, by one call."""
    noted = tmp_path / "pids"
    daemons = f"for i in 1 2 3; do (setsid sleep 1000 & echo $! >> {noted}) ; done; echo up; exec sleep 1000"
    for end in (processes.stop, processes.kill):
        noted.unlink(missing_ok=True)
        process = await processes.start(script(daemons))
        await said(process, b"up")
        await end(process.id, 60_000)
        pids = [int(line) for line in noted.read_text().split()]
        assert len(pids) == 3
        await eventually(lambda: not any(map(alive, pids)))  # noqa: B023  awaited at once


async def test_a_fork_bomb_is_ended_by_one_call(processes: Processes) -> None:
    """R12: four hundred processes that each replace themselves without end; the service answers all the while."""
    bomb = (
        "import os, time\n"
        "for _ in range(400):\n"
        "    if os.fork() == 0:\n"
        "        while True:\n"
        "            if os.fork(): os._exit(0)\n"
        "            time.sleep(0.05)\n"
        "print('lit', flush=True)\n"
        "time.sleep(1000)\n"
    )
    process = await processes.start(ProcessCreateRequest(command=sys.executable, args=("-c", bomb)))
    await said(process, b"lit")
    assert (await processes.info(process.id)).status == "running"
    await processes.kill(process.id, 60_000)
    assert not process.running
    instance = processes._supervisor._instance
    await eventually(lambda: not marked(instance))


async def test_what_a_process_leaves_running_goes_with_its_record(processes: Processes, tmp_path: Path) -> None:
    """A daemon outlives the process that started it, which is told as ended, and not its deletion."""
    noted = tmp_path / "pid"
    process = await processes.start(script(f"setsid sleep 1000 >/dev/null 2>&1 & echo $! > {noted}; exit 0"))
    await process.wait()
    pid = int(noted.read_text())
    assert alive(pid)
    await processes.delete(process.id)
    await eventually(lambda: not alive(pid))


async def test_late_words_are_in_the_log(processes: Processes, tmp_path: Path) -> None:
    """A child that writes on after the exit: followers hear it for a while, and the log has it at any time."""
    go = tmp_path / "go"
    process = await processes.start(script(f"(until [ -e {go} ]; do sleep 0.02; done; echo late) & echo early; exit 3"))
    assert await process.wait() == Exit(3, None)
    assert process.info().status == "exited"
    data, _ = await followed(process.log)  # it ends though the pipe is still held
    assert data == b"early\n"
    go.touch()
    async with asyncio.timeout(60):
        while await kept(process.log) != b"early\nlate\n":  # noqa: ASYNC110  it sets no event of ours
            await asyncio.sleep(0.01)


async def test_a_running_process_is_not_deleted(processes: Processes) -> None:
    process = await processes.start(ProcessCreateRequest(command="sleep", args=("1000",)))
    with pytest.raises(Conflict):
        await processes.delete(process.id)
    await processes.kill(process.id, 60_000)
    await processes.delete(process.id)
    for use in (processes.delete, processes.kill, processes.stop, processes.info):
        with pytest.raises(NotFound):
            await use(process.id)


async def test_no_more_run_than_may(processes: Processes) -> None:
    """Those that have ended do not count, nor do those that could not be started."""
    processes.configure(ProcessConfigRequest(max_concurrent_processes=2))
    with pytest.raises(InvalidRequest):
        await processes.start(ProcessCreateRequest(command="no-such-program"))
    first = await processes.start(ProcessCreateRequest(command="sleep", args=("1000",)))
    await processes.start(ProcessCreateRequest(command="sleep", args=("1000",)))
    with pytest.raises(Conflict, match="the limit"):
        await processes.start(script("true"))
    await processes.kill(first.id, 60_000)
    await processes.start(script("true"))


async def test_a_default_above_the_maximum_is_the_maximum(processes: Processes) -> None:
    """Whichever of the two was changed; what is not given stays."""
    before = processes.config
    assert processes.configure(ProcessConfigRequest()) == before
    config = processes.configure(ProcessConfigRequest(default_run_timeout_ms=10**9))
    assert config.default_run_timeout_ms == config.max_run_timeout_ms == before.max_run_timeout_ms
    config = processes.configure(ProcessConfigRequest(max_run_timeout_ms=500))
    assert (config.default_run_timeout_ms, config.max_run_timeout_ms) == (500, 500)
    assert config.max_output_bytes == before.max_output_bytes


async def test_what_it_uses_is_told_while_it_runs(processes: Processes) -> None:
    """Of the whole tree: processor time that grows, memory, how many."""
    process = await processes.start(script("(while :; do :; done) & echo up; wait"))
    await said(process, b"up")
    async with asyncio.timeout(60):
        while not (  # noqa: ASYNC110
            (usage := (await processes.info(process.id)).usage) and usage.cpu_seconds > 0 and usage.processes > 1
        ):
            await asyncio.sleep(0.01)
    assert usage.memory_bytes > 100_000
    async with asyncio.timeout(60):
        while (await processes.infos())[0].usage is None:  # on a busy machine it may be left out
            pass
    await processes.kill(process.id, 60_000)
    assert (await processes.info(process.id)).usage is None


async def test_asking_often_does_not_read_the_process_table_often(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured is told again for a while, of each process; of one that is new at once."""
    monkeypatch.setattr("sandbox_agent.processes.service.USAGE_FRESH_S", 1000.0)
    monkeypatch.setattr("sandbox_agent.processes.service._USAGE_WAIT_S", 60.0)
    measured: list[int] = []
    usage = processes._supervisor.usage

    async def counted(children: Sequence[Child]) -> list[Usage]:
        measured.append(len(children))
        return await usage(children)

    monkeypatch.setattr(processes._supervisor, "usage", counted)
    first = await processes.start(script("sleep 1000"))
    told = [(await processes.info(first.id)).usage for _ in range(5)]
    assert told[0] is not None
    assert told == [told[0]] * 5
    second = await processes.start(script("sleep 1000"))
    assert [info.usage is not None for info in await processes.infos()] == [True, True]
    assert measured == [1, 1]
    for process in (first, second):
        await processes.kill(process.id, 60_000)


async def test_a_stopped_service_leaves_nothing(tmp_path: Path) -> None:
    """R23: whatever they are doing, and however they behave; the fixture looks for what is left."""
    async with opened() as processes:
        for text in (STUBBORN, "setsid sleep 1000 & exit 0", "sleep 1000 | cat", "exit 1", "cat"):
            await processes.start(script(text))
        again = await processes.start(script("exit 1", restart_policy="always"))
        await eventually(lambda: again.restarts > 2)


async def test_many_come_and_go_without_a_trace(processes: Processes, scale: float) -> None:
    """R23: no descriptor, no child and no memory of a process is left once it was deleted."""
    for _ in range(round(10 * scale)):
        some = [await processes.start(script("echo hi; sleep 1000 & exit 0")) for _ in range(10)]
        for process in some:
            await process.wait()
            await processes.delete(process.id)
    assert not processes.list()
    assert not processes._supervisor.children()
