"""What a process wrote, put together from the pieces that come."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.client.logs import Lines, LogState, entries, lines
from sandbox_agent.client.process_results import LogEntry
from sandbox_agent.client.sse import SseEvent

from .world import Streamed, World, cut, json_reply


def entry(sequence: int, data: bytes, stream: Any = "stdout") -> LogEntry:
    return LogEntry(sequence, stream, 1, data)


def wire(sequence: int, data: bytes) -> dict[str, Any]:
    told = base64.b64encode(data).decode()
    return {"sequence": sequence, "stream": "stdout", "timestampMs": 1, "data": told, "encoding": "base64"}


def frame(sequence: int, data: bytes) -> bytes:
    return b"id: %d\nevent: log\ndata: %b\n\n" % (sequence, msgspec.json.encode(wire(sequence, data)))


EXIT = b"event: exit\ndata: {}\n\n"


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"))), st.lists(st.integers(1, 20)))
def test_lines_are_the_same_however_they_were_cut(wanted: list[str], sizes: list[int]) -> None:
    """Also within a character."""
    raw = "".join(f"{line}\n" for line in wanted).encode()
    cut_at = [0, *itertools.takewhile(lambda end: end < len(raw), itertools.accumulate(sizes)), len(raw)]
    joined = Lines()
    found = [
        line
        for number, (start, end) in enumerate(itertools.pairwise(cut_at), 1)
        for line in joined.feed(entry(number, raw[start:end]))
    ]
    assert found == wanted
    assert joined.rest() == []


def test_streams_do_not_mix_within_a_line() -> None:
    joined = Lines()
    assert joined.feed(entry(1, b"out begun ")) == []
    assert joined.feed(entry(2, b"err\n", "stderr")) == ["err"]
    assert joined.feed(entry(3, b"ended\r\nnot yet")) == ["out begun ended"]
    assert joined.rest() == ["not yet"]


def test_what_is_no_text_is_replaced() -> None:
    joined = Lines()
    assert joined.feed(entry(1, b"a\xffb\n\xe2\x82")) == ["a\ufffdb"]
    assert joined.rest() == ["\ufffd"]


def test_a_cut_stream_goes_on_after_the_last_entry() -> None:
    """Entries that come twice are given once; ``tail`` is asked for the first time only; the exit ends it."""
    streams = [
        Streamed([frame(7, b"a\n"), frame(8, b"b"), cut()]),
        Streamed([frame(8, b"b"), frame(9, b"c\n"), EXIT]),
    ]
    world = World(streams)
    world.run(lines(entries("proc_1", "stdout", follow_on=True, tail=2, since=None)))
    assert world.emitted == ["a", "bc"]
    assert [dict(request.query).get("tail") for request in world.requests] == ["2", None]
    assert [dict(request.headers).get("Last-Event-ID") for request in world.requests] == [None, "8"]
    assert all(dict(request.query)["stream"] == "stdout" for request in world.requests)


def test_a_gap_is_an_entry_of_its_own() -> None:
    """Once, numbered as the last of those that are gone; one that is no gap for this reader is none."""
    state = LogState("proc_1", None)
    (gone,) = state.accept(SseEvent("reset", b'{"after":0,"first":5}', None))
    assert (gone.sequence, gone.is_reset, gone.data) == (4, True, b"")
    assert list(state.accept(SseEvent("reset", b'{"after":0,"first":5}', None))) == []
    assert [e.sequence for e in state.accept(SseEvent("log", msgspec.json.encode(wire(5, b"x")), "5"))] == [5]
    assert list(state.accept(SseEvent("heartbeat", b"{}", None))) == []
    assert not state.done


def test_a_page_that_begins_with_a_gap() -> None:
    page = {"processId": "p", "stream": "combined", "entries": [wire(5, b"x")], "reset": True}
    world = World([json_reply(msgspec.json.encode(page))])
    world.run(entries("p", None, follow_on=False, tail=None, since=0))
    assert [(e.sequence, e.is_reset) for e in world.emitted] == [(4, True), (5, False)]
