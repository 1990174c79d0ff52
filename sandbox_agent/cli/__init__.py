"""The `sandbox-agent` command. Commands are imported when they are called, so that `--version` answers at once."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from sandbox_agent import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sandbox-agent", description="Run coding agents in a sandbox and drive them over one HTTP API."
    )
    parser.add_argument("-V", "--version", action="version", version=f"sandbox-agent {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    from sandbox_agent.cli import server  # noqa: PLC0415 - light: it imports the server itself only when run

    server.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    arguments = _parser().parse_args(sys.argv[1:] if argv is None else argv)
    status: int = arguments.run(arguments)
    return status
