"""The options of commands that speak to a server, and the client they make."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sandbox_agent.client import SandboxAgent

DEFAULT_URL: Final = "http://127.0.0.1:2468"

GIVE_UP_SECONDS: Final = 60.0
"""For which a stream whose server has gone tries to reach it again."""

ENVIRONMENT: Final = """\
Without --endpoint the server is that of SANDBOX_AGENT_URL, else the Jupyter Server around this terminal, else the
newest server of this user on this machine, else http://127.0.0.1:2468. Its token is taken from SANDBOX_AGENT_TOKEN,
or found where a server of this user keeps it."""


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the options of 0.4.2 that say where the server is."""
    add = parser.add_argument
    add("-e", "--endpoint", metavar="URL", help="the server's URL (default: found, see below)")
    add(
        "-t",
        "--token",
        default=argparse.SUPPRESS,
        help="the server's token; SANDBOX_AGENT_TOKEN keeps it off the command line",
    )
    add("-n", "--no-token", action="store_true", default=argparse.SUPPRESS, help="send no token")
    parser.epilog = f"{parser.epilog}\n\n{ENVIRONMENT}" if parser.epilog else ENVIRONMENT
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def connect(arguments: argparse.Namespace) -> SandboxAgent:
    """A client of the server that the options name, or of the one that is found.

    Raises `ServerUnreachable` or `NoServerFound`, and `TokenInvalid`.
    """
    from sandbox_agent.client import NoServerFound, SandboxAgent, ServerUnreachable
    from sandbox_agent.client.discovery import URL_VARIABLE

    token = getattr(arguments, "token", None)
    if getattr(arguments, "no_token", False):
        url = arguments.endpoint or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        return SandboxAgent(url, give_up_after=GIVE_UP_SECONDS)
    try:
        return SandboxAgent.connect(arguments.endpoint, token, give_up_after=GIVE_UP_SECONDS)
    except NoServerFound:
        # One that keeps its files elsewhere (--data-dir), or belongs to somebody else.
        try:
            return SandboxAgent.connect(DEFAULT_URL, token, give_up_after=GIVE_UP_SECONDS)
        except ServerUnreachable:
            pass
        raise
