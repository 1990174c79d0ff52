"""`/v1/desktop/stream/ws`: the desktop over one WebSocket, pictures out and input in; docs/reference/stream.md.

A viewer acknowledges pictures, and gets no more than a window of them ahead: one that is slow gets fewer, and what it
gets is the newest. So nothing piles up for it, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec

from sandbox_agent.desktop.hands import Hands
from sandbox_agent.desktop.streaming import need
from sandbox_agent.problems import InvalidRequest, PermissionDenied, Problem
from sandbox_agent.server.call import Answer, SocketQuery, Upgrade
from sandbox_agent.server.websocket import GOING_AWAY, SocketClosed
from sandbox_agent.tasks import spawn_task
from sandbox_agent.wire.desktop_stream import (
    DesktopStreamCodec,  # noqa: TC001 - msgspec reads it
    StreamAck,
    StreamClientFrame,
    StreamCursor,
    StreamError,
    StreamHello,
    StreamKeyframe,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.desktop.frames import Frame, Watcher
    from sandbox_agent.desktop.painting import Painter
    from sandbox_agent.desktop.service import Desktop
    from sandbox_agent.desktop.x11.cursor import Cursor
    from sandbox_agent.server.call import Call
    from sandbox_agent.server.websocket import Socket

T = TypeVar("T")

_frames: msgspec.json.Decoder[StreamClientFrame] = msgspec.json.Decoder(StreamClientFrame)


class StreamQuery(SocketQuery, frozen=True, kw_only=True):
    """``control`` lets the viewer act; ``window`` is how many pictures may be unacknowledged.

    ``fps`` is the most frames a second, by default what the desktop was started with.
    """

    codec: DesktopStreamCodec = "h264"
    control: bool = False
    fps: Annotated[int, msgspec.Meta(ge=1, le=120)] | None = None
    window: Annotated[int, msgspec.Meta(ge=1, le=60)] = 4


async def start(call: Call) -> Answer:
    return Answer(body=call.sandbox.desktop.stream.start())


async def stop(call: Call) -> Answer:
    return Answer(body=call.sandbox.desktop.stream.stop())


async def status(call: Call) -> Answer:
    return Answer(body=call.sandbox.desktop.stream.status())


async def connect(call: Call) -> Upgrade:
    desktop = call.sandbox.desktop
    query: StreamQuery = call.query
    _ = desktop.x11
    if query.codec == "h264":
        need("av", "av", "desktop")

    async def talk(socket: Socket) -> None:
        await _Viewer(desktop, socket, query).talk()

    return Upgrade(talk)


class _Viewer:
    """One who looks at the desktop."""

    def __init__(self, desktop: Desktop, socket: Socket, query: StreamQuery) -> None:
        self._desktop = desktop
        self._socket = socket
        self._query = query
        self._fps = query.fps or desktop.options.stream_fps
        self._hands = Hands(desktop.acts, self._tell)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stream")
        self._frames: Watcher | None = None
        self._sent = 0
        self._acknowledged = 0
        self._room = asyncio.Event()
        self._keyframe = True
        self._pointer: tuple[int, int, int] | None = None

    async def talk(self) -> None:
        tasks = [
            spawn_task(self._show(), name="show the desktop"),
            spawn_task(self._act(), name="act on the desktop"),
        ]
        try:
            async for message in self._socket:
                await self._heed(message)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._thread.shutdown(wait=False)
            await self._hands.let_go()

    # -- what the viewer says -------------------------------------------------------------------------------------

    async def _heed(self, message: str | bytes) -> None:
        try:
            match frame := _decoded(message):
                case StreamAck():
                    self._acknowledged = max(self._acknowledged, min(frame.number, self._sent))
                    self._room.set()
                case StreamKeyframe():
                    self._keyframe = True
                    if self._frames is not None:
                        self._frames.refresh()
                case _ if self._query.control:
                    self._hands.do(frame)
                case _:
                    raise PermissionDenied("this viewer only looks", hint="connect with ?control=true")
        except Problem as problem:
            await self._tell(problem)

    async def _act(self) -> None:
        try:
            await self._hands.run()
        except SocketClosed:
            return

    # -- what it is told ------------------------------------------------------------------------------------------

    async def _show(self) -> None:
        try:
            try:
                async with self._desktop.frames(self._fps) as self._frames:
                    await self._stream(self._frames)
            except Problem as problem:  # the display has gone
                await self._tell(problem)
                await self._socket.close(GOING_AWAY, problem.detail)
        except SocketClosed:
            return

    async def _stream(self, frames: Watcher) -> None:
        painter = await self._run(partial(_painter, self._query.codec, frames.size, self._fps))
        async for frame in frames:
            if frame.damaged or self._keyframe:
                await self._send(painter, frame)
            await self._point(frame.cursor)
            while self._sent - self._acknowledged >= self._query.window:
                self._room.clear()
                await self._room.wait()

    async def _send(self, painter: Painter, frame: Frame) -> None:
        keyframe, self._keyframe = self._keyframe, False
        picture = await self._run(partial(painter.paint, frame, self._sent + 1, keyframe=keyframe))
        if not self._sent:
            await self._say(
                StreamHello(
                    codec=painter.codec,
                    width=frame.size[0],
                    height=frame.size[1],
                    fps=self._fps,
                    window=self._query.window,
                    control=self._query.control,
                )
            )
        self._sent += 1
        await self._socket.send(picture)

    async def _point(self, cursor: Cursor | None) -> None:
        if cursor is None or cursor.state == self._pointer:
            return
        known = self._pointer is not None and self._pointer[2] == cursor.serial
        self._pointer = cursor.state
        image = None if known else await self._run(partial(_look, cursor))
        await self._say(StreamCursor(x=cursor.x, y=cursor.y, hot_x=cursor.hot_x, hot_y=cursor.hot_y, image=image))

    async def _tell(self, problem: Problem) -> None:
        await self._say(StreamError(code=problem.slug, message=problem.detail))

    async def _say(self, frame: StreamHello | StreamCursor | StreamError) -> None:
        await self._socket.send(msgspec.json.encode(frame).decode())

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _decoded(message: str | bytes) -> StreamClientFrame:
    """Raises ``InvalidRequest``."""
    if isinstance(message, bytes):
        raise InvalidRequest("text frames of JSON are expected")
    try:
        return _frames.decode(message)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"invalid frame of the stream: {error}") from error


def _painter(codec: DesktopStreamCodec, size: tuple[int, int], fps: int) -> Painter:
    from sandbox_agent.desktop import painting  # noqa: PLC0415 - needs the extra `desktop`

    return painting.JpegPainter() if codec == "jpeg" else painting.VideoPainter(size, fps)


def _look(cursor: Cursor) -> str:
    from sandbox_agent.desktop.painting import cursor_image  # noqa: PLC0415 - needs the extra `desktop`

    return cursor_image(cursor)
