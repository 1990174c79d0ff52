"""Numbered boxes on a picture of the screen. Takes milliseconds: for a thread."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from PIL import ImageDraw, ImageFont

if TYPE_CHECKING:
    from PIL import Image

    from sandbox_agent.desktop.x11.geometry import Region

COLOURS: Final = ("#d4002f", "#0057d8", "#007a3d", "#8a2be2", "#b35900", "#00707a")
"""Of neighbours in turn; white letters are read on each."""

_LETTERS: Final = 11  # pixels
_EDGE: Final = 2


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_LETTERS)


def draw(image: Image.Image, shown: Region, marks: tuple[Region, ...]) -> None:
    """Draw ``marks``, the first with number 1, on a picture of the part of the screen that is ``shown``.

    Numbers keep their size whatever the picture's scale.
    """
    pen = ImageDraw.Draw(image)
    across, down = image.width / shown.width, image.height / shown.height
    corners = [
        (
            int((mark.x - shown.x) * across),
            int((mark.y - shown.y) * down),
            int((mark.x + mark.width - shown.x) * across) - 1,
            int((mark.y + mark.height - shown.y) * down) - 1,
        )
        for mark in marks
    ]
    for number, (left, top, right, bottom) in enumerate(corners):
        pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=COLOURS[number % len(COLOURS)])
    for number, (left, top, _, _) in enumerate(corners):  # over the boxes, so that all can be read
        _label(pen, image.size, (left, top), number)


def _label(pen: ImageDraw.ImageDraw, size: tuple[int, int], at: tuple[int, int], number: int) -> None:
    text = str(number + 1)
    width = int(pen.textlength(text, _font())) + 2 * _EDGE
    height = _LETTERS + _EDGE
    left = max(0, min(at[0], size[0] - width))
    top = max(0, min(at[1], size[1] - height))
    pen.rectangle((left, top, left + width - 1, top + height - 1), fill=COLOURS[number % len(COLOURS)])
    pen.text((left + _EDGE, top), text, fill="white", font=_font())
