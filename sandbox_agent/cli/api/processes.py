"""`sandbox-agent api processes`: the sandbox's processes and their terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.cli.api.attach import add_attach

if TYPE_CHECKING:
    import argparse


def add_parser(areas: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = areas.add_parser("processes", help="processes and their terminals", description="Processes of a server.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_attach(actions)
