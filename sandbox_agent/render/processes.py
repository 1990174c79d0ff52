"""Processes of the sandbox and what they wrote, as HTML and as text."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from sandbox_agent.render.ansi import coloured, plain
from sandbox_agent.render.cards import card_html, card_text, table_html, table_text
from sandbox_agent.render.files import size_text
from sandbox_agent.render.html import root
from sandbox_agent.render.markup import Markup, join, tag
from sandbox_agent.render.parts import cut, duration, left_out
from sandbox_agent.render.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox_agent.wire.processes import ProcessInfo, ProcessRunResponse

_HEADS = ("Process", "Command", "State", "Owner")
_COMMAND = 160
_OUTPUT = 20_000
"""Characters of an output that are shown, its last."""


def process_html(process: ProcessInfo) -> str:
    return card_html(**_process(process))


def process_text(process: ProcessInfo) -> str:
    return card_text(**_process(process))


def processes_html(processes: Sequence[ProcessInfo]) -> str:
    rows = [(tag("code", p.id), tag("code", command_line(p)), state_of(p), p.owner) for p in processes]
    return table_html(_HEADS, rows)


def processes_text(processes: Sequence[ProcessInfo]) -> str:
    return table_text(_HEADS, [(p.id, command_line(p), state_of(p), p.owner) for p in processes])


def run_html(run: ProcessRunResponse) -> str:
    """What a command wrote, with its colours, and how it ended unless it ended well."""
    parts = [_pre(text, truncated) for text, truncated in _outputs(run) if text]
    if ended := _ended(run):
        parts.append(tag("div", ended, cls="sa-note sa-error"))
    return root(*parts or [tag("div", "No output.", cls="sa-dim")])


def run_text(run: ProcessRunResponse) -> str:
    shown = [plain(_last(text, truncated)).rstrip("\n") for text, truncated in _outputs(run) if text]
    ended = _ended(run)
    return clean("\n".join([*shown, *([ended] if ended else [])]))


def screen_html(lines: Sequence[str]) -> str:
    """A terminal's screen."""
    return root(tag("pre", "\n".join(lines) or " "))


def command_line(process: ProcessInfo) -> str:
    """As one would type it, cut to a line."""
    if process.command == "sh" and len(process.args) == 2 and process.args[0] == "-c":  # noqa: PLR2004 - sh -c LINE
        line = process.args[1]
    else:
        line = shlex.join([process.command, *process.args])
    return cut(" ".join(line.split()), _COMMAND)[0]


def state_of(process: ProcessInfo) -> str:
    """``running``, or how it ended."""
    if process.status == "running":
        return "running" if process.pid is not None else "restarting"
    if process.signal is not None:
        return f"ended by signal {process.signal}"
    return "exited" if not process.exit_code else f"exited with {process.exit_code}"


def _process(process: ProcessInfo) -> dict[str, Any]:
    usage = process.usage
    ended = process.exited_at_ms
    facts = {
        "Process": process.id,
        "Directory": process.cwd,
        "PID": process.pid,
        "Owner": process.owner if process.owner != "user" else None,
        "Session": process.session_id,
        "Terminal": f"{process.cols} x {process.rows}"
        if process.tty and process.cols and process.rows
        else process.tty,
        "Took": None if ended is None else duration(ended - process.created_at_ms),
        "Restarts": process.restarts,
        "Processor": None if usage is None else f"{usage.cpu_seconds:.1f} s",
        "Memory": None if usage is None else size_text(usage.memory_bytes),
    }
    return {"title": command_line(process), "facts": facts, "state": state_of(process)}


def _outputs(run: ProcessRunResponse) -> tuple[tuple[str, bool], ...]:
    return (run.stdout, run.stdout_truncated), (run.stderr, run.stderr_truncated)


def _last(text: str, truncated: bool) -> str:
    shown, rest = cut(text, _OUTPUT, end=True)
    shown = f"{left_out(rest)}\n{shown}" if rest else shown
    return shown + ("\n… more was written than is kept\n" if truncated else "")


def _pre(text: str, truncated: bool) -> Markup:
    shown, rest = cut(text, _OUTPUT, end=True)
    note = tag("span", f"{left_out(rest)}\n", cls="sa-dim") if rest else Markup("")
    more = tag("span", "\n… more was written than is kept", cls="sa-dim") if truncated else Markup("")
    return tag("pre", join([note, coloured(shown), more]))


def _ended(run: ProcessRunResponse) -> str | None:
    if run.timed_out:
        return f"timed out after {duration(run.duration_ms)}"
    if run.signal is not None:
        return f"ended by signal {run.signal}"
    return f"exit code {run.exit_code}" if run.exit_code else None
