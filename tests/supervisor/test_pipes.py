"""Pipes on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox_agent.supervisor import PipeReader, PipeWriter

from .conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Read end and write end, not blocking."""
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    yield read, write
    for fd in (read, write):
        with contextlib.suppress(OSError):
            os.close(fd)


async def test_a_reader_hands_over_all_and_tells_the_end_once(pipe: tuple[int, int]) -> None:
    read, write = pipe
    got = bytearray()
    ends: list[int] = []
    reader = PipeReader(read, got.extend, lambda: ends.append(1))
    os.write(write, b"abc")
    await eventually(lambda: got == b"abc")
    os.write(write, b"def")
    os.close(write)
    await eventually(lambda: reader.eof)
    assert (got, ends) == (b"abcdef", [1])


async def test_a_paused_reader_takes_nothing_until_it_resumes(pipe: tuple[int, int]) -> None:
    read, write = pipe
    got = bytearray()
    reader = PipeReader(read, got.extend)
    reader.pause()
    os.write(write, b"abc")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert got == b""
    reader.resume()
    await eventually(lambda: got == b"abc")
    reader.close()


async def test_draining_takes_what_is_there_even_when_paused(pipe: tuple[int, int]) -> None:
    """Without waiting, and it says whether the end was reached."""
    read, write = pipe
    got = bytearray()
    reader = PipeReader(read, got.extend)
    reader.pause()
    os.write(write, b"last words")
    assert not reader.drain()
    assert got == b"last words"
    os.close(write)
    assert reader.drain()


async def test_reads_grow_with_what_comes(pipe: tuple[int, int]) -> None:
    """A child that writes in bulk is read in bulk."""
    read, write = pipe
    sizes: list[int] = []
    reader = PipeReader(read, lambda data: sizes.append(len(data)))
    writer = PipeWriter(write)
    writer.write(b"x" * (1 << 22))
    await eventually(lambda: sum(sizes) == 1 << 22)
    assert max(sizes) >= 1 << 16
    reader.close()
    writer.close()


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 200_000), max_size=30))
def test_messages_arrive_whole_and_in_order_whatever_their_sizes(sizes: list[int]) -> None:
    async def run() -> None:
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        got = bytearray()
        writer = PipeWriter(write, limit=100_000)
        messages = [bytes([65 + i % 26]) * size for i, size in enumerate(sizes)]
        for message in messages:
            writer.write(message)
        reader = PipeReader(read, got.extend)
        await asyncio.wait_for(writer.has_room.wait(), 60)
        await eventually(lambda: len(got) == sum(sizes))
        assert got == b"".join(messages)
        assert writer.queued == 0
        reader.close()
        writer.close()
        os.close(read)
        os.close(write)

    asyncio.run(run())


async def test_a_writer_says_when_the_child_does_not_read(pipe: tuple[int, int]) -> None:
    """Above its limit there is no room; reading makes room again."""
    read, write = pipe
    writer = PipeWriter(write, limit=1000)
    writer.write(b"x" * (1 << 20))
    assert not writer.has_room.is_set()
    reader = PipeReader(read, lambda _data: None)
    await asyncio.wait_for(writer.has_room.wait(), 60)
    reader.close()
    writer.close()


async def test_a_writer_with_nothing_to_write_notices_the_end_of_its_reader_too(pipe: tuple[int, int]) -> None:
    read, write = pipe
    broken: list[int] = []
    PipeWriter(write, on_broken=lambda: broken.append(1))
    os.close(read)
    await eventually(lambda: bool(broken))


async def test_a_writer_survives_the_end_of_its_reader(pipe: tuple[int, int]) -> None:
    """The broken pipe is told, what waits is dropped, nobody waits for room."""
    read, write = pipe
    broken: list[int] = []
    writer = PipeWriter(write, limit=10, on_broken=lambda: broken.append(1))
    writer.write(b"x" * (1 << 20))
    os.close(read)
    await eventually(lambda: bool(broken))
    assert writer.closed
    assert writer.has_room.is_set()
    writer.write(b"more")
    assert writer.queued == 0
