"""The desktop to one viewer by WebRTC: a track of H.264, and a data channel that brings input.

Pictures are encoded here, not by aiortc, whose encoder takes its time for quality and knows no screens.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import av
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import candidate_from_sdp

from sandbox_agent.desktop.ice import choose_ways
from sandbox_agent.desktop.video import Encoder
from sandbox_agent.problems import DesktopInvalidAction, InvalidRequest, Problem
from sandbox_agent.wire.desktop_actions import (
    KeyDownAction,
    KeyUpAction,
    MouseDownAction,
    MouseUpAction,
    MoveAction,
    ScrollAction,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox_agent.desktop.frames import Watcher
    from sandbox_agent.desktop.hands import Hands
    from sandbox_agent.wire.desktop_stream import StreamInput

BITS = 8_000_000
"""The most bits a second; a third of it at most in one picture, which goes out without a pause."""

_CLOCK = 90_000  # RFC 6184, 5.1: the clock of H.264 in RTP
_MOVE, _SCROLL, _KEY_DOWN, _KEY_UP, _BUTTON_DOWN, _BUTTON_UP = range(1, 7)
_UNICODE = 0x1000000  # X11 protocol, appendix A: keysyms of Unicode
_HIGH, _LOW = range(0xD800, 0xDC00), range(0xDC00, 0xE000)  # RFC 2781, 2.1: halves of a character in UTF-16
_HEAD = struct.Struct(">BH")
_PAYLOADS = {
    _MOVE: struct.Struct(">HH"),
    _SCROLL: struct.Struct(">hhB"),
    _KEY_DOWN: struct.Struct(">I"),
    _KEY_UP: struct.Struct(">I"),
    _BUTTON_DOWN: struct.Struct(">I"),
    _BUTTON_UP: struct.Struct(">I"),
}
_REFUSALS = (InternalError, InvalidAccessError, InvalidStateError, OperationError)
_NONSENSE = (ValueError, KeyError, IndexError, AttributeError, AssertionError)  # what the library's parsers raise
_BUTTONS = {1: "left", 2: "middle", 3: "right"}
_WHEEL = {4: (0, -1), 5: (0, 1), 6: (-1, 0), 7: (1, 0)}


class _Screen(MediaStreamTrack):
    """The screen, the pointer drawn in, as H.264."""

    kind = "video"

    def __init__(self, frames: Watcher, fps: int) -> None:
        super().__init__()
        self._frames = frames
        self._encoder = Encoder(frames.size, fps=fps, bits=BITS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="webrtc")
        self._keyframe = True
        self.pointer = (0, 0)

    async def recv(self) -> Any:
        """The next picture, once there is one. Raises ``MediaStreamError`` when the display has gone."""
        try:
            frame = await anext(self._frames)
        except Problem as problem:
            raise MediaStreamError from problem
        if frame.cursor is not None:
            self.pointer = (frame.cursor.x, frame.cursor.y)
        keyframe, self._keyframe = self._keyframe, False
        encode = partial(self._encoder.encode, frame, keyframe=keyframe, cursor=True)
        encoded = await asyncio.get_running_loop().run_in_executor(self._thread, encode)
        packet = av.Packet(encoded.data)
        packet.time_base = Fraction(1, _CLOCK)
        packet.pts = int(frame.time * _CLOCK)
        return packet

    def send_keyframe(self) -> None:
        """The viewer has lost something."""
        self._keyframe = True
        self._frames.refresh()

    def stop(self) -> None:
        super().stop()
        self._thread.shutdown(wait=False)


class Peer:
    """One viewer. `offer` it, tell it the `answer`, and `close` it. ``on_end`` is called when its connection ends.

    ``ports`` are the first and the last of those that it may be reached on.
    """

    def __init__(
        self,
        frames: Watcher,
        hands: Hands,
        *,
        fps: int,
        ports: tuple[int, int] | None,
        on_end: Callable[[], None],
    ) -> None:
        self.control = False
        self._size = frames.size
        self._hands = hands
        self._on_end = on_end
        self._at: tuple[int, int] | None = None
        self._high: int | None = None  # the first half of a character
        self._early: list[Mapping[str, Any]] = []
        # No servers of ours are told to anybody; all goes over one port.
        self._connection = RTCPeerConnection(RTCConfiguration([], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._connection.on("connectionstatechange", self._changed)
        self._track = _Screen(frames, fps)
        transceiver = self._connection.addTransceiver(self._track, direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType in {"video/H264", "video/rtx"}])
        # The library's own hook for pictures that it encodes itself (RFC 4585, 6.3.1: picture loss indication).
        transceiver.sender._send_keyframe = self._track.send_keyframe  # type: ignore[method-assign]  # noqa: SLF001
        choose_ways(transceiver.sender.transport.transport.iceGatherer, ports)
        self._channel = self._connection.createDataChannel("data")
        self._channel.on("message", self._heed)

    async def offer(self) -> str:
        """Our session description, with all candidates in it. Raises ``StreamError`` where no port is free."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return str(self._connection.localDescription.sdp)

    async def answer(self, sdp: str) -> None:
        """The viewer's description. Raises ``InvalidRequest`` where it is none for our offer."""
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))
        except (*_REFUSALS, *_NONSENSE) as error:
            raise InvalidRequest(f"the answer does not suit the offer: {error}") from error
        early, self._early = self._early, []
        for candidate in early:
            await self.candidate(candidate)

    async def candidate(self, told: Mapping[str, Any]) -> None:
        """A way to reach the viewer. Raises ``InvalidRequest`` for what is none."""
        if self._connection.remoteDescription is None:
            self._early.append(told)
            return
        line = str(told.get("candidate") or "")
        if not line:
            return
        try:
            candidate = candidate_from_sdp(line.removeprefix("candidate:"))
            candidate.sdpMid = told.get("sdpMid")
            candidate.sdpMLineIndex = told.get("sdpMLineIndex")
            await self._connection.addIceCandidate(candidate)
        except _NONSENSE as error:
            raise InvalidRequest(f"no candidate: {line!r}") from error

    async def close(self) -> None:
        """End it; ``on_end`` is not told of that."""
        self._on_end = lambda: None
        self._track.stop()
        await self._connection.close()

    def _changed(self) -> None:
        if self._connection.connectionState in {"failed", "closed"}:
            self._on_end()

    # -- input ----------------------------------------------------------------------------------------------------

    def _heed(self, message: str | bytes) -> None:
        action = self._action(message) if self.control and isinstance(message, bytes) else None
        if action is not None:
            with contextlib.suppress(DesktopInvalidAction):  # more than can be done; there is no way to say so
                self._hands.do(action)

    def _action(self, message: bytes) -> StreamInput | None:
        """What a message asks for; None where it is none of those that are known."""
        operation, values = _unpacked(message)
        match operation:
            case 1:
                self._at = (min(values[0], self._size[0] - 1), min(values[1], self._size[1] - 1))
                return MoveAction(x=self._at[0], y=self._at[1])
            case 2:
                return self._scroll(values[0], values[1])
            case 3 | 4:
                return self._key(values[0], down=operation == _KEY_DOWN)
            case 5 | 6:
                return self._button(values[0], down=operation == _BUTTON_DOWN)
        return None

    def _key(self, sym: int, *, down: bool) -> StreamInput | None:
        """The official client has UTF-16 in its keysyms, so a character beyond 16 bits comes as two halves."""
        unit = sym - _UNICODE
        if unit in _HIGH:
            self._high = unit
            return None
        if unit in _LOW:
            if self._high is None:
                return None
            sym = _UNICODE + 0x10000 + (_HIGH.index(self._high) << 10) + _LOW.index(unit)
        return KeyDownAction(key=hex(sym)) if down else KeyUpAction(key=hex(sym))

    def _button(self, number: int, *, down: bool) -> StreamInput | None:
        if number in _WHEEL:
            return self._scroll(*_WHEEL[number]) if down else None
        name = _BUTTONS.get(number)
        if name is None:
            return None
        return MouseDownAction(button=name) if down else MouseUpAction(button=name)

    def _scroll(self, right: int, down: int) -> ScrollAction | None:
        if not right and not down:
            return None
        x, y = self._at or self._track.pointer
        return ScrollAction(x=x, y=y, delta_x=right, delta_y=down)


def _unpacked(message: bytes) -> tuple[int, tuple[int, ...]]:
    """Operation and values: one byte operation, two bytes length, payload, all big-endian. 0 for what is unknown."""
    if len(message) >= _HEAD.size:
        operation, length = _HEAD.unpack_from(message)
        payload = _PAYLOADS.get(operation)
        if payload is not None and length == payload.size and len(message) >= _HEAD.size + length:
            return operation, payload.unpack_from(message, _HEAD.size)
    return 0, ()
