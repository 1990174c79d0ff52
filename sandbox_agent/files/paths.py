"""Paths as clients write them, and as they are told to clients. Pure."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from urllib.parse import quote

from sandbox_agent.problems import InvalidRequest

_SECOND = 1_000_000_000


def absolute(text: str, home: str) -> str:
    """The absolute path a client means: as it is, or from ``home``, with no empty and no ``.`` components.

    ``..`` stays in an absolute path, for the system to resolve as it does, and is refused in a relative one. Bytes
    that are not UTF-8 are surrogate escapes. Raises ``InvalidRequest``.
    """
    if not text:
        raise InvalidRequest("the path is empty", code="invalid_path")
    if "\0" in text:
        raise InvalidRequest("a path cannot hold a NUL character", code="invalid_path")
    try:
        text.encode(errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidRequest("the path holds characters that no file name can", code="invalid_path") from error
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if text.startswith("/"):
        return "/" + "/".join(parts)
    if ".." in parts:
        raise InvalidRequest(
            f"invalid relative path: {text}", hint="give an absolute path", code="invalid_path", path=text
        )
    return "/".join([home.rstrip("/"), *parts]) or "/"


def encoded(path: str) -> str | None:
    """The path percent-encoded; ``None`` where it is UTF-8 and so needs no such help."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return quote(path.encode(errors="surrogateescape"), safe="/")
    return None


@functools.lru_cache(maxsize=4096)
def _to_the_second(seconds: int) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    except (ValueError, OverflowError, OSError):
        return None


def rfc3339(time_ns: int) -> str | None:
    """A time in nanoseconds since 1970, in UTC; ``None`` beyond the year 9999."""
    seconds, rest = divmod(time_ns, _SECOND)
    second = _to_the_second(seconds)
    return second and "%s.%09d+00:00" % (second, rest)  # noqa: UP031 - half the time of the other ways
