"""`sandbox-agent server`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from sandbox_agent.cli.errors import fail

TOKEN_VARIABLE = "SANDBOX_AGENT_TOKEN"  # noqa: S105 - the variable's name
EPILOG = f"""\
One of --token, {TOKEN_VARIABLE} and --no-token must be given. Without --data-dir each port has a store of its own
below the user's data directory, so a server that comes back on its port finds its sessions."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its options; those of 0.4.2 keep their names and letters."""
    parser = commands.add_parser(
        "server", help="run the HTTP server", description="Run the Sandbox Agent HTTP server.", epilog=EPILOG
    )
    add = parser.add_argument
    add("-H", "--host", help="address to bind (default: 127.0.0.1)")
    add("-p", "--port", type=int, help="port to bind; 0 takes a free one (default: 2468)")
    given = argparse.SUPPRESS  # so that what stands before the command is not forgotten
    add(
        "-t",
        "--token",
        default=given,
        help=f"bearer token that clients must send; {TOKEN_VARIABLE} keeps it off the command line",
    )
    add("-n", "--no-token", action="store_true", default=given, help="serve without a token")
    add(
        "--allow-host",
        action="append",
        metavar="NAME",
        help="further name this server is reached by; repeatable. Requests for other hosts are refused",
    )
    add("-O", "--cors-allow-origin", action="append", metavar="ORIGIN", help="origin that may call us; repeatable")
    add("-M", "--cors-allow-method", action="append", metavar="METHOD", help="method those may use; repeatable")
    add("-A", "--cors-allow-header", action="append", metavar="HEADER", help="header those may send; repeatable")
    add("-C", "--cors-allow-credentials", action="store_true", default=None, help="let those send credentials")
    add("--data-dir", metavar="DIR", help="where sessions and events are kept")
    add("--root", metavar="DIR", help="confine the file routes to this folder (default: not confined)")
    add("--max-upload-bytes", type=int, metavar="N", help="largest file or archive that may be uploaded")
    add("--config", metavar="FILE", help="settings and custom agents, as TOML or JSON")
    add("--log-level", choices=("debug", "info", "warning", "error"), help="what to log (default: warning)")
    add("--no-telemetry", action="store_true", help="accepted for compatibility; nothing is ever reported")
    add("--parent-pid", type=int, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that were given, under the names of the settings."""
    names = {
        "allow_host": "allow_hosts",
        "cors_allow_origin": "cors_allow_origins",
        "cors_allow_method": "cors_allow_methods",
        "cors_allow_header": "cors_allow_headers",
    }
    ours = {"command", "run", "no_telemetry", "config"}
    given = {names.get(name, name): value for name, value in vars(arguments).items() if name not in ours}
    return {name: value for name, value in given.items() if value is not None}


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    settings = _settings(arguments)
    # Taken out of the environment: it is for this process, not for what it starts.
    token = os.environ.pop(TOKEN_VARIABLE, None)
    if token and not settings.get("no_token"):
        settings.setdefault("token", token)

    from sandbox_agent.server.app import CannotStart, StandaloneServer, run_server

    try:
        server = StandaloneServer.configured(arguments.config, settings)
        return run_server(server)
    except CannotStart as error:
        return fail(str(error), hint=error.hint, stream=sys.stderr)
