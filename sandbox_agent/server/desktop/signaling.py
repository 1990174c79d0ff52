"""`/v1/desktop/stream/signaling`: how the official SDK's `connectDesktopStream` gets to its WebRTC connection.

Text frames of ``{"event", "payload"}``, as in the neko v3 protocol: we greet with ``system/init``; the client asks for
``control/request`` and ``signal/request``; we offer with ``signal/provide``, it sends ``signal/answer``, both
``signal/candidate``. When the connection ends we say ``signal/close``, when the stream does ``system/disconnect``.
"""

from __future__ import annotations

import asyncio
import importlib
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox_agent.desktop.hands import Hands
from sandbox_agent.problems import InvalidRequest, Problem
from sandbox_agent.server.call import Upgrade
from sandbox_agent.server.websocket import GOING_AWAY, SocketClosed
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from sandbox_agent.desktop.service import Desktop
    from sandbox_agent.desktop.webrtc import Peer
    from sandbox_agent.server.call import Call
    from sandbox_agent.server.websocket import Socket


class _Message(msgspec.Struct, frozen=True):
    event: str
    payload: dict[str, Any] = {}


_messages = msgspec.json.Decoder(_Message)


async def connect(call: Call) -> Upgrade:
    desktop = call.sandbox.desktop
    stopped = desktop.stream.session()

    async def talk(socket: Socket) -> None:
        await _Signaling(desktop, socket, stopped).talk()

    return Upgrade(talk)


class _Signaling:
    """One client's conversation."""

    def __init__(self, desktop: Desktop, socket: Socket, stopped: asyncio.Event) -> None:
        self._desktop = desktop
        self._socket = socket
        self._stopped = stopped
        self._id = secrets.token_hex(8)
        self._control = False
        self._hands = Hands(desktop.acts, self._tell)
        self._peer: Peer | None = None
        self._opened = AsyncExitStack()
        self._ended = asyncio.Event()

    async def talk(self) -> None:
        tasks = [
            spawn_task(self._until_stopped(), name="wait for the end of the stream"),
            spawn_task(self._until_ended(), name="wait for the end of a WebRTC connection"),
            spawn_task(self._act(), name="act on the desktop"),
        ]
        try:
            await self._greet()
            async for message in self._socket:
                try:
                    await self._heed(_decoded(message))
                except Problem as problem:
                    await self._tell(problem)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._opened.aclose()
            await self._hands.let_go()

    async def _greet(self) -> None:
        width, height = self._desktop.x11.size
        rate = self._desktop.options.stream_fps
        size = {"width": width, "height": height, "rate": rate}
        await self._say("system/init", {"session_id": self._id, "screen_size": size})

    async def _heed(self, message: _Message) -> None:
        match message.event:
            case "control/request":
                self._control = True
                if self._peer is not None:
                    self._peer.control = True
                await self._say("control/host", {"id": self._id, "has_host": True, "host_id": self._id})
            case "control/release":
                self._control = False
                if self._peer is not None:
                    self._peer.control = False
            case "signal/request":
                await self._offer()
            case "signal/answer" if self._peer is not None:
                await self._peer.answer(str(message.payload.get("sdp", "")))
            case "signal/candidate" if self._peer is not None:
                await self._peer.candidate(message.payload)

    async def _offer(self) -> None:
        """A new connection, in place of the one before."""
        webrtc = await asyncio.to_thread(importlib.import_module, "sandbox_agent.desktop.webrtc")
        await self._opened.aclose()
        self._ended.clear()
        options = self._desktop.options
        fps, ports = options.stream_fps, options.ports
        frames = await self._opened.enter_async_context(self._desktop.frames(fps))
        peer: Peer = webrtc.Peer(frames, self._hands, fps=fps, ports=ports, on_end=self._ended.set)
        self._opened.push_async_callback(self._forget, peer)
        self._peer = peer
        peer.control = self._control
        await self._say("signal/provide", {"sdp": await peer.offer(), "iceservers": []})

    async def _forget(self, peer: Peer) -> None:
        self._peer = None
        await peer.close()

    async def _act(self) -> None:
        try:
            await self._hands.run()
        except SocketClosed:
            return

    async def _until_ended(self) -> None:
        await self._ended.wait()
        try:
            await self._say("signal/close", {})
            await self._socket.close()
        except SocketClosed:
            return

    async def _until_stopped(self) -> None:
        await self._stopped.wait()
        try:
            await self._say("system/disconnect", {"message": "the stream was stopped"})
            await self._socket.close(GOING_AWAY, "the stream was stopped")
        except SocketClosed:
            return

    async def _tell(self, problem: Problem) -> None:
        await self._say("system/error", {"code": problem.slug, "message": problem.detail})

    async def _say(self, event: str, payload: dict[str, Any]) -> None:
        await self._socket.send(msgspec.json.encode({"event": event, "payload": payload}).decode())


def _decoded(message: str | bytes) -> _Message:
    """Raises ``InvalidRequest``."""
    try:
        return _messages.decode(message)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"invalid frame of the signaling: {error}") from error
