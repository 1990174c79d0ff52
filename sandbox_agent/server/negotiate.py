"""Reading the request headers that choose how an answer is given: Accept, Content-Type, Prefer, Last-Event-ID."""

from __future__ import annotations

import functools
import re

from sandbox_agent.problems import InvalidRequest

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
MAX_WAIT = 3600.0
_SEQUENCE = re.compile(r"[0-9]{1,18}")
_WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])', re.IGNORECASE)


@functools.lru_cache(maxsize=256)
def media_type(content_type: str | None) -> str:
    """The media type of a Content-Type header, without parameters, lower case; empty when there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0


@functools.lru_cache(maxsize=256)
def accepts(accept: str | None, media: str) -> bool:
    """Whether an Accept header allows ``media`` (RFC 9110, 12.5.1); without one everything is allowed.

    The most specific range that matches decides, so ``text/event-stream;q=0, */*`` does not allow an event stream.
    """
    if accept is None or not accept.strip():
        return True
    group = media.partition("/")[0]
    found: dict[str, float] = {}
    for part in accept.split(","):
        name, _, parameters = part.partition(";")
        found[name.strip().lower()] = _quality(parameters)
    for candidate in (media, f"{group}/*", "*/*"):
        if candidate in found:
            return found[candidate] > 0
    return False


def names(accept: str | None, media: str) -> bool:
    """Whether an Accept header asks for ``media`` by its name, not by a wildcard only."""
    return any(media_type(part) == media for part in (accept or "").split(",")) and accepts(accept, media)


def preferred_wait(prefer: str | None, default: float) -> float:
    """Seconds a request may be held (RFC 7240, ``wait``; ``respond-async`` asks for none)."""
    if not prefer:
        return default
    if match := _WAIT.search(prefer):
        return min(float(match[1]), MAX_WAIT)
    if "respond-async" in prefer.lower():
        return 0.0
    return default


def cursor(last_event_id: str | None) -> int | None:
    """The sequence a ``Last-Event-ID`` header names; ``None`` without one. Raises ``InvalidRequest``."""
    if last_event_id is None or not last_event_id.strip():
        return None
    if not _SEQUENCE.fullmatch(last_event_id.strip()):
        raise InvalidRequest("Last-Event-ID must be a non-negative integer")
    return int(last_event_id)
