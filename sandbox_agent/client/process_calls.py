"""The routes of processes, as calls, and the requests made from the SDK's arguments (pure)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from sandbox_agent.client.api import HOLD_MARGIN, prefer
from sandbox_agent.client.asking import ACCEPT_JSON, get, path, query, send, stream
from sandbox_agent.client.calls import Call, decoder, ignore
from sandbox_agent.client.effects import Request
from sandbox_agent.client.process_results import ProcessInfo, RunResult, Screen
from sandbox_agent.wire.base import Wire
from sandbox_agent.wire.processes import (
    ProcessConfig,
    ProcessConfigRequest,
    ProcessCreateRequest,
    ProcessInputRequest,
    ProcessInputResponse,
    ProcessLogsResponse,
    ProcessRunRequest,
    ProcessTerminalResizeRequest,
    ProcessTerminalResizeResponse,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from sandbox_agent.wire.processes import ProcessLogsStream, ProcessOwner, RestartPolicy

SHELL: Final = "sh"

PIECE: Final = 48 * 1024
"""Bytes of input in a request: below the least limit that servers have by default."""


class ProcessListing(Wire, frozen=True, kw_only=True):
    processes: tuple[ProcessInfo, ...]


def argv(command: str | Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """A text is a command line for the shell, a sequence a program and its arguments."""
    if isinstance(command, str):
        return SHELL, ("-c", command)
    if not command:
        raise ValueError("a command needs at least the name of a program")
    return command[0], tuple(command[1:])


def create_request(
    command: str | Sequence[str],
    *,
    cwd: str | PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    interactive: bool = False,
    tty: bool = False,
    cols: int | None = None,
    rows: int | None = None,
    restart_policy: RestartPolicy = "never",
) -> ProcessCreateRequest:
    program, args = argv(command)
    return ProcessCreateRequest(
        command=program,
        args=args,
        cwd=None if cwd is None else str(cwd),
        env=dict(env or {}),
        interactive=interactive or tty,
        tty=tty,
        cols=cols,
        rows=rows,
        restart_policy=restart_policy,
    )


def run_request(
    command: str | Sequence[str],
    *,
    cwd: str | PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    max_output_bytes: int | None = None,
) -> ProcessRunRequest:
    program, args = argv(command)
    return ProcessRunRequest(
        command=program,
        args=args,
        cwd=None if cwd is None else str(cwd),
        env=dict(env or {}),
        timeout_ms=None if timeout is None else max(1, round(timeout * 1000)),
        max_output_bytes=max_output_bytes,
    )


def input_requests(data: str | bytes, *, eof: bool = False) -> list[ProcessInputRequest]:
    """As many as it takes to stay below the server's limit for one; the last ends the input if so asked."""
    raw = data.encode() if isinstance(data, str) else data
    starts = range(0, len(raw), PIECE) or (range(1) if eof else ())
    return [
        ProcessInputRequest(
            data=base64.b64encode(raw[start : start + PIECE]).decode("ascii"),
            eof=eof and start + PIECE >= len(raw),
        )
        for start in starts
    ]


def create(request: ProcessCreateRequest) -> Call[ProcessInfo]:
    """Not repeatable: a second one would be a second process."""
    return send(ProcessInfo, "POST", "processes", body=request, repeatable=False)


def run(request: ProcessRunRequest) -> Call[RunResult]:
    """No read timeout: the server has one for the command."""
    return send(RunResult, "POST", "processes", "run", body=request, read_timeout=None, repeatable=False)


def listing(owner: ProcessOwner | None) -> Call[ProcessListing]:
    return get(ProcessListing, "processes", query=query(owner=owner))


def process(process_id: str, *, hold: float = 0.0) -> Call[ProcessInfo]:
    request = Request(
        "GET", path("processes", process_id), headers=(ACCEPT_JSON, *prefer(hold)), read_timeout=hold + HOLD_MARGIN
    )
    return Call(request, decoder(ProcessInfo))


def end(process_id: str, how: str, wait: float | None) -> Call[ProcessInfo]:
    """``how`` is ``stop`` or ``kill``. Repeatable: what has ended stays so."""
    milliseconds = None if wait is None else round(wait * 1000)
    return send(
        ProcessInfo,
        "POST",
        "processes",
        process_id,
        how,
        query=query(waitMs=milliseconds),
        read_timeout=(wait or 0.0) + HOLD_MARGIN,
    )


def delete(process_id: str) -> Call[None]:
    return Call(Request("DELETE", path("processes", process_id), headers=(ACCEPT_JSON,)), ignore)


def put_in(process_id: str, request: ProcessInputRequest) -> Call[ProcessInputResponse]:
    return send(ProcessInputResponse, "POST", "processes", process_id, "input", body=request, repeatable=False)


def resize(process_id: str, cols: int, rows: int) -> Call[ProcessTerminalResizeResponse]:
    body = ProcessTerminalResizeRequest(cols=cols, rows=rows)
    return send(ProcessTerminalResizeResponse, "POST", "processes", process_id, "terminal", "resize", body=body)


def logs(
    process_id: str, *, which: ProcessLogsStream | None, tail: int | None, since: int | None
) -> Call[ProcessLogsResponse]:
    asked = query(stream=which, tail=tail, since=since)
    return get(ProcessLogsResponse, "processes", process_id, "logs", query=asked)


def logs_stream(
    process_id: str, *, which: ProcessLogsStream | None, tail: int | None, since: int | None, after: int | None
) -> Request:
    """``after`` is a cursor of the stream itself, for going on after a cut."""
    asked = query(follow=True, stream=which, tail=tail, since=since)
    return stream("processes", process_id, "logs", after=after, query=asked)


def limits() -> Call[ProcessConfig]:
    return get(ProcessConfig, "processes", "config")


def set_limits(**limits: int | None) -> Call[ProcessConfig]:
    """``limits`` by the names they have in `ProcessConfigRequest`."""
    return send(ProcessConfig, "POST", "processes", "config", body=ProcessConfigRequest(**limits))


def screen(process_id: str) -> Call[Screen]:
    return get(Screen, "processes", process_id, "terminal", "screen")


def terminal_socket(process_id: str, received: int | None) -> Request:
    """The terminal's socket, from the byte ``received`` of its output on, or with its screen drawn first."""
    return Request("GET", path("processes", process_id, "terminal", "ws"), query(offset=received))
