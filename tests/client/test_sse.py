"""The server-sent events parser, against the specification's own examples and any way of cutting a stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.client.sse import SseEvent, SseParser


def parse(*chunks: bytes) -> list[SseEvent]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def whole(data: bytes, name: str = "message", event_id: str | None = None) -> SseEvent:
    return SseEvent(name, data, event_id)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [whole(b"YHOO\n+2\n10")]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [
                whole(b"first event", event_id="1"),
                whole(b"second event", event_id=""),
                whole(b" third event", event_id=""),
            ],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [whole(b""), whole(b"\n")]),
        (b"data:test\n\ndata: test\n\n", [whole(b"test"), whole(b"test")]),
    ],
    ids=["joined lines", "comments and ids", "empty data", "one space"],
)
def test_the_examples_of_the_specification(stream: bytes, events: list[SseEvent]) -> None:
    """WHATWG HTML, 9.2.6, the examples in its order."""
    assert parse(stream) == events


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_every_line_ending_ends_a_line(end: bytes) -> None:
    lines = [b"event: upsert", b"id: 7", b'data: {"a":1}', b""]
    stream = end.join(lines) + end
    assert parse(stream) == [whole(b'{"a":1}', "upsert", "7")]


def test_a_cr_at_the_end_of_a_piece_does_not_wait_for_the_next() -> None:
    """An event that is complete is given, though its CR might be half of a CR LF."""
    parser = SseParser()
    assert parser.feed(b"data: x\r\r") == [whole(b"x")]
    assert parser.feed(b"\ndata: y\r\n\r\n") == [whole(b"y")]


def test_the_last_id_stays_in_force() -> None:
    """An event without an id carries the one before, and an id with NUL is ignored."""
    events = parse(b"id: 4\ndata: a\n\ndata: b\n\nid: 5\x00\ndata: c\n\n")
    assert [event.id for event in events] == ["4", "4", "4"]


def test_a_byte_order_mark_is_not_part_of_the_first_line() -> None:
    assert parse(b"\xef", b"\xbb", b"\xbfdata: x\n\n") == [whole(b"x")]


def test_what_is_unfinished_at_the_end_is_not_given() -> None:
    assert parse(b"data: a\n\ndata: half") == [whole(b"a")]


def test_the_retry_field_is_kept() -> None:
    parser = SseParser()
    parser.feed(b"retry: 1500\nretry: soon\n\n")
    assert parser.retry_ms == 1500


def test_one_large_event_in_small_pieces_costs_linear_time() -> None:
    """Eight times the bytes take far less than eight squared times the steps: counted, not timed."""

    class Counting(bytearray):
        looked = 0

        def find(self, sub: bytes, start: int = 0) -> int:  # type: ignore[override]
            Counting.looked += len(self) - start
            return super().find(sub, start)

    parser = SseParser()
    parser._buffer = Counting()
    size, piece = 1 << 20, 1024
    parser.feed(b"data: ")
    for _ in range(size // piece):
        parser.feed(b"x" * piece)
    assert len(parser.feed(b"\n\n")[0].data) == size
    assert Counting.looked < 3 * size


names = st.sampled_from(["message", "upsert", "reset"])
data_lines = st.binary(max_size=30).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
events = st.lists(st.tuples(names, st.integers(0, 99), st.lists(data_lines, min_size=1, max_size=3)), max_size=8)


@given(events=events, end=st.sampled_from([b"\n", b"\r\n", b"\r"]), data=st.data())
def test_any_cutting_gives_the_same_events(
    events: list[tuple[str, int, list[bytes]]], end: bytes, data: st.DataObject
) -> None:
    """However a proxy cuts the bytes, the events are those that were written."""
    lines: list[bytes] = []
    for name, number, content in events:
        lines += [b"event: " + name.encode(), b"id: %d" % number, *(b"data: " + line for line in content), b""]
    stream = b"".join(line + end for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parse(*pieces) == [whole(b"\n".join(content), name, str(number)) for name, number, content in events]
