"""`sandbox-agent api agents`: what agents the server has, what they can be set to, and installing them."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from sandbox_agent.cli.completion import agent_ids
from sandbox_agent.cli.connection import add_connection, connect
from sandbox_agent.cli.output import add_json, print_json
from sandbox_agent.cli.parsers import completed_by

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sandbox_agent.wire.agents import AgentInfo, AgentInstallResponse
    from sandbox_agent.wire.base import JsonObject

CATEGORIES = {"models": "model", "modes": "mode", "thoughtLevels": "thought_level"}
"""The report's names of what ACP calls a configuration option's category."""


def add_parser(areas: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = areas.add_parser("agents", help="list, describe and install agents", description="Agents of a server.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    told = "List the agents: whether they are installed, have credentials, and what to do where they cannot be used."
    listing = actions.add_parser("list", help="agents and whether they can be used", description=told)
    listing.add_argument("--config", action="store_true", help="ask for versions and options too, which takes longer")
    listing.add_argument("--no-cache", action="store_true", help="look again, whatever is remembered")
    add_json(listing)
    add_connection(listing)
    listing.set_defaults(run=run_list)

    told = "Print a JSON report of the models, modes and thought levels of every agent."
    reporting = actions.add_parser("report", help="models, modes and thought levels, as JSON", description=told)
    add_connection(reporting)
    reporting.set_defaults(run=run_report)

    told = "Install an agent where the server runs, or find that it is there."
    install = actions.add_parser("install", help="install an agent", description=told)
    completed_by(install.add_argument("agent", metavar="AGENT", help="the agent's id"), agent_ids)
    install.add_argument("-r", "--reinstall", action="store_true", help="install again what is there")
    install.add_argument("--agent-version", metavar="VERSION", help="of the agent, or latest")
    install.add_argument("--agent-process-version", metavar="VERSION", help="of the program that speaks ACP for it")
    install.add_argument("-v", "--verbose", action="store_true", help="show what the programs that install say")
    add_json(install)
    add_connection(install)
    install.set_defaults(run=run_install)


def run_list(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        agents = client.agents(config=arguments.config, no_cache=arguments.no_cache)
    if arguments.json:
        print_json({"agents": agents.items})
        return 0
    from sandbox_agent.render import agents_text

    print(agents_text(agents.items))
    return 0


def run_report(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        endpoint, agents = client.url, client.agents(config=True)
    print_json(report(agents.items, endpoint, int(time.time() * 1000)))
    return 0


def report(agents: Sequence[AgentInfo], endpoint: str, now_ms: int) -> JsonObject:
    """The report of 0.4.2, with the agent's ``error`` where its options could not be had."""
    return {"generatedAtMs": now_ms, "endpoint": endpoint, "agents": [_reported(agent) for agent in agents]}


def _reported(agent: AgentInfo) -> JsonObject:
    told: JsonObject = {"id": agent.id, "installed": agent.installed}
    for name, category in CATEGORIES.items():
        option = next((o for o in agent.config_options or () if o.get("category") == category), {})
        current = {"currentValue": option["currentValue"]} if option.get("currentValue") is not None else {}
        told[name] = {**current, "values": [_value(value) for value in _flat(option.get("options", []))]}
    return told | ({"error": agent.config_error} if agent.config_error else {})


def _flat(options: Sequence[Any]) -> list[Any]:
    """The options, those in groups too (ACP `SessionConfigSelectOptions` is a list of either)."""
    return [inner for option in options for inner in (option["options"] if "group" in option else [option])]


def _value(option: JsonObject) -> JsonObject:
    return {name: option[name] for name in ("value", "name") if name in option}


def run_install(arguments: argparse.Namespace) -> int:
    from sandbox_agent.cli.bar import Bar, last_words
    from sandbox_agent.problems import InstallFailed

    bar = Bar(sys.stderr, arguments.agent, verbose=arguments.verbose)
    with connect(arguments) as client:
        try:
            installed = client.install_agent(
                arguments.agent,
                reinstall=arguments.reinstall,
                agent_version=arguments.agent_version,
                agent_process_version=arguments.agent_process_version,
                on_progress=None if arguments.json else bar.show,
            )
        except InstallFailed as problem:
            bar.clear()
            if not arguments.json:
                last_words(problem.extensions)
            raise
    bar.clear()
    if arguments.json:
        print_json(installed)
    else:
        print(_installed(arguments.agent, installed))
    return 0


def _installed(agent: str, answer: AgentInstallResponse) -> str:
    from sandbox_agent.render import table_text

    rows = [(part.kind, part.version or "", part.source, part.path) for part in answer.artifacts]
    told = f"{agent} is installed already" if answer.already_installed else f"{agent} is installed"
    return f"{told}\n{table_text(('Part', 'Version', 'Source', 'Path'), rows)}" if rows else told
