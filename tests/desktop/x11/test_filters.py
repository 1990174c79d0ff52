"""Filtered rows are what PNG says they are, and bands are told apart."""

from __future__ import annotations

import random

import pytest
from PIL import Image, ImageDraw

from sandbox_agent.desktop.x11 import filters
from sandbox_agent.desktop.x11.filters import AVERAGE, CHANNELS, NONE, SUB, UP, Kind, band

ROWS = 24


def noise(width: int, height: int, spread: int = 256) -> Image.Image:
    order = random.Random(7)  # noqa: S311
    return Image.frombytes("RGB", (width, height), bytes(order.randrange(spread) for _ in range(width * height * 3)))


def wandering(width: int, height: int) -> Image.Image:
    """Each value between the one to the left and the one above, and a little beside it."""
    order = random.Random(8)  # noqa: S311
    rows = [[128] * width * 3]
    for _ in range(height):
        row: list[int] = []
        for at in range(width * 3):
            left = row[at - 3] if at >= CHANNELS else rows[-1][at]
            row.append(max(0, min(255, round((left + rows[-1][at]) / 2 + order.gauss(0, 5)))))
        rows.append(row)
    return Image.frombytes("RGB", (width, height), bytes(value for row in rows[1:] for value in row))


def unfiltered(rows: bytes, above: bytes) -> bytes:
    """RFC 2083, 6.3 to 6.5, word for word."""
    stride = len(above)
    result = b""
    for at in range(0, len(rows), stride + 1):
        mark, row = rows[at], bytearray(rows[at + 1 : at + 1 + stride])
        for x in range(stride):
            left, up = row[x - CHANNELS] if x >= CHANNELS else 0, above[x]
            row[x] = (row[x] + {NONE: 0, SUB: left, UP: up, AVERAGE: (left + up) // 2}[mark]) % 256
        above = bytes(row)
        result += above
    return result


@pytest.mark.parametrize("top", [0, 5])
@pytest.mark.parametrize("mark", [SUB, UP, AVERAGE])
def test_each_filter_is_the_one_of_the_rfc(mark: int, top: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For values of all kinds, at the edges too, and on from rows of another band."""
    image = noise(256, top + ROWS)
    monkeypatch.setattr(filters, "_suited", lambda _sample: ([mark] * ROWS, Kind.NOISE))
    got = band(image, top, top + ROWS)
    before = image.crop((0, top - 1, 256, top)).tobytes()  # zero above the image
    assert {got.rows[at] for at in range(0, len(got.rows), 256 * 3 + 1)} == {mark}
    assert unfiltered(got.rows, before) == image.crop((0, top, 256, top + ROWS)).tobytes()


def test_an_average_is_rounded_down() -> None:
    """For every pair of values."""
    left = Image.frombytes("L", (256, 256), bytes(range(256)) * 256)
    above = left.transpose(Image.Transpose.TRANSPOSE)
    assert Image.blend(left, above, 0.5).tobytes() == bytes((a + b) // 2 for b in range(256) for a in range(256))


def test_text_is_left_as_it_is() -> None:
    image = Image.new("RGB", (300, ROWS), "white")
    ImageDraw.Draw(image).text((5, 5), "And nothing is said of pictures", fill="black")
    got = band(image, 0, ROWS)
    assert got.kind is Kind.PLAIN
    assert {got.rows[at] for at in range(0, len(got.rows), 901)} == {NONE}


def test_what_never_repeats_is_not_searched() -> None:
    assert band(wandering(300, ROWS), 0, ROWS).kind is Kind.NOISE


def test_a_picture_beside_a_window_is_both() -> None:
    image = Image.new("RGB", (400, ROWS), "white")
    image.paste(wandering(200, ROWS), (0, 0))
    assert band(image, 0, ROWS).kind is Kind.MIXED


def test_each_row_gets_what_suits_it() -> None:
    """Rows that go on to the side get the difference to the left, rows that go on from above that to them."""
    order = random.Random(9)  # noqa: S311
    starts = [order.randrange(256) for _ in range(ROWS)]
    sideways = bytes((start + x * step) % 256 for start in starts for x in range(300) for step in (1, 2, 3))
    downwards = [order.randrange(256) for _ in range(900)]
    image = Image.frombytes(
        "RGB", (300, ROWS * 2), sideways + bytes((v + row) % 256 for row in range(ROWS) for v in downwards)
    )
    rows = band(image, 0, ROWS * 2).rows
    marks = [rows[at] for at in range(0, len(rows), 901)]
    assert marks[:ROWS] == [SUB] * ROWS
    assert marks[ROWS + 1 :] == [UP] * (ROWS - 1)


def test_averages_are_taken_where_they_are_smaller() -> None:
    got = band(wandering(300, ROWS), 0, ROWS)
    marks = [got.rows[at] for at in range(0, len(got.rows), 901)]
    assert marks.count(AVERAGE) > ROWS // 2


def test_the_narrowest_bands_are_filtered_too() -> None:
    for width, height in [(1, 1), (1, 9), (3, 1)]:
        image = noise(width, height)
        got = band(image, 0, height)
        assert unfiltered(got.rows, bytes(width * 3)) == image.tobytes()
