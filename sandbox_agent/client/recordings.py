"""The recordings of the desktop that the server keeps, for blocking code and for code on an event loop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sandbox_agent.client.asking import ACCEPT_JSON, get, path, send
from sandbox_agent.client.calls import Call, ignore, perform
from sandbox_agent.client.effects import Request
from sandbox_agent.client.recording import form_of, save_video
from sandbox_agent.wire import desktop as wire
from sandbox_agent.wire.desktop import DesktopRecordingInfo

if TYPE_CHECKING:
    from os import PathLike
    from typing import TypeAlias

    from sandbox_agent.client.async_driver import AsyncDriver
    from sandbox_agent.client.effects import Program
    from sandbox_agent.client.sync_driver import SyncDriver

    VideoFormat: TypeAlias = Literal["mp4", "gif", "webm"]


class DesktopRecordings:
    """``sdk.desktop.recordings``. Where one is named, :class:`NotFound` is raised if there is none of that id."""

    def __init__(self, driver: SyncDriver) -> None:
        self._driver = driver

    def start(self, *, fps: int | None = None, overlay: bool = False) -> DesktopRecordingInfo:
        """Record from now on, until `stop`: see :meth:`Desktop.record`, which does both."""
        return self._driver.run(perform(_start(fps, overlay=overlay)))

    def stop(self) -> DesktopRecordingInfo:
        """End the recording. Raises :class:`Conflict` where none goes on."""
        return self._driver.run(perform(_stop()))

    def list(self) -> tuple[DesktopRecordingInfo, ...]:
        """All that the server keeps, the oldest first; one that goes on has the status ``recording``."""
        return self._driver.run(perform(_list())).recordings

    def get(self, recording_id: str) -> DesktopRecordingInfo:
        """What the server tells of one."""
        return self._driver.run(perform(_get(recording_id)))

    def save(
        self,
        recording_id: str,
        target: str | PathLike[str],
        format: VideoFormat | None = None,  # noqa: A002 - as of screenshots
    ) -> Path:
        """Write its video to a file here, and tell which; in the ``format`` that its name says unless told.

        Making a GIF or WebM takes a while the first time.
        """
        return self._driver.run(_save(recording_id, target, format))

    def delete(self, recording_id: str) -> None:
        """Delete one. Raises :class:`Conflict` while it goes on."""
        self._driver.run(perform(_delete(recording_id)))


class AsyncDesktopRecordings:
    """See :class:`DesktopRecordings`."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    async def start(self, *, fps: int | None = None, overlay: bool = False) -> DesktopRecordingInfo:
        """See :meth:`DesktopRecordings.start`."""
        return await self._driver.run(perform(_start(fps, overlay=overlay)))

    async def stop(self) -> DesktopRecordingInfo:
        """See :meth:`DesktopRecordings.stop`."""
        return await self._driver.run(perform(_stop()))

    async def list(self) -> tuple[DesktopRecordingInfo, ...]:
        """See :meth:`DesktopRecordings.list`."""
        return (await self._driver.run(perform(_list()))).recordings

    async def get(self, recording_id: str) -> DesktopRecordingInfo:
        """See :meth:`DesktopRecordings.get`."""
        return await self._driver.run(perform(_get(recording_id)))

    async def save(
        self,
        recording_id: str,
        target: str | PathLike[str],
        format: VideoFormat | None = None,  # noqa: A002 - as of screenshots
    ) -> Path:
        """See :meth:`DesktopRecordings.save`."""
        return await self._driver.run(_save(recording_id, target, format))

    async def delete(self, recording_id: str) -> None:
        """See :meth:`DesktopRecordings.delete`."""
        await self._driver.run(perform(_delete(recording_id)))


def _start(fps: int | None, *, overlay: bool) -> Call[DesktopRecordingInfo]:
    request = wire.DesktopRecordingStartRequest(fps=fps, overlay=overlay or None)
    return send(DesktopRecordingInfo, "POST", "desktop", "recording", "start", body=request)


def _stop() -> Call[DesktopRecordingInfo]:
    return send(DesktopRecordingInfo, "POST", "desktop", "recording", "stop")


def _list() -> Call[wire.DesktopRecordingListResponse]:
    return get(wire.DesktopRecordingListResponse, "desktop", "recordings")


def _get(name: str) -> Call[DesktopRecordingInfo]:
    return get(DesktopRecordingInfo, "desktop", "recordings", name)


def _save(name: str, target: str | PathLike[str], form: str | None) -> Program[Path]:
    file = Path(os.fspath(target)).expanduser().absolute()
    return save_video(name, file, form or form_of(file))


def _delete(name: str) -> Call[None]:
    return Call(Request("DELETE", path("desktop", "recordings", name), headers=(ACCEPT_JSON,)), ignore)
