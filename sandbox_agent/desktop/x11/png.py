"""PNG of screens: small and fast.

A screen is text and flat areas, and pictures. Bands of rows are filtered for what they are, and then, side by side,
compressed as what they are: to flushed parts of one deflate stream (RFC 1951, 3.2.4), each with the end of what comes
before it as its dictionary. There are more parts than threads, and each thread takes the next one that is left, so that
one that waits for a processor, or has the most to compress, holds up no other. Filtering keeps Python's lock, so there
it is one thread.
"""

from __future__ import annotations

import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from zlib_ng import zlib_ng

from sandbox_agent.desktop.x11 import filters
from sandbox_agent.desktop.x11.filters import Kind

if TYPE_CHECKING:
    from PIL import Image

    from sandbox_agent.desktop.x11.filters import Band, Order

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BAND_ROWS = 48
PART_BYTES = 200_000
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

_helpers = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="png")


def encode_png(image: Image.Image, order: Order = "RGB") -> bytes:
    """``image`` (RGB, or RGBX whose first channels are those of ``order``) as a PNG file."""
    width, height = image.size
    bands = [_band(image, top, order) for top in range(0, height, BAND_ROWS)]
    parts = _deflated(bands)
    check = zlib_ng.adler32(b"")
    for band in bands:
        check = zlib_ng.adler32(band.rows, check)
    data = b"".join([ZLIB_HEADER, *parts, LAST, struct.pack(">I", check)])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join([SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", data), _chunk(b"IEND", b"")])


def _band(image: Image.Image, top: int, order: Order) -> Band:
    band = filters.band(image, top, min(top + BAND_ROWS, image.height), order)
    return band._replace(kind=Kind.MIXED) if band.kind is Kind.NOISE and _repeats(band.rows) else band


def _deflated(bands: list[Band]) -> list[bytes]:
    """The parts of the stream, in their order; made by this thread and by those that have nothing else to do."""
    parts = _together(bands)
    left = iter(parts)
    done: dict[int, bytes] = {}

    def work() -> None:
        for part in left:
            done[part.start] = _part(bands, part)

    helping = [_helpers.submit(work) for _ in range(min(WORKERS, len(parts)) - 1)]
    try:
        work()
    finally:
        for helper in helping:
            if not helper.cancel():
                helper.result()
    return [done[part.start] for part in parts]


def _together(bands: list[Band]) -> list[range]:
    """The bands that are compressed in one go: of one kind, and not so few that what each part costs counts."""
    found = []
    start = size = 0
    for at, band in enumerate(bands):
        if at > start and (band.kind is not bands[start].kind or size >= PART_BYTES):
            found.append(range(start, at))
            start, size = at, 0
        size += len(band.rows)
    return [*found, range(start, len(bands))]


def _part(bands: list[Band], part: range) -> bytes:
    """A part of the stream; it goes on from what comes before it."""
    level, strategy = LEVELS[bands[part.start].kind]
    before = bands[part.start - 1].rows[-WINDOW:] if part.start else b""
    deflate = zlib_ng.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy, before)
    return b"".join([*(deflate.compress(bands[at].rows) for at in part), deflate.flush(zlib.Z_SYNC_FLUSH)])


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib_ng.crc32(data, zlib_ng.crc32(kind))
    return b"".join([struct.pack(">I", len(data)), kind, data, struct.pack(">I", check)])


def _repeats(rows: bytes) -> bool:
    """Whether a search for what comes again pays after all: of grey pixels, say. Tried with a little of it."""
    tried = rows[: len(rows) // TRIED]
    searched = zlib_ng.compressobj(QUICK, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    plain = zlib_ng.compressobj(QUICK, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_RLE)
    found, alone = (len(deflate.compress(tried) + deflate.flush()) for deflate in (searched, plain))
    return found < alone
