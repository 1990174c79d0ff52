"""Names of keys, chords and characters as keysyms."""

from __future__ import annotations

import pytest

from sandbox_agent.desktop.x11 import keysyms
from sandbox_agent.problems import DesktopInvalidAction


@pytest.mark.parametrize(
    ("name", "sym"),
    [
        ("a", 0x61),
        ("A", 0x41),
        ("Return", 0xFF0D),
        ("return", 0xFF0D),
        ("Enter", 0xFF0D),
        ("esc", 0xFF1B),
        ("F5", 0xFFC2),
        ("f12", 0xFFC9),
        ("Page_Up", 0xFF55),
        ("PageUp", 0xFF55),
        ("plus", 0x2B),
        ("space", 0x20),
        ("XF86AudioPlay", 0x1008FF14),
        ("Greek_alpha", 0x7E1),
        ("U20AC", 0x10020AC),
        ("0xff0d", 0xFF0D),
        ("0x10000e9", 0xE9),
        ("0x1000041", 0x41),
        ("0x100000a", 0xFF0D),
        ("0x100044f", 0x100044F),
        ("0x1008ff14", 0x1008FF14),
        ("ctrl", 0xFFE3),
        ("Shift", 0xFFE1),
        ("cmd", 0xFFEB),
        ("é", 0xE9),
        ("я", 0x100044F),
        ("😀", 0x101F600),
        ("\n", 0xFF0D),
        ("\t", 0xFF09),
    ],
)
def test_a_key_has_the_keysym_of_its_name(name: str, sym: int) -> None:
    assert keysyms.of_name(name) == sym


def test_names_of_characters_keep_their_case() -> None:
    """`Eacute` and `eacute` are two keys."""
    assert keysyms.of_name("Eacute") == 0xC9
    assert keysyms.of_name("eacute") == 0xE9


@pytest.mark.parametrize("name", ["NoSuchKey", "ctr", "", "F99", "\x07", "\ud800", "Uffffff", "0x1000007", "0x100d800"])
def test_an_unknown_key_is_refused(name: str) -> None:
    with pytest.raises(DesktopInvalidAction):
        keysyms.of_name(name)


@pytest.mark.parametrize(
    ("chord", "syms"),
    [
        ("a", [0x61]),
        ("ctrl+shift+a", [0xFFE3, 0xFFE1, 0x61]),
        ("Control+Alt+Delete", [0xFFE3, 0xFFE9, 0xFFFF]),
        ("+", [0x2B]),
        ("ctrl++", [0xFFE3, 0x2B]),
        ("shift+F10", [0xFFE1, 0xFFC7]),
    ],
)
def test_a_chord_is_its_keys_in_order(chord: str, syms: list[int]) -> None:
    assert keysyms.of_chord(chord) == syms


@pytest.mark.parametrize("chord", ["", "ctrl+", "+a", "ctrl+a+", "a++b", "ctrl+NoSuchKey"])
def test_a_broken_chord_is_refused(chord: str) -> None:
    with pytest.raises(DesktopInvalidAction):
        keysyms.of_chord(chord)


def test_a_carriage_return_with_a_newline_is_one_key() -> None:
    assert keysyms.of_text("a\r\nb\rc\n") == [0x61, 0xFF0D, 0x62, 0xFF0D, 0x63, 0xFF0D]


@pytest.mark.parametrize("text", ["a\x00b", "bell\x07", "\x7f", "half \udc00"])
def test_text_with_characters_that_no_key_types_is_refused(text: str) -> None:
    with pytest.raises(DesktopInvalidAction):
        keysyms.of_text(text)


def test_only_modifiers_are_modifiers() -> None:
    assert keysyms.of_modifiers(("ctrl", "cmd")) == [0xFFE3, 0xFFEB]
    with pytest.raises(DesktopInvalidAction):
        keysyms.of_modifiers(("a",))
