"""``%agent install``: an install shown in a cell, as a bar with its last lines, while it runs."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from IPython.display import display

from sandbox_agent import render
from sandbox_agent_widgets.live import on_terminal

if TYPE_CHECKING:
    from sandbox_agent.client import SandboxAgent
    from sandbox_agent.wire.agents import AgentInstallResponse, InstallProgress

FASTEST_S = 0.1
"""Least time between two updates of the cell."""

LAST_LINES = 8
_BAR = 24


class InstallDisplay:
    """Draws progress in place, on a terminal a line for each stage; what stays is a line or two."""

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._fraction = 0.0
        self._stage = "waiting"
        self._handle: Any = None
        self._next = 0.0
        self._printed = on_terminal()

    def progress(self, told: InstallProgress) -> None:
        """A step or a line."""
        begins, self._stage = told.stage != self._stage, told.stage
        self._fraction = max(self._fraction, told.fraction or 0.0)
        self._lines.append(told.text)
        if self._printed:
            if begins:
                print(told.text, flush=True)  # noqa: T201 - a terminal
        elif time.monotonic() >= self._next:
            self._draw("running")
            self._next = time.monotonic() + FASTEST_S

    def failed(self) -> None:
        """Leave the last lines in the cell: they tell why."""
        self._draw("failed")

    def done(self, response: AgentInstallResponse) -> None:
        """Say what is there now."""
        self._fraction = 1.0
        artifacts = {artifact.kind.replace("_", " "): _artifact(artifact) for artifact in response.artifacts}
        note = "It was installed already; --reinstall installs it anew." if response.already_installed else None
        self._show(artifacts, "completed", note)

    def _draw(self, state: str) -> None:
        whole = round(self._fraction * _BAR)
        bar = f"{'█' * whole}{'░' * (_BAR - whole)} {self._fraction:.0%}"
        self._show({self._stage: bar}, state, "\n".join(self._lines) or None)

    def _show(self, facts: dict[str, str], state: str, note: str | None) -> None:
        title = f"Install {self._agent}"
        bundle = {
            "text/html": render.card_html(title, facts, state=state, note=note),
            "text/plain": render.card_text(title, facts, state=state, note=note),
        }
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def install(client: SandboxAgent, agent: str, *, reinstall: bool) -> None:
    """Install and show it. Raises what the server says when it cannot be done."""
    shown = InstallDisplay(agent)
    try:
        response = client.install_agent(agent, reinstall=reinstall, on_progress=shown.progress)
    except BaseException:
        shown.failed()
        raise
    shown.done(response)


def _artifact(artifact: Any) -> str:
    return " ".join(filter(None, [artifact.version, artifact.path]))
