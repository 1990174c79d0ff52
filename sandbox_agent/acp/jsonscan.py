"""A JSON reader that goes by tokens: where in the bytes a member stands, for all of RFC 8259 at any depth."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(
    rb"""[ \t\n\r]*+(?:
        (?P<mark>[][{}:,])
      | (?P<string>"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+")
      | (?P<scalar>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null)
    )""",
    re.VERBOSE,
)
_BLANK = re.compile(rb"[ \t\n\r]*+")
_VALUE = {b'"': "more", b"0": "more", b"{": "key or }", b"[": "value or ]"}
#: What may come next, and what is expected after it; ``more`` is a comma or the closing bracket.
_GRAMMAR: dict[str, dict[bytes, str]] = {
    "start": {b"{": "key or }"},
    "key": {b'"': "colon"},
    "key or }": {b'"': "colon", b"}": "close"},
    "colon": {b":": "value"},
    "value": _VALUE,
    "value or ]": _VALUE | {b"]": "close"},
    "more": {b",": "next", b"}": "close", b"]": "close"},
    "end": {},
}
_OPENER = {b"}": b"{", b"]": b"["}


class NotJson(ValueError):
    """Not JSON, not UTF-8, or not an object; the message says which and where."""


def _tokens(text: bytes) -> Iterator[tuple[bytes, int, int]]:
    at, end = 0, len(text)
    while True:
        found = _TOKEN.match(text, at)
        if found is None:
            blank = _BLANK.match(text, at)
            at = blank.end() if blank else at
            if at < end:
                raise NotJson(f"unexpected character at byte {at}")
            return
        group = found.lastgroup or ""
        begin, at = found.span(group)
        yield (text[begin:at] if group == "mark" else b'"' if group == "string" else b"0"), begin, at


def members(text: bytes) -> list[tuple[bytes, int, int]]:
    """The members of the object that ``text`` is: raw key, and where its value begins and ends.

    Raises NotJson where ``text`` is anything but one object in UTF-8.
    """
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise NotJson(f"not UTF-8 at byte {error.start}") from None
    found: list[tuple[bytes, int, int]] = []
    stack: list[bytes] = []  # the open brackets
    expect = "start"
    key, value_at = b"", 0
    for token, begin, end in _tokens(text):
        if len(stack) == 1 and expect == "value":
            value_at = begin
        after = _step(expect, token, stack)
        if after is None:
            raise NotJson(_fault(expect, text[begin : begin + 12], begin))
        if len(stack) == 1 and after == "colon":
            key = text[begin:end]
        elif len(stack) == 1 and after == "more":
            found.append((key, value_at, end))
        expect = after
    if expect != "end":
        raise NotJson("cut off before its end" if stack else "empty")
    return found


def _step(expect: str, token: bytes, stack: list[bytes]) -> str | None:
    """What is expected after the token, None where it cannot stand; opens and closes brackets on the stack."""
    after = _GRAMMAR[expect].get(token)
    if after == "close":
        if stack.pop() != _OPENER[token]:
            return None
        return "more" if stack else "end"
    if after == "next":
        return "key" if stack[-1] == b"{" else "value"
    if after and token in (b"{", b"["):
        stack.append(token)
    return after


def _fault(expect: str, text: bytes, at: int) -> str:
    if expect == "start":
        return "not a JSON object"
    return f"trailing characters at byte {at}" if expect == "end" else f"unexpected {text!r} at byte {at}"
