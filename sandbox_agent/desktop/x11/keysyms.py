"""Names of keys, and characters, as X keysyms (X11 protocol, appendix A). Values only."""

from __future__ import annotations

import importlib
import re
from functools import cache

from sandbox_agent.problems import DesktopInvalidAction

UNICODE = 0x0100_0000
"""Keysyms above it are Unicode code points (appendix A, "Unicode keysyms")."""

LATIN_1 = (range(0x20, 0x7F), range(0xA0, 0x100))
SURROGATES = range(0xD800, 0xE000)
LAST_CODE_POINT = 0x10FFFF

RETURN, TAB = 0xFF0D, 0xFF09
SHIFT, CONTROL, ALT, SUPER = 0xFFE1, 0xFFE3, 0xFFE9, 0xFFEB

MODIFIERS = {
    "ctrl": CONTROL,
    "control": CONTROL,
    "shift": SHIFT,
    "alt": ALT,
    "option": ALT,
    "cmd": SUPER,
    "command": SUPER,
    "super": SUPER,
    "win": SUPER,
    "meta": SUPER,
}
"""What holds down which key, in chords and alone; in any case of letters."""

ALIASES = {
    "enter": "Return",
    "esc": "Escape",
    "del": "Delete",
    "ins": "Insert",
    "pageup": "Page_Up",
    "pagedown": "Page_Down",
    "pgup": "Page_Up",
    "pgdn": "Page_Down",
    "arrowup": "Up",
    "arrowdown": "Down",
    "arrowleft": "Left",
    "arrowright": "Right",
    "capslock": "Caps_Lock",
    "numlock": "Num_Lock",
    "printscreen": "Print",
    "spacebar": "space",
}

GROUPS = (
    *("latin1", "miscellany", "latin2", "latin3", "latin4", "katakana", "arabic", "cyrillic", "greek", "technical"),
    *("special", "publishing", "apl", "hebrew", "thai", "korean", "xk3270", "xkb", "xf86"),
)

_HEX = re.compile(r"U\+?([0-9A-Fa-f]{4,6})|0x([0-9A-Fa-f]{1,8})")


@cache
def _names() -> dict[str, int]:
    found: dict[str, int] = {}
    for group in GROUPS:
        module = importlib.import_module(f"Xlib.keysymdef.{group}")
        for name, value in vars(module).items():
            if name.startswith("XK_"):
                # the library writes XF86_AudioPlay where X11's XF86keysym.h has XF86AudioPlay
                found.setdefault(name.removeprefix("XK_").replace("XF86_", "XF86"), value)
    return found


@cache
def _folded() -> dict[str, int]:
    """Names of keys that are no characters (Return, F5, KP_Enter), in small letters."""
    module = importlib.import_module("Xlib.keysymdef.miscellany")
    names = {name.removeprefix("XK_").lower(): value for name, value in vars(module).items() if name.startswith("XK_")}
    return names | {"space": ord(" ")} | {alias: _names()[name] for alias, name in ALIASES.items()}


def of_character(character: str) -> int:
    """The keysym of one character; newline and tab are keys.

    Raises `DesktopInvalidAction` for other control characters and for surrogates, which no key types.
    """
    point = ord(character)
    if character in "\r\n":
        return RETURN
    if character == "\t":
        return TAB
    if any(point in latin for latin in LATIN_1):
        return point
    if point in SURROGATES or point < LATIN_1[1].start:
        raise DesktopInvalidAction(f"no key types the character U+{point:04X}")
    return UNICODE + point


def of_name(name: str) -> int:
    """The keysym of a key: an X keysym's name (``Return``, ``a``), a character, ``U20AC``, ``0xff0d``, a modifier.

    Names of keys that are no characters, and the usual other names of some (``Enter``, ``Esc``), may be in any case.
    Raises `DesktopInvalidAction` for a name that nothing has.
    """
    if len(name) == 1:
        return of_character(name)
    if (exact := _names().get(name)) is not None:
        return exact
    if (match := _HEX.fullmatch(name)) is not None:
        if match[2]:
            return _plain(int(match[2], 16))
        if int(match[1], 16) <= LAST_CODE_POINT:
            return of_character(chr(int(match[1], 16)))
    low = name.lower()
    found = MODIFIERS.get(low) or _folded().get(low)
    if found is None:
        raise DesktopInvalidAction(
            f"no key is called {name!r}", hint="use the name of an X keysym, such as Return, F5, Page_Up, a, plus"
        )
    return found


def _plain(sym: int) -> int:
    """The same keysym as `of_character` has it: characters of Latin-1, newline and tab are no Unicode keysyms.

    Programs misread U+0000 to U+00FF as Unicode keysyms, by which the official client's stream names them.
    """
    point = sym - UNICODE
    return of_character(chr(point)) if 0 <= point <= LAST_CODE_POINT else sym


def of_chord(chord: str) -> list[int]:
    """The keysyms of ``ctrl+shift+a`` in its order; ``ctrl++`` is ctrl and plus.

    Raises `DesktopInvalidAction` for an empty part and for unknown names.
    """
    if chord == "+":
        return [ord("+")]
    head, plus = (chord[:-2], True) if chord.endswith("++") else (chord, False)
    names = head.split("+") + (["+"] if plus else [])
    if not all(names):
        raise DesktopInvalidAction(f"{chord!r} is no key, nor a chord of keys joined by +")
    return [of_name(name) for name in names]


def of_modifiers(modifiers: tuple[str, ...]) -> list[int]:
    """The keysyms of ctrl, shift, alt, cmd; raises `DesktopInvalidAction` for others."""
    unknown = [name for name in modifiers if name not in MODIFIERS]
    if unknown:
        raise DesktopInvalidAction(f"no modifier {unknown[0]!r}: they are ctrl, shift, alt and cmd")
    return [MODIFIERS[name] for name in modifiers]


def of_text(text: str) -> list[int]:
    """The keysyms that type ``text``; a carriage return and newline together are one Return."""
    return [of_character(character) for character in text.replace("\r\n", "\n")]
