"""XTEST: keys, buttons and pointer moves as if from real devices, and which of them are held down."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from Xlib import X

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox_agent.desktop.x11.connection import Connection


FAKE_INPUT = struct.Struct("=BBHBB2xII8xhh8x")
"""XTestFakeInput (XTEST 2.2): packed by hand, for the library takes a hundred microseconds for each."""


class Devices:
    """The faked pointer and keyboard. Methods are for the owner thread; they queue requests and wait for nothing."""

    def __init__(self) -> None:
        self.held_keys: set[int] = set()
        self.held_buttons: set[int] = set()

    def _fake(self, connection: Connection, kind: int, detail: int = 0, x: int = 0, y: int = 0) -> None:
        root = connection.root if kind == X.MotionNotify else X.NONE
        opcode = connection.opcode("XTEST")
        connection.put(FAKE_INPUT.pack(opcode, 2, FAKE_INPUT.size // 4, kind, detail, X.CurrentTime, root, x, y))

    def move(self, connection: Connection, x: int, y: int) -> None:
        self._fake(connection, X.MotionNotify, 0, x, y)

    def button(self, connection: Connection, number: int, down: bool) -> None:
        self._fake(connection, X.ButtonPress if down else X.ButtonRelease, number)
        (self.held_buttons.add if down else self.held_buttons.discard)(number)

    def key(self, connection: Connection, code: int, down: bool) -> None:
        self._fake(connection, X.KeyPress if down else X.KeyRelease, code)
        (self.held_keys.add if down else self.held_keys.discard)(code)

    def keys(self, connection: Connection, codes: Sequence[int], down: bool) -> None:
        """Press or release keys; the answer comes once the server has done it."""
        for code in codes:
            self.key(connection, code, down)
        connection.sync()

    def tap(self, connection: Connection, code: int, shifts: tuple[int, ...] = ()) -> None:
        """Press and release a key with other keys held around it; those that are held already stay so."""
        around = [shift for shift in shifts if shift not in self.held_keys]
        for shift in around:
            self.key(connection, shift, True)
        self.key(connection, code, True)
        self.key(connection, code, False)
        for shift in reversed(around):
            self.key(connection, shift, False)

    def release(self, connection: Connection) -> None:
        """Let go of all keys and buttons that are held."""
        for number in sorted(self.held_buttons):
            self.button(connection, number, False)
        self.keys(connection, sorted(self.held_keys), False)
