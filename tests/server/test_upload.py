"""A body that is read while it comes in: in order, held back, and told when it breaks off."""

from __future__ import annotations

import asyncio

import pytest

from sandbox_agent.problems import PayloadTooLarge
from sandbox_agent.server.upload import HELD_BYTES, ClientGone, Upload


async def test_chunks_come_as_they_are_or_several_as_one() -> None:
    upload = Upload("text/plain", None)
    taken: list[bytes] = []

    async def read() -> None:
        taken.extend([chunk async for chunk in upload])

    task = asyncio.create_task(read())
    await upload.wanted.wait()
    for chunk in (b"a", b"b", b"c"):
        assert upload.feed(chunk) is None
    upload.end()
    await task
    assert b"".join(taken) == b"abc"


async def test_a_small_body_is_taken_whole_whatever_came_before_it_was_asked_for() -> None:
    upload = Upload("text/plain", 3)
    assert upload.feed(b"a") is None
    task = asyncio.create_task(upload.whole())
    await upload.wanted.wait()
    for chunk in (b"b", b"c"):
        assert upload.feed(chunk) is None
    upload.end()
    assert await task == b"abc"


async def test_a_body_that_breaks_off_is_no_whole() -> None:
    upload = Upload("text/plain", 3)
    task = asyncio.create_task(upload.whole())
    await upload.wanted.wait()
    upload.feed(b"a")
    upload.fail(ClientGone("gone"))
    with pytest.raises(ClientGone):
        await task


async def test_an_empty_body_ends_at_once() -> None:
    upload = Upload("", 0)
    upload.end()
    assert [chunk async for chunk in upload] == []


async def test_who_sends_waits_until_what_came_is_taken() -> None:
    """What is held stays bounded whatever is sent."""
    upload = Upload("", None)
    wait = upload.feed(b"x" * HELD_BYTES)
    assert wait is not None
    assert not wait.done()
    reader = aiter(upload)
    assert len(await anext(reader)) == HELD_BYTES
    assert wait.done()
    assert upload.feed(b"y") is None
    upload.end()
    assert [chunk async for chunk in reader] == [b"y"]


@pytest.mark.parametrize("fault", [ClientGone("gone"), PayloadTooLarge("too large")])
async def test_a_fault_is_raised_where_the_body_is_read(fault: Exception) -> None:
    """Also when bytes of it are there: they are of no use."""
    upload = Upload("", None)
    wait = upload.feed(b"x" * HELD_BYTES)
    upload.fail(fault)  # type: ignore[arg-type] # both are
    with pytest.raises(type(fault)):
        await anext(aiter(upload))
    assert wait is not None
    assert wait.done(), "nobody is left waiting to send"
    assert upload.feed(b"more") is None


async def test_a_client_that_goes_after_its_last_byte_is_not_missed() -> None:
    upload = Upload("", None)
    upload.feed(b"all")
    upload.end()
    upload.fail(ClientGone("gone"))
    assert [chunk async for chunk in upload] == [b"all"]


async def test_what_nobody_wants_is_dropped_and_holds_nobody_up() -> None:
    upload = Upload("", None)
    wait = upload.feed(b"x" * HELD_BYTES)
    upload.drop()
    assert wait is not None
    assert wait.done()
    assert upload.feed(b"x" * HELD_BYTES) is None
    assert not upload.over
    upload.end()
    assert upload.over
