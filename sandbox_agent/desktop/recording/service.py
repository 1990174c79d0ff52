"""Recordings of the desktop: started and stopped, one at a time, kept in its state folder, and given out."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

from sandbox_agent.desktop.recording.shelf import Shelf
from sandbox_agent.desktop.recording.take import Take
from sandbox_agent.desktop.streaming import need
from sandbox_agent.files.opened import OpenFile
from sandbox_agent.problems import Conflict, DesktopInvalidAction, DesktopScreenshotFailed, NotFound
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandbox_agent.desktop.service import Desktop
    from sandbox_agent.wire.desktop import DesktopRecordingInfo, DesktopRecordingStartRequest

MEDIA = {"mp4": "video/mp4", "gif": "image/gif", "webm": "video/webm"}
_FPS = (1, 60)


class Recordings:
    """``folder`` says where the state folder is at the moment.

    Raises ``NotFound`` for unknown ids; ``Conflict`` where a recording goes on that must not, or none does.
    """

    def __init__(self, desktop: Desktop, folder: Callable[[], Path]) -> None:
        self._desktop = desktop
        self._folder = folder
        self._take: Take | None = None
        self._turn = asyncio.Lock()
        self._stop = threading.Event()  # for conversions
        self._conversions: dict[Path, asyncio.Task[None]] = {}
        self._converting = asyncio.Lock()  # one at a time: each keeps a core busy

    @property
    def _shelf(self) -> Shelf:
        return Shelf(self._folder() / "recordings")

    # -- one at a time --------------------------------------------------------------------------------------------

    async def start(self, request: DesktopRecordingStartRequest) -> DesktopRecordingInfo:
        """Record from now on. Raises the problem of a desktop that is not active, ``DesktopScreenshotFailed``."""
        fps = self._desktop.options.recording_fps if request.fps is None else request.fps
        if not _FPS[0] <= fps <= _FPS[1]:
            raise DesktopInvalidAction(f"fps must be from {_FPS[0]} to {_FPS[1]}, not {fps}")
        async with self._turn:
            _ = self._desktop.x11
            need("av", "av", "desktop")
            if self._take is not None and self._take.running:
                raise Conflict(
                    f"the recording {self._take.info.id} goes on",
                    hint="stop it with POST /v1/desktop/recording/stop",
                )
            self._take = await Take.begin(self._desktop, self._shelf, fps=fps, overlay=bool(request.overlay))
            return self._take.info

    async def stop(self) -> DesktopRecordingInfo:
        """End the recording; the answer is about the whole of it. Raises ``DesktopScreenshotFailed``."""
        async with self._turn:
            take, self._take = self._take, None
            if take is None:
                raise Conflict("no recording goes on", hint="start one with POST /v1/desktop/recording/start")
            return await take.end()

    async def finish(self) -> None:
        """Before the desktop ends: end what goes on."""
        async with self._turn:
            take, self._take = self._take, None
            if take is not None:
                await take.end()

    async def close(self) -> None:
        """Before the server ends: end what goes on, and call off conversions."""
        await self.finish()
        self._stop.set()
        if self._conversions:
            await asyncio.wait(list(self._conversions.values()))

    # -- what there is --------------------------------------------------------------------------------------------

    async def list(self) -> tuple[DesktopRecordingInfo, ...]:
        return await asyncio.to_thread(self._shelf.list)

    async def get(self, name: str) -> DesktopRecordingInfo:
        return await asyncio.to_thread(self._shelf.get, name)

    async def delete(self, name: str) -> None:
        info = await self._finished(name)
        for path, task in list(self._conversions.items()):
            if path.name.startswith(f"{info.id}."):
                await asyncio.wait([task])
        await asyncio.to_thread(self._shelf.delete, info)

    async def open(self, name: str, form: str = "mp4") -> OpenFile:
        """The video as a file; another format is made at its first use, which takes a while, and kept."""
        if form not in MEDIA:
            raise DesktopInvalidAction(f"format must be one of {', '.join(MEDIA)}, not {form!r}")
        info = await self._finished(name)
        path = self._shelf.video(info, form)
        if form != "mp4":
            await self._converted(self._shelf.video(info), path)
        return await asyncio.to_thread(_open, path, MEDIA[form])

    async def _finished(self, name: str) -> DesktopRecordingInfo:
        info = await self.get(name)
        if info.status == "recording":
            raise Conflict(f"the recording {name} goes on", hint="stop it with POST /v1/desktop/recording/stop")
        return info

    async def _converted(self, source: Path, target: Path) -> None:
        """Until ``target`` is there; asked for twice, it is made once, also when who asked has gone."""
        if await asyncio.to_thread(target.exists):
            return
        need("av", "av", "desktop")
        if (task := self._conversions.get(target)) is None:
            task = spawn_task(self._convert(source, target), name="convert a recording")
            self._conversions[target] = task
            task.add_done_callback(lambda _: self._conversions.pop(target, None))
        await asyncio.shield(task)

    async def _convert(self, source: Path, target: Path) -> None:
        async with self._converting:
            await asyncio.to_thread(_convert, source, target, self._stop)


def _convert(source: Path, target: Path, stop: threading.Event) -> None:
    import av  # noqa: PLC0415 - takes a while to load

    from sandbox_agent.desktop.recording import convert  # noqa: PLC0415 - as above

    made = target.with_suffix(".making")
    try:
        (convert.to_gif if target.suffix == ".gif" else convert.to_webm)(source, made, stop)
        made.replace(target)
    except convert.Cancelled as error:
        raise DesktopScreenshotFailed("the server ends") from error
    except (OSError, av.error.FFmpegError) as error:
        raise DesktopScreenshotFailed(f"the recording could not be converted: {error}") from error
    finally:
        made.unlink(missing_ok=True)


def _open(path: Path, media: str) -> OpenFile:
    try:
        return OpenFile.of(os.open(path, os.O_RDONLY | os.O_CLOEXEC), str(path), media=media)
    except FileNotFoundError as error:
        raise NotFound("the recording was deleted") from error
