"""Clicks and keys, drawn over the pictures of a recording for a while."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFont

from sandbox_agent.desktop.video import BYTES_A_PIXEL
from sandbox_agent.desktop.x11.geometry import Region

if TYPE_CHECKING:
    import av

    from sandbox_agent.desktop.deeds import Deed

CLICK_SECONDS, KEYS_SECONDS = 0.6, 1.6
CLICK_COLOR, KEYS_COLOR = (255, 64, 64), (255, 255, 255)
_RADIUS = 16
_RING = 4
_FONT_PIXELS, _PADDING = 22, 8
_MOST_DEEDS, _MOST_CHARACTERS = 64, 60


class Marks:
    """What was done lately. `note` is called on the event loop, the rest in the recording's thread."""

    def __init__(self) -> None:
        self._deeds: deque[Deed] = deque(maxlen=_MOST_DEEDS)
        self._font = ImageFont.load_default(_FONT_PIXELS)

    def note(self, deed: Deed) -> None:
        self._deeds.append(deed)

    def shown(self, begin: float, end: float) -> tuple[Deed, ...]:
        """The deeds to be seen in a picture that stands from ``begin`` to ``end`` (monotonic seconds)."""
        return tuple(deed for deed in tuple(self._deeds) if deed.time < end and begin < deed.time + _seconds(deed))

    def draw(self, picture: av.VideoFrame, deeds: tuple[Deed, ...]) -> None:
        """Draw ``deeds`` into a ``bgr0`` picture."""
        plane: Any = picture.planes[0]
        pixels, screen = memoryview(plane).cast("B"), Region(0, 0, picture.width, picture.height)
        for deed in deeds:
            if deed.kind == "click":
                self._click(pixels, plane.line_size, screen, deed)
        said = " ".join(deed.text for deed in deeds if deed.kind == "keys")
        if said:
            self._keys(pixels, plane.line_size, screen, said[-_MOST_CHARACTERS:])

    def _click(self, pixels: memoryview, line: int, screen: Region, deed: Deed) -> None:
        x, y = deed.at
        place = Region(x - _RADIUS, y - _RADIUS, 2 * _RADIUS + 1, 2 * _RADIUS + 1).overlap(screen)
        if place is None:
            return
        image = _cut(pixels, line, place)
        box = (x - _RADIUS - place.x, y - _RADIUS - place.y, x + _RADIUS - place.x, y + _RADIUS - place.y)
        ImageDraw.Draw(image).ellipse(box, outline=CLICK_COLOR, width=_RING)
        _paste(pixels, line, place, image)

    def _keys(self, pixels: memoryview, line: int, screen: Region, text: str) -> None:
        """A line of text in a dark box at the bottom."""
        left, top, right, bottom = self._font.getbbox(text)
        width, height = int(right - left) + 2 * _PADDING, int(bottom - top) + 2 * _PADDING
        x, y = (screen.width - width) // 2, screen.height - height - 2 * _PADDING
        place = Region(x, y, width, height).overlap(screen)
        if place is None:
            return
        image = Image.new("RGB", (place.width, place.height), (24, 24, 24))
        at = (x - place.x + _PADDING - left, y - place.y + _PADDING - top)
        ImageDraw.Draw(image).text(at, text, fill=KEYS_COLOR, font=self._font)
        _paste(pixels, line, place, image)


def _seconds(deed: Deed) -> float:
    return CLICK_SECONDS if deed.kind == "click" else KEYS_SECONDS


def _rows(line: int, place: Region) -> list[slice]:
    starts = (y * line + place.x * BYTES_A_PIXEL for y in range(place.y, place.y + place.height))
    return [slice(at, at + place.width * BYTES_A_PIXEL) for at in starts]


def _cut(pixels: memoryview, line: int, place: Region) -> Image.Image:
    data = b"".join(pixels[row] for row in _rows(line, place))
    return Image.frombytes("RGB", (place.width, place.height), data, "raw", "BGRX")


def _paste(pixels: memoryview, line: int, place: Region, image: Image.Image) -> None:
    data, length = image.tobytes("raw", "BGRX"), place.width * BYTES_A_PIXEL
    for number, row in enumerate(_rows(line, place)):
        pixels[row] = data[number * length : (number + 1) * length]
