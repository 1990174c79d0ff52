"""`sandbox-agent install-agent`: put agents into this user's own folder, without a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox_agent.cli.bar import Bar, last_words
from sandbox_agent.cli.errors import fail

if TYPE_CHECKING:
    import argparse

    from sandbox_agent.agents import Agents
    from sandbox_agent.wire.agents import AgentInstallResponse

_EPILOG = """\
Versions are locked, and every file is checked against its digest, unless a version is named ("latest" is one).
The server installs what is locked by itself on first use, unless SANDBOX_AGENT_REQUIRE_PREINSTALL=1 is set for it."""
_BAR = 20
_LOG = 20


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its options; those of 0.4.2 keep their names and letters."""
    told = "Install an agent into this user's own folder, without a server."
    parser = commands.add_parser(
        "install-agent", help="install an agent, or all of them", description=told, epilog=_EPILOG
    )
    add = parser.add_argument
    add("agent", nargs="?", metavar="AGENT", help="claude, codex, opencode, ...")
    add("--all", action="store_true", help="all agents whose versions are locked")
    add("-r", "--reinstall", action="store_true", help="also if it is installed")
    add("--agent-version", metavar="VERSION", help="of the agent itself, where it is a program of its own")
    add("--agent-process-version", metavar="VERSION", help="of the program that speaks ACP for it")
    add("--config", metavar="FILE", help="settings and custom agents, as TOML or JSON")
    add("-v", "--verbose", action="store_true", help="show what npm, uv and pip say")
    add("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Install; the exit status."""
    if bool(arguments.agent) == arguments.all:
        from sandbox_agent.cli.exits import UsageError

        raise UsageError("name one agent, or say --all")
    if arguments.all and (arguments.agent_version or arguments.agent_process_version):
        from sandbox_agent.cli.exits import UsageError

        raise UsageError("a version is of one agent; --all takes the locked ones")
    import asyncio

    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    from sandbox_agent.agents import Agents
    from sandbox_agent.agents.install import Installer
    from sandbox_agent.supervisor import Supervisor

    agents = Agents(config=Path(arguments.config) if arguments.config else None)
    supervisor = Supervisor()
    await supervisor.start()
    try:
        agents.installer = Installer(supervisor, root=agents.root, environ=agents.environ)
        names = _locked(agents) if arguments.all else [arguments.agent]
        statuses = [await _one(agents, name, arguments) for name in names]
    finally:
        await supervisor.stop()
    return max(statuses)


def _locked(agents: Agents) -> list[str]:
    """The agents of the catalogue; a registry's are installed one by one."""
    specs = (agents.spec(name) for name in agents.ids())
    return [spec.id for spec in specs if spec.locked and spec.version is None]


async def _one(agents: Agents, name: str, arguments: argparse.Namespace) -> int:
    from sandbox_agent.problems import InstallFailed

    bar = Bar(sys.stderr, name, verbose=arguments.verbose)
    try:
        response = await agents.install(
            name,
            reinstall=arguments.reinstall,
            agent_version=arguments.agent_version,
            agent_process_version=arguments.agent_process_version,
            progress=bar.show,
        )
    except InstallFailed as problem:
        bar.clear()
        if not arguments.all:
            last_words(problem.extensions)
            raise
        last_words(problem.extensions)
        return fail(problem.detail, hint=problem.hint)
    bar.clear()
    _tell(name, response, as_json=arguments.json)
    return 0


def _tell(name: str, response: AgentInstallResponse, *, as_json: bool) -> None:
    if as_json:
        import msgspec

        sys.stdout.write(msgspec.json.encode({"agent": name} | msgspec.to_builtins(response)).decode() + "\n")
        return
    how = "is installed already" if response.already_installed else "installed"
    sys.stdout.write(f"{name} {how}\n")
    for made in response.artifacts:
        sys.stdout.write(f"  {made.kind.replace('_', ' ')} {made.version or ''} ({made.source}) {made.path}\n")
