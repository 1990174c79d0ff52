"""What a journal is made of: segments (one append batch each), and the marks readers meet on their way."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Sender(enum.IntEnum):
    """Who wrote an entry; the numbers are stored."""

    AGENT = 0
    CLIENT = 1
    SERVER = 2


#: Bytes from which on a payload is large.
_LARGE = 2000
#: Bytes from which on the payloads of a segment are better not copied, on average.
UNCOPIED = 1 << 16
#: As numbers, which are looked for without a detour.
_LF, _CR = b"\n\r"


def _event(sequence: int, payload: bytes) -> bytes:
    # Server-sent events end a line at CR, LF or CRLF (HTML, 9.2.6): a payload that holds one becomes several data
    # lines, which the client joins by LF; within JSON both are white space.
    lines = payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"id: %d\nevent: message\n%b\n\n" % (sequence, b"\n".join(b"data: " + line for line in lines))


class Segment:
    """One batch of entries, numbered from ``first`` on; never changed once made, shared by all readers."""

    __slots__ = ("_framed", "_frames", "created_ms", "first", "last", "payloads", "sender", "size")

    def __init__(self, first: int, created_ms: int, sender: Sender, payloads: list[bytes]) -> None:
        self.first = first
        self.last = first + len(payloads) - 1
        self.created_ms = created_ms
        self.sender = sender
        self.payloads = payloads
        self.size = sum(map(len, payloads))
        self._framed: bytes | None = None
        self._frames: list[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Segment {self.first}..{self.last} {self.sender.name} {self.size} bytes>"

    def after(self, cursor: int) -> Segment:
        """The part with sequence > ``cursor`` (the segment itself where that is all of it)."""
        if cursor < self.first:
            return self
        return Segment(cursor + 1, self.created_ms, self.sender, self.payloads[cursor + 1 - self.first :])

    def framed(self) -> bytes:
        """The entries as server-sent events (``id``, ``event: message``, ``data``), made once and kept."""
        framed = self._framed
        if framed is None:
            framed = self._framed = self._frame()
        return framed

    def frames(self) -> list[bytes]:
        """What comes to the same as `framed`, in pieces: large payloads are among them as they are, uncopied."""
        frames = self._frames
        if frames is None:
            whole = self.size < UNCOPIED * len(self.payloads) or self._broken()
            frames = self._frames = [self.framed()] if whole else self._parts()
        return frames

    def _parts(self) -> list[bytes]:
        parts: list[bytes] = []
        for sequence, payload in enumerate(self.payloads, self.first):
            parts += b"id: %d\nevent: message\ndata: " % sequence, payload, b"\n\n"
        return parts

    def _broken(self) -> bool:
        # To look for a byte is 30 times as fast as to count it, but a call each.
        return any(_LF in payload or _CR in payload for payload in self.payloads)

    def _frame(self) -> bytes:
        payloads = self.payloads
        if self.size >= _LARGE * len(payloads):
            broken = self._broken()
            framed = b"".join(self._parts())
        elif len(payloads) == 1:
            payload = payloads[0]
            framed = b"id: %d\nevent: message\ndata: %b\n\n" % (self.first, payload)
            broken = _LF in payload or _CR in payload
        else:
            framed = b"".join(
                [b"id: %d\nevent: message\ndata: %b\n\n" % pair for pair in enumerate(payloads, self.first)]
            )
            broken = _CR in framed or framed.count(b"\n") != 4 * len(payloads)
        return b"".join([_event(*pair) for pair in enumerate(payloads, self.first)]) if broken else framed


@dataclass(frozen=True, slots=True)
class Reset:
    """The cursor is older than retention: the entries between ``after`` and ``first`` are gone.

    The reader goes on from ``first - 1``.
    """

    after: int
    first: int


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a journal is kept; ``None`` keeps all. Whole segments go, oldest first."""

    max_bytes: int | None = None
    max_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """``persisted`` is false while what is appended stays in memory only; ``problem`` says why, ``hint`` what helps."""

    persisted: bool
    problem: str | None = None
    hint: str | None = None
