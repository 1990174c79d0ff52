"""Conditional and range requests (RFC 9110, 13 and 14): headers in, what to send out. No input or output here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING

from sandbox_agent.problems import PreconditionFailed, RangeNotSatisfiable

if TYPE_CHECKING:
    from collections.abc import Mapping

_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)", re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?"[^"]*"')
_DIGITS = 19


@dataclass(frozen=True, slots=True)
class Slice:
    """What to answer with: ``count`` bytes from ``start``, under ``status`` 200, 206 or 304."""

    status: int
    start: int
    count: int


def matches(header: str, etag: str | None, *, weak: bool) -> bool:
    """Whether a list of entity tags has ``etag`` (``None``: there is no such thing), or is ``*``.

    ``weak`` compares without regard to weakness (RFC 9110, 8.8.3.2).
    """
    if etag is None:
        return False
    if header.strip() == "*":
        return True
    tags = _TAG.findall(header)
    if weak:
        return etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in tags}
    return not etag.startswith("W/") and etag in tags


def http_date(modified_ns: int) -> str:
    """A time as `Last-Modified` has it."""
    return formatdate(modified_ns // 1_000_000_000, usegmt=True)


def choose(headers: Mapping[str, str], *, size: int, etag: str, modified_ns: int) -> Slice:
    """What of a representation is asked for. Raises ``PreconditionFailed`` and ``RangeNotSatisfiable``.

    More than one range, and a range in another unit or form, is answered by the whole (RFC 9110, 14.2).
    """
    if (wanted := headers.get("If-Match")) is not None:
        if not matches(wanted, etag, weak=False):
            raise PreconditionFailed("the file has changed: its ETag is another", etag=etag)
    elif (since := headers.get("If-Unmodified-Since")) is not None and _newer(modified_ns, since) is True:
        raise PreconditionFailed("the file has changed since then", etag=etag)
    if (known := headers.get("If-None-Match")) is not None:
        if matches(known, etag, weak=True):
            return Slice(304, 0, 0)
    elif (since := headers.get("If-Modified-Since")) is not None and _newer(modified_ns, since) is False:
        return Slice(304, 0, 0)
    asked = headers.get("Range")
    if asked is None or not _range_holds(headers.get("If-Range"), etag, modified_ns):
        return Slice(200, 0, size)
    return _part(asked, size)


def _newer(modified_ns: int, date: str) -> bool | None:
    """Whether it was modified after an HTTP date; ``None`` when that is none."""
    try:
        then = parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
    return modified_ns // 1_000_000_000 > then


def _range_holds(if_range: str | None, etag: str, modified_ns: int) -> bool:
    if if_range is None:
        return True
    if _TAG.fullmatch(if_range.strip()):
        return matches(if_range, etag, weak=False)
    return if_range.strip() == http_date(modified_ns)


def _part(asked: str, size: int) -> Slice:
    match = _RANGE.fullmatch(asked.strip())
    if match is None or not (match[1] or match[2]) or max(map(len, match.groups())) > _DIGITS:
        return Slice(200, 0, size)
    if not match[1]:
        count = min(int(match[2]), size)
        start = size - count
    else:
        start = int(match[1])
        last = int(match[2]) if match[2] else size - 1
        if match[2] and last < start:
            return Slice(200, 0, size)
        count = min(last, size - 1) - start + 1
    if start >= size or count <= 0:
        raise RangeNotSatisfiable(f"the range {asked!r} is not within the {size} bytes", size=size)
    return Slice(206, start, count)
