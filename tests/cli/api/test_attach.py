"""`api processes attach` and `terminal`, in a real terminal: keys, sizes, detaching, and the terminal given back."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import termios
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.cli.api.attach import Keys
from sandbox_agent.cli.exits import UsageError

from ...support.server import poll
from ...support.terminal import start

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

    from ...support.command import Command, Terminal
    from ...support.server import Server

ATTACH = ("api", "processes", "attach")
BASH = ("--norc", "--noprofile", "-i")
ENV = {"PS1": "ready> ", "HISTFILE": "/dev/null"}


@pytest.fixture(autouse=True)
def home(command: Command) -> None:
    command.home.mkdir()


@pytest.fixture
def client(module_server: Server) -> Iterator[httpx2.Client]:
    with module_server.client() as client:
        yield client


def modes(terminal: Terminal) -> list[Any]:
    return termios.tcgetattr(terminal._master)


def is_raw(terminal: Terminal) -> bool:
    return not modes(terminal)[3] & termios.ECHO


def info(client: httpx2.Client, name: str) -> dict[str, Any]:
    told: dict[str, Any] = client.get(f"/v1/processes/{name}").json()
    return told


def resize(terminal: Terminal, cols: int, rows: int) -> None:
    fcntl.ioctl(terminal._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def test_keys_that_detach_are_found_however_they_arrive() -> None:
    keys = Keys("ctrl-p,ctrl-q")
    assert keys.sort(b"ls\r") == (b"ls\r", False)
    assert keys.sort(b"a\x10") == (b"a", False)
    assert keys.sort(b"b") == (b"\x10b", False)
    assert keys.sort(b"\x10") == (b"", False)
    assert keys.sort(b"\x10") == (b"\x10", False)
    assert keys.sort(b"\x11more") == (b"", True)
    assert Keys("ctrl-],d").sort(b"x\x1dd") == (b"x", True)
    for wrong in ("", "ctrl-", "ctrl-1", "alt-x", "ä", "ctrl-p,,"):
        with pytest.raises(UsageError):
            Keys(wrong)


def test_a_process_is_used_and_its_exit_code_is_the_commands(command: Command, client: httpx2.Client) -> None:
    name = start(client, "bash", *BASH, env=ENV)
    with command.terminal(*ATTACH, name) as terminal:
        terminal.expect("ready> ")
        poll(lambda: is_raw(terminal))
        terminal.type("echo sum $((40 + 2))\r")
        terminal.expect("sum 42")
        terminal.type("sh -c 'echo sleeps $((40 + 2)); exec sleep 1000'\r")
        terminal.expect("sleeps 42")
        terminal.type("\x03")
        terminal.expect("ready> ")
        terminal.type("exit 7\r")
        assert terminal.wait() == 7
    assert info(client, name)["exitCode"] == 7


def test_it_has_the_size_of_the_terminal_it_is_used_in_also_when_that_changes(
    command: Command, client: httpx2.Client
) -> None:
    name = start(client, "bash", *BASH, env=ENV)
    with command.terminal(*ATTACH, name) as terminal:
        resize(terminal, 91, 31)
        poll(lambda: (info(client, name)["cols"], info(client, name)["rows"]) == (91, 31))
        resize(terminal, 77, 21)
        poll(lambda: (info(client, name)["cols"], info(client, name)["rows"]) == (77, 21))
        terminal.type("stty size\r")
        terminal.expect("21 77")
        terminal.type("exit\r")
        assert terminal.wait() == 0


def test_detaching_leaves_the_process_and_gives_the_terminal_back_as_it_was(
    command: Command, client: httpx2.Client
) -> None:
    name = start(client, "bash", *BASH, env=ENV)
    with command.terminal(*ATTACH, name) as terminal:
        terminal.expect("ready> ")
        poll(lambda: is_raw(terminal))
        terminal.type("echo before $((40 + 2))\r")
        terminal.expect("before 42")
        terminal.type("\x10")
        terminal.type("\x11")
        terminal.expect(f"attach {name}")
        poll(lambda: terminal.process.poll() is not None)
        assert terminal.process.returncode == 0
        assert modes(terminal) == terminal.modes
    assert info(client, name)["status"] == "running"
    with command.terminal(*ATTACH, name, "--detach-keys", "ctrl-],q") as again:
        again.expect("before 42")
        again.type("echo after $((40 + 2))\r")
        again.expect("after 42")
        again.type("\x1dq")
        assert again.wait() == 0
    client.post(f"/v1/processes/{name}/kill")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_given_back_when_the_command_is_ended(
    command: Command, client: httpx2.Client, number: signal.Signals
) -> None:
    name = start(client, "bash", *BASH, env=ENV)
    with command.terminal(*ATTACH, name) as terminal:
        terminal.expect("ready> ")
        poll(lambda: is_raw(terminal))
        terminal.type("printf '\\033[?1049halternate'\r")
        terminal.expect("\x1b[?1049halternate")
        os.kill(terminal.process.pid, number)
        poll(lambda: terminal.process.poll() is not None)
        assert terminal.process.returncode == 128 + number
        assert modes(terminal) == terminal.modes
        terminal.wait()
        assert terminal.shown.rstrip().endswith("\x1b[?1049l")
    assert info(client, name)["status"] == "running"
    client.post(f"/v1/processes/{name}/kill")


def test_a_process_that_is_killed_ends_the_command_with_its_signal(command: Command, client: httpx2.Client) -> None:
    name = start(client, "bash", *BASH, env=ENV)
    with command.terminal(*ATTACH, name) as terminal:
        terminal.expect("ready> ")
        client.post(f"/v1/processes/{name}/kill")
        assert terminal.wait() == 128 + signal.SIGKILL
        assert modes(terminal) == terminal.modes


def test_a_program_is_started_in_a_terminal_of_the_same_size_and_used(command: Command, client: httpx2.Client) -> None:
    script = 'stty size; pwd; echo "$GREETING"; read x; exit 3'
    arguments = ("--env", "GREETING=hello", "--cwd", "/tmp", "--", "sh", "-c", script)  # noqa: S108 - a folder there is
    with command.terminal("api", "processes", "terminal", *arguments) as terminal:
        terminal.expect("/tmp")  # noqa: S108 - as above
        terminal.expect("hello")
        terminal.type("\r")
        assert terminal.wait() == 3


def test_what_is_piped_in_is_typed_and_its_end_is_the_end_of_input(command: Command, client: httpx2.Client) -> None:
    name = start(client, "sh", "-c", 'stty -echo; printf go; while read line; do echo "[$line]"; done')
    poll(lambda: client.get(f"/v1/processes/{name}/terminal/screen").json()["lines"][0] == "go")
    done = command(*ATTACH, name, stdin="one\ntwo\n")
    assert done.stdout.replace("\r", "").endswith("[one]\n[two]\n")


def test_who_reads_no_more_ends_the_command_and_not_the_process(command: Command, client: httpx2.Client) -> None:
    name = start(client, "sh", "-c", "stty raw; while :; do echo again; sleep 0.01; done")
    running = command.popen(*ATTACH, name, stdin=subprocess.PIPE)
    assert running.stdout is not None
    assert "again" in running.stdout.readline()
    running.stdout.close()
    poll(lambda: running.poll() is not None)
    assert running.returncode == 141
    assert running.stderr is not None
    assert "Traceback" not in running.stderr.read()
    running.stderr.close()
    assert running.stdin is not None
    running.stdin.close()
    assert info(client, name)["status"] == "running"
    client.post(f"/v1/processes/{name}/kill")


def test_what_has_no_terminal_and_what_is_not_there_is_told(command: Command, client: httpx2.Client) -> None:
    name = str(client.post("/v1/processes", json={"command": "cat"}).json()["id"])
    assert "no terminal" in command(*ATTACH, name, status=1).stderr
    assert "not found" in command(*ATTACH, "proc_0", status=1).stderr
    assert "--detach-keys" in command(*ATTACH, name, "--detach-keys", "meta-x", status=2).stderr
    client.post(f"/v1/processes/{name}/kill")
