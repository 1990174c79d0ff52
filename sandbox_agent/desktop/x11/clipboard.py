"""The clipboard and the primary selection: we own what we write, and convert what others own (ICCCM 2)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from Xlib import X
from Xlib.error import XError
from Xlib.protocol import event as events
from Xlib.protocol import request as requests

from sandbox_agent.desktop.x11.selections import Owner, Reading, TransferFailed
from sandbox_agent.problems import ClipboardFailed, DesktopInvalidAction

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.display import Display

SELECTIONS = {"clipboard": "CLIPBOARD", "primary": "PRIMARY"}
READ_SECONDS = 15.0
TARGETS = ("UTF8_STRING", "text/plain;charset=utf-8", "STRING")
"""What text is asked for as, in this order."""


class Clipboard:
    """Reads and writes text. Other calls of the display go on meanwhile, however large the text.

    Both raise `DesktopInvalidAction` for an unknown selection, `ClipboardFailed` where another program does not do
    its part, and as `Display.call`.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._owner = Owner()
        self._readings: dict[int, Reading] = {}
        display.on_event(events.SelectionRequest, self._in_thread(self._owner.requested))
        display.on_event(events.SelectionClear, self._in_thread(self._owner.cleared))
        display.on_event(events.PropertyNotify, self._in_thread(self._property))
        display.on_event(events.SelectionNotify, self._in_thread(self._notified))

    async def write(self, text: str, selection: str = "clipboard") -> None:
        """Own ``text`` as the ``clipboard``, the ``primary`` selection or ``both``, until another program does."""
        names = list(SELECTIONS.values()) if selection == "both" else [_name(selection)]
        data = text.encode("utf-8", "surrogatepass")

        def own(connection: Connection) -> bool:
            return all(self._owner.take(connection, connection.atom(name), data) for name in names)

        if not await self._display.call(own):
            raise ClipboardFailed(f"the X server gave the {selection} selection to another program")

    async def read(self, selection: str = "clipboard") -> str:
        """The text of the ``clipboard`` or the ``primary`` selection; empty where nobody has one.

        Raises `ClipboardFailed` where it is no text, or its owner does not hand it over within 15 s.
        """
        name = _name(selection)
        for target in TARGETS:
            try:
                data = await self._convert(name, target)
            except TransferFailed:
                continue
            return data.decode("latin-1" if target == "STRING" else "utf-8", "replace")
        raise ClipboardFailed(f"what the {selection} selection holds is no text")

    async def _convert(self, name: str, target: str) -> bytes:
        done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def begin(connection: Connection) -> Reading | bytes:
            selection = connection.atom(name)
            owner = requests.GetSelectionOwner(display=connection, selection=selection).owner
            if owner == X.NONE:
                return b""
            if (own := self._owner.data(selection, owner)) is not None:
                return own
            reading = Reading(connection, lambda *result: self._display.tell(_settle, done, *result))
            self._readings[reading.window] = reading
            reading.begin(connection, selection, connection.atom(target))
            return reading

        begun = await self._display.call(begin)
        if isinstance(begun, bytes):
            return begun
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await done
        except TimeoutError as error:
            raise ClipboardFailed(f"the owner of the {name} selection does not hand it over") from error
        finally:
            del self._readings[begun.window]
            if self._display.failure is None:
                await self._display.call(begun.end)

    # -- in the owner thread --------------------------------------------------------------------------------------

    def _in_thread(self, handler: Callable[[Connection, Any], None]) -> Callable[[Any], None]:
        def handle(event: Any) -> None:
            try:
                handler(self._display.connection, event)
            except XError:  # the other program has gone in the middle of it
                return

        return handle

    def _property(self, connection: Connection, event: Any) -> None:
        if (reading := self._readings.get(event.window)) is not None:
            reading.changed(connection, event)
        else:
            self._owner.changed(connection, event)

    def _notified(self, connection: Connection, event: Any) -> None:
        if (reading := self._readings.get(event.requestor)) is not None:
            reading.notified(connection, event)


def _name(selection: str) -> str:
    name = SELECTIONS.get(selection)
    if name is None:
        raise DesktopInvalidAction(f"no selection {selection!r}: it is clipboard or primary, or both for writing")
    return name


def _settle(done: asyncio.Future[bytes], data: bytes | None) -> None:
    if done.done():
        return
    if data is None:
        done.set_exception(TransferFailed())
    else:
        done.set_result(data)
