"""Bands of rows made ready for compression, as PNG has it: RFC 2083, 6.

Text and flat areas compress best as they are, pictures as differences to the pixels to the left and above. What a band
is, and which difference suits which of its rows, is estimated from a sample; the differences of a whole band are then
taken by few calls into Pillow, which let other threads run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple

from PIL import Image, ImageChops

Order = Literal["RGB", "BGR"]

CHANNELS = 3
SAMPLED = 4  # of so many rows, or pixels of a row, one is looked at
PICTURE = 0.1  # from so many colours a pixel on, a band is taken for a picture
REPEATED = 0.25  # where fewer pixels than this are like their neighbours, nothing repeats

NONE, SUB, UP, AVERAGE = range(4)
MARKS = [bytes([mark]) for mark in range(4)]
# Differences are taken modulo 256. Large ones cost much the same, and eighths of a step still count in averages.
MAGNITUDES = [min(255, 8 * min(value, 256 - value)) for value in range(256)]


class Kind(Enum):
    """How a band is compressed: sequences that come again are many, some, or none."""

    PLAIN = 0
    MIXED = 1
    NOISE = 2


class Band(NamedTuple):
    """Rows as they are to be compressed, each after the number of its filter."""

    rows: bytes
    kind: Kind


@dataclass(frozen=True, slots=True)
class _Pixels:
    """Some pixels of an image, and their neighbours in their places; outside of the image all is zero."""

    here: Image.Image
    left: Image.Image
    above: Image.Image

    def sample(self) -> _Pixels:
        size = max(1, self.here.width // SAMPLED), self.here.height
        nearest = Image.Resampling.NEAREST
        return _Pixels(*(part.resize(size, nearest) for part in (self.here, self.left, self.above)))

    def difference(self, mark: int) -> Image.Image:
        if mark == SUB:
            return ImageChops.subtract_modulo(self.here, self.left)
        if mark == UP:
            return ImageChops.subtract_modulo(self.here, self.above)
        return ImageChops.subtract_modulo(self.here, Image.blend(self.left, self.above, 0.5))  # rounded down


def band(image: Image.Image, top: int, bottom: int, order: Order = "RGB") -> Band:
    """The rows of ``image`` from ``top`` on, those before ``bottom``; ``order`` is what its first channels are."""
    here = image.crop((0, top, image.width, bottom))
    if not _is_picture(here):
        return Band(_unfiltered(here, order), Kind.PLAIN)
    left = image.crop((-1, top, image.width - 1, bottom))
    above = image.crop((0, top - 1, image.width, bottom - 1))
    pixels = _Pixels(here, left, above)
    marks, kind = _suited(pixels.sample())
    return Band(_joined(marks, {mark: pixels.difference(mark) for mark in set(marks)}, order), kind)


def _is_picture(here: Image.Image) -> bool:
    rows = max(1, here.height // SAMPLED)
    sample = here.resize((here.width, rows), Image.Resampling.NEAREST)
    return sample.getcolors(int(here.width * rows * PICTURE)) is None


def _unfiltered(here: Image.Image, order: Order) -> bytes:
    """The rows as they are. Those that are packed with room for one byte each have it behind, and it is zero."""
    packed = here.tobytes("raw", order, here.width * CHANNELS + 1)
    return b"".join([MARKS[NONE], memoryview(packed)[:-1]])


def _suited(sample: _Pixels) -> tuple[list[int], Kind]:
    """The filter for each row, by the sums of its differences, and what all of them are."""
    sizes = {mark: _magnitudes(sample.difference(mark)) for mark in (SUB, UP, AVERAGE)}
    repeated = sizes[SUB].histogram()[0] / (sample.here.width * sample.here.height)
    means = {mark: size.resize((1, size.height), Image.Resampling.BOX).tobytes() for mark, size in sizes.items()}
    marks = [min(means, key=lambda mark: means[mark][row]) for row in range(sample.here.height)]
    return marks, Kind.MIXED if repeated > REPEATED else Kind.NOISE


def _magnitudes(difference: Image.Image) -> Image.Image:
    """How large the differences of each pixel are."""
    return difference.point(MAGNITUDES * len(difference.getbands())).convert("L")


def _joined(marks: list[int], images: dict[int, Image.Image], order: Order) -> bytes:
    data = {mark: memoryview(image.tobytes("raw", order)) for mark, image in images.items()}
    stride = next(iter(images.values())).width * CHANNELS
    parts: list[bytes | memoryview] = []
    for row, mark in enumerate(marks):
        parts += [MARKS[mark], data[mark][row * stride : (row + 1) * stride]]
    return b"".join(parts)
