"""What `processes` and `run` answer: the wire structs of processes, dressed for a notebook."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from sandbox_agent.client.errors import CommandFailed
from sandbox_agent.client.results import Listing, pretty
from sandbox_agent.wire import processes

if TYPE_CHECKING:
    from sandbox_agent.wire.processes import ProcessLogsStream


class ProcessInfo(processes.ProcessInfo, frozen=True, kw_only=True):
    """A process as it was when asked."""

    @property
    def running(self) -> bool:
        return self.status == "running"

    def __repr__(self) -> str:
        return f"<ProcessInfo {self.id} {self.command} {self.status}>"

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.process_text(self)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.process_html(self)


class RunResult(processes.ProcessRunResponse, frozen=True, kw_only=True):
    """A command that ended: what it wrote, and its ``exit_code`` (None after a time-out or a ``signal``).

    Printed, and shown in a notebook, it is the output, and how the command ended unless it ended well.
    """

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    def check(self) -> Self:
        """Itself. Raises :class:`CommandFailed` unless the command ended with 0."""
        if not self.ok:
            raise CommandFailed(self)
        return self

    def __repr__(self) -> str:
        ended = "timed out" if self.timed_out else f"signal {self.signal}" if self.signal else f"exit {self.exit_code}"
        return f"<RunResult {ended}, {len(self.stdout)} + {len(self.stderr)} characters>"

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.run_text(self)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.run_html(self)


@dataclass(frozen=True, slots=True, repr=False)
class LogEntry:
    """What one read of a process's output brought. With ``is_reset`` it stands for entries that are gone."""

    sequence: int
    stream: ProcessLogsStream
    timestamp_ms: int
    data: bytes
    is_reset: bool = False

    @property
    def text(self) -> str:
        """As UTF-8, bytes that are none replaced; a character may go on in the next entry, unlike in `logs()`."""
        return self.data.decode("utf-8", "replace")

    @classmethod
    def of(cls, entry: processes.ProcessLogEntry) -> Self:
        return cls(entry.sequence, entry.stream, entry.timestamp_ms, base64.b64decode(entry.data))

    def __repr__(self) -> str:
        return f"<LogEntry {self.sequence} {self.stream} {len(self.data)} bytes>"


class Screen(processes.ProcessTerminalScreen, frozen=True, kw_only=True):
    """A terminal's screen as text: ``lines`` from the top, without trailing blanks, and the cursor's place from 0."""

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip()

    def __str__(self) -> str:
        return self.text

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.screen_html(self.lines)


class ProcessList(Listing[ProcessInfo]):
    """Processes, oldest first."""

    __slots__ = ()

    def get(self, process_id: str) -> ProcessInfo | None:
        """The process of that id."""
        return next((process for process in self.items if process.id == process_id), None)

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.processes_text(self.items)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.processes_html(self.items)
