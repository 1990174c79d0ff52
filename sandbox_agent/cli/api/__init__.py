"""`sandbox-agent api`: the HTTP API without writing client code, an area of it a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.cli.api.acp import add_parser as add_acp
from sandbox_agent.cli.api.agents import add_parser as add_agents
from sandbox_agent.cli.api.desktop import add_parser as add_desktop
from sandbox_agent.cli.api.fs import add_parser as add_fs
from sandbox_agent.cli.api.processes import add_parser as add_processes
from sandbox_agent.cli.api.sessions import add_parser as add_sessions

if TYPE_CHECKING:
    import argparse


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its areas; those of 0.4.2 keep their names and options."""
    parser = commands.add_parser(
        "api", help="call the HTTP API of a server", description="Call the HTTP API without writing client code."
    )
    areas = parser.add_subparsers(dest="area", metavar="AREA", required=True)
    add_agents(areas)
    add_sessions(areas)
    add_acp(areas)
    add_fs(areas)
    add_processes(areas)
    add_desktop(areas)
