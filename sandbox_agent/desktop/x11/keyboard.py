"""The keyboard: keys down and up, chords, and text of any script."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from Xlib import X
from Xlib.error import XError
from Xlib.protocol import event as events
from Xlib.protocol import request as requests

from sandbox_agent.desktop.x11 import keysyms
from sandbox_agent.desktop.x11.keeping_up import KeepingUp
from sandbox_agent.desktop.x11.keymap import Keymap
from sandbox_agent.problems import DesktopInputFailed, DesktopInvalidAction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.display import Display
    from sandbox_agent.desktop.x11.keymap import Key
    from sandbox_agent.desktop.x11.xtest import Devices

T = TypeVar("T")

CHUNK = 64
"""Characters typed in one call of the display, so that other calls come in between."""

MOST_DELAY_MS = 10_000


class Keyboard:
    """Acts with the keyboard. One text or chord is typed at a time; the pointer and all else go on meanwhile.

    All raise `DesktopInvalidAction` for unknown keys, `DesktopInputFailed` where the server refuses, and as
    `Display.call`.
    """

    def __init__(self, display: Display, devices: Devices) -> None:
        self._display = display
        self._devices = devices
        self._program = KeepingUp(display)
        self._turn = asyncio.Lock()
        self._keymap: Keymap | None = None
        self._stale = True
        self._typed_into: set[int] = set()  # windows, since their programs were last known to have caught up
        self._presses: dict[int, Key] = {}  # by keysym, those that `down` holds
        display.on_event(events.MappingNotify, self._remapped)

    async def down(self, key: str) -> None:
        """Press a key and hold it, until `up` or the end of the desktop."""
        sym = keysyms.of_name(key)
        async with self._turn:
            await self._ready([sym])

            def act(connection: Connection) -> None:
                found = self._presses[sym] = self._key(sym)
                if found.shifted:
                    self._devices.key(connection, self._code(keysyms.SHIFT), True)
                self._devices.key(connection, found.code, True)
                self._typed_into.add(connection.sync())

            await self._do(act)

    async def up(self, key: str) -> None:
        """Let a key go; one that is not held is let go all the same."""
        sym = keysyms.of_name(key)
        async with self._turn:
            await self._ready([sym])

            def act(connection: Connection) -> None:
                found = self._presses.pop(sym, None) or self._key(sym)
                self._devices.key(connection, found.code, False)
                if found.shifted:
                    self._devices.key(connection, self._code(keysyms.SHIFT), False)
                connection.sync()

            await self._do(act)

    async def press(self, chord: str, modifiers: Iterable[str] = ()) -> None:
        """Press a key or chord (``ctrl+shift+a``) and let it go, with ``modifiers`` held around it."""
        syms = [*keysyms.of_modifiers(tuple(modifiers)), *keysyms.of_chord(chord)]
        async with self._turn:
            await self._ready(syms)

            def act(connection: Connection) -> None:
                keys = [self._key(sym) for sym in dict.fromkeys(syms)]
                shifts = [key.code for key in keys[:-1]]
                if any(key.shifted for key in keys) and self._code(keysyms.SHIFT) not in shifts:
                    shifts.append(self._code(keysyms.SHIFT))
                self._devices.tap(connection, keys[-1].code, tuple(shifts))
                self._typed_into.add(connection.sync())

            await self._do(act)

    async def type(self, text: str, delay_ms: int = 0) -> None:
        """Type ``text``, which may be in any script; ``delay_ms`` between two characters.

        Raises `DesktopInvalidAction` before anything is typed where it holds control characters other than newline
        and tab.
        """
        if not 0 <= delay_ms <= MOST_DELAY_MS:
            raise DesktopInvalidAction(f"delayMs is 0 to {MOST_DELAY_MS}, not {delay_ms}")
        syms = keysyms.of_text(text)
        size = 1 if delay_ms else CHUNK
        async with self._turn:
            at = 0
            while at < len(syms):
                part = await self._ready(syms[at:], size)
                at += await self._do(lambda c, part=part: self._taps(c, part))  # type: ignore[misc]
                if delay_ms and at < len(syms):
                    await asyncio.sleep(delay_ms / 1000)

    @asynccontextmanager
    async def holding(self, modifiers: tuple[str, ...]) -> AsyncIterator[None]:
        """Hold modifiers (ctrl, shift, alt, cmd), except those that are held already."""
        syms = keysyms.of_modifiers(modifiers)
        async with self._turn:
            await self._ready(syms)
            codes = [code for code in map(self._code, dict.fromkeys(syms)) if code not in self._devices.held_keys]
            await self._do(lambda c: self._devices.keys(c, codes, True))
            try:
                yield
            finally:
                await self._do(lambda c: self._devices.keys(c, codes[::-1], False))

    # -- the mapping ----------------------------------------------------------------------------------------------

    async def _ready(self, syms: Sequence[int], size: int | None = None) -> Sequence[int]:
        """Have a key for each of the first ``size`` of ``syms``, if need be by lending; those that have one.

        Lends for as much of ``syms`` as there are keys, ahead of what is typed next, so that programs are told
        seldom.
        """
        count, missing, evicts = await self._do(lambda c: self._plan(c, syms))
        if not count and syms:
            raise DesktopInvalidAction("too many keys are held down for others to be lent")
        now = syms[: count if size is None else min(count, size)]
        if missing and not set(missing).isdisjoint(now):
            if evicts:
                await self._program.caught_up(self._typed_into)
                self._typed_into = set()
            await self._do(lambda c: self._lend(c, missing))
        return now

    def _plan(self, connection: Connection, syms: Sequence[int]) -> tuple[int, list[int], bool]:
        keymap = self._read(connection)
        count, missing = keymap.plan(syms, self._pinned(keymap))
        return count, missing, keymap.evicts(len(missing), self._pinned(keymap))

    def _pinned(self, keymap: Keymap) -> set[int]:
        return self._devices.held_keys.intersection(keymap.lent_codes)

    def _lend(self, connection: Connection, missing: Sequence[int]) -> None:
        keymap = self._read(connection)
        keymap.lend(missing, self._pinned(keymap))
        requests.ChangeKeyboardMapping(display=connection, first_keycode=keymap.lent_codes[0], keysyms=keymap.rows())
        connection.sync()

    def _remapped(self, event: events.MappingNotify) -> None:
        """Somebody changed the keyboard's mapping: another program, or we."""
        if event.request != X.MappingPointer:
            self._stale = True

    def _read(self, connection: Connection) -> Keymap:
        """The keymap; read anew where another program changed it."""
        connection.sync()  # so that we have heard of all changes until now
        self._display.handle_events()
        if self._keymap is None or self._stale:
            self._stale = False
            self._keymap = self._fresh(connection)
        return self._keymap

    def _fresh(self, connection: Connection) -> Keymap:
        first = connection.info.min_keycode
        count = connection.info.max_keycode - first + 1
        asked = requests.GetKeyboardMapping(display=connection, defer=True, first_keycode=first, count=count)
        modifiers = requests.GetModifierMapping(display=connection)
        asked.reply()
        codes = {code for row in modifiers.keycodes for code in row if code}
        fresh = Keymap(first, asked.keysyms, codes)
        if self._keymap is not None:
            fresh.adopt(self._keymap, first, asked.keysyms)
        return fresh

    def _key(self, sym: int) -> Key:
        found = self._keymap.find(sym) if self._keymap else None
        if found is None:
            raise DesktopInputFailed(f"no key gives the keysym {sym:#x}")
        return found

    def _code(self, sym: int) -> int:
        return self._key(sym).code

    # -- in the owner thread --------------------------------------------------------------------------------------

    def _taps(self, connection: Connection, syms: Sequence[int]) -> int:
        """Type as many as there are keys for; another program may have changed the mapping since it was looked at."""
        keymap = self._read(connection)
        shift = (self._code(keysyms.SHIFT),)
        keys = list(_until_none(map(keymap.find, syms)))
        for key in keys:
            self._devices.tap(connection, key.code, shift if key.shifted else ())
        self._typed_into.add(connection.sync())
        return len(keys)

    async def _do(self, act: Callable[[Connection], T]) -> T:
        try:
            return await self._display.call(act)
        except XError as error:
            raise DesktopInputFailed(f"the X server refused: {error}") from error


def _until_none(keys: Iterable[Key | None]) -> Iterator[Key]:
    for key in keys:
        if key is None:
            return
        yield key
