"""Images as files: PNG, JPEG, WebP. Everything here takes milliseconds: for a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from PIL import Image

from sandbox_agent.desktop.x11 import marking
from sandbox_agent.desktop.x11.geometry import scaled
from sandbox_agent.desktop.x11.png import encode_png
from sandbox_agent.desktop.x11.saving import saved

if TYPE_CHECKING:
    from sandbox_agent.desktop.x11.capture import Frame
    from sandbox_agent.desktop.x11.geometry import Region

Format = Literal["png", "jpeg", "webp"]

MEDIA_TYPES: dict[str, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


def encode(image: Image.Image, form: Format, quality: int) -> bytes:
    """``image`` (RGB) as a file; ``quality`` is 1-100, and PNG, which loses nothing, takes no notice of it."""
    if form == "png":
        return encode_png(image)
    if form == "jpeg":
        return saved(image, "JPEG", quality=quality)  # optimized tables: 5 % smaller, twice the time
    # Method 0 takes 0.4 of the time of the library's default, 4; a little less quality makes up for the size.
    return saved(image, "WEBP", quality=max(1, quality - min(6, (100 - quality) * 2 // 5)), method=0)


def picture(frame: Frame, scale: float) -> Image.Image:
    """A frame as an image: the pointer drawn where the frame has one, then scaled."""
    image = frame.image()
    if frame.cursor is not None:
        frame.cursor.draw(image, frame.region)
    size = scaled(frame.region, scale)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def encode_frame(frame: Frame, form: Format, quality: int, scale: float, marks: tuple[Region, ...] = ()) -> bytes:
    """A frame as a file, with numbered boxes over ``marks`` of the screen."""
    if form == "png" and not marks and frame.cursor is None and scale == 1:
        return encode_png(frame.view(), "BGR")
    image = picture(frame, scale)
    if marks:
        marking.draw(image, frame.region, marks)
    return encode(image, form, quality)
