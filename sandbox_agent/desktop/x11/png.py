"""PNG of screens: small and fast.

A screen is text and flat areas, and pictures. Bands of rows are filtered, side by side, for what they are, and then,
side by side, compressed as what they are: to flushed parts of one deflate stream (RFC 1951, 3.2.4), each with the end
of what comes before it as its dictionary.
"""

from __future__ import annotations

import dataclasses
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import TYPE_CHECKING

from zlib_ng import zlib_ng

from sandbox_agent.desktop.x11 import filters
from sandbox_agent.desktop.x11.filters import Kind

if TYPE_CHECKING:
    from PIL import Image

    from sandbox_agent.desktop.x11.filters import Band

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BAND_ROWS = 36
WINDOW = 1 << 15
TRIED = 8  # what is tried is so small a part of a band
QUICK = 3
ZLIB_HEADER = b"\x78\x9c"
LAST = b"\x03\x00"  # an empty last block of deflate's

# Where nothing comes again, a search for it takes eight times as long as all else, and finds what only costs room.
LEVELS = {
    Kind.PLAIN: (6, zlib.Z_DEFAULT_STRATEGY),
    Kind.MIXED: (7, zlib.Z_FILTERED),
    Kind.NOISE: (7, zlib.Z_RLE),
}

WORKERS = min(4, len(os.sched_getaffinity(0)))

_parts = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="png")


def encode_png(image: Image.Image) -> bytes:
    """``image`` (RGB) as a PNG file."""
    width, height = image.size
    bands = list(_parts.map(lambda y: _band(image, y, min(y + BAND_ROWS, height)), range(0, height, BAND_ROWS)))
    parts = list(_parts.map(lambda part: _deflate(bands, part), _together(bands)))
    check = zlib_ng.adler32(b"")
    for band in bands:
        check = zlib_ng.adler32(band.rows, check)
    data = b"".join([ZLIB_HEADER, *parts, LAST, struct.pack(">I", check)])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join([SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", data), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib_ng.crc32(data, zlib_ng.crc32(kind))
    return b"".join([struct.pack(">I", len(data)), kind, data, struct.pack(">I", check)])


def _band(image: Image.Image, top: int, bottom: int) -> Band:
    band = filters.band(image, top, bottom)
    return dataclasses.replace(band, kind=Kind.MIXED) if band.kind is Kind.NOISE and _repeats(band.rows) else band


def _repeats(rows: bytes) -> bool:
    """Whether a search for what comes again pays after all: of grey pixels, say. Tried with a little of it."""
    tried = rows[: len(rows) // TRIED]
    searched = zlib_ng.compressobj(QUICK, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    plain = zlib_ng.compressobj(QUICK, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_RLE)
    found, alone = (len(deflate.compress(tried) + deflate.flush()) for deflate in (searched, plain))
    return found < alone


def _together(bands: list[Band]) -> list[range]:
    """The bands that are compressed in one go: of one kind, and no more than each thread's share."""
    share = -(-len(bands) // WORKERS)
    found = []
    for _, same in groupby(range(len(bands)), key=lambda at: bands[at].kind):
        numbers = list(same)
        found += [range(at, min(at + share, numbers[-1] + 1)) for at in range(numbers[0], numbers[-1] + 1, share)]
    return found


def _deflate(bands: list[Band], part: range) -> bytes:
    """A part of the stream; it goes on from what comes before it."""
    level, strategy = LEVELS[bands[part.start].kind]
    before = bands[part.start - 1].rows[-WINDOW:] if part.start else b""
    deflate = zlib_ng.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy, before)
    return b"".join([*(deflate.compress(bands[at].rows) for at in part), deflate.flush(zlib.Z_SYNC_FLUSH)])
