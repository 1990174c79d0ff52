"""One recording while it goes on: frames are taken as they come, and written in a thread.

It starts with its first picture and ends at the moment it is told to, and so does what is said of it: the two are as
far apart as the video is long, to half a picture, whatever the machine's clock does meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.problems import DesktopScreenshotFailed, Problem
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.desktop.frames import Frame, Watcher
    from sandbox_agent.desktop.recording.movie import Movie
    from sandbox_agent.desktop.recording.shelf import Shelf
    from sandbox_agent.desktop.service import Desktop
    from sandbox_agent.wire.desktop import DesktopRecordingInfo, DesktopRecordingStatus

log = logging.getLogger(__name__)

_BEAT = 0.5  # s after which a still screen is written on
_FIRST = 10.0  # s for the first frame
_MENDING = 0.1  # s between two looks whether the display is back


class Take:
    """Made by `begin`. A display that is mended is waited for, its last picture stands meanwhile."""

    def __init__(self, desktop: Desktop, shelf: Shelf, info: DesktopRecordingInfo, lock: int) -> None:
        self.info = info
        self._desktop = desktop
        self._shelf = shelf
        self._lock = lock
        self._fps = 0
        self._stopping = asyncio.Event()
        self._stopped: float | None = None
        self._movie: Movie | None = None
        self._fault: str | None = None
        self._forget: Callable[[], None] = lambda: None
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def begin(cls, desktop: Desktop, shelf: Shelf, *, fps: int, overlay: bool) -> Take:
        """Returns once the first picture is there. Raises ``DesktopScreenshotFailed``, and as `Desktop.frames`."""
        try:
            info, lock = await asyncio.to_thread(shelf.begin)
        except OSError as error:
            raise DesktopScreenshotFailed(f"the recording cannot be kept: {error.strerror or error}") from error
        take = cls(desktop, shelf, info, lock)
        take._fps = fps
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        take._task = spawn_task(take._run(ready, overlay=overlay), name="record the desktop")
        try:
            async with asyncio.timeout(_FIRST):
                await asyncio.shield(ready)
        except TimeoutError as error:
            await take._abandon()
            raise DesktopScreenshotFailed(f"the display gave no picture within {_FIRST:g} s") from error
        except BaseException:
            await take._abandon()
            raise
        return take

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def end(self) -> DesktopRecordingInfo:
        """Stop, and tell of the whole."""
        if self._stopped is None:
            self._stopped = asyncio.get_running_loop().time()
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        return self.info

    async def _abandon(self) -> None:
        """Leave nothing of a recording that did not begin."""
        await self.end()
        await asyncio.to_thread(self._shelf.delete, self.info)

    # -- the recording ---------------------------------------------------------------------------------------------

    async def _run(self, ready: asyncio.Future[None], *, overlay: bool) -> None:
        try:
            await self._record(ready, overlay=overlay)
        except Problem as problem:
            self._fault = problem.detail
            if not ready.done():
                ready.set_exception(problem)
        finally:
            self._forget()
            await self._close()

    async def _record(self, ready: asyncio.Future[None], *, overlay: bool) -> None:
        while not self._stopping.is_set():
            try:
                async with self._desktop.frames(self._fps) as frames:
                    if self._movie is None:
                        await self._open(await anext(frames), overlay=overlay)
                        ready.set_result(None)
                    await self._follow(frames)
            except Problem as problem:
                if self._movie is None or isinstance(problem, DesktopScreenshotFailed) or not await self._mended():
                    raise

    async def _open(self, first: Frame, *, overlay: bool) -> None:
        from sandbox_agent.desktop.recording.marks import Marks  # noqa: PLC0415 - needs the extra `desktop`
        from sandbox_agent.desktop.recording.movie import Movie  # noqa: PLC0415 - needs the extra `desktop`

        marks = await asyncio.to_thread(Marks) if overlay else None
        if marks is not None:
            self._forget = self._desktop.acts.deeds.listen(marks.note)

        started = datetime.now(UTC) - timedelta(seconds=asyncio.get_running_loop().time() - first.time)
        info = msgspec.structs.replace(self.info, started_at=started.isoformat())

        def make() -> None:
            self._movie = Movie(self._shelf.video(info), first, fps=self._fps, marks=marks)
            self._shelf.note(info)

        await self._in_thread(make)
        self.info = info

    async def _follow(self, frames: Watcher) -> None:
        """Write until it is to stop. Raises what `Watcher` does."""
        loop = asyncio.get_running_loop()
        stopping = spawn_task(self._stopping.wait(), name="wait for the end of a recording")
        coming: asyncio.Task[Frame | Problem] | None = None
        movie = self._movie
        if movie is None:  # cannot be: it was opened before
            return
        try:
            while not self._stopping.is_set():
                coming = coming or spawn_task(_next(frames), name="wait for a frame")
                await asyncio.wait([coming, stopping], timeout=_BEAT, return_when=asyncio.FIRST_COMPLETED)
                if coming.done():
                    done, coming = coming, None
                    if isinstance(frame := done.result(), Problem):
                        raise frame
                    if self._stopped is None or frame.time < self._stopped:
                        await self._in_thread(movie.show, frame)
                else:
                    await self._in_thread(movie.until, loop.time())
        finally:
            stopping.cancel()
            if coming is not None:
                coming.cancel()

    async def _mended(self) -> bool:
        """Whether there is more to record after the display had gone: it came back, or nobody wants more."""
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _MENDING)
            if self._desktop.state != "starting":
                return self._desktop.state == "active"
        return True

    async def _in_thread(self, write: Callable[..., None], *args: object) -> None:
        import av  # noqa: PLC0415 - takes a while to load

        try:
            await asyncio.to_thread(write, *args)
        except (OSError, av.error.FFmpegError) as error:
            raise DesktopScreenshotFailed(f"the recording cannot be written: {error}") from error

    async def _close(self) -> None:
        end = asyncio.get_running_loop().time() if self._stopped is None else self._stopped
        ended = datetime.now(UTC)
        if self._movie is not None:
            ended = datetime.fromisoformat(self.info.started_at) + timedelta(seconds=end - self._movie.start)
            try:
                await self._in_thread(self._movie.close, end)
            except DesktopScreenshotFailed as problem:
                self._fault = self._fault or problem.detail
        status: DesktopRecordingStatus = "failed" if self._fault else "completed"
        if self._fault:
            log.warning("a recording has failed: %s", self._fault)
        self.info = await asyncio.to_thread(self._settle, status, ended.isoformat())
        os.close(self._lock)

    def _settle(self, status: DesktopRecordingStatus, ended: str) -> DesktopRecordingInfo:
        info = msgspec.structs.replace(self.info, status=status, ended_at=ended)
        try:
            info = msgspec.structs.replace(info, bytes=self._shelf.video(info).stat().st_size)
            self._shelf.note(info)
        except OSError as error:  # such as a full disk: the lock that goes tells that it has ended
            log.warning("what is known of a recording could not be kept: %s", error)
        return info


async def _next(frames: Watcher) -> Frame | Problem:
    try:
        return await anext(frames)
    except Problem as problem:
        return problem
