"""How one route is asked, from its parts (pure)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

import msgspec

from sandbox_agent.client.calls import Call, decoder
from sandbox_agent.client.effects import Request

if TYPE_CHECKING:
    from sandbox_agent.wire.base import Wire

T = TypeVar("T")

JSON: Final = ("Content-Type", "application/json")
ACCEPT_JSON: Final = ("Accept", "application/json")
ACCEPT_STREAM: Final = (("Accept", "text/event-stream"), ("Cache-Control", "no-store"))


def path(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def query(**values: str | int | bool | None) -> tuple[tuple[str, str], ...]:
    """What is None or False is left out."""
    return tuple(
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in values.items()
        if value is not None and value is not False
    )


def get(
    kind: type[T], *parts: str, query: tuple[tuple[str, str], ...] = (), read_timeout: float | None = 120.0
) -> Call[T]:
    request = Request("GET", path(*parts), query, (ACCEPT_JSON,), read_timeout=read_timeout)
    return Call(request, decoder(kind))


def send(
    kind: type[T],
    method: str,
    *parts: str,
    body: Wire | None = None,
    query: tuple[tuple[str, str], ...] = (),
    headers: tuple[tuple[str, str], ...] = (),
    read_timeout: float | None = 120.0,
    repeatable: bool = True,
) -> Call[T]:
    # A POST without a body still says JSON: servers refuse other types of cross-site request by that header.
    content = b"{}" if body is None else encode(body)
    request = Request(method, path(*parts), query, (ACCEPT_JSON, JSON, *headers), content, read_timeout)
    return Call(request, decoder(kind), repeatable)


def stream(*parts: str, after: int | None, query: tuple[tuple[str, str], ...] = ()) -> Request:
    """A stream of server-sent events, after a cursor."""
    cursor = () if after is None else (("Last-Event-ID", str(after)),)
    return Request("GET", path(*parts), query, headers=(*ACCEPT_STREAM, *cursor), read_timeout=45.0)


def encode(body: Wire) -> bytes:
    """As JSON, names of files that are not UTF-8 too: their bytes are surrogates, which JSON can only escape."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(body)).encode("ascii")
