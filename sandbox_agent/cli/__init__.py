"""The `sandbox-agent` command: one table of commands, imported as modules of this package.

To add a command, add a module here and its name to `COMMANDS`. The module has

* ``add_parser(commands)``: add the command with its options, and ``set_defaults(run=...)``
* ``run(arguments) -> int``: do it; the status is one of `sandbox_agent.cli.exits`. What it raises of
  `SandboxAgentError` is told with its hint by `main`, as is an interrupt.

Every module is imported for every call, so its top may import the standard library's light half only
(`--version` answers in less than 100 ms); the rest is imported in the function that needs it. Commands that speak
to a server take its options from `sandbox_agent.cli.connection` and speak through the SDK. `docs/reference/cli.md` is
made from the parser by `scripts/reference.py`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, Final

from sandbox_agent import __version__
from sandbox_agent.cli import exits

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "build_parser", "main"]

COMMANDS: Final = (
    "server",
    "daemon",
    "api",
    "install",
    "install_desktop",
    "login",
    "credentials",
    "doctor",
    "completion",
)
"""The modules of this package that add commands, in the order in which help shows them."""

EPILOG: Final = f"""\
exit status:
{exits.HELP}"""


def build_parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    parser = argparse.ArgumentParser(
        prog="sandbox-agent",
        description="Run coding agents in a sandbox and drive them over one HTTP API.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="version", version=f"sandbox-agent {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"{__name__}.{name}").add_parser(commands)
    _take_access_anywhere(parser)
    return parser


def _take_access_anywhere(parser: argparse.ArgumentParser) -> None:
    """As in 0.4.2, the token may be said before the command it is for: `sandbox-agent --token T api agents list`."""
    inner = [action.choices for action in parser._actions if isinstance(action.choices, dict)]  # noqa: SLF001 - no other way
    for choices in inner:
        parser.add_argument("-t", "--token", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        parser.add_argument("-n", "--no-token", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        for below in choices.values():
            _take_access_anywhere(below)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # set by the shell's completion function, for which a key waits
        from sandbox_agent.cli import completion

        completion.answer(parser)
    arguments = parser.parse_args(sys.argv[1:] if argv is None else argv)
    return exits.run(arguments.run, arguments)
