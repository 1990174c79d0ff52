"""`/v1/desktop/stream/ws`: the text frames of the desktop's stream (ours, beyond the 0.4.2 contract).

Pictures are binary frames of their own; docs/reference/stream.md describes them.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from sandbox_agent.wire.base import StrictRequest, Wire
from sandbox_agent.wire.desktop_actions import (
    ClickAction,
    DragAction,
    KeyAction,
    KeyDownAction,
    KeyUpAction,
    MouseDownAction,
    MouseUpAction,
    MoveAction,
    ScrollAction,
    TypeAction,
)

DesktopStreamCodec: TypeAlias = Literal["h264", "jpeg"]


class StreamHello(Wire, tag="hello", tag_field="type", omit_defaults=False, frozen=True, kw_only=True):
    """The first message. ``codec`` is ``jpeg``, or what WebCodecs calls the H.264 that comes; sizes are in pixels.

    ``width`` and ``height`` are those of the screen, in which input is told; H.264 leaves out the last column or row
    of odd ones. No more than ``window`` pictures are sent ahead of what was acknowledged.
    """

    codec: str
    width: int
    height: int
    fps: int
    window: int
    control: bool


class StreamCursor(Wire, tag="cursor", tag_field="type", frozen=True, kw_only=True):
    """Where the pointer is, which no picture shows. ``image`` (PNG, base64) comes when it has another look."""

    x: int
    y: int
    hot_x: int
    hot_y: int
    image: str | None = None


class StreamError(Wire, tag="error", tag_field="type", frozen=True, kw_only=True):
    """What was told could not be done, or why the stream ends; ``code`` is the last segment of a problem's type."""

    code: str
    message: str


class StreamAck(StrictRequest, tag="ack", tag_field="type", frozen=True, kw_only=True):
    """All pictures up to ``number`` have been shown, or at least decoded."""

    number: int


class StreamKeyframe(StrictRequest, tag="keyframe", tag_field="type", frozen=True, kw_only=True):
    """Send a picture that needs none before it."""


StreamInput: TypeAlias = (
    MoveAction
    | ClickAction
    | MouseDownAction
    | MouseUpAction
    | DragAction
    | ScrollAction
    | TypeAction
    | KeyAction
    | KeyDownAction
    | KeyUpAction
)

StreamClientFrame: TypeAlias = StreamAck | StreamKeyframe | StreamInput
