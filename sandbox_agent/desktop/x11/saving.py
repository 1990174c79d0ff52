"""Images as bytes of a file, without holding up other threads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from PIL import JpegImagePlugin, PngImagePlugin, WebPImagePlugin

if TYPE_CHECKING:
    from PIL import Image

# Imported here, so that the first screenshot does not wait for what Pillow imports on the first save of a kind.
PLUGINS = (JpegImagePlugin, PngImagePlugin, WebPImagePlugin)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    """``image`` as a file of the kind ``form`` (Pillow's name for it).

    Pillow encodes to a descriptor with the interpreter released, to a file object not; so it gets one in memory.
    """
    with os.fdopen(os.memfd_create("image", os.MFD_CLOEXEC), "w+b") as file:
        image.save(file, form, **options)
        file.seek(0)
        return file.read()
