"""`api processes` from a shell: commands that are waited for, processes that go on, their logs, input and ends."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.cli.api.process_actions import command_of, environment_of, status_of
from sandbox_agent.cli.exits import UsageError

from ...support.server import poll

if TYPE_CHECKING:
    from pathlib import Path

    from ...support.command import Command
    from ...support.server import Server

PROCESSES = ("api", "processes")


def started(command: Command, *args: str) -> str:
    return command(*PROCESSES, "start", *args).stdout.strip()


def test_one_word_is_a_line_for_the_shell_several_are_a_program() -> None:
    assert command_of(["echo a | wc"]) == "echo a | wc"
    assert command_of(["--", "ls", "--", "-l"]) == ["ls", "--", "-l"]
    for words in ([], ["--"]):
        with pytest.raises(UsageError):
            command_of(words)


def test_variables_are_names_and_values() -> None:
    assert environment_of(["A=1", "B=x=y", "C="]) == {"A": "1", "B": "x=y", "C": ""}
    for text in ("A", "=1"):
        with pytest.raises(UsageError):
            environment_of([text])


def test_statuses_are_those_of_a_shell() -> None:
    assert (status_of(3, None), status_of(None, 9), status_of(None, None)) == (3, 137, 1)


def test_run_prints_both_outputs_and_ends_with_the_command_s_status(command: Command, tmp_path: Path) -> None:
    done = command(*PROCESSES, "run", "--cwd", str(tmp_path), "--env", "A=b c", 'pwd; echo "$A" >&2; exit 7', status=7)
    assert (done.stdout, done.stderr) == (f"{tmp_path}\n", "b c\n")
    assert command(*PROCESSES, "run", "--", "printf", "%s|", "-n", "--", "x y").stdout == "-n|--|x y|"
    assert command.json(*PROCESSES, "run", "--json", "echo ü")["stdout"] == "ü\n"
    command(*PROCESSES, "run", "kill -9 $$", status=137)


def test_run_tells_what_was_cut_and_that_the_time_was_up(command: Command) -> None:
    done = command(*PROCESSES, "run", "--max-output-bytes", "3", "echo abcdef")
    assert done.stdout == "abc"
    assert "longer than is kept" in done.stderr
    assert "timed out" in command(*PROCESSES, "run", "--timeout", "0.2", "sleep", "600", status=124).stderr


def test_a_process_that_cannot_be_started_says_why(command: Command) -> None:
    assert "no-such-program" in command(*PROCESSES, "run", "no-such-program", "x", status=1).stderr
    assert "COMMAND is missing" in command(*PROCESSES, "run", status=2).stderr
    assert "NAME=VALUE" in command(*PROCESSES, "start", "--env", "A", "true", status=2).stderr
    assert "--tty" in command(*PROCESSES, "start", "--attach", "true", status=2).stderr
    assert "proc_x" in command(*PROCESSES, "show", "proc_x", status=1).stderr


def test_logs_are_followed_to_the_end_each_output_to_its_own(command: Command) -> None:
    name = started(command, "--interactive", "--", "sh", "-c", "echo out; echo err >&2; cat")
    with command.popen(*PROCESSES, "logs", "--follow", name) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        assert follower.stdout.readline() == "out\n"
        assert follower.stderr.readline() == "err\n"
        command(*PROCESSES, "input", name, "typed")
        assert follower.stdout.readline() == "typed\n"
        command(*PROCESSES, "input", name, "--eof")
        assert follower.stdout.read() == ""
        assert follower.wait(60) == 0
    assert command(*PROCESSES, "wait", name).stdout == ""
    assert command(*PROCESSES, "logs", name, "--stream", "stderr").stderr == "err\n"
    entries = [json.loads(line) for line in command(*PROCESSES, "logs", name, "--json").stdout.splitlines()]
    assert b"".join(base64.b64decode(e["data"]) for e in entries if e["stream"] == "stdout") == b"out\ntyped\n"
    last = command(*PROCESSES, "logs", name, "--tail", "1").stdout
    assert last == "typed\n"
    assert command(*PROCESSES, "logs", name, "--since", str(entries[-1]["sequence"])).stdout == ""


def test_input_comes_from_a_pipe_too_as_it_is(command: Command) -> None:
    name = started(command, "--interactive", "cat")
    command(*PROCESSES, "input", name, "begin ", "--no-newline")
    command(*PROCESSES, "input", name, "-", "--eof", stdin="no\nend")
    command(*PROCESSES, "wait", name)
    assert command(*PROCESSES, "logs", name).stdout == "begin no\nend"
    assert "nothing to write" in command(*PROCESSES, "input", name, status=2).stderr
    assert "error:" in command(*PROCESSES, "input", name, "late", status=1).stderr


def test_processes_are_listed_shown_stopped_killed_and_deleted(command: Command) -> None:
    name = started(command, "sleep", "600")
    stubborn = started(command, "trap '' TERM; echo ready; while :; do sleep 1; done")
    with command.popen(*PROCESSES, "logs", "--follow", stubborn) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == "ready\n"
        follower.terminate()
    told = command(*PROCESSES, "list", "--owner", "user").stdout
    assert name in told
    assert "sleep 600" in told
    assert command.json(*PROCESSES, "list", "--owner", "desktop", "--json") == {"processes": []}
    assert "running" in command(*PROCESSES, "show", name).stdout
    assert command.json(*PROCESSES, "show", name, "--json")["status"] == "running"
    command(*PROCESSES, "delete", name, status=1)
    command(*PROCESSES, "wait", name, "--timeout", "0.1", status=1)
    command(*PROCESSES, "stop", name, "--wait", "60")
    command(*PROCESSES, "wait", name, status=143)
    assert "processes kill" in command(*PROCESSES, "stop", stubborn, "--wait", "0.1", status=1).stderr
    [killed] = command.json(*PROCESSES, "kill", stubborn, "--wait", "60", "--json")["processes"]
    assert (killed["status"], killed["signal"]) == ("exited", 9)
    command(*PROCESSES, "delete", name, stubborn)
    left = command.json(*PROCESSES, "list", "--json")["processes"]
    assert not {name, stubborn} & {process["id"] for process in left}
    again = started(command, "sleep", "600")
    command(*PROCESSES, "delete", "--force", again)
    command(*PROCESSES, "show", again, status=1)


def test_a_terminal_is_started_and_used_at_once(command: Command) -> None:
    command.home.mkdir()
    with command.terminal(*PROCESSES, "start", "--tty", "--attach", "--", "sh", "-c", "stty size; exit 4") as terminal:
        assert terminal.wait() == 4
    name = started(command, "--tty", "--restart", "on_failure", "true")
    command(*PROCESSES, "wait", name)
    told = command.json(*PROCESSES, "show", name, "--json")
    assert (told["tty"], told["restartPolicy"]) == (True, "on_failure")


def test_limits_are_shown_and_changed(command: Command) -> None:
    before = command.json(*PROCESSES, "config", "--json")
    assert "--max-output-bytes" in command(*PROCESSES, "config").stdout
    changed = command.json(*PROCESSES, "config", "--max-output-bytes", "4096", "--json")
    assert changed == before | {"maxOutputBytes": 4096}
    command(*PROCESSES, "config", "--max-output-bytes", str(before["maxOutputBytes"]))
    command(*PROCESSES, "config", "--max-output-bytes", "0", status=1)


def test_a_follower_that_is_interrupted_leaves_the_process(command: Command, module_server: Server) -> None:
    name = started(command, "echo begun; sleep 600")
    follower = command.popen(*PROCESSES, "logs", "--follow", name)
    with follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == "begun\n"
        follower.send_signal(2)
        assert follower.wait(60) == 130
    with module_server.client() as client:
        assert client.get(f"/v1/processes/{name}").json()["status"] == "running"
    command(*PROCESSES, "delete", "--force", name)


def test_what_is_stopped_while_it_is_waited_for_ends_the_wait(command: Command, module_server: Server) -> None:
    name = started(command, "sleep", "600")
    with (
        command.popen(*PROCESSES, "wait", name, stdout=subprocess.DEVNULL) as waiting,
        module_server.client() as client,
    ):
        client.post(f"/v1/processes/{name}/kill")
        poll(lambda: waiting.poll() is not None)
        assert waiting.returncode == 137
