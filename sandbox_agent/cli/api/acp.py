"""`sandbox-agent api acp`: raw JSON-RPC envelopes to and from one agent process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox_agent.cli.completion import agent_ids
from sandbox_agent.cli.connection import add_connection, connect
from sandbox_agent.cli.exits import Exit, UsageError
from sandbox_agent.cli.output import add_json, print_json, print_raw, say
from sandbox_agent.cli.parsers import completed_by

if TYPE_CHECKING:
    import argparse

STDIN = "-"


def add_parser(areas: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = areas.add_parser("acp", help="raw ACP envelopes", description="Send and stream raw ACP envelopes.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    told = "List the agent processes that run."
    listing = actions.add_parser("list", help="agent processes that run", description=told)
    add_json(listing)
    add_connection(listing)
    listing.set_defaults(run=run_list)

    told = "Send one JSON-RPC envelope, bytes as they are, and print the agent's answer."
    post = actions.add_parser("post", help="send one envelope", description=told)
    _server_id(post)
    completed_by(post.add_argument("--agent", metavar="AGENT", help="start this agent if need be"), agent_ids)
    envelope = post.add_mutually_exclusive_group(required=True)
    envelope.add_argument("--json", dest="envelope", metavar="JSON", help="the envelope; - reads it from stdin")
    envelope.add_argument("--json-file", metavar="FILE", help="a file that holds the envelope; - is stdin")
    post.add_argument(
        "--wait", type=float, metavar="SECONDS", help="for the answer; one that takes longer arrives on the stream"
    )
    add_connection(post)
    post.set_defaults(run=run_post)

    told = "Print everything the agent writes, an envelope a line, from the start or after an event, until interrupted."
    stream = actions.add_parser("stream", help="print envelopes as they come", description=told)
    _server_id(stream)
    stream.add_argument("--last-event-id", type=int, metavar="N", help="only what came after this event")
    stream.add_argument("--count", type=int, metavar="N", help="end after so many envelopes")
    add_connection(stream)
    stream.set_defaults(run=run_stream)

    close = actions.add_parser("close", help="end an agent process", description="End an agent process.")
    _server_id(close)
    add_connection(close)
    close.set_defaults(run=run_close)


def _server_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server-id", required=True, metavar="ID", help="the id its first client chose")


def run_list(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        servers = client.list_acp_servers()
    if arguments.json:
        print_json({"servers": servers})
        return 0
    from sandbox_agent.render import table_text

    print(table_text(("Server", "Agent"), [(server.server_id, server.agent) for server in servers]))
    return 0


def run_post(arguments: argparse.Namespace) -> int:
    envelope = _envelope(arguments)
    with connect(arguments) as client:
        answer = client.acp(arguments.server_id).post(envelope, agent=arguments.agent, wait=arguments.wait)
    if answer is None:
        say("accepted; an answer, if any, arrives on the stream")
    else:
        print_json(answer)
    return 0


def _envelope(arguments: argparse.Namespace) -> bytes:
    if STDIN in (arguments.envelope, arguments.json_file):
        return sys.stdin.buffer.read()
    if arguments.envelope is not None:
        return os.fsencode(arguments.envelope)
    try:
        return Path(arguments.json_file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {arguments.json_file}: {error.strerror}") from error


def run_stream(arguments: argparse.Namespace) -> int:
    left = arguments.count
    with connect(arguments) as client, client.acp(arguments.server_id).stream(arguments.last_event_id) as messages:
        for message in messages:
            print_raw(message.raw)
            left = left and left - 1
            if left == 0:
                break
    return Exit.OK


def run_close(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        client.acp(arguments.server_id).delete()
    return Exit.OK
