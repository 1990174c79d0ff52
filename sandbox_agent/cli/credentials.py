"""`sandbox-agent credentials`: which keys and logins are on this machine."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from sandbox_agent.cli.errors import fail

if TYPE_CHECKING:
    import argparse

    from sandbox_agent.agents.catalogue import Provider
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
    add = extract.add_argument
    add("-a", "--agent", metavar="AGENT", help="only the value that this agent would use")
    add("-p", "--provider", metavar="PROVIDER", help="only the value for this provider: anthropic, openai, ...")
    add("-r", "--reveal", action="store_true", help="show the values themselves")
    _add_common(extract)
    extract.set_defaults(run=run_extract)

    told = "Print them as assignments for a shell, unmasked."
    env = kinds.add_parser("extract-env", help=told[0].lower() + told[1:-1], description=told, epilog=_PLACES)
    env.add_argument("-e", "--export", action="store_true", help="with `export` before each")
    _add_common(env)
    env.set_defaults(run=run_extract_env)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-d", "--home-dir", metavar="DIR", help="home folder to look in (default: yours)")
    parser.add_argument("--no-oauth", action="store_true", help="leave out the tokens of logins; keys alone")


def _found(arguments: argparse.Namespace) -> tuple[dict[str, Credential], dict[str, Provider]]:
    from sandbox_agent.agents import catalogue, credentials

    providers = catalogue.load()[1]
    environ = dict(os.environ)
    if arguments.home_dir:
        environ = credentials.at_home(environ, os.path.abspath(os.path.expanduser(arguments.home_dir)))  # noqa: PTH100, PTH111 - strings are wanted
    return credentials.best(credentials.find(providers, environ), oauth=not arguments.no_oauth), providers


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
    from sandbox_agent.agents import catalogue
    from sandbox_agent.agents.credentials import mask

    wanted: tuple[str, ...] = (arguments.provider,)
    if arguments.agent:
        specs = catalogue.load()[0]
        if arguments.agent not in specs:
            return fail(f"unsupported agent: {arguments.agent}", hint=f"one of {', '.join(specs)}")
        wanted = specs[arguments.agent].providers
        if not wanted:
            return fail(f"agent {arguments.agent} keeps its own credentials and asks for no provider's")
        if arguments.provider and arguments.provider not in wanted:
            return fail(f"agent {arguments.agent} uses {' or '.join(wanted)}, not {arguments.provider}")
        wanted = (arguments.provider,) if arguments.provider else wanted
    credential = next((found[name] for name in wanted if name in found), None)
    if credential is None:
        return fail(f"no credentials found for {' or '.join(wanted)}")
    _say(credential.value if arguments.reveal else mask(credential.value))
    return 0


def run_extract_env(arguments: argparse.Namespace) -> int:
    """Assignments that a shell reads back to the same values, whatever is in them."""
    from sandbox_agent.agents.credentials import variables

    found, providers = _found(arguments)
    for credential in found.values():
        names = variables(credential, providers)
        if not names:
            who = f"{credential.source}'s login for {credential.provider}"
            sys.stderr.write(f"note: {who} is left out: no agent takes it from a variable\n")
        for name in names:
            _say(f"{'export ' if arguments.export else ''}{name}={shlex.quote(credential.value)}")
    return 0
