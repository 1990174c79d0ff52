"""Which key, with Shift or without, gives a keysym; and keys lent to keysyms that the layout lacks. No I/O here.

Lent keys are the topmost of the keyboard, which only multimedia keyboards have: one block, so that one request binds
as many as are needed and programs are told once. Each carries two keysyms, without Shift and with.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LENT_FROM = 208
"""First keycode of the block. Above evdev's virtual modifiers (203-207), which X needs."""

LEVELS = 2

NO_SYMBOL = 0


class Key(NamedTuple):
    """A keycode; ``shifted``: with Shift held."""

    code: int
    shifted: bool


class Keymap:
    """The layout's own keys, and the lent ones with what they carry, least recently used first."""

    def __init__(self, first: int, syms: Sequence[Sequence[int]], modifiers: Iterable[int]) -> None:
        """``syms``: keysyms of each keycode from ``first`` on; ``modifiers``: keycodes that are never lent."""
        self.own: dict[int, Key] = {}
        self.lent_codes = range(max(LENT_FROM, 1 + max(modifiers, default=0)), first + len(syms))
        for level in range(LEVELS):
            for code, row in enumerate(syms, first):
                if code not in self.lent_codes and len(row) > level and row[level] != NO_SYMBOL:
                    self.own.setdefault(row[level], Key(code, bool(level)))
        slots = [Key(code, bool(level)) for level in range(LEVELS) for code in self.lent_codes]
        self._free = slots[::-1]
        self._lent: OrderedDict[int, Key] = OrderedDict()

    def find(self, sym: int) -> Key | None:
        """The key that gives ``sym``, as things are; it counts as used now."""
        if (key := self.own.get(sym)) is not None:
            return key
        if (key := self._lent.get(sym)) is not None:
            self._lent.move_to_end(sym)
        return key

    def plan(self, syms: Sequence[int], pinned: Iterable[int] = ()) -> tuple[int, list[int]]:
        """How many of ``syms``, from the first on, one mapping can give, and those of them that are to be lent keys.

        ``pinned`` are keycodes whose meaning must stay.
        """
        fixed = set(pinned)
        room = LEVELS * len(set(self.lent_codes) - fixed)
        needed: dict[int, None] = {}
        for at, sym in enumerate(syms):
            key = self._lent.get(sym)
            if sym in needed or sym in self.own or (key is not None and key.code in fixed):
                continue
            if len(needed) == room:  # not even looked up: a key counts as used only by those that are needed
                return at, self._missing(needed)
            needed[sym] = None
            self.find(sym)
        return len(syms), self._missing(needed)

    def _missing(self, syms: Iterable[int]) -> list[int]:
        return [sym for sym in syms if sym not in self._lent]

    def evicts(self, count: int, pinned: Iterable[int] = ()) -> bool:
        """Whether ``count`` more lent keys cost others theirs."""
        fixed = set(pinned)
        return count > sum(key.code not in fixed for key in self._free)

    def lend(self, syms: Sequence[int], pinned: Iterable[int] = ()) -> None:
        """Give keys to ``syms``, which `plan` said fit; those that were used last keep theirs longest."""
        fixed = set(pinned)
        for sym in syms:
            free = next((at for at in reversed(range(len(self._free))) if self._free[at].code not in fixed), None)
            if free is not None:
                self._lent[sym] = self._free.pop(free)
            else:
                oldest = next(old for old, key in self._lent.items() if key.code not in fixed)
                self._lent[sym] = self._lent.pop(oldest)

    def rows(self) -> list[list[int]]:
        """The keysyms of each lent keycode, for one request.

        A key with one keysym gets it twice: alone, a capital letter would stand for its small one (X11 protocol, 5).
        """
        rows = {code: [NO_SYMBOL] * LEVELS for code in self.lent_codes}
        for sym, key in self._lent.items():
            rows[key.code][int(key.shifted)] = sym
        return [[plain or shifted, shifted or plain] for plain, shifted in rows.values()]

    def adopt(self, old: Keymap, first: int, syms: Sequence[Sequence[int]]) -> None:
        """Go on with what ``old`` has lent, where ``syms``, the keyboard's rows from ``first`` on, still say so."""
        rows = [list(row[:LEVELS]) for row in syms[old.lent_codes.start - first :]]
        if self.lent_codes == old.lent_codes and rows == old.rows():
            self._free, self._lent = old._free, old._lent
