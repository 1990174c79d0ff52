"""Processes and commands through both SDKs, on the real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent import (
    CommandFailed,
    Conflict,
    InvalidRequest,
    LogEntry,
    NotFound,
    ProcessTimeout,
)

from ..support.safe_html import faults
from ..support.server import poll
from .cutter import Cutter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..support.server import Server

DEADLINE = 60.0


@pytest.fixture
def processes(agent: Any) -> Iterator[Any]:
    """The processes of the server; those that a test started are gone after it."""
    yield agent.processes
    for info in agent.processes.list():
        process = agent.processes.get(info.id)
        process.kill()
        process.delete()


class TestRun:
    def test_a_command_line_is_the_shells(self, agent: Any) -> None:
        result = agent.run("echo one; echo two >&2; exit 3")
        assert (result.stdout, result.stderr, result.exit_code, result.ok) == ("one\n", "two\n", 3, False)
        assert not result.timed_out

    def test_a_sequence_is_a_program_and_its_arguments(self, agent: Any) -> None:
        assert agent.run(["printf", "%s|", "a b", "$HOME"]).stdout == "a b|$HOME|"

    def test_no_command_at_all_is_refused(self, agent: Any) -> None:
        with pytest.raises(ValueError, match="name of a program"):
            agent.run([])
        with pytest.raises(InvalidRequest):
            agent.run(["/no/such/program"])

    def test_it_runs_where_and_with_what_it_is_told(self, agent: Any, tmp_path: Path) -> None:
        result = agent.run('pwd; echo "$COLOUR"', cwd=tmp_path, env={"COLOUR": "green"})
        assert result.stdout.splitlines() == [str(tmp_path.resolve()), "green"]

    def test_a_time_out_is_a_result(self, agent: Any) -> None:
        result = agent.run("echo begun; sleep 600", timeout=3)
        assert (result.timed_out, result.exit_code, result.stdout) == (True, None, "begun\n")

    def test_output_is_cut_where_it_is_told(self, agent: Any) -> None:
        result = agent.run("printf 1234567890", max_output_bytes=4)
        assert (result.stdout, result.stdout_truncated) == ("1234", True)

    def test_a_failure_can_be_an_error(self, agent: Any) -> None:
        """By ``check=True`` or by ``check()``; what it wrote is in the message, and all of it in the error."""
        with pytest.raises(CommandFailed, match=r"ended with 4\nbroken") as caught:
            agent.run("echo some; echo broken >&2; exit 4", check=True)
        assert caught.value.result.stdout == "some\n"
        with pytest.raises(CommandFailed, match="timed out"):
            agent.run("sleep 600", timeout=0.2).check()
        with pytest.raises(CommandFailed, match="signal 9"):
            agent.run("kill -9 $$").check()
        assert agent.run("true", check=True).ok

    def test_it_shows_itself(self, agent: Any) -> None:
        """In a notebook with its colours, on a terminal without; how it ended unless it ended well."""
        result = agent.run("printf '\\033[31mred\\033[0m <b>'; exit 2")
        html = result._repr_html_()
        assert faults(html) == []
        assert "sa-red" in html
        assert "&lt;b&gt;" in html
        assert "exit code 2" in html
        assert str(result) == "red <b>\nexit code 2"
        assert repr(result).startswith("<RunResult exit 2")
        assert "No output" in agent.run("true")._repr_html_()


class TestLogs:
    def test_lines_come_until_the_end(self, processes: Any) -> None:
        process = processes.start("for i in 1 2 3; do echo line $i; done; printf 'no end'")
        assert list(process.logs()) == ["line 1", "line 2", "line 3", "no end"]
        assert process.wait(DEADLINE).exit_code == 0
        assert process.output() == "line 1\nline 2\nline 3\nno end"

    def test_iterating_a_process_gives_its_lines(self, processes: Any) -> None:
        assert list(processes.start("echo a; echo b")) == ["a", "b"]

    def test_lines_are_there_while_it_runs(self, processes: Any) -> None:
        process = processes.start("echo first; read answer; echo $answer", interactive=True)
        lines = process.logs()
        assert next(lines) == "first"
        assert process.refresh().running
        process.send("second\n")
        assert list(lines) == ["second"]

    def test_streams_can_be_told_apart(self, processes: Any) -> None:
        process = processes.start("echo out; echo err >&2")
        process.wait(DEADLINE)
        assert list(process.logs(stream="stdout")) == ["out"]
        assert list(process.logs(stream="stderr")) == ["err"]
        assert sorted(process.logs()) == ["err", "out"]
        assert {entry.stream for entry in process.log_entries()} == {"stdout", "stderr"}

    def test_entries_are_numbered_and_hold_bytes(self, processes: Any) -> None:
        process = processes.start("printf '\\377\\376'; read x; printf later", interactive=True)
        entries = process.log_entries()
        first = next(entries)
        assert (first.sequence, first.data, first.text) == (1, b"\xff\xfe", "\ufffd\ufffd")
        assert first.timestamp_ms > 0
        process.send("\n")
        (second,) = entries
        assert isinstance(second, LogEntry)
        assert (second.sequence, second.data) == (2, b"later")
        assert [entry.sequence for entry in process.log_entries(since=1)] == [2]
        assert [entry.sequence for entry in process.log_entries(tail=1, follow=False)] == [2]
        assert repr(second) == "<LogEntry 2 stdout 5 bytes>"

    def test_those_of_now_end_with_now(self, processes: Any) -> None:
        process = processes.start("echo now; sleep 600")
        poll(lambda: list(process.logs(follow=False)) == ["now"], what="the line")
        assert process.refresh().running

    def test_what_is_gone_is_said(self, processes: Any) -> None:
        """A log is bounded: an entry that is a reset stands for those that were given up."""
        kept = processes.limits().max_log_bytes_per_process
        processes.set_limits(max_log_bytes_per_process=50_000)
        try:
            process = processes.start("for i in $(seq 60); do head -c 10000 /dev/zero; sleep 0.002; done")
            process.wait(DEADLINE)
            page = list(process.log_entries(follow=False, since=0))
            followed = list(process.log_entries(since=0))
        finally:
            processes.set_limits(max_log_bytes_per_process=kept)
        for entries in (page, followed):
            assert entries[0].is_reset
            assert entries[0].sequence + 1 == entries[1].sequence
            assert not any(entry.is_reset for entry in entries[1:])

    def test_nothing_is_lost_by_cuts(self, connect: Any, module_server: Server) -> None:
        """The connection is cut time and again; each line comes once, in order."""
        budgets = iter([2_000, 10_000, 40_000, 90_000])
        with Cutter(module_server.port, lambda: next(budgets, None)) as cutter:
            with connect(cutter.url).processes.start("seq 20000") as process:
                assert list(process.logs()) == [str(number) for number in range(1, 20_001)]
            assert cutter.cuts > 1


class TestProcess:
    def test_it_can_be_found_again(self, processes: Any) -> None:
        process = processes.start(["sleep", "600"])
        again = processes.get(process.id)
        assert again.info.command == "sleep"
        assert again.running
        assert processes.list().get(process.id).args == ("600",)
        assert processes.list(owner="user").get(process.id) is not None
        assert processes.list(owner="desktop").get(process.id) is None

    def test_an_unknown_one_is_said(self, processes: Any) -> None:
        with pytest.raises(NotFound):
            processes.get("proc_999999")

    def test_it_is_stopped_and_deleted(self, processes: Any) -> None:
        process = processes.start("sleep 600")
        with pytest.raises(Conflict):
            process.delete()
        assert process.stop(wait=DEADLINE).status == "exited"
        assert not process.running
        process.delete()
        with pytest.raises(NotFound):
            process.refresh()

    def test_one_that_does_not_listen_is_killed(self, processes: Any) -> None:
        process = processes.start("trap '' TERM; echo ready; while :; do sleep 0.05; done")
        assert next(process.logs()) == "ready"
        assert process.stop(wait=0).running
        assert process.kill(wait=DEADLINE).signal == 9
        assert process.exit_code is None

    def test_the_wait_for_it_can_end_first(self, processes: Any) -> None:
        process = processes.start("read line", interactive=True)
        with pytest.raises(ProcessTimeout) as caught:
            process.wait(0.2)
        assert caught.value.info.id == process.id
        process.send("\n")
        assert process.wait(DEADLINE).exit_code == 0

    def test_input_of_any_size_arrives(self, processes: Any) -> None:
        """More than one request may hold goes in as many as it takes; ``eof`` ends it."""
        process = processes.start("wc -c", interactive=True)
        assert process.send(b"x" * 200_000) == 200_000
        assert process.send("é", eof=True) == 2
        assert list(process.logs()) == ["200002"]

    def test_an_ended_one_takes_no_input(self, processes: Any) -> None:
        process = processes.start("true", interactive=True)
        process.wait(DEADLINE)
        with pytest.raises(Conflict):
            process.send("x")

    def test_a_block_ends_and_forgets_it(self, processes: Any) -> None:
        with processes.start("sleep 600") as process:
            name = process.id
        assert processes.list().get(name) is None

    def test_it_shows_itself(self, processes: Any) -> None:
        """The command as it was typed, and how it is."""
        process = processes.start("exit 7 # <b>")
        info = process.wait(DEADLINE)
        for html in (process._repr_html_(), info._repr_html_(), processes.list()._repr_html_()):
            assert faults(html) == []
            assert "exit 7 # &lt;b&gt;" in html
            assert "exited with 7" in html
        assert "exited with 7" in str(info)
        assert "exited with 7" in str(processes.list())
        assert process.id in repr(process)


class TestLimits:
    def test_those_given_change_and_the_others_stay(self, processes: Any) -> None:
        before = processes.limits()
        after = processes.set_limits(max_concurrent_processes=before.max_concurrent_processes + 1)
        try:
            assert after.max_concurrent_processes == before.max_concurrent_processes + 1
            assert after.max_output_bytes == before.max_output_bytes
        finally:
            assert processes.set_limits(max_concurrent_processes=before.max_concurrent_processes) == before

    def test_a_limit_of_nothing_is_refused(self, processes: Any) -> None:
        with pytest.raises(InvalidRequest):
            processes.set_limits(max_output_bytes=0)
