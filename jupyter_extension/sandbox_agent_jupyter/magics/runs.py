"""``%agent run`` and ``logs``: what a process writes, in the cell as it comes."""

from __future__ import annotations

import codecs
import contextlib
import sys
from typing import TYPE_CHECKING

from sandbox_agent.client.errors import ClientError
from sandbox_agent.problems import Conflict, NotFound
from sandbox_agent_widgets.live import on_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.client import Process
    from sandbox_agent.client.process_results import LogEntry, ProcessInfo

STOP_WAIT_S = 2.0
"""How long a stopped process has to end before it is killed."""


class RunInterrupted(KeyboardInterrupt):
    """A cell was interrupted while it showed a process. Stops "run all", without a trace."""

    def _render_traceback_(self) -> list[str]:
        return [f"Interrupted: {self}"]


class Printer:
    """Prints entries, each output to its own stream; characters are joined over entries."""

    def __init__(self) -> None:
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._live = on_terminal()
        self._begun = False

    def show(self, entries: Iterable[LogEntry]) -> None:
        for entry in entries:
            if entry.is_reset:
                self._write("stderr", "… some of the log is gone: it was longer than is kept\n")
                continue
            decoder = self._decoders.setdefault(entry.stream, codecs.getincrementaldecoder("utf-8")("replace"))
            self._write(entry.stream, decoder.decode(entry.data))

    def line(self, text: str) -> None:
        """A line of ours, on a line of its own."""
        self._write("stdout", f"\n{text}\n" if self._begun else f"{text}\n")

    def _write(self, stream: str, text: str) -> None:
        if not text:
            return
        out = sys.stderr if stream == "stderr" else sys.stdout
        out.write(text)
        self._begun = not text.endswith("\n")
        if self._live:  # a kernel sends what was written by itself, some times a second
            out.flush()


def show_run(process: Process, *, keep: bool, check: bool) -> None:
    """Print what the process writes until it ends, and how that was; then forget it unless ``keep``.

    Raises `RunInterrupted` when interrupted, after the process was ended, and with ``check`` `ClientError` unless it
    ended with 0.
    """
    printer = Printer()
    entries = process.log_entries()
    try:
        printer.show(entries)
        info = process.wait()
    except KeyboardInterrupt:
        end(process)
        printer.show(entries)
        told = ended(process.refresh())
        _forget(process, keep=keep)
        raise RunInterrupted(f"the process was stopped ({told}).") from None
    told = ended(info)
    _forget(process, keep=keep)
    if check and info.exit_code != 0:
        raise ClientError(f"the command ended with {told}")
    printer.line(told)


def show_logs(process: Process, *, follow: bool, tail: int | None) -> None:
    """Print what it wrote, and with ``follow`` what it writes. Raises `RunInterrupted`; the process goes on."""
    try:
        with process.log_entries(follow=follow, tail=tail) as entries:
            Printer().show(entries)
    except KeyboardInterrupt:
        raise RunInterrupted(f"{process.id} goes on; %agent stop {process.id} ends it.") from None


def end(process: Process) -> None:
    """Ask it and all it started to end, and end what does not."""
    if process.stop(wait=STOP_WAIT_S).running:
        process.kill(wait=STOP_WAIT_S)


def ended(info: ProcessInfo) -> str:
    """How it ended."""
    return f"signal {info.signal}" if info.signal is not None else f"exit code {info.exit_code}"


def _forget(process: Process, *, keep: bool) -> None:
    if not keep:
        with contextlib.suppress(Conflict, NotFound):  # it does not end, or somebody was faster
            process.delete()
