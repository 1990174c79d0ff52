"""`sandbox-agent daemon`: a server in the background."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from sandbox_agent.cli.exits import Exit, UsageError
from sandbox_agent.cli.output import add_json, print_json, say

if TYPE_CHECKING:
    from sandbox_agent.cli.daemons import Access, Daemon, Running, Wanted

EPILOG = """\
A daemon has its pid, version and log files in the user's state directory, below sandbox-agent/daemon. Without --token,
SANDBOX_AGENT_TOKEN or --no-token a token is made for it, and stays the same; commands and the SDK of this user on this
machine find it by themselves. What follows -- are further options of `sandbox-agent server`. An upgrade keeps those,
and the token, unless others are given; sessions are found again."""

MINUTE, HOUR, DAY = 60, 3600, 86400


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its actions; those of 0.4.2 keep their names and letters."""
    parser = commands.add_parser(
        "daemon", help="run the server in the background", description="A server in the background."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    told = "Start the daemon, unless it runs, and wait until it serves."
    start = actions.add_parser("start", help="start it, unless it runs", description=told, epilog=EPILOG)
    _where(start)
    start.add_argument("--upgrade", action="store_true", help="replace one that runs another version")
    start.add_argument(
        "-t", "--token", default=argparse.SUPPRESS, help="bearer token that clients must send (default: one is made)"
    )
    start.add_argument("-n", "--no-token", action="store_true", default=argparse.SUPPRESS, help="serve without a token")
    add_json(start)
    start.add_argument("options", nargs="*", metavar="-- OPTION", help="options of `sandbox-agent server`")
    start.set_defaults(run=run_start)

    told = "End the daemon and everything it started, and wait for that."
    stop = actions.add_parser("stop", help="end it", description=told)
    _where(stop)
    add_json(stop)
    stop.set_defaults(run=run_stop)

    told = "Tell whether the daemon runs: its URL, pid, version, uptime and log. Where it does not, the status is 3."
    status = actions.add_parser("status", help="tell how it is", description=told)
    _where(status)
    add_json(status)
    status.set_defaults(run=run_status)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-H", "--host", default="127.0.0.1", help="address it binds (default: 127.0.0.1)")
    parser.add_argument("-p", "--port", type=int, default=2468, help="port it binds (default: 2468)")


def _daemon(arguments: argparse.Namespace) -> Daemon:
    from sandbox_agent.cli.daemons import Daemon

    if arguments.port <= 0:
        raise UsageError("a daemon is known by its port: give one above 0")
    return Daemon(arguments.host, arguments.port)


def run_start(arguments: argparse.Namespace) -> int:
    from sandbox_agent import __version__

    daemon = _daemon(arguments)
    running, started = daemon.start(_wanted(arguments), upgrade=arguments.upgrade)
    if arguments.json:
        print_json(_document(running) | {"started": started})
    else:
        print(f"daemon {'started' if started else 'runs already'} at {running.url} (pid {running.pid})")
        print(f"log: {running.log}")
        if started and running.access == "made":
            print(f"token: in {daemon.token_file}; commands and the SDK on this machine find it")
    if running.version != __version__:
        say(f"warning: it runs version {running.version}, this is {__version__}; --upgrade replaces it")
    return Exit.OK


def _wanted(arguments: argparse.Namespace) -> Wanted:
    from sandbox_agent.cli.daemons import Wanted
    from sandbox_agent.client.discovery import TOKEN_VARIABLE

    token = getattr(arguments, "token", None)
    no_token = getattr(arguments, "no_token", False)
    if token and no_token:
        raise UsageError("--token and --no-token exclude each other")
    token = None if no_token else token or os.environ.get(TOKEN_VARIABLE) or None
    access: Access | None = "none" if no_token else "token" if token else None
    return Wanted(access, token, tuple(arguments.options) or None)


def run_stop(arguments: argparse.Namespace) -> int:
    stopped = _daemon(arguments).stop()
    if arguments.json:
        print_json({"stopped": stopped is not None} | ({"pid": stopped.pid} if stopped else {}))
    else:
        print(f"daemon stopped (pid {stopped.pid})" if stopped else "no daemon runs there")
    return Exit.OK


def run_status(arguments: argparse.Namespace) -> int:
    daemon = _daemon(arguments)
    running = daemon.running()
    if running is None:
        if arguments.json:
            print_json({"running": False, "log": str(daemon.log)})
        else:
            print(f"no daemon runs on {daemon.host} port {daemon.port}")
        return Exit.UNREACHABLE
    health = _health(daemon, running)
    if arguments.json:
        print_json(_document(running) | {"health": health})
    else:
        from sandbox_agent.render import card_text

        facts = {"URL": running.url, "PID": running.pid, "Version": running.version}
        facts |= {"Uptime": _duration(running.uptime), "Log": running.log, "Health": health}
        print(card_text("daemon", facts, state="running"))
    return Exit.OK if health != "no answer" else Exit.UNREACHABLE


def _health(daemon: Daemon, running: Running) -> str:
    from sandbox_agent.client import SandboxAgent, ServerUnreachable
    from sandbox_agent.problems import TokenInvalid

    try:
        with SandboxAgent.connect(running.url, daemon.token() if running.access == "made" else None) as client:
            health = client.health()
    except TokenInvalid:
        return "wants its token"
    except ServerUnreachable:
        return "no answer"
    return "ok" if health.persisted else f"degraded: {health.problem}"


def _document(running: Running) -> dict[str, object]:
    from sandbox_agent.cli.daemons import document

    return document(running)


def _duration(seconds: float) -> str:
    """The two largest units."""
    whole = int(seconds)
    units = (("d", whole // DAY), ("h", whole % DAY // HOUR), ("m", whole % HOUR // MINUTE), ("s", whole % MINUTE))
    first = next((index for index, (_, count) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2])
