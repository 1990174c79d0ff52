"""`sandbox-agent install desktop`: the programs the desktop needs, by the system's package manager."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sandbox_agent.cli.errors import fail

if TYPE_CHECKING:
    import argparse

_MANAGERS = ("apt", "dnf", "apk")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its options; those of 0.4.2 keep their names."""
    told = "Install what a part of the sandbox needs from the system."
    parser = commands.add_parser("install", help="install what the desktop needs from the system", description=told)
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)
    told = "Install an X server, a window manager and fonts by the system's package manager, as root or by sudo."
    desktop = parts.add_parser("desktop", help="what the desktop needs", description=told)
    add = desktop.add_argument
    add("-y", "--yes", action="store_true", help="do not ask")
    add("--print-only", action="store_true", help="print the commands, run none")
    add("--package-manager", choices=_MANAGERS, help="default: the one that is there")
    add("--no-fonts", action="store_true", help="leave out the fonts (the largest part)")
    desktop.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Install; the exit status."""
    import os
    import shlex

    from sandbox_agent.desktop import dependencies

    path = os.environ.get("PATH")
    manager = arguments.package_manager or dependencies.package_manager(path)
    if manager is None:
        return fail(f"no package manager of {', '.join(_MANAGERS)} is on PATH", hint="install Xvfb and openbox")
    commands = dependencies.install_commands(manager, fonts=not arguments.no_fonts)
    lines = [shlex.join(command) for command in commands]
    if arguments.print_only:
        print("\n".join(lines))
        return 0
    if not arguments.yes and not _agreed(lines):
        return fail("nothing was installed", hint="say --yes to install without being asked")
    return _install(commands)


def _agreed(lines: list[str]) -> bool:
    print("These commands will be run:", *lines, sep="\n  ", file=sys.stderr)
    if not sys.stdin.isatty():
        return False
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _install(commands: list[list[str]]) -> int:
    import os
    import shlex
    import subprocess

    from sandbox_agent.desktop import dependencies

    for command in commands:
        try:
            status = subprocess.run(command, check=False).returncode  # noqa: S603 - our own words
        except OSError as error:
            return fail(f"{command[0]}: {error.strerror}", hint=f"as root, run: {shlex.join(command)}")
        if status:
            return fail(f"{shlex.join(command)} ended with status {status}")
    missing = dependencies.missing(os.environ.get("PATH"))
    if missing:
        return fail(f"still missing: {', '.join(missing.names)}", hint=missing.command)
    print("The desktop has all it needs.")
    return 0
