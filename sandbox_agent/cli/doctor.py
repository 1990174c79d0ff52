"""`sandbox-agent doctor`: what works here, and the one command that mends what does not."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from sandbox_agent.agents import Agents
    from sandbox_agent.wire.doctor import DoctorReport

_EPILOG = """\
The exit status is 0 when one of the agents that were looked at can be used. Nothing is installed and no prompt is
sent. A report names where credentials are, never what they are."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its options."""
    parser = commands.add_parser(
        "doctor", help="check this machine and its agents, and say what to run", epilog=_EPILOG
    )
    add = parser.add_argument
    add("agents", nargs="*", metavar="AGENT", help="look at these only (default: all)")
    add("--offline", action="store_true", help="start no agent; without it each is greeted and ended")
    add("--json", action="store_true", help="print the findings as JSON")
    add("--data-dir", metavar="DIR", help="where the server keeps its data (default: as the server has it)")
    add("--config", metavar="FILE", help="settings and custom agents, as TOML or JSON")
    report = parser.add_argument_group("a problem report to paste into an issue")
    add = report.add_argument
    add("--report", nargs="?", const="-", metavar="FILE", help="write it to FILE, or to stdout")
    add("--symptoms", default="", metavar="TEXT", help="what happens, and what was expected")
    add("--error", default="", metavar="TEXT", help="the error; @FILE reads it from a file")
    add("--code", default="", metavar="TEXT", help="the code that shows it; @FILE reads it from a file")
    add("--tried", default="", metavar="TEXT", help="what was tried")
    add("--deployed", default="", metavar="WHERE", help="where it runs, if not locally")
    add("--sdk", default="", metavar="NAME", help="the SDK in use (default: this package's)")
    add("--provider", default="", metavar="NAME", help="whose models are asked (default: as credentials tell)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Examine and print; 0 when something can be used."""
    import asyncio

    from sandbox_agent.agents import Agents
    from sandbox_agent.cli import output
    from sandbox_agent.render import doctor_text

    agents = Agents(config=Path(arguments.config).expanduser() if arguments.config else None)
    report = asyncio.run(_examine(agents, arguments))
    if arguments.report is not None:
        _write(arguments, _safe(_story(arguments, report), agents))
    elif arguments.json:
        output.print_json(report)
    else:
        sys.stdout.write(_safe(doctor_text(report), agents) + "\n")
    return 0 if report.usable else 1


def _data_dir(arguments: argparse.Namespace) -> Path:
    import platformdirs

    return Path(arguments.data_dir or platformdirs.user_data_dir("sandbox-agent", appauthor=False)).expanduser()


async def _examine(agents: Agents, arguments: argparse.Namespace) -> DoctorReport:
    from sandbox_agent.agents.doctor import Doctor
    from sandbox_agent.supervisor import Supervisor
    from sandbox_agent.wire.doctor import DoctorRequest

    supervisor = Supervisor()
    await supervisor.start()
    try:
        request = DoctorRequest(agents=tuple(arguments.agents) or None, offline=arguments.offline)
        return await Doctor(agents, supervisor, data_dir=_data_dir(arguments)).examine(request)
    finally:
        await supervisor.stop()


def _story(arguments: argparse.Namespace, report: DoctorReport) -> str:
    from sandbox_agent.render import Story, doctor_markdown

    told = Story(
        symptoms=arguments.symptoms,
        error=_text(arguments.error),
        code=_text(arguments.code),
        tried=arguments.tried,
        deployment=f"deployed: {arguments.deployed}" if arguments.deployed else _deployment(),
        sdk=arguments.sdk,
        agent=", ".join(arguments.agents),
        provider=arguments.provider,
    )
    return doctor_markdown(report, told)


def _text(given: str) -> str:
    if not given.startswith("@"):
        return given
    from sandbox_agent.cli.exits import UsageError

    try:
        return Path(given[1:]).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"cannot read {given[1:]}: {error.strerror}") from error


def _deployment() -> str:
    """What can be told from here."""
    places = {
        "JupyterHub": "JUPYTERHUB_API_URL" in os.environ,
        "Kubernetes": "KUBERNETES_SERVICE_HOST" in os.environ,
        "a container": any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")),
        "CI": "CI" in os.environ,
    }
    known = [place for place, is_there in places.items() if is_there]
    return f"deployed: {', '.join(known)}" if known else "local"


def _safe(text: str, agents: Agents) -> str:
    """Without any secret that could be in it: of the environment, in agents' files, or of the form of a key."""
    from sandbox_agent.agents import credentials
    from sandbox_agent.agents.scrub import scrubbed

    found = (one.value for one in credentials.find(agents.providers, agents.environ))
    text = scrubbed(text, {*credentials.secrets(agents.environ), *found})
    home = agents.environ.get("HOME", "").rstrip("/")
    return text.replace(f"{home}/", "~/") if home else text


def _write(arguments: argparse.Namespace, text: str) -> None:
    if arguments.report == "-":
        sys.stdout.write(text)
        return
    from sandbox_agent.cli.exits import UsageError

    try:
        Path(arguments.report).expanduser().write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {arguments.report}: {error.strerror}") from error
    sys.stderr.write(f"Written to {arguments.report}: look it over, then paste it into an issue.\n")
