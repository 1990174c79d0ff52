"""Segments and their framing as server-sent events."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.journal import Segment, Sender
from sandbox_agent.journal.segment import UNCOPIED


def events(stream: bytes) -> list[tuple[int, bytes, bytes]]:
    """What a client dispatches (HTML, 9.2.6): id, event name, data."""
    found = []
    sequence, name, data = 0, b"", list[bytes]()
    for line in re.split(rb"\r\n|\n|\r", stream):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"id":
                sequence = int(value)
            case b"event":
                name = value
            case b"data":
                data.append(value)
            case b"" if data:
                found.append((sequence, name, b"\n".join(data)))
                name, data = b"", []
    return found


def test_framed_is_what_the_contract_says() -> None:
    """The bytes of two entries, exactly."""
    segment = Segment(7, 0, Sender.AGENT, [b'{"a":1}', b"{}"])
    assert segment.framed() == b'id: 7\nevent: message\ndata: {"a":1}\n\nid: 8\nevent: message\ndata: {}\n\n'


def test_framed_is_made_once() -> None:
    """All readers share the same bytes object."""
    segment = Segment(1, 0, Sender.AGENT, [b"x"])
    assert segment.framed() is segment.framed()


@given(st.lists(st.binary(max_size=20) | st.text("\r\n:ab ", max_size=8).map(str.encode), min_size=1), st.integers(1))
def test_framed_reaches_the_client_whole(payloads: list[bytes], first: int) -> None:
    """Each entry is one event under its number, line ends within it read as LF, whatever bytes it holds."""
    segment = Segment(first, 0, Sender.AGENT, payloads)
    assert events(segment.framed()) == [
        (first + place, b"message", re.sub(rb"\r\n|\r", b"\n", payload)) for place, payload in enumerate(payloads)
    ]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r"])
def test_frames_come_to_what_is_framed(end: bytes) -> None:
    """Large payloads are among them uncopied, unless there is a line end in one."""
    payloads = [b"x" * UNCOPIED + end, b"", b"y" * 3 * UNCOPIED]
    frames = Segment(7, 0, Sender.AGENT, payloads).frames()
    assert b"".join(frames) == Segment(7, 0, Sender.AGENT, payloads).framed()
    assert any(frame is payloads[2] for frame in frames) is not bool(end)


def test_frames_of_small_entries_are_one() -> None:
    segment = Segment(1, 0, Sender.AGENT, [b"x", b"y"])
    assert segment.frames() == [segment.framed()]


@given(st.lists(st.binary(max_size=5), min_size=1), st.integers(1, 1000), st.data())
def test_after_cuts_by_number(payloads: list[bytes], first: int, data: st.DataObject) -> None:
    """Only what is beyond the cursor is left, under the same numbers, sizes counted anew."""
    segment = Segment(first, 5, Sender.SERVER, payloads)
    cursor = data.draw(st.integers(0, segment.last - 1))
    rest = segment.after(cursor)
    numbered = dict(enumerate(payloads, first))
    expected = {number: payload for number, payload in numbered.items() if number > cursor}
    assert dict(enumerate(rest.payloads, rest.first)) == expected
    assert rest.size == sum(map(len, expected.values()))
    assert (rest.last, rest.created_ms, rest.sender) == (segment.last, 5, Sender.SERVER)
