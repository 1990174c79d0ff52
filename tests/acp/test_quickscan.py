"""The quick look at long lines: what it says yes to is so, by the standard library's reader."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.acp import envelope, quickscan
from sandbox_agent.acp.quickscan import LEAST, MOST, has_no_id

PADDING = " " * LEAST  # white space between tokens, which makes any text a long one
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(st.text() | st.just("id"), values, max_size=5)


def refuse(name: str) -> Any:
    raise ValueError(name)


def is_object_without_id(text: bytes) -> bool:
    """By the standard library, told to be strict."""
    try:
        found = json.loads(text.decode(), parse_constant=refuse)
    except ValueError:
        return False
    return isinstance(found, dict) and "id" not in found


def long(value: dict[str, Any], *, ascii_only: bool = True) -> bytes:
    text = json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    return b"{" + PADDING.encode() + text[1:]


@given(objects, st.booleans(), st.integers(0), st.binary(max_size=4), st.integers(0, 4))
def test_what_it_takes_is_an_object_without_an_id(
    value: dict[str, Any], ascii_only: bool, at: int, put: bytes, cut: int
) -> None:
    """Whole or broken by any change, nothing is taken that the standard library would refuse."""
    text = long(value, ascii_only=ascii_only)
    head, tail = text[:1] + PADDING.encode(), text[1 + LEAST :]
    at %= len(tail)
    for line in (text, head + tail[:at] + put + tail[at + cut :], put + text):
        if has_no_id(line):
            assert is_object_without_id(line)


def test_ordinary_messages_are_taken() -> None:
    """What agents send in large: text with escapes, any script, nested numbers; and only up to its bound.

    Python 3.14 has no wheel of the library yet.
    """
    content = {"text": 'é "quoted" \n' * LEAST, "rows": [{"n": n, "x": n / 7} for n in range(100)], "none": None}
    message = {"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s", "update": content}}
    for ascii_only in (True, False):
        text = json.dumps(message, ensure_ascii=ascii_only).encode()
        assert has_no_id(text) == (sys.version_info < (3, 14))
        assert envelope.routed(text) is None
    assert not has_no_id(long({"text": "x" * MOST}))
    assert not has_no_id(b'{"a":1}')


@pytest.mark.parametrize("spelt", ["id", "\\u0069d", "i\\u0064"])
def test_an_id_is_seen_however_spelt(spelt: str) -> None:
    line = b'{"%b":7,%b"method":"m"}' % (spelt.encode(), PADDING.encode())
    assert not has_no_id(line)
    found = envelope.routed(line)
    assert found is not None
    assert found.id == b"7"


def test_all_goes_on_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be imported, nothing is said, and messages are read as others are."""
    monkeypatch.setattr(quickscan, "_parser", None)
    assert not has_no_id(long({"method": "m"}))
    assert envelope.routed(long({"method": "m"})) is None
