"""Commands that are waited for."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.problems import InvalidRequest
from sandbox_agent.wire.processes import ProcessConfigRequest, ProcessRunRequest

from ..support.pids import alive
from .conftest import eventually, ran

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.processes import Processes


async def test_a_command_is_run_to_its_end(processes: Processes) -> None:
    """Both outputs and the exit code come back."""
    result = await ran(processes, "echo out; echo err >&2; exit 3")
    assert (result.stdout, result.stderr, result.exit_code, result.signal) == ("out\n", "err\n", 3, None)
    assert (result.timed_out, result.stdout_truncated, result.stderr_truncated) == (False, False, False)


async def test_a_signal_is_told_instead_of_a_code(processes: Processes) -> None:
    result = await ran(processes, "kill -9 $$")
    assert (result.exit_code, result.signal, result.timed_out) == (None, 9, False)


async def test_its_input_is_closed(processes: Processes) -> None:
    """A command that reads comes to an end at once."""
    assert (await ran(processes, "cat; echo end")).stdout == "end\n"


async def test_output_that_is_no_text_is_replaced(processes: Processes) -> None:
    assert (await ran(processes, r"printf 'a\377b'")).stdout == "a�b"


async def test_output_is_cut_at_the_limit_and_that_is_said(processes: Processes) -> None:
    """Each output by itself, and the command is not held up by what is thrown away."""
    result = await ran(processes, "head -c 3000000 /dev/zero; echo abc >&2", max_output_bytes=3)
    assert (result.stdout, result.stdout_truncated) == ("\0\0\0", True)
    assert (result.stderr, result.stderr_truncated) == ("abc", True)
    assert result.exit_code == 0
    exact = await ran(processes, "printf abc", max_output_bytes=3)
    assert (exact.stdout, exact.stdout_truncated) == ("abc", False)


async def test_the_limit_of_the_server_is_not_passed(processes: Processes) -> None:
    processes.configure(ProcessConfigRequest(max_output_bytes=2))
    assert (await ran(processes, "printf abc", max_output_bytes=100)).stdout == "ab"
    assert (await ran(processes, "printf abc")).stdout == "ab"


async def test_at_the_time_out_the_whole_tree_goes(processes: Processes, tmp_path: Path) -> None:
    """R29: grandchildren that hold the pipes, in groups of their own, neither delay the answer nor outlive it."""
    noted = tmp_path / "pid"
    began = time.monotonic()
    result = await ran(processes, f"echo before; setsid sleep 1000 & echo $! > {noted}; wait", timeout_ms=3000)
    assert time.monotonic() - began < 60
    assert (result.timed_out, result.exit_code, result.stdout) == (True, None, "before\n")
    pid = int(noted.read_text())
    await eventually(lambda: not alive(pid))


async def test_a_command_whose_children_hold_the_pipes_is_waited_for(processes: Processes, tmp_path: Path) -> None:
    """Its children's words are its own: it is over when they are, or at the time-out."""
    late = await ran(processes, "(sleep 0.2; echo late) & echo early")
    assert (late.stdout, late.exit_code) == ("early\nlate\n", 0)
    noted = tmp_path / "pid"
    held = await ran(processes, f"sleep 1000 & echo $! > {noted}", timeout_ms=3000)
    assert (held.timed_out, held.exit_code) == (True, None)
    await eventually(lambda: not alive(int(noted.read_text())))


async def test_a_daemon_that_let_go_of_the_pipes_goes_on(processes: Processes, tmp_path: Path) -> None:
    """A server started in the background is there after the command, until the sandbox ends (the fixture looks)."""
    noted = tmp_path / "pid"
    await ran(processes, f"setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $! > {noted}")
    pid = int(noted.read_text())
    assert (await ran(processes, f"kill -0 {pid} && echo there")).stdout == "there\n"
    assert alive(pid)


async def test_time_outs_are_the_limits_at_most(processes: Processes) -> None:
    """Without one the default counts; more than the maximum is the maximum."""
    processes.configure(ProcessConfigRequest(default_run_timeout_ms=100, max_run_timeout_ms=200))
    for wanted in (None, 0, 10**9):
        result = await ran(processes, "sleep 1000", timeout_ms=wanted)
        assert result.timed_out
        assert result.duration_ms < 60_000


@pytest.mark.parametrize(
    "request_",
    [
        ProcessRunRequest(command=""),
        ProcessRunRequest(command="no-such-program"),
        ProcessRunRequest(command="/etc/passwd"),
        ProcessRunRequest(command="/"),
        ProcessRunRequest(command="true", cwd="/no/such/folder"),
        ProcessRunRequest(command="true", args=("a\0b",)),
        ProcessRunRequest(command="true", env={"A=B": "c"}),
        ProcessRunRequest(command="true", env={"": "c"}),
        ProcessRunRequest(command="true", args=("\ud800",)),
        ProcessRunRequest(command="true", args=("x" * (4 << 20),)),
    ],
    ids=["empty", "missing", "no-right", "folder", "no-cwd", "nul", "equals", "no-name", "no-text", "too-long"],
)
async def test_what_cannot_be_started_is_the_callers_fault(processes: Processes, request_: ProcessRunRequest) -> None:
    with pytest.raises(InvalidRequest):
        await processes.run(request_)


async def test_a_missing_folder_is_named(processes: Processes) -> None:
    """Not the program, which is there."""
    with pytest.raises(InvalidRequest, match="cwd /no/such/folder"):
        await processes.run(ProcessRunRequest(command="true", cwd="/no/such/folder"))


async def test_the_environment_is_an_allowed_part_and_what_was_given(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S4: what the server has is not the command's; TERM is there unless another is given."""
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    monkeypatch.setenv("TERM", "dumb")
    result = await processes.run(ProcessRunRequest(command="env", env={"GIVEN": "1"}))
    names = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert "SECRET_TOKEN" not in names
    assert (names["GIVEN"], names["TERM"], names["PATH"]) == ("1", "xterm-256color", os.environ["PATH"])
    other = await processes.run(ProcessRunRequest(command="env", env={"TERM": "vt100"}))
    assert "TERM=vt100" in other.stdout.splitlines()


async def test_a_caller_that_goes_away_ends_the_command(processes: Processes, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    task = asyncio.ensure_future(ran(processes, f"echo $$ > {noted}; exec sleep 1000"))
    await eventually(lambda: noted.exists() and noted.read_text().endswith("\n"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: not alive(int(noted.read_text())))


async def test_no_command_inherits_a_descriptor(processes: Processes) -> None:
    """R30: with others running, a command has its three streams and no more."""
    look = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
    results = await asyncio.gather(
        *(processes.run(ProcessRunRequest(command=sys.executable, args=("-c", look))) for _ in range(8))
    )
    assert {result.stdout for result in results} == {"[0, 1, 2]\n"}


async def test_no_output_is_lost_at_the_exit(processes: Processes, scale: float) -> None:
    """R21: each `printf x` gives its x, many at once; the full ten thousand by SANDBOX_AGENT_TEST_SCALE=20."""

    async def some(count: int) -> list[str]:
        request = ProcessRunRequest(command="printf", args=("x",))
        return [(await processes.run(request)).stdout for _ in range(count)]

    got = await asyncio.gather(*(some(round(63 * scale)) for _ in range(8)))
    assert {text for texts in got for text in texts} == {"x"}
