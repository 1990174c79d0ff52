"""`sandbox-agent api desktop record`: start, stop, list, get, rm."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox_agent.cli.completion import recording_ids
from sandbox_agent.cli.connection import add_connection, connect
from sandbox_agent.cli.exits import Exit
from sandbox_agent.cli.output import add_json, print_json
from sandbox_agent.cli.parsers import completed_by

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import TypeAlias

    from sandbox_agent.client import SandboxAgent
    from sandbox_agent.wire.desktop import DesktopRecordingInfo

    Actions: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no other name
    Run: TypeAlias = Callable[[argparse.Namespace], int]

FORMATS = ("mp4", "gif", "webm")


def add_record(actions: Actions) -> None:
    """Add the action, with those below it."""
    parser = actions.add_parser(
        "record", help="record the screen as a video", description="Recordings of the screen, which the server keeps."
    )
    below = parser.add_subparsers(dest="verb", metavar="ACTION", required=True)
    told = "Record the screen from now on, until stop, and print the recording's id."
    start = _action(below, "start", run_start, told)
    start.add_argument("--fps", type=int, metavar="N", help="pictures a second (default: 30)")
    start.add_argument("--overlay", action="store_true", help="draw clicks and keys in, passwords among them")
    told = "End the recording and print its id and length, or with -o the file that its video was written to."
    _add_file(_action(below, "stop", run_stop, told), "write the video to this file too")
    _action(below, "list", run_list, "List the recordings, the oldest first: id, status, length, bytes, start.")
    told = "Write the video of a recording to a file and print which. A GIF or WebM takes a while the first time."
    get = _action(below, "get", run_get, told)
    completed_by(get.add_argument("recording", metavar="ID", help="the recording's id"), recording_ids)
    _add_file(get, "where to (default: ID.FORMAT here)")
    told = "Delete recordings."
    gone = _action(below, "rm", run_rm, told)
    completed_by(gone.add_argument("recordings", metavar="ID", nargs="+", help="a recording's id"), recording_ids)


def _action(below: Actions, name: str, run: Run, told: str) -> argparse.ArgumentParser:
    parser = below.add_parser(
        name, help=told[0].lower() + told[1:].partition(".")[0].partition(":")[0], description=told
    )
    add_connection(parser)
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def _add_file(parser: argparse.ArgumentParser, told: str) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", help=told)
    parser.add_argument("--format", choices=FORMATS, help="its format (default: by the file's name, else mp4)")


def run_start(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        info = client.desktop.recordings.start(fps=arguments.fps, overlay=arguments.overlay)
    return _told(info, info.id, as_json=arguments.json)


def run_stop(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        info = client.desktop.recordings.stop()
        if arguments.output or arguments.format:
            return _saved(client, info, arguments)
    return _told(info, f"{info.id} {_seconds(info)}", as_json=arguments.json)


def run_list(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        found = client.desktop.recordings.list()
    rows = [f"{one.id}  {one.status:9}  {_seconds(one):>8}  {one.bytes:>11}  {one.started_at}" for one in found]
    if arguments.json:
        print_json({"recordings": found})
    elif rows:
        print("\n".join(rows))
    return Exit.OK


def run_get(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        return _saved(client, client.desktop.recordings.get(arguments.recording), arguments)


def run_rm(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        for recording in arguments.recordings:
            client.desktop.recordings.delete(recording)
    if arguments.json:
        print_json({"ok": True})
    return Exit.OK


def _saved(client: SandboxAgent, info: DesktopRecordingInfo, arguments: argparse.Namespace) -> int:
    suffix = Path(arguments.output or "").suffix.lower().lstrip(".")
    form: Any = arguments.format or (suffix if suffix in FORMATS else "mp4")
    file = Path(arguments.output or f"{info.id}.{form}")
    client.desktop.recordings.save(info.id, file, form)
    if arguments.json:
        print_json({"file": str(file), "recording": info})
    else:
        print(file)
    return Exit.OK


def _seconds(info: DesktopRecordingInfo) -> str:
    """How long it is, or ``-`` for one that goes on."""
    if info.ended_at is None:
        return "-"
    length = datetime.fromisoformat(info.ended_at) - datetime.fromisoformat(info.started_at)
    return f"{length.total_seconds():.1f}s"


def _told(info: DesktopRecordingInfo, line: str, *, as_json: bool) -> int:
    if as_json:
        print_json(info)
    else:
        print(line)
    return Exit.OK
