"""PNG of screens: small and fast.

A screen is text and flat areas, which compress best as they are, and pictures, which compress best as differences
(PNG's filters, RFC 2083, 6). Bands of rows are told apart by how many colours they have; bands are filtered side
by side, and compressed side by side to flushed parts of one deflate stream (RFC 1951, 3.2.4), each with the end of what
comes before it as its dictionary.
"""

from __future__ import annotations

import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from PIL import Image
from zlib_ng import zlib_ng

from sandbox_agent.desktop.x11.saving import saved

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BAND_ROWS = 36
SAMPLED = 4  # of so many rows one is looked at
PICTURE = 0.1  # from so many colours a pixel on, a band is taken for a picture
LEVEL = 7
WINDOW = 1 << 15
ZLIB_HEADER = b"\x78\x9c"
UNFILTERED = b"\x00"

WORKERS = min(4, len(os.sched_getaffinity(0)))

_parts = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="png")


def encode_png(image: Image.Image) -> bytes:
    """``image`` (RGB) as a PNG file."""
    width, height = image.size
    bands = [image.crop((0, y, width, min(y + BAND_ROWS, height))) for y in range(0, height, BAND_ROWS)]
    filtered = list(_parts.map(_filter, bands))
    share = -(-len(bands) // WORKERS)
    starts = range(0, len(bands), share)
    parts = list(_parts.map(lambda at: _deflate(filtered, at, at + share), starts))
    check = zlib_ng.adler32(b"")
    for rows, _ in filtered:
        check = zlib_ng.adler32(rows, check)
    data = b"".join([ZLIB_HEADER, *parts, struct.pack(">I", check)])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join([SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", data), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib_ng.crc32(data, zlib_ng.crc32(kind))
    return b"".join([struct.pack(">I", len(data)), kind, data, struct.pack(">I", check)])


def _filter(band: Image.Image) -> tuple[bytes, bool]:
    """The filtered rows of a band, and whether it is a picture."""
    picture = _is_picture(band)
    return (_filtered(band) if picture else _plain(band)), picture


def _deflate(bands: list[tuple[bytes, bool]], start: int, end: int) -> bytes:
    """The part of the stream for some of the bands; it goes on from what comes before them."""
    own = bands[start:end]
    strategy = zlib.Z_FILTERED if 2 * sum(picture for _, picture in own) > len(own) else zlib.Z_DEFAULT_STRATEGY
    before = bands[start - 1][0][-WINDOW:] if start else b""
    deflate = zlib_ng.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy, before)
    parts = [deflate.compress(rows) for rows, _ in own]
    parts.append(deflate.flush(zlib.Z_FINISH if end >= len(bands) else zlib.Z_SYNC_FLUSH))
    return b"".join(parts)


def _is_picture(band: Image.Image) -> bool:
    rows = max(1, band.height // SAMPLED)
    sample = band.resize((band.width, rows), Image.Resampling.NEAREST)
    return sample.getcolors(int(band.width * rows * PICTURE)) is None


def _plain(band: Image.Image) -> bytes:
    data = memoryview(band.tobytes())
    stride = band.width * 3
    return b"".join([part for at in range(0, len(data), stride) for part in (UNFILTERED, data[at : at + stride])])


def _filtered(band: Image.Image) -> bytes:
    """Rows with the filters that Pillow's encoder chooses: stored, not compressed, they are taken out of its file."""
    file = memoryview(saved(band, "PNG", compress_level=0))
    return zlib_ng.decompress(b"".join(_image_data(file)))


def _image_data(file: memoryview) -> Iterator[memoryview]:
    at = len(SIGNATURE)
    while at < len(file):
        (length,) = struct.unpack_from(">I", file, at)
        if bytes(file[at + 4 : at + 8]) == b"IDAT":
            yield file[at + 8 : at + 8 + length]
        at += 12 + length
