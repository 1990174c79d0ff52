"""The actions of `sandbox-agent api fs` that change files of the server."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox_agent.cli.connection import connect
from sandbox_agent.cli.exits import UsageError
from sandbox_agent.cli.local import local_faults, remote
from sandbox_agent.cli.output import print_json, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from sandbox_agent.cli.transfer import TransferBar
    from sandbox_agent.client import SandboxAgent
    from sandbox_agent.client.file_results import Transfer

STANDARD = "-"
HINTS = {"not_empty": "give --recursive to remove all that is in it", "exists": "give --overwrite to replace it"}


def run_put(arguments: argparse.Namespace) -> int:
    from sandbox_agent.cli.transfer import TransferBar

    if arguments.local == STANDARD and arguments.remote is None:
        raise UsageError("put: standard input needs a REMOTE to become")
    bar = TransferBar(sys.stderr, arguments.local, quiet=arguments.quiet or arguments.json)
    with connect(arguments) as client, local_faults(), bar:
        done = _put(client, arguments, bar)
    if arguments.json:
        print_json(done)
        return 0
    for path in done.skipped:
        say(f"left out: {path}")
    if not arguments.quiet:
        from sandbox_agent.render import size_text

        count = "1 file" if done.files == 1 else f"{done.files} files"
        say(f"{count}, {size_text(done.size)}: {done.path}")
    return 0


def _put(client: SandboxAgent, arguments: argparse.Namespace, bar: TransferBar) -> Transfer:
    """By the plain upload, unless it is bound to a condition or comes from standard input."""
    from sandbox_agent.client.file_results import Transfer

    conditional = arguments.if_match is not None or arguments.no_overwrite
    to = None if arguments.remote is None else remote(arguments.remote)
    if arguments.local != STANDARD and not conditional:
        return client.fs.upload(arguments.local, to, progress=bar)
    local = Path(arguments.local)
    if arguments.local != STANDARD and local.is_dir():
        raise UsageError("put: --if-match and --no-overwrite are for a single file")
    data: Any = sys.stdin.buffer if arguments.local == STANDARD else local
    written = client.fs.write(
        to or remote(local.name),
        data,
        overwrite=not arguments.no_overwrite,
        if_match=arguments.if_match,
        progress=bar,
    )
    return Transfer(written.path, 1, written.bytes_written)


@contextlib.contextmanager
def _hints() -> Iterator[None]:
    """What would mend a fault is told as the option it is here, not as the member of a request."""
    from sandbox_agent.problems import Problem

    try:
        yield
    except Problem as error:
        error.hint = HINTS.get(str(error.extensions.get("code")), error.hint)
        raise


def run_rm(arguments: argparse.Namespace) -> int:
    from sandbox_agent.problems import NotFound

    with connect(arguments) as client, _hints():
        for path in arguments.path:
            with contextlib.suppress(*([NotFound] if arguments.force else [])):
                client.fs.delete(remote(path), recursive=arguments.recursive)
    return 0


def run_mv(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client, _hints():
        client.fs.move(remote(arguments.path), remote(arguments.to), overwrite=arguments.overwrite)
    return 0


def run_mkdir(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        for path in arguments.path:
            client.fs.mkdir(remote(path))
    return 0
