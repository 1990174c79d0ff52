"""The actions of `sandbox-agent api fs` that change nothing on the server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sandbox_agent.cli.connection import connect
from sandbox_agent.cli.exits import Exit, UsageError
from sandbox_agent.cli.local import local_faults, remote
from sandbox_agent.cli.output import print_json, print_line, print_path, say, write_bytes

if TYPE_CHECKING:
    import argparse

    from sandbox_agent.client import SandboxAgent

STANDARD = "-"


def run_ls(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        entries = client.fs.list(
            remote(arguments.path),
            recursive=arguments.recursive or arguments.depth is not None,
            depth=arguments.depth,
            glob=arguments.glob,
        )
    if arguments.json:
        print_json({"entries": entries.items})
    elif arguments.quiet:
        for path in entries.paths:
            print_path(path)
    elif entries.items:
        from sandbox_agent.render import entries_text

        print(entries_text(entries.items, every=True))
    return 0


def run_cat(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        for path in arguments.path:
            _print(client, remote(path), arguments.offset, arguments.length)
    return 0


def _print(client: SandboxAgent, path: str, offset: int = 0, length: int | None = None) -> None:
    with client.fs.stream(path, offset=offset, length=length) as chunks:
        for chunk in chunks:
            write_bytes(chunk)


def run_stat(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        info = client.fs.stat(remote(arguments.path))
    if arguments.json:
        print_json(info)
        return 0
    from sandbox_agent.render import file_text

    print(file_text(info))
    return 0


def run_get(arguments: argparse.Namespace) -> int:
    from sandbox_agent.cli.transfer import TransferBar

    path = remote(arguments.remote)
    if arguments.local == STANDARD:
        if arguments.json:
            raise UsageError("get: the content goes to standard output, so --json has no place there")
        with connect(arguments) as client:
            _print(client, path)
        return 0
    bar = TransferBar(sys.stderr, path, quiet=arguments.quiet or arguments.json)
    with connect(arguments) as client, local_faults(), bar:
        target = client.fs.download(path, arguments.local, progress=bar)
    if arguments.json:
        print_json({"path": str(target)})
    elif not arguments.quiet:
        say(f"written to {target}")
    return 0


def run_search(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        found = client.fs.search(
            arguments.query,
            remote(arguments.path),
            kind="name" if arguments.name else "content",
            glob=arguments.glob,
            regex=arguments.regex,
            case_sensitive=arguments.case_sensitive,
            limit=arguments.limit,
        )
    status = Exit.OK if found.items else Exit.FAILURE
    if arguments.json:
        print_json({"matches": found.items, "truncated": found.truncated, "reason": found.reason})
        return status
    for match in found:
        print_path(str(match))
    if found.truncated:
        say(_truncated(found.reason))
    return status


def _truncated(reason: str | None) -> str:
    told = {"time": "it took too long", "size": "some lines are too long"}
    return f"there is more: {told.get(reason or '', '--limit sets how much is told')}"


def run_watch(arguments: argparse.Namespace) -> int:
    with (
        connect(arguments) as client,
        client.fs.watch(remote(arguments.path), recursive=arguments.recursive) as changes,
    ):
        changes.ready()
        if arguments.json:
            print_line({"change": "ready", "path": arguments.path})
        else:
            say("watching; Control-C ends it")
        for change in changes:
            if arguments.json:
                print_line({"change": change.change, "path": change.path, "isDir": change.is_dir})
            else:
                print_path(f"{change.change:<8}  {change.path}{'/' if change.is_dir else ''}".rstrip())
    return 0
