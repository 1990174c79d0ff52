"""`sandbox-agent credentials`: which keys and logins are on this machine."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from sandbox_agent.cli.errors import fail

if TYPE_CHECKING:
    import argparse

    from sandbox_agent.agents.catalogue import AgentSpec, Provider
    from sandbox_agent.agents.credentials import Credential

_PLACES = """\
Looked for in the environment first, then in the files in which agents keep their keys and logins. Expired logins are
passed over, and so is a file that is missing or malformed."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands with their options; those of 0.4.2 keep their names and letters."""
    parser = commands.add_parser("credentials", help="show which keys and logins are on this machine", epilog=_PLACES)
    kinds = parser.add_subparsers(dest="credentials_command", metavar="COMMAND", required=True)

    told = "Show the keys and logins that are on this machine as JSON, masked."
    extract = kinds.add_parser("extract", help="show them as JSON, masked", description=told, epilog=_PLACES)
    extract.add_argument("-r", "--reveal", action="store_true", help="show the values themselves")
    _add_common(extract)
    extract.set_defaults(run=run_extract)

    told = "Print them as assignments for a shell, unmasked."
    env = kinds.add_parser("extract-env", help=told[0].lower() + told[1:-1], description=told, epilog=_PLACES)
    env.add_argument("-e", "--export", action="store_true", help="with `export` before each")
    env.add_argument("-r", "--reveal", action="store_true", help="changes nothing: a shell needs the values")
    _add_common(env)
    env.set_defaults(run=run_extract_env)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--agent", metavar="AGENT", help="only what this agent would use")
    parser.add_argument(
        "-p", "--provider", metavar="PROVIDER", help="only that of this provider: anthropic, openai, ..."
    )
    parser.add_argument("-d", "--home-dir", metavar="DIR", help="home folder to look in (default: yours)")
    parser.add_argument("--no-oauth", action="store_true", help="leave out the tokens of logins; keys alone")


def _found(arguments: argparse.Namespace) -> tuple[dict[str, Credential], dict[str, Provider]]:
    """The best of each provider that was asked for; with an agent, the ones in its own file before all others."""
    from sandbox_agent.agents import catalogue, credentials
    from sandbox_agent.problems import UnsupportedAgent

    specs, providers = catalogue.load()
    environ = dict(os.environ)
    if arguments.home_dir:
        environ = credentials.at_home(environ, os.path.abspath(os.path.expanduser(arguments.home_dir)))  # noqa: PTH100, PTH111 - strings are wanted
    found = list(credentials.find(providers, environ))
    wanted: tuple[str, ...] | None = (arguments.provider,) if arguments.provider else None
    if arguments.agent:
        if arguments.agent not in specs:
            raise UnsupportedAgent(f"unsupported agent: {arguments.agent}", hint=f"one of {', '.join(specs)}")
        found, wanted = _of(specs[arguments.agent], found, wanted)
    best = credentials.best(found, oauth=not arguments.no_oauth)
    return {name: best[name] for name in wanted or best if name in best}, providers


def _of(
    spec: AgentSpec, found: list[Credential], wanted: tuple[str, ...] | None
) -> tuple[list[Credential], tuple[str, ...]]:
    """An agent's credentials: those of its providers, and where it asks for none, those it keeps itself."""
    from sandbox_agent.problems import NotFound

    if spec.providers:
        names = spec.providers
    else:
        found = [one for one in found if one.source == spec.id]
        names = tuple(dict.fromkeys(one.provider for one in found))
    if not names:
        raise NotFound(f"agent {spec.id} asks for no provider's credentials, and keeps none itself")
    if wanted and wanted[0] not in names:
        raise NotFound(f"agent {spec.id} uses {' or '.join(names)}, not {wanted[0]}")
    return found, wanted or names


def run_extract(arguments: argparse.Namespace) -> int:
    """All of them as a document, or one value."""
    import msgspec

    found, _ = _found(arguments)
    if arguments.agent or arguments.provider:
        return _one(arguments, found)
    document = {name: _document(found.pop(name, None), reveal=arguments.reveal) for name in ("anthropic", "openai")}
    others = {name: _document(one, reveal=arguments.reveal) for name, one in found.items()}
    _say(msgspec.json.format(msgspec.json.encode(document | {"other": others})).decode())
    return 0


def _document(credential: Credential | None, *, reveal: bool) -> dict[str, Any] | None:
    """With the keys that 0.4.2 prints."""
    from sandbox_agent.agents.credentials import mask

    if credential is None:
        return None
    return {
        "provider": credential.provider,
        "source": credential.source,
        "auth_type": credential.auth_type,
        "api_key": credential.value if reveal else mask(credential.value),
        "redacted": not reveal,
    }


def _one(arguments: argparse.Namespace, found: dict[str, Credential]) -> int:
    from sandbox_agent.agents.credentials import mask

    credential = next(iter(found.values()), None)
    if credential is None:
        return fail(f"no credentials found for {arguments.provider or arguments.agent}")
    _say(credential.value if arguments.reveal else mask(credential.value))
    return 0


def run_extract_env(arguments: argparse.Namespace) -> int:
    """Assignments that a shell reads back to the same values, whatever is in them."""
    from sandbox_agent.agents.credentials import variables

    found, providers = _found(arguments)
    if not found and (arguments.agent or arguments.provider):
        return fail(f"no credentials found for {arguments.provider or arguments.agent}")
    for credential in found.values():
        names = variables(credential, providers)
        if not names:
            who = f"{credential.source}'s login for {credential.provider}"
            sys.stderr.write(f"note: {who} is left out: no agent takes it from a variable\n")
        for name in names:
            _say(f"{'export ' if arguments.export else ''}{name}={shlex.quote(credential.value)}")
    return 0
