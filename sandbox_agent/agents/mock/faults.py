"""The verbs that shape how a turn goes, and those with which the mock agent misbehaves."""

from __future__ import annotations

import os

from .stdio import INTERNAL_ERROR, encode
from .turn import Failed, Stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .script import Step
    from .turn import Turn

BLOCK = 256 * 1024
SLEEPER = "sleep 1000000"


def sleep(turn: Turn, step: Step) -> None:
    """Say nothing for some seconds."""
    turn.sleep(float(step.text() or 1))


def tick(turn: Turn, step: Step) -> None:
    """A number each time, slowly."""
    fields = step.fields()
    for number in range(int(fields.get("count", 10))):
        turn.sleep(float(fields.get("every", 0.1)))
        content = {"type": "text", "text": f"{number} "}
        turn.update({"sessionUpdate": "agent_message_chunk", "content": content})


def burst(turn: Turn, step: Step) -> None:
    """Numbered chunks (``00000000``, ``00000001``, ...) as fast as they are read, each line ``size`` bytes long."""
    fields = step.fields()
    count, size = int(fields.get("count", 1000)), int(fields.get("size", 200))
    start, end = _line(turn)
    end = b"." * (size - len(start) - len(end) - 8) + end
    join = end + start
    per_block = max(1, BLOCK // (len(join) + 8))
    for first in range(0, count, per_block):
        turn.check()
        numbers = range(first, min(count, first + per_block))
        turn.peer.write(start + join.join([b"%08d" % number for number in numbers]) + end)


def huge(turn: Turn, step: Step) -> None:
    """One message chunk on a line of that many bytes."""
    start, end = _line(turn)
    turn.peer.write(start + b"x" * (int(step.fields().get("bytes", 1 << 20)) - len(start) - len(end)) + end)


def _line(turn: Turn) -> tuple[bytes, bytes]:
    """An agent_message_chunk as bytes, before and after its text."""
    update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "@@"}}
    params = {"sessionId": turn.session.id, "update": update}
    line = encode({"jsonrpc": "2.0", "method": "session/update", "params": params}) + b"\n"
    before, _, after = line.partition(b"@@")
    return before, after


def stop(_turn: Turn, step: Step) -> None:
    """End the turn with this stop reason."""
    raise Stopped(step.text() or "end_turn")


def error(_turn: Turn, step: Step) -> None:
    """End the turn with a JSON-RPC error."""
    fields = step.fields()
    raise Failed(int(fields.get("code", INTERNAL_ERROR)), fields.get("message", "told to fail"))


def banner(turn: Turn, step: Step) -> None:
    """A line on stdout that is not JSON."""
    turn.peer.write(step.text().encode() + b"\n")


def raw(turn: Turn, step: Step) -> None:
    """Bytes (in base64) on stdout as they are, without a line's end."""
    import base64  # noqa: PLC0415 -- only for this verb

    turn.peer.write(base64.b64decode(step.text()))


def stderr(_turn: Turn, step: Step) -> None:
    os.write(2, step.text().encode() + b"\n")


def crash(_turn: Turn, step: Step) -> None:
    os._exit(int(step.fields().get("code", 1)))


def kill(turn: Turn, step: Step) -> None:
    os.kill(os.getpid(), int(step.fields().get("signal", 9)))
    turn.sleep(60)


def hang(turn: Turn, _step: Step) -> None:
    """Never answer, not even to a cancel."""
    turn.ignore_cancel = True
    turn.wait(lambda: False)


def ignore_cancel(turn: Turn, _step: Step) -> None:
    """The rest of the turn does not hear a cancel."""
    turn.ignore_cancel = True


def spawn(turn: Turn, step: Step) -> None:
    """Children that sleep; ``daemon=1``: in sessions of their own, their parents gone; ``hold=1``: with our pipes."""
    import subprocess  # noqa: PLC0415 -- only for this verb

    fields = step.fields()
    count, daemon, hold = (
        int(fields.get(name, default)) for name, default in (("count", 1), ("daemon", 0), ("hold", 0))
    )
    pipes = None if hold else subprocess.DEVNULL
    pids = []
    for _ in range(count):
        if daemon:
            shell = f"setsid sh -c 'echo $$; exec {SLEEPER} >&2' &"
            done = subprocess.run(  # noqa: S603 -- a constant
                ["/bin/sh", "-c", shell], stdin=pipes, stdout=subprocess.PIPE, stderr=pipes, check=True
            )
            pids.append(int(done.stdout))
        else:
            sleeper = subprocess.Popen(SLEEPER.split(), stdin=pipes, stdout=pipes, stderr=pipes)  # noqa: S603 -- a constant
            pids.append(sleeper.pid)
    turn.say(f"spawned {' '.join(map(str, pids))}")


VERBS: dict[str, Callable[[Turn, Step], Any]] = {
    verb.__name__: verb
    for verb in (
        sleep, tick, burst, huge, stop, error, banner, raw, stderr, crash, kill, hang, ignore_cancel, spawn,
    )
}  # fmt: skip
