"""`sandbox-agent api processes`: the sandbox's processes; what the actions do is in the modules beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandbox_agent.cli.api import process_actions as act
from sandbox_agent.cli.api.attach import add_attach
from sandbox_agent.cli.completion import process_ids
from sandbox_agent.cli.connection import add_connection
from sandbox_agent.cli.output import add_json
from sandbox_agent.cli.parsers import completed_by

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import TypeAlias

    Actions: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no other name
    Run: TypeAlias = Callable[[argparse.Namespace], int]

OWNERS: Final = ("user", "session", "desktop", "system")
STREAMS: Final = ("stdout", "stderr", "combined", "pty")

LIMITS: Final = {
    "max_concurrent_processes": "processes that may run at once",
    "default_run_timeout_ms": "milliseconds a command of `run` has where it asks for none",
    "max_run_timeout_ms": "milliseconds it may ask for",
    "max_output_bytes": "bytes that are kept of each of its outputs",
    "max_log_bytes_per_process": "bytes that are kept of a process's log",
    "max_input_bytes_per_request": "bytes of input in one request",
}

COMMAND = "a program and its arguments; or one argument, which is a line for the shell"

RUN_EPILOG = """\
The exit status is the command's; 128 and the signal's number where one ended it, 124 where the time was up. Options
stand before the command. A command that shows nothing until it has ended is better started (`start`) and followed
(`logs --follow`)."""


def add_parser(areas: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = areas.add_parser("processes", help="processes and their terminals", description="Processes of a server.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_run(actions)
    _add_start(actions)
    _add_list(actions)
    _add_logs(actions)
    _add_input(actions)
    _add_ends(actions)
    add_attach(actions)
    _add_config(actions)


def _action(actions: Actions, name: str, run: Run, told: str, epilog: str | None = None) -> argparse.ArgumentParser:
    first = told.split(".", 1)[0].split(":", 1)[0]
    parser = actions.add_parser(name, help=first[0].lower() + first[1:], description=told, epilog=epilog)
    add_connection(parser)
    parser.set_defaults(run=run)
    return parser


def _process(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    told = "the process's id"
    action = (
        parser.add_argument("ids", metavar="ID", nargs="+", help=told)
        if several
        else parser.add_argument("id", metavar="ID", help=told)
    )
    completed_by(action, process_ids)


def _environment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cwd", metavar="PATH", help="the working directory on its machine (default: the server's own)"
    )
    parser.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="a variable of its environment; repeatable"
    )


def _add_run(actions: Actions) -> None:
    parser = _action(actions, "run", act.run_run, "Run a command to its end and print what it wrote.", RUN_EPILOG)
    _environment(parser)
    parser.add_argument(
        "--timeout", type=float, metavar="S", help="seconds after which it is ended with all it started"
    )
    parser.add_argument("--max-output-bytes", type=int, metavar="N", help="of each output; the rest is dropped")
    add_json(parser)
    parser.add_argument("command", nargs="...", metavar="COMMAND", help=COMMAND)


def _add_start(actions: Actions) -> None:
    told = "Start a process and print its id. It belongs to the server, and goes on when this command has ended."
    parser = _action(actions, "start", act.run_start, told, "Options stand before the command.")
    _environment(parser)
    parser.add_argument("--interactive", action="store_true", help="leave its input open, for `input`")
    parser.add_argument("--tty", action="store_true", help="give it a terminal, for `attach`")
    parser.add_argument("--attach", action="store_true", help="with --tty, use that terminal in this one at once")
    parser.add_argument(
        "--restart", choices=["never", "on_failure", "always"], default="never", help="start it again when it ended"
    )
    add_json(parser)
    parser.add_argument("command", nargs="...", metavar="COMMAND", help=COMMAND)


def _add_list(actions: Actions) -> None:
    parser = _action(actions, "list", act.run_list, "List the processes, oldest first.")
    parser.add_argument("--owner", choices=OWNERS, help="only those of these")
    add_json(parser)
    parser = _action(actions, "show", act.run_show, "Show a process: how it is, and what it uses.")
    _process(parser)
    add_json(parser)


def _add_logs(actions: Actions) -> None:
    told = "Print what a process wrote: its stdout to stdout, its stderr to stderr."
    parser = _action(actions, "logs", act.run_logs, told)
    _process(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the process has ended")
    parser.add_argument("--stream", choices=STREAMS, help="only this (default: all)")
    parser.add_argument("--tail", type=int, metavar="N", help="only the last entries, one for each read of its output")
    parser.add_argument("--since", type=int, metavar="N", help="only entries after this sequence")
    add_json(parser, "print JSON lines, an entry each, its data as base64")


def _add_input(actions: Actions) -> None:
    parser = _action(actions, "input", act.run_input, "Write to a process's input, which it was started with.")
    _process(parser)
    parser.add_argument("text", metavar="TEXT", nargs="?", help="a line; - for standard input as it is")
    parser.add_argument("--no-newline", action="store_true", help="do not end the line")
    parser.add_argument("--eof", action="store_true", help="end the input after it")


def _add_ends(actions: Actions) -> None:
    told = "Wait for a process: the status is its exit code."
    parser = _action(actions, "wait", act.run_wait, told)
    _process(parser)
    parser.add_argument("--timeout", type=float, metavar="S", help="give up after so many seconds; it goes on")
    for name, run, told in (
        ("stop", act.run_stop, "Ask processes, and all they started, to end (SIGTERM)."),
        ("kill", act.run_kill, "End processes, and all they started, at once (SIGKILL)."),
    ):
        parser = _action(actions, name, run, told)
        _process(parser, several=True)
        parser.add_argument("--wait", type=float, metavar="S", help="wait so long for the end of each")
        add_json(parser)
    parser = _action(actions, "delete", act.run_delete, "Forget processes that have ended, with their logs.")
    _process(parser, several=True)
    parser.add_argument("-f", "--force", action="store_true", help="end those that run")


def _add_config(actions: Actions) -> None:
    parser = _action(actions, "config", act.run_config, "Show the limits of processes: or change those that are given.")
    for name, told in LIMITS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", help=told)
    add_json(parser)
