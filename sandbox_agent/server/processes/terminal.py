"""A process's terminal over a WebSocket: keys in, output out, the screen for who comes later."""

from __future__ import annotations

import base64
import binascii
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, cast

import msgspec

from sandbox_agent.journal import Reset
from sandbox_agent.problems import Conflict, Problem
from sandbox_agent.server.call import Answer, SocketQuery, Upgrade
from sandbox_agent.supervisor import Size
from sandbox_agent.tasks import spawn_task
from sandbox_agent.wire.processes import (
    ProcessTerminalResizeResponse,
    ProcessTerminalScreen,
    TerminalClientFrame,
    TerminalClose,
    TerminalError,
    TerminalExit,
    TerminalInput,
    TerminalReady,
    TerminalResize,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sandbox_agent.journal import Segment
    from sandbox_agent.processes import Process, Processes
    from sandbox_agent.processes.terminal import Terminal, View
    from sandbox_agent.server.call import Call
    from sandbox_agent.server.websocket import Socket

_frames: msgspec.json.Decoder[TerminalClientFrame] = msgspec.json.Decoder(TerminalClientFrame)


class TerminalQuery(SocketQuery, frozen=True, kw_only=True):
    """``offset`` is the byte of the output to go on at; without it, or when it is gone, the screen is drawn.

    ``access_token`` is for browsers, which cannot set headers here.
    """

    offset: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | None = None


def _of(process: Process) -> Terminal:
    if process.terminal is None:
        raise Conflict("process has no terminal", hint='start it with "tty": true', id=process.id)
    return process.terminal


async def connect(call: Call) -> Upgrade:
    processes = call.sandbox.processes
    process = processes.get(call.params["id"])
    terminal = _of(process)
    offset: int | None = call.query.offset

    async def talk(socket: Socket) -> None:
        await _Looker(processes, process, terminal, socket).talk(offset)

    return Upgrade(talk)


async def resize(call: Call) -> Answer:
    process = call.sandbox.processes.get(call.params["id"])
    process.resize(Size(call.body.cols, call.body.rows))
    return Answer(body=ProcessTerminalResizeResponse(cols=call.body.cols, rows=call.body.rows))


async def screen(call: Call) -> Answer:
    shown = await _of(call.sandbox.processes.get(call.params["id"])).shown()
    return Answer(
        body=ProcessTerminalScreen(
            lines=shown.lines,
            cursor_row=shown.cursor_row,
            cursor_col=shown.cursor_col,
            cols=shown.size.cols,
            rows=shown.size.rows,
            alternate=shown.alternate,
            title=shown.title,
        )
    )


class _Looker:
    """One client of a terminal."""

    def __init__(self, processes: Processes, process: Process, terminal: Terminal, socket: Socket) -> None:
        self._processes = processes
        self._process = process
        self._terminal = terminal
        self._socket = socket

    async def talk(self, offset: int | None) -> None:
        telling = spawn_task(self._tell(offset), name=f"terminal of {self._process.id}")
        try:
            async for message in self._socket:
                if not await self._heed(message):
                    break
        finally:
            telling.cancel()

    async def _tell(self, offset: int | None) -> None:
        """The output, at the client's pace. One that is so slow that some is gone gets the screen drawn anew."""
        while not await self._show(offset):
            offset = None

    async def _show(self, offset: int | None) -> bool:
        """The output from ``offset`` on; true when that was all, false when some was gone before it could be sent."""
        view = await self._begin(offset)
        skip = view.skip
        journal = self._terminal.log.journal
        batches = journal.follow(view.after, take=self._take)
        async with aclosing(cast("AsyncGenerator[list[Segment] | Reset, None]", batches)) as source:
            async for batch in source:
                if isinstance(batch, Reset):
                    return False
                data = b"".join([payload for segment in batch for payload in segment.payloads])
                await self._socket.send(data[skip:])
                skip = 0
        ended = await self._process.wait()
        await self._say(TerminalExit(exit_code=ended.code, signal=ended.signal))
        await self._socket.close()
        return True

    async def _begin(self, offset: int | None) -> View:
        terminal = self._terminal
        view = await terminal.view(offset, ended=not self._process.running)
        ready = TerminalReady(
            process_id=self._process.id,
            offset=view.offset,
            repaint=view.repaint is not None,
            cols=terminal.size.cols,
            rows=terminal.size.rows,
        )
        await self._say(ready)
        if view.repaint is not None:
            await self._socket.send(view.repaint)
        return view

    def _take(self, segment: Segment) -> bool:
        """An echo goes out from where it came in."""
        return len(segment.payloads) == 1 and self._socket.offer(segment.payloads[0])

    async def _heed(self, message: str | bytes) -> bool:
        """Do what the client says; False when it wants to go."""
        if isinstance(message, bytes):
            await self._type(message)
            return True
        try:
            frame = _frames.decode(message)
        except (msgspec.MsgspecError, RecursionError) as error:
            await self._say(TerminalError(message=f"invalid terminal frame: {error}"))
            return True
        match frame:
            case TerminalInput():
                try:
                    keys = (
                        base64.b64decode(frame.data, validate=True)
                        if frame.encoding == "base64"
                        else frame.data.encode()
                    )
                except (binascii.Error, ValueError) as error:
                    await self._say(TerminalError(message=f"data cannot be decoded: {error}"))
                else:
                    await self._type(keys)
            case TerminalResize():
                await self._try_resize(Size(frame.cols, frame.rows))
            case TerminalClose():
                return False
        return True

    async def _type(self, keys: bytes) -> None:
        try:
            await self._processes.input(self._process.id, keys)
        except Problem as problem:
            await self._say(TerminalError(message=problem.detail))

    async def _try_resize(self, size: Size) -> None:
        try:
            self._process.resize(size)
        except Problem as problem:
            await self._say(TerminalError(message=problem.detail))

    async def _say(self, frame: TerminalReady | TerminalExit | TerminalError) -> None:
        await self._socket.send(msgspec.json.encode(frame).decode())
