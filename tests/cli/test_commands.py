"""The table of commands: what is in it, what it costs, and how commands end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.cli import COMMANDS, build_parser, exits, main
from sandbox_agent.cli.exits import Exit

from ..support.command import Command
from ..support.server import poll

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from ..support.server import Server

NOWHERE = "http://127.0.0.1:1"


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    inner = [a.choices for a in parser._actions if isinstance(a.choices, dict)]
    if not inner:
        yield parser
    for choices in inner:
        for below in choices.values():
            yield from leaves(below)


def test_help_costs_nothing_but_the_parser() -> None:
    """No command's means are loaded for help, versions and mistakes."""
    look = "import sys; from sandbox_agent.cli import build_parser; build_parser().format_help(); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    heavy = {"httpx2", "msgspec", "tornado", "argcomplete", "asyncio", "traitlets", "psutil", "platformdirs"}
    heavy |= {"sandbox_agent.client", "sandbox_agent.server", "sandbox_agent.render", "subprocess"}
    assert heavy & set(shown.stdout.split()) == set()


def test_every_command_is_in_the_table_and_explains_its_options() -> None:
    parser = build_parser()
    [choices] = [a.choices for a in parser._actions if isinstance(a.choices, dict)]
    assert len(choices) == len(COMMANDS)
    for leaf in leaves(parser):
        assert callable(leaf.get_default("run")), leaf.prog
        assert [a.dest for a in leaf._actions if not a.help] == [], leaf.prog


@pytest.mark.parametrize(
    "args",
    [
        "api agents list -e URL -t T",
        "api agents report -e URL -n",
        "api agents install -r --agent-version 1 --agent-process-version 2 -e URL mock",
        "api acp post --server-id a --agent mock --json {} -e URL",
        "api acp post --server-id a --json-file x -t T",
        "api acp stream --server-id a --last-event-id 3 -e URL",
        "api acp close --server-id a -n",
        "daemon start -H 127.0.0.1 -p 2468 --upgrade -t T",
        "daemon start -n",
        "daemon stop -H h -p 1",
        "daemon status --host h --port 1",
        "install-agent --all -r",
        "server -H h -p 1 -n -O o -M m -A a -C --no-telemetry",
        "--no-token api -t T agents list",
    ],
)
def test_command_lines_of_old_scripts_are_understood(args: str) -> None:
    """Names, options and letters of 0.4.2."""
    assert callable(build_parser().parse_args(args.split()).run)


def test_a_wrong_command_line_ends_with_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["api", "agents", "dance"])
    assert end.value.code == Exit.USAGE
    assert "invalid choice" in capsys.readouterr().err


def test_help_names_every_status() -> None:
    assert [int(line.split()[0]) for line in exits.HELP.splitlines()] == sorted(Exit)
    assert exits.HELP in build_parser().format_help()


def test_no_server_there_is_a_status_and_a_hint_of_its_own(tmp_path: Path) -> None:
    done = Command(tmp_path)("api", "agents", "list", "--endpoint", NOWHERE, status=Exit.UNREACHABLE)
    assert done.stdout == ""
    assert f"error: no answer from {NOWHERE}" in done.stderr
    assert "hint: " in done.stderr


def test_programs_are_told_errors_as_problem_documents(command: Command, tmp_path: Path) -> None:
    told = json.loads(command("api", "sessions", "show", "nobody", "--json", status=Exit.FAILURE).stderr)
    assert told["type"] == "urn:sandbox-agent:error:session_not_found"
    assert told["status"] == 404
    told = json.loads(Command(tmp_path)("api", "agents", "list", "--json", "-e", NOWHERE, status=3).stderr)
    assert told["title"] == "ServerUnreachable"
    assert told["hint"]


def test_people_are_told_them_in_a_line(command: Command) -> None:
    done = command("api", "sessions", "show", "nobody", status=Exit.FAILURE)
    assert done.stderr.startswith("error: ")
    assert "nobody" in done.stderr.splitlines()[0]


def test_a_reader_that_goes_away_ends_it_quietly(command: Command, session: str) -> None:
    """`sandbox-agent ... | head -1`."""
    with command.popen("api", "sessions", "events", session, "--follow", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        command("api", "sessions", "prompt", session, "[[burst count=500 size=2000]]")
        assert process.wait(60) == Exit.PIPE_CLOSED
        assert process.stderr.read() == ""


def test_an_interrupt_ends_it_without_a_trace(command: Command, session: str) -> None:
    with command.popen("api", "sessions", "events", session, "--follow", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == Exit.INTERRUPTED
        assert process.stderr.read() == ""


class TestConnection:
    def test_the_option_wins_over_the_environment(self, command: Command, module_server: Server) -> None:
        done = command("api", "acp", "list", "-e", module_server.url, env={"SANDBOX_AGENT_URL": NOWHERE})
        assert done.stdout
        command("api", "acp", "list", env={"SANDBOX_AGENT_URL": NOWHERE}, status=Exit.UNREACHABLE)

    def test_without_either_it_finds_this_user_s_server_and_its_token(self, tmp_path: Path) -> None:
        command = Command(tmp_path)
        environ = command.environ({"SANDBOX_AGENT_TOKEN": "found-by-itself"})
        argv = [sys.executable, "-m", "sandbox_agent", "server", "--port", "0"]
        with subprocess.Popen(argv, env=environ, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert server.stdout.readline()
            try:
                assert command.json("api", "acp", "list", "--json") == {"servers": []}
            finally:
                server.terminate()
        poll(lambda: server.poll() is not None)
        done = command("api", "acp", "list", status=Exit.UNREACHABLE)
        assert "no Sandbox Agent server found" in done.stderr

    def test_a_wrong_token_is_told_and_none_is_sent_if_so_asked(self, tmp_path: Path) -> None:
        from ..support.server import serve  # noqa: PLC0415 - only here

        token = "right-token"  # noqa: S105 - only a test's
        with serve(tmp_path / "server", token=token) as server:
            command = Command(tmp_path / "home", server)
            assert command("api", "acp", "list", "--token", token).returncode == 0
            assert command("api", "acp", "list").returncode == 0, "from the environment"
            wrong = command("api", "acp", "list", "-t", "wrong", status=Exit.FAILURE)
            none = command("api", "acp", "list", "-n", status=Exit.FAILURE)
            assert command("--token", token, "api", "acp", "list", env={"SANDBOX_AGENT_TOKEN": ""}).returncode == 0
            assert command("api", "--token", token, "acp", "list", env={"SANDBOX_AGENT_TOKEN": ""}).returncode == 0
        assert "wrong" not in wrong.stderr
        assert "token" in wrong.stderr
        assert "token" in none.stderr


def test_output_survives_a_locale_without_its_characters(command: Command, session: str) -> None:
    ascii_only = {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = command("api", "sessions", "prompt", session, "[[say ünï]] [[think ✓]]", env=ascii_only)
    assert done.stdout == "?n?\n"
    assert "ünï" in command("api", "sessions", "transcript", session).stdout
