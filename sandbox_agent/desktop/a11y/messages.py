"""What the server and its accessibility worker say to each other: one request and one reply a connection.

Each is MessagePack behind its length in four bytes, over a socket that only this user reaches.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import msgspec

if TYPE_CHECKING:
    import asyncio

Verb: TypeAlias = Literal["press", "focus", "set-value"]

_LENGTH = struct.Struct(">I")


class Ref(NamedTuple):
    """A node, in the terms of D-Bus: which bus, whose connection to it, which object."""

    guid: str
    name: str
    path: str


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """What a slider or a progress bar shows."""

    now: float
    least: float
    most: float


class Node(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A node as its program tells it. ``box`` is x, y, width, height; ``pid`` that of its program.

    ``local``, of a program's root and of a node seen alone: boxes are pixels of the window, not of the screen.
    """

    ref: Ref
    role: str
    name: str = ""
    states: frozenset[str] = frozenset()
    interfaces: tuple[str, ...] = ()
    box: tuple[int, int, int, int] | None = None
    text: str | None = None
    number: Number | None = None
    pid: int | None = None
    local: bool = False
    children: list[Node] = []


class Silent(msgspec.Struct, frozen=True, kw_only=True):
    """A program that did not answer in time."""

    name: str
    pid: int | None


class Walk(msgspec.Struct, tag="walk", frozen=True, kw_only=True):
    """The trees of all programs, or those of process ``pid`` or with ``app`` in their name, within ``seconds``.

    What is not shown is left out, unless ``hidden``; ``depth`` is how far down to go.
    """

    seconds: float
    pid: int | None = None
    app: str | None = None
    hidden: bool = False
    depth: int | None = None


class Look(msgspec.Struct, tag="look", frozen=True, kw_only=True):
    """One node, without what is in it."""

    ref: Ref


class Act(msgspec.Struct, tag="act", frozen=True, kw_only=True):
    ref: Ref
    verb: Verb
    value: str | float | None = None


class Walked(msgspec.Struct, tag="walked", frozen=True, kw_only=True):
    """``partial``: something did not answer in time, or there was more than could be asked for."""

    apps: list[Node]
    partial: bool
    silent: list[Silent]


class Looked(msgspec.Struct, tag="looked", frozen=True, kw_only=True):
    node: Node


class Acted(msgspec.Struct, tag="acted", frozen=True, kw_only=True):
    """``typed``: the value is to be typed, the program offers no other way."""

    typed: bool = False


class Failed(msgspec.Struct, tag="failed", frozen=True, kw_only=True):
    """``gone``: there is no such node; ``refused``: it cannot, or did not; ``slow``: its program did not answer."""

    why: Literal["gone", "refused", "failed", "slow"]
    detail: str


Request: TypeAlias = Walk | Look | Act
Reply: TypeAlias = Walked | Looked | Acted | Failed

requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Walk | Look | Act)
replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Walked | Looked | Acted | Failed)


def packed(message: Request | Reply) -> bytes:
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


async def receive(reader: asyncio.StreamReader) -> bytes:
    """The next message. Raises ``asyncio.IncompleteReadError`` where there is none, or not all of it."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return await reader.readexactly(length)
