"""The desktop: its life cycle, and the one door to what can be seen and done on it.

Below it: `runtime` (the X server, the window manager and the rest, started, watched and mended) and `x11` (one
connection to that server on a thread of its own). What a request adds (bounds, pixels of a screenshot, batches) is in
`acts`; programs are started by `launch`.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandbox_agent.desktop import batch, dependencies, home, options, waits
from sandbox_agent.desktop.a11y.service import Accessibility
from sandbox_agent.desktop.acts import Acts
from sandbox_agent.desktop.frames import Frames
from sandbox_agent.desktop.launch import Launcher
from sandbox_agent.desktop.recording.service import Recordings
from sandbox_agent.desktop.runtime import Runtime
from sandbox_agent.desktop.streaming import Streaming
from sandbox_agent.problems import (
    DesktopRuntimeFailed,
    DesktopRuntimeInactive,
    DesktopRuntimeStarting,
    DesktopUnsupportedPlatform,
    Problem,
)
from sandbox_agent.tasks import spawn_task
from sandbox_agent.wire.desktop import (
    DesktopDisplayInfoResponse,
    DesktopErrorInfo,
    DesktopResolution,
    DesktopStatusResponse,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from sandbox_agent.desktop.frames import Watcher
    from sandbox_agent.desktop.x11.desktop import X11
    from sandbox_agent.processes.service import Processes
    from sandbox_agent.wire.desktop import (
        DesktopProcessInfo,
        DesktopStartRequest,
        DesktopState,
        DesktopWait,
        DesktopWaitResponse,
        DesktopWindowInfo,
    )
    from sandbox_agent.wire.desktop_actions import DesktopActionsRequest, DesktopActionsResponse, WaitAction

START_DEADLINE = 20.0
"""Seconds for all of a start."""
_GLANCE = 1.0  # s for the windows in the status


class Desktop:
    """The one desktop of a sandbox. ``environ`` is the server's: PATH, HOME and XDG_STATE_HOME are read from it.

    What needs it active raises ``DesktopRuntimeInactive`` when it was not started or has stopped,
    ``DesktopRuntimeStarting`` while it starts or is being mended, ``DesktopRuntimeFailed`` once it has failed.
    """

    def __init__(self, processes: Processes, environ: Mapping[str, str]) -> None:
        self.acts = Acts(self)
        self.launcher = Launcher(self, processes, environ)
        self.a11y = Accessibility(self)
        self.stream = Streaming(self)
        self.options = options.DEFAULT  # of the start that was last
        self.recordings = Recordings(self, self._state_dir)
        self._frames = Frames(self)
        self._processes = processes
        self._environ = environ
        self._turn = asyncio.Lock()  # one start or stop at a time
        self._state: DesktopState = "inactive"
        self._failure: Problem | None = None
        self._runtime: Runtime | None = None
        self._started_at: str | None = None
        self._state_folder: Path | None = None  # of the start that was last

    # -- life cycle -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> DesktopState:
        """What it is doing; while a dead part is being mended it is ``starting``."""
        if self._state == "active" and self._runtime is not None and not self._runtime.connected:
            return "starting"
        return self._state

    @property
    def runtime(self) -> Runtime:
        """What runs. Raises the problem of each state that is not active."""
        if self.state == "active" and self._runtime is not None:
            return self._runtime
        if self.state in {"starting", "stopping"}:
            raise DesktopRuntimeStarting(f"the desktop is {self.state}", hint="ask again in a moment")
        if self.state == "failed":
            why = self._failure.detail if self._failure else "it ended"
            raise DesktopRuntimeFailed(
                f"the desktop has failed: {why}", hint="start it again", processes=self._parts_document()
            )
        raise DesktopRuntimeInactive("the desktop is not active", hint="start it with POST /v1/desktop/start")

    @property
    def x11(self) -> X11:
        """The display, to look at and to act on. Raises the problem of each state that is not active."""
        screen = self.runtime.screen
        if screen is None:
            raise DesktopRuntimeStarting("the desktop is starting", hint="ask again in a moment")
        return screen

    async def start(self, request: DesktopStartRequest) -> DesktopStatusResponse:
        """Start it, or tell about the one that runs already.

        Raises ``DesktopInvalidAction``, ``DesktopDependenciesMissing``, ``DesktopRuntimeFailed`` and, where there is
        no X11, ``DesktopUnsupportedPlatform``.
        """
        wanted = options.checked(request)
        state = home.state_dir(request.state_dir, self._environ)
        if not sys.platform.startswith("linux"):
            raise DesktopUnsupportedPlatform(f"there is no desktop on {sys.platform}, it needs Linux")
        async with self._turn:
            if self._state != "active":
                if missing := dependencies.missing(self._environ.get("PATH")):
                    raise missing.problem()
                await self._end()
                await self._start(wanted, state)
        return await self.status()

    async def stop(self) -> DesktopStatusResponse:
        """End all of it, programs that were launched on it included."""
        async with self._turn:
            await self._end()
            self._failure = None
        return await self.status()

    async def _start(self, wanted: options.Options, state: Path) -> None:
        self._state, self._failure = "starting", None
        self.options = wanted
        self._state_folder = state
        self._runtime = Runtime(
            self._processes,
            screen=wanted.screen,
            state=state,
            first_display=wanted.first_display,
            environ=self._environ,
            on_change=self._changed,
            on_failure=self._failed,
        )
        try:
            async with asyncio.timeout(START_DEADLINE):
                await self._runtime.start()
        except TimeoutError:
            await self._give_up(DesktopRuntimeFailed(f"the desktop was not there after {START_DEADLINE:g} s"))
        except Problem as problem:
            await self._give_up(problem)
        self._state = "active"
        self._started_at = datetime.now(UTC).isoformat()

    def _state_dir(self) -> Path:
        return self._state_folder or home.state_dir(None, self._environ)

    async def _give_up(self, problem: Problem) -> None:
        """After a failed start: leave nothing running, and tell why."""
        processes = self._parts_document()
        await self._end()
        self._failed(problem)
        raise DesktopRuntimeFailed(problem.detail, hint=problem.hint, processes=processes) from problem

    async def _end(self) -> None:
        runtime = self._runtime
        if runtime is not None:
            await self.recordings.finish()
            self._state = "stopping"
            await runtime.stop()
        self._runtime, self._started_at, self._state = None, None, "inactive"

    def _changed(self) -> None:
        """The connection is another one, or there is none for now."""

    def _failed(self, problem: Problem) -> None:
        self._failure = problem
        self._state = "failed"
        if self._runtime is not None:
            spawn_task(self._bury(self._runtime), name="end what is left of the desktop")

    async def _bury(self, runtime: Runtime) -> None:
        """Leave nothing running of a desktop that has failed; it is told of until the next start."""
        async with self._turn:
            if runtime is self._runtime:
                await runtime.stop()

    # -- telling --------------------------------------------------------------------------------------------------

    async def status(self) -> DesktopStatusResponse:
        """Answers in every state, and at once."""
        missing = dependencies.missing(self._environ.get("PATH"))
        state = self.state
        runtime = self._runtime
        shown = runtime if state in {"active", "starting"} else None
        return DesktopStatusResponse(
            state="install_required" if missing and state == "inactive" else state,
            display=shown.name if shown else None,
            authority=str(shown.place.authority) if shown and state == "active" else None,
            resolution=self._resolution(shown) if shown else None,
            started_at=self._started_at,
            last_error=_error_info(self._failure),
            missing_dependencies=missing.names,
            install_command=missing.command,
            processes=tuple(self._parts()),
            windows=await self._windows() if state == "active" else (),
        )

    async def _windows(self) -> tuple[DesktopWindowInfo, ...]:
        """The windows; none where the display does not say them soon."""
        try:
            async with asyncio.timeout(_GLANCE):
                return await self.x11.windows.list()
        except (Problem, TimeoutError):
            return ()

    def frames(self, fps: float = 30) -> AbstractAsyncContextManager[Watcher]:
        """Frames of the screen as it changes, at most ``fps`` a second; see `Frames`."""
        return self._frames.watch(fps)

    async def wait(self, wanted: DesktopWait | WaitAction) -> DesktopWaitResponse:
        """Until the screen is still or changes, or a window comes; see ``DesktopWait``."""
        waits.check(wanted)
        return await waits.wait(self.x11, wanted)

    async def do(self, request: DesktopActionsRequest) -> DesktopActionsResponse:
        """Several actions, in order, until the first that fails."""
        return await batch.run(self, request)

    async def display_info(self) -> DesktopDisplayInfoResponse:
        runtime = self.runtime
        return DesktopDisplayInfoResponse(display=runtime.name, resolution=self._resolution(runtime))

    @staticmethod
    def _resolution(runtime: Runtime) -> DesktopResolution:
        screen = runtime.geometry
        return DesktopResolution(width=screen.width, height=screen.height, dpi=screen.dpi)

    def _parts(self) -> list[DesktopProcessInfo]:
        return self._runtime.parts() if self._runtime is not None else []

    def _parts_document(self) -> list[dict[str, object]]:
        return [{"name": part.name, "running": part.running, "pid": part.pid} for part in self._parts()]


def _error_info(problem: Problem | None) -> DesktopErrorInfo | None:
    return DesktopErrorInfo(code=problem.slug, message=problem.detail) if problem is not None else None
