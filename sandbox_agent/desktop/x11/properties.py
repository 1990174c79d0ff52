"""Properties of windows: text and numbers that programs, the window manager and we tell each other."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from Xlib import X
from Xlib.protocol import request as requests

from sandbox_agent.desktop.x11.connection import settled

if TYPE_CHECKING:
    from sandbox_agent.desktop.x11.connection import Connection

LONG_WORDS = 1 << 16
"""Of a property at most so many words of 4 bytes are read."""


def ask_property(connection: Connection, window: int, name: str, words: int = LONG_WORDS) -> Any:
    """A deferred request for a property; `settled` has its reply."""
    return requests.GetProperty(
        display=connection,
        defer=True,
        delete=False,
        window=window,
        property=connection.atom(name),
        type=X.AnyPropertyType,
        long_offset=0,
        long_length=words,
    )


def get_property(connection: Connection, window: int, name: str) -> Any:
    """A property's reply; None where the window has gone."""
    return settled(ask_property(connection, window, name))


def raw(reply: Any) -> bytes:
    """The bytes of a property, in the order of this machine; empty where there is none."""
    if reply is None or reply.value is None:
        return b""
    form, value = reply.value
    if form == 8:  # noqa: PLR2004 -- bits of a unit: bytes come as they are
        return bytes(value)
    return struct.pack(f"={len(value)}{'H' if form == 16 else 'I'}", *value)  # noqa: PLR2004


def cardinals(reply: Any) -> list[int]:
    """A property's numbers of 32 bits; none where it is missing or something else."""
    if reply is None or reply.value is None or reply.value[0] != 32:  # noqa: PLR2004
        return []
    return list(reply.value[1])


def text(connection: Connection, reply: Any) -> str | None:
    """A property's text: UTF-8 where it says so, else Latin-1 (ICCCM 2.7.1)."""
    if reply is None or reply.value is None or reply.value[0] != 8:  # noqa: PLR2004
        return None
    data = bytes(reply.value[1]).rstrip(b"\0")
    if reply.property_type == connection.atom("UTF8_STRING"):
        return data.decode("utf-8", "replace")
    try:  # many programs write UTF-8 into a STRING
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
