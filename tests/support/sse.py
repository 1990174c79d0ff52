"""Reading server-sent events off the wire, byte for byte."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx2


@dataclass(frozen=True)
class Event:
    """``id`` is ``None`` where the event has none."""

    id: int | None
    name: str
    data: bytes

    def json(self) -> Any:
        return json.loads(self.data)


def parse(block: bytes) -> Event:
    """One event without the blank line that ends it."""
    number: int | None = None
    name = "message"
    data: list[bytes] = []
    for line in block.split(b"\n"):
        key, _, value = line.partition(b": ")
        if key == b"id":
            number = int(value)
        elif key == b"event":
            name = value.decode()
        elif key == b"data":
            data.append(value)
    return Event(number, name, b"\n".join(data))


@contextlib.contextmanager
def opened(client: httpx2.Client, path: str, after: int | None = None, **options: Any) -> Iterator[httpx2.Response]:
    """A stream, from a cursor on."""
    headers = {"Accept": "text/event-stream"} | options.pop("headers", {})
    if after is not None:
        headers["Last-Event-ID"] = str(after)
    with client.stream("GET", path, headers=headers, **options) as response:
        assert response.status_code == 200
        yield response


def events(response: httpx2.Response) -> Iterator[Event]:
    """The events of an open stream as they come."""
    buffer = b""
    for chunk in response.iter_raw():
        buffer += chunk
        *whole, buffer = buffer.split(b"\n\n")
        yield from (parse(block) for block in whole)


def collect(
    client: httpx2.Client,
    path: str,
    until: Callable[[Event], bool],
    after: int | None = None,
    *,
    heartbeats: bool = False,
    **options: Any,
) -> list[Event]:
    """The events of a stream up to and with the first that ``until`` is true of; with heartbeats if so wished.

    On a slow machine they may come between any two.
    """
    found: list[Event] = []
    with opened(client, path, after, **options) as response:
        for event in events(response):
            if event.name == "heartbeat" and not heartbeats:
                continue
            found.append(event)
            if until(event):
                return found
    return found


def cut(client: httpx2.Client, path: str, size: int, after: int | None = None) -> list[Event]:
    """The whole events within the first ``size`` bytes of a stream, whose connection is then cut."""
    received = b""
    with opened(client, path, after) as response:
        for chunk in response.iter_raw():
            received += chunk
            if len(received) >= size:
                break
    *whole, _ = received[:size].split(b"\n\n")
    return [parse(block) for block in whole]
