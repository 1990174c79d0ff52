"""Frames as the binary messages of the stream: H.264, or JPEG of what has changed. Made in a thread.

A message begins with 16 bytes, big-endian: kind (1 H.264, 2 JPEG), flags (1: needs no picture before it), number of
rectangles (u16), number of the picture (u32), time it was taken at in microseconds (u64, monotonic).
An access unit of H.264 in Annex B follows, or the rectangles, each x, y, width, height (u16), length (u32), and a JPEG.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from sandbox_agent.desktop.x11.geometry import Region
from sandbox_agent.desktop.x11.saving import saved

if TYPE_CHECKING:
    from sandbox_agent.desktop.frames import Frame
    from sandbox_agent.desktop.x11.cursor import Cursor

H264, JPEG = 1, 2
KEYFRAME = 1
HEAD = struct.Struct(">BBHIQ")
PLACE = struct.Struct(">HHHHI")
_JPEG_QUALITY = 80
_MOST_OF_THE_SCREEN = 0.6  # changed, so that all of it is sent at once


class Painter(Protocol):
    """Makes messages of frames. ``codec`` is known once the first is made."""

    codec: str

    def paint(self, frame: Frame, number: int, *, keyframe: bool) -> bytes:
        """Picture ``number``; takes milliseconds."""


class VideoPainter:
    """H.264."""

    codec = ""

    def __init__(self, size: tuple[int, int], fps: int) -> None:
        from sandbox_agent.desktop.video import Encoder  # noqa: PLC0415 - the library takes a while to load

        self._encoder = Encoder(size, fps=fps)

    def paint(self, frame: Frame, number: int, *, keyframe: bool) -> bytes:
        from sandbox_agent.desktop.video import codec_string  # noqa: PLC0415 - as above

        encoded = self._encoder.encode(frame, keyframe=keyframe)
        if not self.codec:
            self.codec = codec_string(encoded)
        return _head(H264, frame, number, keyframe=encoded.keyframe) + encoded.data


class JpegPainter:
    """What has changed, as JPEGs."""

    codec = "jpeg"

    def paint(self, frame: Frame, number: int, *, keyframe: bool) -> bytes:
        whole = Region(0, 0, *frame.size)
        parts = (whole,) if keyframe or _much(frame) else frame.damaged
        pieces = [_head(JPEG, frame, number, keyframe=parts == (whole,), count=len(parts))]
        for part in parts:
            data = _jpeg(frame, part)
            pieces += [PLACE.pack(part.x, part.y, part.width, part.height, len(data)), data]
        return b"".join(pieces)


def _head(kind: int, frame: Frame, number: int, *, keyframe: bool, count: int = 0) -> bytes:
    return HEAD.pack(kind, KEYFRAME if keyframe else 0, count, number & 0xFFFF_FFFF, int(frame.time * 1_000_000))


def _much(frame: Frame) -> bool:
    return sum(part.area for part in frame.damaged) > _MOST_OF_THE_SCREEN * frame.size[0] * frame.size[1]


def _jpeg(frame: Frame, part: Region) -> bytes:
    pixels: Any = frame.pixels  # whatever has a buffer will do
    screen = Image.frombuffer("RGBX", frame.size, pixels, "raw", "RGBX", 0, 1)  # no copy; red and blue are swapped
    piece = screen.crop((part.x, part.y, part.x + part.width, part.y + part.height))
    image = Image.frombytes("RGB", piece.size, piece.tobytes(), "raw", "BGRX")
    return saved(image, "JPEG", quality=_JPEG_QUALITY)


def cursor_image(cursor: Cursor) -> str:
    """The pointer's look, as PNG in base64."""
    image = Image.frombytes("RGBa", (cursor.width, cursor.height), cursor.pixels, "raw", "BGRa").convert("RGBA")
    return base64.b64encode(saved(image, "PNG")).decode()
