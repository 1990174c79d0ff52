"""Which key gives a keysym, and the lending of keys that nobody has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.desktop.x11.keymap import Key, Keymap

# Keycodes 200-211 of which the last four can be lent: eight keysyms.
ROWS = [[0x61, 0x41], [0x62, 0x42], [0xFF0D], *[[0, 0]] * 5, *[[0x1008FF14, 0]] * 4]


def keymap() -> Keymap:
    return Keymap(200, ROWS, [200])


def learn(made: Keymap, *syms: int, pinned: tuple[int, ...] = ()) -> int:
    """Lend what `syms` lack, as the keyboard does; how many of them can be typed."""
    count, missing = made.plan(syms, pinned)
    made.lend(missing, pinned)
    return count


def test_the_layout_has_its_own_keys() -> None:
    made = keymap()
    assert made.find(0x61) == Key(200, shifted=False)
    assert made.find(0x42) == Key(201, shifted=True)
    assert made.find(0x7E1) is None


def test_what_lent_keys_carried_before_is_not_the_layouts() -> None:
    """It will be overwritten."""
    assert keymap().find(0x1008FF14) is None


def test_a_lent_key_alone_has_its_keysym_with_and_without_shift() -> None:
    """Else a capital letter would give its small one."""
    made = keymap()
    assert learn(made, 0x391) == 1
    key = made.find(0x391)
    assert key is not None
    assert [0x391, 0x391] in made.rows()


def test_as_much_is_planned_as_one_mapping_holds() -> None:
    made = keymap()
    syms = list(range(1000, 1020))
    assert made.plan(syms) == (8, syms[:8])
    assert made.plan([0x61, *syms, 0x62])[0] == 9


def test_those_used_last_stay() -> None:
    made = keymap()
    learn(made, *range(1000, 1008))
    made.find(1000)
    assert made.evicts(1)
    learn(made, 2000)
    assert made.find(1001) is None
    assert made.find(1000) is not None


def test_a_pinned_key_keeps_its_meaning() -> None:
    made = keymap()
    learn(made, *range(1000, 1008))
    pinned = made.find(1000)
    assert pinned is not None
    learn(made, *range(2000, 2006), pinned=(pinned.code,))
    assert made.find(1000) == pinned


def test_nothing_fits_when_all_are_pinned() -> None:
    assert keymap().plan([1000], range(200, 212)) == (0, [])


@pytest.mark.parametrize("changed", [False, True])
def test_a_new_reading_goes_on_with_what_was_lent_unless_it_was_changed(changed: bool) -> None:
    made = keymap()
    learn(made, 1000, 1001)
    rows = [*ROWS[:8], *made.rows()]
    if changed:
        rows[-1] = [0x62, 0x62]
    fresh = Keymap(200, rows, [200])
    fresh.adopt(made, 200, rows)
    assert (fresh.find(1000) is None) == changed


@given(st.lists(st.integers(1000, 1030), max_size=60))
def test_every_text_is_typed_in_parts_that_each_have_all_their_keys(syms: list[int]) -> None:
    """And no two keysyms of a part share a key."""
    made, at = keymap(), 0
    while at < len(syms):
        count = learn(made, *syms[at:])
        part = syms[at : at + count]
        assert count > 0
        keys = {sym: made.find(sym) for sym in part}
        assert None not in keys.values()
        assert len(set(keys.values())) == len(keys)
        rows = made.rows()
        assert all(rows[key.code - 208][int(key.shifted)] == sym for sym, key in keys.items() if key)
        at += count
