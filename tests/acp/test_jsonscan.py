"""The JSON reader for what the fast decoder refuses, held against the standard library's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.acp.jsonscan import NotJson, members

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(st.text(), values, max_size=5)


def refuse(name: str) -> Any:
    raise ValueError(name)


def is_object(text: bytes) -> bool:
    """By the standard library, told to be strict."""
    try:
        found = json.loads(text.decode(), parse_constant=refuse)
    except ValueError:
        return False
    return isinstance(found, dict)


def scan(text: bytes) -> dict[str, Any] | None:
    try:
        return {json.loads(key): json.loads(text[begin:end]) for key, begin, end in members(text)}
    except NotJson:
        return None


@given(objects, st.sampled_from([None, 1]), st.booleans())
def test_members_and_their_places_are_found(value: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    if is_object(text):
        assert scan(text) == value


@given(objects, st.integers(0), st.binary(max_size=3), st.integers(0, 3))
def test_what_is_broken_is_refused_and_nothing_else(value: dict[str, Any], at: int, put: bytes, cut: int) -> None:
    """Any change of a text is judged as the standard library judges it."""
    text = json.dumps(value).encode()
    at %= len(text)
    text = text[:at] + put + text[at + cut :]
    assert (scan(text) is not None) == is_object(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "empty"),
        (b"   ", "empty"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"hello", "unexpected character at byte 0"),
        (b'{"a":1', "cut off"),
        (b'{"a":1}}', "trailing characters at byte 7"),
        (b'{"a":NaN}', "unexpected character at byte 5"),
        (b'{"a":[1}', "unexpected b'}' at byte 7"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":"\x01"}', "unexpected character at byte 5"),
    ],
)
def test_a_fault_is_named_with_its_place(text: bytes, message: str) -> None:
    with pytest.raises(NotJson, match=message):
        members(text)


def test_any_depth_is_taken() -> None:
    text = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert members(text) == [(b'"a"', 5, len(text) - 1)]


def test_half_of_a_surrogate_pair_is_taken() -> None:
    """RFC 8259, 8.2: it is JSON; an agent that streams cuts an emoji in two."""
    assert members(b'{"a":"\\ud83d"}') == [(b'"a"', 5, 13)]
