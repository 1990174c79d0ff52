"""Both sides of a selection's transfer, for the owner thread: giving what we own, taking what others own.

What is too large for one property goes in pieces, each written when the last was deleted (ICCCM 2.7.2, INCR).
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from Xlib import X, Xatom
from Xlib.protocol import event as events
from Xlib.protocol import request as requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.desktop.x11.connection import Connection

PIECE = 192 << 10
"""Bytes of a selection in one property: below the 256 KiB that a request may have."""

STALE = 60.0
"""Seconds after which a program that does not take its next piece is given up."""

WHOLE = 1 << 24
"""Words of 4 bytes: more than a property has."""

UTF8_TARGETS = ("UTF8_STRING", "text/plain;charset=utf-8", "text/plain", "TEXT")
STRING_TARGET = "STRING"


class TransferFailed(Exception):
    """The owner does not give the selection as the target that was asked for."""


def new_window(connection: Connection) -> int:
    """A window that is never shown, with news of its properties."""
    window = connection.allocate()
    requests.CreateWindow(
        display=connection,
        depth=0,
        wid=window,
        parent=connection.root,
        x=-1,
        y=-1,
        width=1,
        height=1,
        border_width=0,
        window_class=X.InputOnly,
        visual=X.CopyFromParent,
        attrs={"event_mask": X.PropertyChangeMask, "override_redirect": True},
    )
    return window


@dataclass(slots=True)
class _Giving:
    """What a program has yet to take: pieces into a property of its window."""

    data: bytes
    kind: int
    at: int
    touched: float


class Owner:
    """What we own, and its handing over to those who ask."""

    def __init__(self) -> None:
        self._window = 0
        self._time = X.CurrentTime
        self._owned: dict[int, tuple[bytes, int]] = {}  # selection -> text, since when
        self._giving: dict[tuple[int, int], _Giving] = {}

    def take(self, connection: Connection, selection: int, data: bytes) -> bool:
        """Own ``data`` as ``selection``; False where the server says otherwise."""
        if not self._window:
            self._window = new_window(connection)
        stamp = self._now(connection)
        self._owned[selection] = (data, stamp)
        requests.SetSelectionOwner(display=connection, window=self._window, selection=selection, time=stamp)
        owner = requests.GetSelectionOwner(display=connection, selection=selection).owner
        return bool(owner == self._window)

    def data(self, selection: int, owner: int) -> bytes | None:
        """Our own text, where ``owner`` is us."""
        return self._owned[selection][0] if owner == self._window and selection in self._owned else None

    def _now(self, connection: Connection) -> int:
        """The server's time, from the change of a property (ICCCM 2.1: owners need one)."""
        requests.ChangeProperty(
            display=connection,
            mode=X.PropModeAppend,
            window=self._window,
            property=Xatom.WM_NAME,
            type=Xatom.STRING,
            data=(8, b""),
        )
        connection.sync()
        news = [e for e in connection.event_queue if isinstance(e, events.PropertyNotify)]
        stamps = [e.time for e in news if e.window == self._window]
        return stamps[-1] if stamps else X.CurrentTime

    def cleared(self, _connection: Connection, event: Any) -> None:
        """Another program owns a selection now."""
        held = self._owned.get(event.atom)
        if event.window == self._window and held is not None and event.time >= held[1]:
            del self._owned[event.atom]

    def requested(self, connection: Connection, event: Any) -> None:
        """A program asks for a selection of ours as some target."""
        place = event.property or event.target  # clients before ICCCM name none
        given = self._give(connection, event.requestor, place, event.selection, event.target)
        answer = events.SelectionNotify(
            time=event.time,
            requestor=event.requestor,
            selection=event.selection,
            target=event.target,
            property=place if given else X.NONE,
        )
        requests.SendEvent(display=connection, propagate=False, destination=event.requestor, event_mask=0, event=answer)

    def _give(self, connection: Connection, window: int, place: int, selection: int, target: int) -> bool:
        if selection not in self._owned:
            return False
        data, since = self._owned[selection]
        atoms = connection.atoms(["TARGETS", "TIMESTAMP", STRING_TARGET, *UTF8_TARGETS])
        if target == atoms["TARGETS"]:
            _put(connection, window, place, Xatom.ATOM, (32, list(atoms.values())))
        elif target == atoms["TIMESTAMP"]:
            _put(connection, window, place, Xatom.INTEGER, (32, [since]))
        elif target == atoms[STRING_TARGET]:
            text = data.decode("utf-8", "replace")
            self._send(connection, window, place, target, text.encode("latin-1", "replace"))
        elif target in atoms.values():
            kind = atoms["UTF8_STRING"] if target == atoms["TEXT"] else target
            self._send(connection, window, place, kind, data)
        else:
            return False
        return True

    def _send(self, connection: Connection, window: int, place: int, kind: int, data: bytes) -> None:
        if len(data) <= PIECE:
            _put(connection, window, place, kind, (8, data))
            return
        now = time.monotonic()
        for key in [key for key, giving in self._giving.items() if now - giving.touched > STALE]:
            del self._giving[key]
        self._giving[window, place] = _Giving(data=data, kind=kind, at=0, touched=now)
        requests.ChangeWindowAttributes(display=connection, window=window, event_mask=X.PropertyChangeMask)
        _put(connection, window, place, connection.atom("INCR"), (32, [len(data)]))

    def changed(self, connection: Connection, event: Any) -> None:
        """A program deleted the property: it has taken a piece, and gets the next; the last is empty."""
        giving = self._giving.get((event.window, event.atom))
        if giving is None or event.state != X.PropertyDelete:
            return
        piece = giving.data[giving.at : giving.at + PIECE]
        giving.at += len(piece)
        giving.touched = time.monotonic()
        _put(connection, event.window, event.atom, giving.kind, (8, piece))
        if not piece:
            del self._giving[event.window, event.atom]


class Reading:
    """One conversion of a selection that another program owns, into a window of its own."""

    def __init__(self, connection: Connection, done: Callable[[bytes | None], None]) -> None:
        """``done`` is called once, with the bytes or with None where the owner refuses."""
        self.window = new_window(connection)
        self._done = done
        self._place = connection.atom("SANDBOX_AGENT_SELECTION")
        self._pieces: list[bytes] | None = None

    def begin(self, connection: Connection, selection: int, target: int) -> None:
        """Ask the owner."""
        requests.ConvertSelection(
            display=connection,
            requestor=self.window,
            selection=selection,
            target=target,
            property=self._place,
            time=X.CurrentTime,
        )

    def notified(self, connection: Connection, event: Any) -> None:
        """The owner answers: it refuses, has written all, or begins to write pieces."""
        if event.property == X.NONE:
            self._done(None)
            return
        kind, data = self._take(connection)
        if kind == connection.atom("INCR"):
            self._pieces = []
        else:
            self._done(data)

    def changed(self, connection: Connection, event: Any) -> None:
        """The owner has written a piece."""
        if self._pieces is None or event.state != X.PropertyNewValue or event.atom != self._place:
            return
        _, data = self._take(connection)
        if data:
            self._pieces.append(data)
        else:
            self._done(b"".join(self._pieces))

    def _take(self, connection: Connection) -> tuple[int, bytes]:
        """Read and delete the property, which asks for the next piece."""
        reply = requests.GetProperty(
            display=connection,
            delete=True,
            window=self.window,
            property=self._place,
            type=X.AnyPropertyType,
            long_offset=0,
            long_length=WHOLE,
        )
        if reply.value is None:
            return reply.property_type, b""
        form, value = reply.value
        return reply.property_type, bytes(value) if form == 8 else struct.pack(f"={len(value)}I", *value)  # noqa: PLR2004

    def end(self, connection: Connection) -> None:
        """Forget the window, and with it what is still written."""
        requests.DestroyWindow(display=connection, window=self.window)


def _put(connection: Connection, window: int, place: int, kind: int, data: tuple[int, Any]) -> None:
    requests.ChangeProperty(
        display=connection, mode=X.PropModeReplace, window=window, property=place, type=kind, data=data
    )
