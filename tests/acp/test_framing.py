"""Bytes into lines."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.acp.framing import LineFramer, OversizedLine


def feed(framer: LineFramer, data: bytes, cuts: list[int]) -> list[bytes]:
    """All lines of ``data``, which arrives in pieces cut at ``cuts``."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    lines = []
    for begin, end in pairwise(edges):
        lines += framer.feed(data[begin:end])
    return lines + framer.end()


def plain(lines: list[bytes]) -> list[tuple[bytes, int]]:
    return [(bytes(line), line.size if isinstance(line, OversizedLine) else len(line)) for line in lines]


streams = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=12).map(b"\n".join)


@given(streams, st.lists(st.integers(0), max_size=20))
def test_any_cut_of_the_stream_gives_the_same_lines(data: bytes, cuts: list[int]) -> None:
    lines = data.split(b"\n")
    assert feed(LineFramer(), data, cuts) == (lines if lines[-1] else lines[:-1])


@given(streams, st.lists(st.integers(0), max_size=20), st.integers(1, 30))
def test_with_a_cap_too_and_only_the_long_ones_are_skipped(data: bytes, cuts: list[int], cap: int) -> None:
    lines = data.split(b"\n")
    lines = lines if lines[-1] else lines[:-1]
    found = feed(LineFramer(cap), data, cuts)
    assert [size for _, size in plain(found)] == [len(line) for line in lines]
    for line, original in zip(found, lines, strict=True):
        assert isinstance(line, OversizedLine) == (len(original) > cap)
        assert line == original or (isinstance(line, OversizedLine) and original.startswith(line))


def test_a_line_is_held_until_it_is_whole() -> None:
    framer = LineFramer()
    assert framer.feed(b"ab") == []
    assert framer.pending == 2
    assert framer.feed(b"c\nd") == [b"abc"]
    assert framer.end() == [b"d"]
    assert framer.end() == []


def test_a_line_of_64_mib_in_small_pieces() -> None:
    """R4: its parts are kept apart until the line is whole, so the time is linear."""
    framer = LineFramer()
    piece = b"x" * 4096
    for _ in range(64 << 8):
        assert framer.feed(piece) == []
    (line,) = framer.feed(b"\n")
    assert len(line) == 64 << 20


def test_a_line_over_the_cap_takes_no_memory_and_the_next_one_comes_through() -> None:
    framer = LineFramer(cap=1 << 20)
    for _ in range(64):
        framer.feed(b"x" * (1 << 20))
        assert sum(map(len, framer._parts)) <= 1 << 20
    found = framer.feed(b"\nnext\n")
    assert plain(found) == [(b"x" * 4096, 64 << 20), (b"next", 4)]
