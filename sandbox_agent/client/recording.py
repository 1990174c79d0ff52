"""Recordings of the desktop: a `with` block that is recorded, and its video on this machine."""

from __future__ import annotations

import os
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox_agent.client import transfers
from sandbox_agent.client.asking import path, query, send
from sandbox_agent.client.calls import perform, problem_of, unreachable
from sandbox_agent.client.effects import Emit, Request, Shut, TransportFault, open_stream, read
from sandbox_agent.client.progress import Meter
from sandbox_agent.wire import desktop as wire

if TYPE_CHECKING:
    from os import PathLike
    from types import TracebackType
    from typing import Self

    from sandbox_agent.client.async_driver import AsyncDriver
    from sandbox_agent.client.effects import Program, Source
    from sandbox_agent.client.sync_driver import SyncDriver

FORMATS = ("mp4", "gif", "webm")
CONVERT_SECONDS = 1800.0
"""For a video to be made a GIF or WebM."""


class RecordingState:
    """``info`` is the server's account of it, ``path`` the video here, once the block is over."""

    def __init__(self, target: str | PathLike[str] | None, *, fps: int | None, overlay: bool) -> None:
        self.info: wire.DesktopRecordingInfo | None = None
        self.path: Path | None = None
        self._target = None if target is None else Path(os.fspath(target)).expanduser().absolute()
        if self._target is not None:
            form_of(self._target)
        self._request = wire.DesktopRecordingStartRequest(fps=fps, overlay=overlay or None)

    def _start(self) -> Program[None]:
        start = send(wire.DesktopRecordingInfo, "POST", "desktop", "recording", "start", body=self._request)
        self.info = yield from perform(start)

    def _finish(self) -> Program[None]:
        stop = send(wire.DesktopRecordingInfo, "POST", "desktop", "recording", "stop")
        self.info = yield from perform(stop)
        if self._target is not None:
            self.path = yield from save_video(self.info.id, self._target, form_of(self._target))


class DesktopRecording(RecordingState):
    """Made by :meth:`Desktop.record`."""

    def __init__(
        self, driver: SyncDriver, target: str | PathLike[str] | None, *, fps: int | None, overlay: bool
    ) -> None:
        super().__init__(target, fps=fps, overlay=overlay)
        self._driver = driver

    def __enter__(self) -> Self:
        self._driver.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._driver.run(self._finish())


class AsyncDesktopRecording(RecordingState):
    """Made by :meth:`AsyncDesktop.record`."""

    def __init__(
        self, driver: AsyncDriver, target: str | PathLike[str] | None, *, fps: int | None, overlay: bool
    ) -> None:
        super().__init__(target, fps=fps, overlay=overlay)
        self._driver = driver

    async def __aenter__(self) -> Self:
        await self._driver.run(self._start())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._driver.run(self._finish())


def form_of(target: Path) -> str:
    """The format that the name of a file says. Raises ``ValueError``."""
    form = target.suffix.lower().lstrip(".")
    if form not in FORMATS:
        raise ValueError(f"the name of a recording ends in .mp4, .gif or .webm, not {target.suffix!r}")
    return form


def save_video(name: str, target: Path, form: str) -> Program[Path]:
    """The video as a file, whole or not at all."""
    request = Request(
        "GET",
        path("desktop", "recordings", name, "download"),
        query(format=form),
        (("Accept", "*/*"),),
        read_timeout=CONVERT_SECONDS,
    )
    meter = Meter(None, target.name)
    return (yield from transfers.save(target, _video(request), meter))


def _video(request: Request) -> Source:
    try:
        reply = yield from open_stream(request)
        if reply.status != HTTPStatus.OK:
            raise problem_of(reply)
        while (chunk := (yield from read())) is not None:
            yield Emit((chunk,))
    except TransportFault as fault:
        raise unreachable(fault) from fault
    yield Shut()
