"""`sandbox-agent login`: log in to an agent, by its own program, in a terminal of the sandbox shown in this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.cli.connection import add_connection, connect

if TYPE_CHECKING:
    import argparse


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its options."""
    parser = commands.add_parser(
        "login",
        help="log in to an agent",
        description=(
            "Start an agent's own program for logging in where the server runs, and use it in this terminal. Ends with "
            "the program's exit code; agents without such a program say how else to log in. Ctrl-P Ctrl-Q leaves, and "
            "ends it."
        ),
    )
    parser.add_argument("agent", metavar="AGENT", help="claude, codex, opencode, ...")
    parser.add_argument("--method", help="one of the ways that the agent names (default: its first for a terminal)")
    add_connection(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Log in; the program's exit status."""
    from sandbox_agent.cli.api.attach import DETACH_KEYS, Keys, size_here, use

    cols, rows = size_here() or (80, 24)
    with connect(arguments) as client:
        terminal = client.login(arguments.agent, method=arguments.method, cols=cols, rows=rows)
        return use(client, terminal, Keys(DETACH_KEYS), lasting=False)
