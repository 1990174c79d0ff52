"""The desktop: its life cycle, and the one door to what can be seen and done on it.

Below it: `runtime` (the X server, the window manager and the rest, started, watched and restarted) and `x11` (one
connection to that server on a thread of its own: `x11.Display`). What belongs to a request only (deadlines, bounds,
pixels of a screenshot, batches) is in `acts`; programs are started by `launch`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sandbox_agent.desktop import dependencies
from sandbox_agent.desktop.shots import Shots
from sandbox_agent.problems import DesktopRuntimeInactive
from sandbox_agent.wire.desktop import DesktopStatusResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox_agent.wire.desktop import DesktopErrorInfo, DesktopStartRequest, DesktopState


class Desktop:
    """The one desktop of a sandbox. ``environ`` is the server's: PATH, HOME and XDG_STATE_HOME are read from it.

    Everything raises ``DesktopRuntimeInactive`` or ``DesktopRuntimeStarting`` while the desktop is not active.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.shots = Shots()
        self._environ = environ
        self._turn = asyncio.Lock()  # one start or stop at a time
        self._state: DesktopState = "inactive"
        self._error: DesktopErrorInfo | None = None

    @property
    def state(self) -> DesktopState:
        return self._state

    async def start(self, request: DesktopStartRequest) -> DesktopStatusResponse:
        """Start it, or tell about the one that runs.

        Raises ``DesktopInvalidAction``, ``DesktopDependenciesMissing``, ``DesktopRuntimeFailed`` and, where there is
        no X11, ``DesktopUnsupportedPlatform``.
        """
        raise DesktopRuntimeInactive("the desktop is not built yet")

    async def stop(self) -> DesktopStatusResponse:
        """End all of it, programs that were launched on it included."""
        return await self.status()

    async def status(self) -> DesktopStatusResponse:
        missing = dependencies.missing(self._environ.get("PATH"))
        return DesktopStatusResponse(
            state="install_required" if missing else self._state,
            missing_dependencies=missing.names,
            install_command=missing.command,
            last_error=self._error,
        )
