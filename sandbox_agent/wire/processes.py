"""`/v1/processes`: managed processes, one-off commands, their logs, input, terminals and limits."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from sandbox_agent.wire.base import Wire

ProcessState: TypeAlias = Literal["running", "exited"]
ProcessOwner: TypeAlias = Literal["user", "desktop", "system", "session"]
ProcessLogsStream: TypeAlias = Literal["stdout", "stderr", "combined", "pty"]
RestartPolicy: TypeAlias = Literal["never", "on_failure", "always"]
Milliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
Cells: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class ProcessConfig(Wire, frozen=True, kw_only=True):
    """The limits. ``defaultRunTimeoutMs`` is never above ``maxRunTimeoutMs``; sizes are bytes."""

    max_concurrent_processes: Count
    default_run_timeout_ms: Count
    max_run_timeout_ms: Count
    max_output_bytes: Count
    max_log_bytes_per_process: Count
    max_input_bytes_per_request: Count


class ProcessConfigRequest(Wire, frozen=True, kw_only=True):
    """New limits; one that is not given stays as it is."""

    max_concurrent_processes: Count | None = None
    default_run_timeout_ms: Count | None = None
    max_run_timeout_ms: Count | None = None
    max_output_bytes: Count | None = None
    max_log_bytes_per_process: Count | None = None
    max_input_bytes_per_request: Count | None = None


class ProcessCreateRequest(Wire, frozen=True, kw_only=True):
    """``tty`` gives the process a terminal of ``cols`` x ``rows`` (80 x 24 at first).

    ``env`` is added to an allowed part of the server's environment. ``restartPolicy`` says whether it is started
    again when it ended by itself: after a failure, or always; each time after a longer pause.
    """

    command: str
    args: tuple[str, ...] = ()
    cwd: str | None = None
    env: dict[str, str] = msgspec.field(default_factory=dict)
    interactive: bool = False
    tty: bool = False
    cols: Cells | None = None
    rows: Cells | None = None
    restart_policy: RestartPolicy = "never"


class ProcessUsage(Wire, frozen=True, kw_only=True):
    """What the process and all it started use: processor time so far, resident memory, number of processes.

    It is at most a second old.
    """

    cpu_seconds: float
    memory_bytes: int
    processes: int


class ProcessInfo(Wire, frozen=True, kw_only=True):
    """``exitCode`` is absent while it runs, and when a ``signal`` ended it.

    ``pid`` is there while it runs. ``sessionId`` names the session whose agent started it. While a process waits to
    be started again it is ``running`` without a ``pid``. ``usage`` is that of a running process.
    """

    id: str
    command: str
    args: tuple[str, ...]
    tty: bool
    interactive: bool
    owner: ProcessOwner
    status: ProcessState
    created_at_ms: int
    cwd: str | None = None
    pid: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    exited_at_ms: int | None = None
    session_id: str | None = None
    cols: int | None = None
    rows: int | None = None
    restart_policy: RestartPolicy | None = None
    restarts: int | None = None
    usage: ProcessUsage | None = None


class ProcessListResponse(Wire, frozen=True, kw_only=True):
    """By creation, oldest first."""

    processes: tuple[ProcessInfo, ...]


class ProcessRunRequest(Wire, frozen=True, kw_only=True):
    """A command that is waited for. Its standard input is closed.

    ``timeoutMs`` and ``maxOutputBytes`` are at most the limits; without them, or with a time-out of 0, the limits hold.
    """

    command: str
    args: tuple[str, ...] = ()
    cwd: str | None = None
    env: dict[str, str] = msgspec.field(default_factory=dict)
    timeout_ms: Milliseconds | None = None
    max_output_bytes: Milliseconds | None = None


class ProcessRunResponse(Wire, frozen=True, kw_only=True):
    """``exitCode`` is null after a time-out and when a ``signal`` ended the command.

    Bytes that are no UTF-8 are replaced in ``stdout`` and ``stderr``.
    """

    timed_out: bool
    stdout: str
    stderr: str
    stdout_truncated: bool
    stderr_truncated: bool
    duration_ms: int
    exit_code: int | None
    signal: int | None = None


class ProcessInputRequest(Wire, frozen=True, kw_only=True):
    """``encoding`` is ``base64`` (the default), ``utf8`` or ``text``. ``eof`` ends the input after the data."""

    data: str
    encoding: Literal["base64", "utf8", "text"] | None = None
    eof: bool = False


class ProcessInputResponse(Wire, frozen=True, kw_only=True):
    bytes_written: int


class ProcessLogEntry(Wire, frozen=True, kw_only=True):
    """What one read of the process's output brought; numbers run over all streams, from 1."""

    sequence: int
    stream: ProcessLogsStream
    timestamp_ms: int
    data: str
    encoding: Literal["base64"]


class ProcessLogsResponse(Wire, frozen=True, kw_only=True):
    """``reset`` says that entries which were asked for are gone: the log is bounded, the oldest go first."""

    process_id: str
    stream: ProcessLogsStream
    entries: tuple[ProcessLogEntry, ...]
    reset: bool | None = None


class ProcessTerminalResizeRequest(Wire, frozen=True, kw_only=True):
    cols: Cells
    rows: Cells


class ProcessTerminalResizeResponse(Wire, frozen=True, kw_only=True):
    cols: int
    rows: int


class ProcessTerminalScreen(Wire, frozen=True, kw_only=True):
    """What is on a terminal's screen: lines from the top, without blanks at their ends; places count from 0.

    ``alternate`` is the screen that full-screen programs use.
    """

    lines: tuple[str, ...]
    cursor_row: int
    cursor_col: int
    cols: int
    rows: int
    alternate: bool
    title: str


class TerminalInput(Wire, frozen=True, kw_only=True, tag_field="type", tag="input"):
    """Keys, over a terminal's WebSocket. ``encoding`` is ``base64``, or that of text, which is the default here."""

    data: str
    encoding: Literal["base64", "utf8", "text"] | None = None


class TerminalResize(Wire, frozen=True, kw_only=True, tag_field="type", tag="resize"):
    """The terminal's size, over its WebSocket."""

    cols: Cells
    rows: Cells


class TerminalClose(Wire, frozen=True, kw_only=True, tag_field="type", tag="close"):
    """The end of a WebSocket, not of the process."""


TerminalClientFrame: TypeAlias = TerminalInput | TerminalResize | TerminalClose


class TerminalReady(Wire, frozen=True, kw_only=True, tag_field="type", tag="ready"):
    """The first message over a terminal's WebSocket, and again where output was lost to a reader that was too slow.

    The binary messages that follow are output from byte ``offset`` on, counted from the start of the process. With
    ``repaint`` the first of them is none: it draws the screen as it was at that byte on a terminal of that size.
    """

    process_id: str
    offset: int
    repaint: bool
    cols: int
    rows: int


class TerminalExit(Wire, frozen=True, kw_only=True, tag_field="type", tag="exit"):
    """The process has ended and all its output was sent; ``exitCode`` is null when a ``signal`` ended it."""

    exit_code: int | None
    signal: int | None = None


class TerminalError(Wire, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """Something the client sent was not done; the connection goes on."""

    message: str


TerminalServerFrame: TypeAlias = TerminalReady | TerminalExit | TerminalError
