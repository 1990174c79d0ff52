"""Envelopes: what is peeked at, and that nothing else is touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.acp import envelope
from sandbox_agent.acp.envelope import Kind
from sandbox_agent.acp.jsonscan import NotJson

from .test_jsonscan import is_object, values

ids = st.integers() | st.text()


@pytest.mark.parametrize(
    ("text", "kind", "raw_id", "method"),
    [
        (b'{"id":1,"method":"m"}', Kind.REQUEST, b"1", "m"),
        (b'{"method":"m","id":"a b"}', Kind.REQUEST, b'"a b"', "m"),
        (b'{"method":"m"}', Kind.NOTIFICATION, None, "m"),
        (b'{"method":"m","id":null}', Kind.NOTIFICATION, b"null", "m"),
        (b'{"id":1,"result":{"id":2,"method":"x"}}', Kind.RESPONSE, b"1", None),
        (b'{"id":null,"error":{}}', Kind.RESPONSE, b"null", None),
        (b'{"id":-1.5e3,"result":1}', Kind.RESPONSE, b"-1.5e3", None),
        (b"{}", Kind.OTHER, None, None),
        (b'{"id":[1],"method":"m"}', Kind.OTHER, b"[1]", "m"),
        (b'{"id":true}', Kind.OTHER, b"true", None),
        (b'{"id":1,"method":3}', Kind.OTHER, b"1", None),
        (b'{"\\u0069d":7,"m\\u0065thod":"m"}', Kind.REQUEST, b"7", "m"),
        (b'{"id":1,"method":"m","params":"\\ud83d"}', Kind.REQUEST, b"1", "m"),
        (b'{"id":"\\ud83d","method":"m"}', Kind.REQUEST, b'"\\ud83d"', "m"),
        (b'{"id":"A","method":"\\uDC00"}', Kind.OTHER, b'"A"', None),
        (b'{"params":' + b"[" * 2000 + b"]" * 2000 + b',"id":2,"method":"m"}', Kind.REQUEST, b"2", "m"),
        (b'{"id":123456789012345678901234567890,"method":"m"}', Kind.REQUEST, b"123456789012345678901234567890", "m"),
    ],
)
def test_the_kind_is_told_by_the_top_level_alone(
    text: bytes, kind: Kind, raw_id: bytes | None, method: str | None
) -> None:
    found = envelope.parse(text)
    assert (found.kind, found.id, found.method, found.raw) == (kind, raw_id, method, text)
    assert envelope.routed(text) == (None if raw_id is None else found)


@pytest.mark.parametrize(
    "text", [b"", b"hi", b"[]", b"3", b'{"a":1', b'{"a":"\xff"}', b'{"method":"\xff"}', b'{"a":01}']
)
def test_what_is_not_one_object_in_utf8_is_refused(text: bytes) -> None:
    with pytest.raises(NotJson):
        envelope.parse(text)
    with pytest.raises(NotJson):
        envelope.routed(text)


@given(st.dictionaries(st.text(max_size=3), values, max_size=4), st.integers(0), st.binary(max_size=2))
def test_the_fast_check_and_the_standard_library_agree(value: dict[str, Any], at: int, put: bytes) -> None:
    text = json.dumps(value, ensure_ascii=False).encode(errors="replace")
    at %= len(text)
    text = text[:at] + put + text[at + 1 :]
    try:
        envelope.routed(text)
    except NotJson:
        assert not is_object(text)
    else:
        assert is_object(text)


def test_a_line_too_deep_and_too_long_for_the_slow_reader_is_refused() -> None:
    """An agent must not be able to hold up the server."""
    with pytest.raises(NotJson, match="nested too deep for a line of"):
        envelope.parse(b'{"a":' + b"[" * (4 << 20))


@given(st.lists(st.sampled_from(["\\ud83d", "\\uDE00", "\\\\", "\\u0041", "ud83d", '\\"', "a", "\\", '"']), max_size=6))
def test_halves_of_surrogate_pairs_are_judged_as_the_standard_library_does(parts: list[str]) -> None:
    text = '{"a":"' + "".join(parts) + '"}'
    try:
        envelope.parse(text.encode())
    except NotJson:
        assert not is_object(text.encode())
    else:
        assert is_object(text.encode())


@pytest.mark.parametrize("line", [b'{"a":1}', b'{"a":1}\r', b'\xef\xbb\xbf{"a":1}', b' \t{"a":1}  '])
def test_what_surrounds_a_message_is_taken_off(line: bytes) -> None:
    """R3: a byte order mark, CR of CRLF, blanks."""
    assert envelope.clean(line) == b'{"a":1}'


others = st.dictionaries(st.text(max_size=4).filter(lambda key: key != "id"), values, max_size=4)


@given(others, others, ids, ids, st.sampled_from([(None, True), (2, True), (None, False)]))
def test_a_new_id_changes_that_and_no_other_byte(
    before: dict[str, Any], after: dict[str, Any], old: object, new: object, form: tuple[int | None, bool]
) -> None:
    indent, ascii_only = form
    message = before | {"id": old} | {"nested": {"id": old}} | after
    text = json.dumps(message, indent=indent, ensure_ascii=ascii_only).encode(errors="replace")
    changed = envelope.with_id(text, json.dumps(new).encode())
    assert json.loads(changed) == json.loads(text) | {"id": new}
    assert len(changed) - len(text) == len(json.dumps(new)) - len(envelope.parse(text).id or b"")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"jsonrpc":"2.0","id": 5 ,"x":"id"}', b'{"jsonrpc":"2.0","id": "n" ,"x":"id"}'),
        (b'{"params":{"id":5},"id":5}', b'{"params":{"id":5},"id":"n"}'),
        (b'{"id":5,"id":6}', b'{"id":5,"id":"n"}'),
        (b'{"\\u0069d":5,"p":{"id":1}}', b'{"\\u0069d":"n","p":{"id":1}}'),
        (b'{"id":5,"\\u0069d":6}', b'{"id":5,"\\u0069d":"n"}'),
        (b'{"a":1e400,"b":-0.0,"id":1.0}', b'{"a":1e400,"b":-0.0,"id":"n"}'),
    ],
)
def test_the_id_that_counts_is_the_one_replaced(text: bytes, expected: bytes) -> None:
    """The last of the top level, as decoders take it."""
    assert envelope.with_id(text, b'"n"') == expected


def test_a_message_without_id_cannot_get_one() -> None:
    with pytest.raises(NotJson):
        envelope.with_id(b'{"a":1}', b"1")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"1", b"1.0"),
        (b"1", b"1e0"),
        (b"0", b"-0"),
        (b'"a/b"', b'"a\\/b"'),
        (b'"\xc3\xa9"', b'"\\u00e9"'),
        (b"1000000", b"1E6"),
    ],
)
def test_spellings_of_one_id_are_one(one: bytes, other: bytes) -> None:
    assert envelope.id_key(one) == envelope.id_key(other)


@pytest.mark.parametrize(("one", "other"), [(b"1", b'"1"'), (b"1", b"2"), (b"9007199254740993", b"9007199254740992")])
def test_different_ids_stay_different(one: bytes, other: bytes) -> None:
    assert envelope.id_key(one) != envelope.id_key(other)


@pytest.mark.parametrize(
    ("text", "session"),
    [
        (b'{"params":{"sessionId":"s1"}}', "s1"),
        (b'{"params":{}}', None),
        (b'{"params":[1]}', None),
        (b'{"params":{"sessionId":3}}', None),
        (b"{}", None),
    ],
)
def test_the_session_is_found_where_there_is_one(text: bytes, session: str | None) -> None:
    assert envelope.parse(text).session_id == session


def test_a_message_over_several_lines_becomes_one_line_of_the_same_meaning() -> None:
    text = json.dumps({"id": 1, "params": {"text": "a\nb"}}, indent=2).replace("\n", "\r\n").encode()
    line = envelope.one_line(text)
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line) == json.loads(text)


def test_half_a_surrogate_pair_can_be_decoded() -> None:
    assert envelope.decode(b'{"a":"x\\ud83d"}') == {"a": "x?"}
    assert envelope.decode(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_built_messages_are_json_rpc() -> None:
    """The raw id goes in as it is."""
    big = b"123456789012345678901234567890"
    assert envelope.request(b'"sa-1"', "m", {"a": 1}) == b'{"jsonrpc":"2.0","id":"sa-1","method":"m","params":{"a":1}}'
    assert envelope.notification("m", None) == b'{"jsonrpc":"2.0","method":"m","params":null}'
    assert envelope.result(big, []) == b'{"jsonrpc":"2.0","id":' + big + b',"result":[]}'
    assert json.loads(envelope.error(b"1", -32601, "no", {"x": 1}))["error"] == {
        "code": -32601,
        "message": "no",
        "data": {"x": 1},
    }
    assert "data" not in json.loads(envelope.error(b"1", -1, "no"))["error"]
