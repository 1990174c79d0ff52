"""Whether the desktop is streamed by WebRTC, as the 0.4.2 contract switches it, and what that needs."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING

from sandbox_agent.problems import DesktopDependenciesMissing, Problem, StreamNotActive
from sandbox_agent.wire.desktop import DesktopStreamStatusResponse

if TYPE_CHECKING:
    from sandbox_agent.desktop.runtime import Runtime
    from sandbox_agent.desktop.service import Desktop


class Streaming:
    """It is on from `start` to `stop`, or to the end of the desktop it was started on."""

    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop
        self._runtime: Runtime | None = None
        self._stopped = asyncio.Event()

    @property
    def active(self) -> bool:
        try:
            return self._runtime is not None and self._runtime is self._desktop.runtime
        except Problem:
            return False

    def status(self) -> DesktopStreamStatusResponse:
        return DesktopStreamStatusResponse(active=self.active)

    def start(self) -> DesktopStreamStatusResponse:
        """Switch it on, or tell that it is on.

        Raises the problem of a desktop that is not active, and ``DesktopDependenciesMissing`` without aiortc.
        """
        _ = self._desktop.x11
        need("aiortc", "aiortc", "webrtc")
        if not self.active:
            self._runtime = self._desktop.runtime
            self._stopped = asyncio.Event()
        return self.status()

    def stop(self) -> DesktopStreamStatusResponse:
        """Switch it off, and end what is streamed."""
        self._runtime = None
        self._stopped.set()
        return self.status()

    def session(self) -> asyncio.Event:
        """What is set when the stream that is on now is switched off. Raises ``StreamNotActive``."""
        _ = self._desktop.x11
        if not self.active:
            raise StreamNotActive("the stream is not active", hint="start it with POST /v1/desktop/stream/start")
        need("aiortc", "aiortc", "webrtc")
        return self._stopped


def need(module: str, distribution: str, extra: str) -> None:
    """Raises ``DesktopDependenciesMissing`` where a module is not installed."""
    if importlib.util.find_spec(module) is None:
        command = f'pip install "sandbox-agent-jupyter[{extra}]"'
        raise DesktopDependenciesMissing(
            f"the stream needs {distribution}",
            hint=command,
            missingDependencies=[distribution],
            installCommand=command,
            processes=[],
        )
