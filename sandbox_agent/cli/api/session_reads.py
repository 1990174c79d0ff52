"""The actions of `sandbox-agent api sessions` that change nothing."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from sandbox_agent.cli.connection import connect
from sandbox_agent.cli.exits import UsageError
from sandbox_agent.cli.output import print_json, print_line, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from sandbox_agent.client import Session, SessionEvent, Stream, TranscriptChange

SUFFIXES = {".md": "md", ".html": "html", ".htm": "html", ".ipynb": "ipynb", ".txt": "text", ".json": "json"}


def run_list(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        limit = None if arguments.all else arguments.limit
        page = client.list_sessions(limit=limit)
        infos = [session.info for session in (page if arguments.all else page.items)]
    cursor = None if arguments.all else page.next_cursor
    if arguments.json:
        print_json({"items": infos, "nextCursor": cursor})
        return 0
    from sandbox_agent.render import sessions_text

    print(sessions_text(infos))
    if cursor is not None:
        say("there are more: --all lists them")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        session = client.get_session(arguments.session)
        waiting = session.permissions(pending_only=True) if session.info.pending_permissions else ()
    if arguments.json:
        print_json(session.info)
        return 0
    from sandbox_agent.render import permission_text, session_text

    print("\n\n".join([session_text(session.info), *map(permission_text, waiting)]))
    return 0


def run_prompts(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        prompts = client.get_session(arguments.session).prompts()
    if arguments.json:
        print_json({"items": prompts.items})
        return 0
    from sandbox_agent.render import table_text

    print(table_text(("Prompt", "State", "Stop reason"), [(p.id, p.state, p.stop_reason or "") for p in prompts]))
    return 0


def run_events(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        session = client.get_session(arguments.session)
        with session.events(arguments.after, follow=arguments.follow) as events:
            _print_events(islice(events, arguments.limit), as_json=arguments.json)
    return 0


def _print_events(events: Iterable[SessionEvent], *, as_json: bool) -> None:
    """Each as it comes."""
    if as_json:
        for event in events:
            print_line(event)
        return
    from sandbox_agent.render import events_text

    for number, event in enumerate(events):
        head, line = events_text([event]).split("\n", 1)
        print(line if number else f"{head}\n{line}", flush=True)


def run_transcript(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        session = client.get_session(arguments.session)
        if arguments.follow:
            with session.follow_transcript() as changes:
                _print_changes(changes, as_json=arguments.json)
            return 0
        transcript = session.transcript()
    if arguments.json:
        print_json(transcript)
    else:
        print(transcript, end="")
    return 0


def _print_changes(changes: Stream[TranscriptChange], *, as_json: bool) -> None:
    """Items as they change: for programs each change, for people what it adds."""
    if as_json:
        for change in changes:
            print_line({"sequence": change.transcript.sequence, "items": change.changed})
        return
    from sandbox_agent.cli.live.console import Console
    from sandbox_agent.render.story import TurnStory

    console = Console(err=sys.stdout)
    story = TurnStory(None)
    try:
        for change in changes:
            for item in change.changed:
                for piece in story.accept(item):
                    console.show(piece)
    finally:
        console.finish()


def run_permissions(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        permissions = client.get_session(arguments.session).permissions(pending_only=not arguments.all)
    if arguments.json:
        print_json({"items": permissions.items})
        return 0
    from sandbox_agent.render import permission_text

    print("\n\n".join(map(permission_text, permissions)) or "None.")
    for permission in permissions.pending:
        replies = "|".join(permission.available_replies)
        say(f"answer with: sandbox-agent api sessions answer {arguments.session} {permission.id} {replies}")
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    form = _format(arguments.format, arguments.output)
    with connect(arguments) as client:
        text = _exported(client.get_session(arguments.session), form)
    if arguments.output is None:
        print(text, end="" if text.endswith("\n") else "\n")
        return 0
    try:
        Path(arguments.output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {arguments.output}: {error.strerror}") from error
    say(f"written to {arguments.output}")
    return 0


def _format(named: str | None, output: str | None) -> str:
    return named or SUFFIXES.get(Path(output).suffix.lower() if output else "", "md")


def _exported(session: Session, form: str) -> str:
    if form == "json":
        import msgspec

        return msgspec.json.format(msgspec.json.encode(session.transcript()), indent=2).decode()
    return session.export(cast("Literal['md', 'html', 'ipynb', 'text']", form))
