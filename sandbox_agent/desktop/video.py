"""Frames as video: H.264 by libx264, one picture in, one out. All here takes milliseconds: for a thread."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from PIL import Image

from sandbox_agent.desktop.x11.geometry import Region
from sandbox_agent.problems import DesktopScreenshotFailed

if TYPE_CHECKING:
    from sandbox_agent.desktop.frames import Frame
    from sandbox_agent.desktop.x11.cursor import Cursor

BYTES_A_PIXEL = 4
TIME_BASE = 1_000_000
"""Video times are microseconds."""

_BT709 = 1  # H.264, table E-3 to E-5: primaries, transfer and matrix alike
_SPS = 7
_OPTIONS = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "forced-idr": "1",
    "x264-params": "keyint=infinite:scenecut=0:repeat-headers=1",
}


@dataclass(frozen=True, slots=True)
class Encoded:
    """One picture as an access unit of H.264 in Annex B; a keyframe comes with its parameter sets."""

    data: bytes
    keyframe: bool


class Encoder:
    """H.264 for one viewer: constrained baseline, BT.709, no picture held back.

    Sides are even in H.264 as browsers take it, so of odd ones the last column or row is left out. ``bits`` is the
    most bits a second, and a third of it the most of one picture; none sets no bound.
    """

    def __init__(self, size: tuple[int, int], *, fps: int, quality: int = 23, bits: int | None = None) -> None:
        self.size = (size[0] & ~1, size[1] & ~1)
        self._reformatter = VideoReformatter()
        options = _OPTIONS | {"crf": str(quality)}
        if bits is not None:
            options |= {"maxrate": str(bits), "bufsize": str(bits // 3)}
        context: Any = av.CodecContext.create("libx264", "w")
        context.width, context.height = self.size
        context.pix_fmt = "yuv420p"
        context.framerate = fps
        context.time_base = Fraction(1, TIME_BASE)
        context.profile = "Baseline"
        context.thread_count = 1
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG
        context.options = options
        self._context = context
        self._last = -1

    def encode(self, frame: Frame, *, keyframe: bool = False, cursor: bool = False) -> Encoded:
        """The next picture, with the pointer drawn in where ``cursor`` says so."""
        source = video_frame(frame, self.size, cursor=cursor)
        picture = self._reformatter.reformat(
            source,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.POINT,
        )
        self._last = max(self._last + 1, int(frame.time * TIME_BASE))
        picture.pts = self._last
        picture.time_base = self._context.time_base
        picture.pict_type = PictureType.I if keyframe else PictureType.NONE
        packets = self._context.encode(picture)
        if not packets:
            raise DesktopScreenshotFailed("the encoder held a picture back")
        return Encoded(b"".join(map(bytes, packets)), any(packet.is_keyframe for packet in packets))


def video_frame(frame: Frame, size: tuple[int, int], *, cursor: bool = False) -> av.VideoFrame:
    """A copy of the upper left ``size`` of a frame, for PyAV to encode (``bgr0``)."""
    width, height = size
    made = av.VideoFrame(width, height, "bgr0")
    plane: Any = made.planes[0]
    row = frame.size[0] * BYTES_A_PIXEL
    if plane.line_size == row:
        plane.update(frame.pixels[: row * height])
    else:
        target = memoryview(plane).cast("B")
        for y in range(height):
            at = y * plane.line_size
            target[at : at + width * BYTES_A_PIXEL] = frame.pixels[y * row : y * row + width * BYTES_A_PIXEL]
    if cursor and frame.cursor is not None:
        _draw(memoryview(plane).cast("B"), plane.line_size, Region(0, 0, width, height), frame.cursor)
    return made


def _draw(pixels: memoryview, line: int, screen: Region, cursor: Cursor) -> None:
    """Lay the pointer over BGRX pixels."""
    place = Region(cursor.x - cursor.hot_x, cursor.y - cursor.hot_y, cursor.width, cursor.height).overlap(screen)
    if place is None:
        return
    starts = [y * line + place.x * BYTES_A_PIXEL for y in range(place.y, place.y + place.height)]
    length = place.width * BYTES_A_PIXEL
    below = b"".join(pixels[at : at + length] for at in starts)
    image = Image.frombytes("RGB", (place.width, place.height), below, "raw", "BGRX")
    cursor.draw(image, place)
    drawn = image.tobytes("raw", "BGRX")
    for number, at in enumerate(starts):
        pixels[at : at + length] = drawn[number * length : (number + 1) * length]


def codec_string(encoded: Encoded) -> str:
    """What WebCodecs calls the codec of a keyframe: profile, constraints and level (RFC 6381, 3.3)."""
    at = 0
    while (at := encoded.data.find(b"\x00\x00\x01", at)) >= 0:
        at += 3
        if encoded.data[at] & 0x1F == _SPS:
            return f"avc1.{encoded.data[at + 1 : at + 4].hex().upper()}"
    raise DesktopScreenshotFailed("the encoder gave no parameter set")
