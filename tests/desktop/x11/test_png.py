"""PNG files of ours are what any reader reads, pixel for pixel."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from sandbox_agent.desktop.x11.png import BAND_ROWS, encode_png


def noise(width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(5).randbytes(width * height * 3))  # noqa: S311


def read(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("height", [1, 3, BAND_ROWS - 1, BAND_ROWS, BAND_ROWS + 1, 9 * BAND_ROWS + 7])
@pytest.mark.parametrize("kind", ["flat", "noise", "both"])
def test_every_pixel_comes_back(kind: str, height: int) -> None:
    """Of flat images, of pictures, and of those where some bands are this and some that."""
    image = noise(61, height) if kind == "noise" else Image.new("RGB", (61, height), "#123456")
    if kind == "both":
        image.paste(noise(61, height // 2 + 1), (0, 0))
    got = read(encode_png(image))
    assert (got.format, got.mode, got.size) == ("PNG", "RGB", image.size)
    assert got.tobytes() == image.tobytes()


@given(st.integers(1, 40), st.integers(1, 90), st.binary(min_size=3, max_size=60))
def test_any_image_comes_back(width: int, height: int, pattern: bytes) -> None:
    size = width * height * 3
    image = Image.frombytes("RGB", (width, height), (pattern * (size // len(pattern) + 1))[:size])
    assert read(encode_png(image)).tobytes() == image.tobytes()


@pytest.mark.parametrize("kind", ["flat", "noise"])
def test_pixels_as_the_x_server_has_them_come_back(kind: str) -> None:
    """Blue first, and a fourth byte that says nothing and may be anything."""
    size = (61, 2 * BAND_ROWS + 5)
    image = noise(*size) if kind == "noise" else Image.new("RGB", size, "#123456")
    blue_first = Image.merge("RGB", image.split()[::-1])
    pixels = bytearray(blue_first.tobytes("raw", "RGBX"))
    pixels[3::4] = random.Random(6).randbytes(len(pixels) // 4)  # noqa: S311
    given = Image.frombuffer("RGBX", size, pixels, "raw", "RGBX", 0, 1)
    assert read(encode_png(given, "BGR")).tobytes() == image.tobytes()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["flat", "noise", "waves"]), st.integers(0, 150), st.integers(0, 120), st.integers(1, 150)
        ),
        max_size=6,
    )
)
def test_any_screen_comes_back(windows: list[tuple[str, int, int, int]]) -> None:
    """Of windows with text, pictures and nothing in them, one above another: parts of all kinds in one stream."""
    image = Image.new("RGB", (160, 130), "#eeeeee")
    for kind, x, y, size in windows:
        if kind == "noise":
            image.paste(noise(size, size), (x, y))
        elif kind == "waves":
            image.paste(Image.radial_gradient("L").resize((size, size)).convert("RGB"), (x, y))
        else:
            image.paste("#202020", (x, y, x + size, y + size))
    assert read(encode_png(image)).tobytes() == image.tobytes()


@pytest.mark.parametrize("sigma", [4, 20])
def test_a_picture_is_no_larger_than_what_pillow_makes_of_it(sigma: int) -> None:
    """A whole screen of it: what Pillow searches for repetitions in vain."""
    grain = Image.effect_noise((400, 300), sigma)
    waves = Image.radial_gradient("L").resize((400, 300))
    image = Image.merge("RGB", [ImageChops.add(waves, grain, 2), grain, ImageChops.add(grain, waves, 3)])
    file = io.BytesIO()
    image.save(file, "PNG")
    assert len(encode_png(image)) <= len(file.getvalue())


def test_text_is_no_larger_than_what_pillow_makes_of_it() -> None:
    """Where differences help nothing, none are taken."""
    image = Image.new("RGB", (600, 400), "white")
    glyph = noise(6, 9).convert("1").convert("RGB")
    for place in range(1200):
        if place % 7:
            image.paste(glyph, (10 * (place % 60), 20 * (place // 60)))
    file = io.BytesIO()
    image.save(file, "PNG")
    assert len(encode_png(image)) <= len(file.getvalue())
