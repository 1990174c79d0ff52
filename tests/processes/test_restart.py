"""Processes that are started again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox_agent.processes import Pace, restart
from sandbox_agent.supervisor import Exit
from sandbox_agent.wire.processes import ProcessCreateRequest

from .conftest import eventually, followed, kept, script

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.processes import Processes


@pytest.mark.parametrize(
    ("policy", "exit_", "again"),
    [
        ("never", Exit(1, None), False),
        ("on_failure", Exit(0, None), False),
        ("on_failure", Exit(1, None), True),
        ("on_failure", Exit(None, 9), True),
        ("always", Exit(0, None), True),
    ],
)
def test_the_policy_decides(policy: restart.RestartPolicy, exit_: Exit, *, again: bool) -> None:
    assert restart.wanted(policy, exit_) is again


def test_pauses_grow_to_a_limit() -> None:
    pace = Pace(first=1, most=60)
    assert [pace.pause(lives) for lives in (0, 1, 2, 3, 6, 7, 1000)] == [1, 1, 2, 4, 32, 60, 60]


async def test_it_is_started_again_until_it_succeeds(processes: Processes, tmp_path: Path) -> None:
    """One log over all lives, with numbers that go on; how often is told."""
    count = tmp_path / "count"
    text = f"echo life >> {count}; echo hi; [ $(wc -l < {count}) = 3 ]"
    process = await processes.start(script(text, restart_policy="on_failure"))
    data, _ = await followed(process.log)
    assert data == b"hi\nhi\nhi\n"
    info = process.info()
    assert (info.status, info.exit_code, info.restarts, info.restart_policy) == ("exited", 0, 2, "on_failure")


async def test_stop_ends_the_starting_again(processes: Processes) -> None:
    """Also in a pause between two lives, where it has no number and counts as running."""
    process = await processes.start(script("exit 1", restart_policy="always"))
    await eventually(lambda: process.restarts >= 3)
    await processes.stop(process.id, 60_000)
    assert not process.running
    lives = process.restarts
    assert (process.info().status, process.info().pid) == ("exited", None)
    await processes.delete(process.id)
    assert process.restarts == lives


async def test_nothing_of_a_life_is_left_in_the_next(processes: Processes, tmp_path: Path) -> None:
    """What the last life left running is ended before the next begins: only one holds the port."""
    held = tmp_path / "held"
    look = f"[ -e {held} ] && grep -q sleep /proc/$(cat {held})/cmdline 2>/dev/null && echo still"
    text = f"{look}; sleep 1000 & echo $! > {held}; exit 1"
    process = await processes.start(script(text, restart_policy="always"))
    await eventually(lambda: process.restarts >= 3)
    await processes.kill(process.id, 60_000)
    assert await kept(process.log) == b""


async def test_a_program_that_is_gone_is_tried_again(processes: Processes, tmp_path: Path) -> None:
    """That it could not be started is in the log, and counts as a failure."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nrm {program}\nexit 1\n")
    program.chmod(0o755)
    process = await processes.start(ProcessCreateRequest(command=str(program), restart_policy="on_failure"))
    await eventually(lambda: process.restarts >= 2)
    await processes.stop(process.id, 60_000)
    assert process.exit == Exit(127, None)
    assert b"No such file or directory" in await kept(process.log)
