"""A real kernel for the tests of the magics, driven over its own protocol."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 60.0


@dataclass
class Outcome:
    """What a cell left: its outputs in order, displays updated in place as a front end would."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    updates: int = 0
    questions: list[str] = field(default_factory=list)
    error: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """All plain text, as a terminal would show it."""
        parts = (o.get("text") or o.get("data", {}).get("text/plain", "") for o in self.outputs)
        return "\n".join(parts)

    @property
    def html(self) -> str:
        return "\n".join(o["data"].get("text/html", "") for o in self.outputs if "data" in o)


class Kernel:
    """Runs cells one after another."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self.client = manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE_S)

    def run(
        self, code: str, *, answers: list[str] | None = None, on_output: Callable[[Outcome], None] | None = None
    ) -> Outcome:
        """Execute ``code`` to its end. ``answers`` are typed one by one; without them there is no stdin."""
        outcome = Outcome()
        typed = iter(answers or ())
        request = self.client.execute(code, allow_stdin=answers is not None, store_history=False)
        deadline = time.monotonic() + PATIENCE_S
        displays: dict[str, dict[str, Any]] = {}
        while time.monotonic() < deadline:
            with contextlib.suppress(Exception):  # queue.Empty: no question yet
                question = self.client.get_stdin_msg(timeout=0.01)
                outcome.questions.append(question["content"]["prompt"])
                self.client.input(next(typed))
            try:
                message = self.client.get_iopub_msg(timeout=0.1)
            except Exception:  # noqa: BLE001, S112 - the queue's Empty, whose module is private
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return outcome
            _note(outcome, displays, message["msg_type"], message["content"])
            if on_output:
                on_output(outcome)
        raise TimeoutError(f"{code!r} did not end; it said {outcome}")

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def complete(self, code: str) -> list[str]:
        """What Tab offers at the end of ``code``."""
        reply = self.client.complete(code, reply=True, timeout=PATIENCE_S)
        matches: list[str] = reply["content"]["matches"]
        return matches


def _note(outcome: Outcome, displays: dict[str, dict[str, Any]], kind: str, content: dict[str, Any]) -> None:
    shown = content.get("transient", {}).get("display_id")
    if kind == "update_display_data":
        outcome.updates += 1
        displays[shown]["data"] = content["data"]
    elif kind in {"display_data", "execute_result", "stream"}:
        outcome.outputs.append(content)
        if shown:
            displays[shown] = content
    elif kind == "error":
        outcome.error = content


@contextlib.contextmanager
def kernel(home: Path, **environ: str) -> Iterator[Kernel]:
    """A kernel in ``home``, which is also its home and data directory."""
    manager = KernelManager(kernel_name="python3")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SANDBOX_AGENT_", "JPY_", "JUPYTERHUB_"))}
    env |= {"HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "XDG_STATE_HOME": str(home / "state")}
    manager.start_kernel(cwd=str(home), env=env | {"IPYTHONDIR": str(home / "ipython")} | environ)
    running = Kernel(manager)
    try:
        yield running
    finally:
        running.client.stop_channels()
        manager.shutdown_kernel()
