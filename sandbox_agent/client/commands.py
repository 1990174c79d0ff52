"""What the client does with processes beyond one request (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.client import process_calls
from sandbox_agent.client.calls import gone, perform
from sandbox_agent.client.effects import Sleep, now
from sandbox_agent.client.errors import ProcessTimeout, ServerUnreachable
from sandbox_agent.client.programs import HOLD
from sandbox_agent.problems import NotFound

if TYPE_CHECKING:
    from sandbox_agent.client.effects import Program
    from sandbox_agent.client.process_results import ProcessInfo, RunResult
    from sandbox_agent.wire.processes import ProcessRunRequest


def run(request: ProcessRunRequest, *, check: bool) -> Program[RunResult]:
    """Run a command to its end."""
    result = yield from perform(process_calls.run(request))
    return result.check() if check else result


def wait(process_id: str, timeout: float | None) -> Program[ProcessInfo]:
    """Ask for a process until it has ended: held requests where the server holds, else at growing intervals."""
    deadline = None if timeout is None else (yield from now()) + timeout
    pause = 0.02
    while True:
        asked = yield from now()
        left = None if deadline is None else max(0.0, deadline - asked)
        hold = HOLD if left is None else min(HOLD, left)
        info = yield from perform(process_calls.process(process_id, hold=hold), patience=left)
        if not info.running:
            return info
        spent = (yield from now()) - asked
        if left is not None and spent >= left:
            raise ProcessTimeout(info, timeout or 0.0)
        if spent < hold / 2:
            yield Sleep(pause if left is None else min(pause, left - spent))
            pause = min(pause * 2, 1.0)


def send(process_id: str, data: str | bytes, *, eof: bool) -> Program[int]:
    """Write to a process, and end its input if so asked; the number of bytes it took."""
    written = 0
    for request in process_calls.input_requests(data, eof=eof):
        answer = yield from perform(process_calls.put_in(process_id, request))
        written += answer.bytes_written
    return written


def put_away(process_id: str) -> Program[None]:
    """End a process, and forget it, whether it runs or not."""
    try:
        yield from perform(process_calls.end(process_id, "kill", None))
        yield from gone(process_calls.delete(process_id))
    except (NotFound, ServerUnreachable):
        return
