"""Reading a file through whatever happens on the way, without any I/O."""

from __future__ import annotations

import pytest

from sandbox_agent import FileChanged, InvalidRequest, ServerUnreachable
from sandbox_agent.client.effects import Reply
from sandbox_agent.client.transfers import PATIENCE, archive, content, fetch

from .world import Streamed, World, cut, problem_reply


def whole(*chunks: bytes | Exception, etag: str | None = '"1"') -> Streamed:
    return Streamed(chunks, Reply(200, {"etag": etag} if etag else {}))


def part(*chunks: bytes | Exception, etag: str = '"1"') -> Streamed:
    return Streamed(chunks, Reply(206, {"etag": etag}))


def ranges(world: World) -> list[tuple[str | None, str | None]]:
    headers = [dict(request.headers) for request in world.requests]
    return [(header.get("Range"), header.get("If-Range")) for header in headers]


def test_it_goes_on_where_it_was() -> None:
    world = World([whole(b"01", b"23", cut()), cut(unsent=True), part(b"45", cut()), part(b"67")])
    assert world.run(content("x", offset=0, length=None)) == b"01234567"
    assert ranges(world) == [(None, None), ("bytes=4-", '"1"'), ("bytes=4-", '"1"'), ("bytes=6-", '"1"')]


def test_a_part_is_asked_for_as_a_part() -> None:
    world = World([part(b"34", cut()), part(b"5")])
    assert world.run(content("x", offset=3, length=3)) == b"345"
    assert ranges(world) == [("bytes=3-5", None), ("bytes=5-5", '"1"')]


def test_nothing_is_asked_for_nothing() -> None:
    world = World([])
    assert world.run(content("x", offset=3, length=0)) == b""


def test_beyond_the_end_there_is_nothing() -> None:
    assert World([Reply(416)]).run(content("x", offset=30, length=3)) == b""


@pytest.mark.parametrize(
    "second", [whole(b"all of it anew"), part(b"45", etag='"2"'), whole(b"45", etag=None)], ids=["all", "part", "none"]
)
def test_another_content_is_never_joined_to_the_first(second: Streamed) -> None:
    with pytest.raises(FileChanged, match="x changed"):
        World([whole(b"0123", cut()), second]).run(fetch("x"))


def test_a_content_without_a_mark_is_not_gone_on_with() -> None:
    """An older server sends no ETag: what comes after a cut might be another file's."""
    with pytest.raises(ServerUnreachable):
        World([whole(b"0123", cut(), etag=None)]).run(fetch("x"))


def test_a_server_that_is_away_is_waited_for_and_given_up() -> None:
    world = World([whole(b"01", cut()), Reply(502), Reply(503), part(b"23")])
    assert world.run(content("x", offset=0, length=None)) == b"0123"
    world = World(lambda _request: Reply(502))
    with pytest.raises(Exception, match="502"):
        world.run(fetch("x"))
    assert PATIENCE / 2 < sum(world.slept) <= PATIENCE


def test_patience_begins_anew_with_each_byte() -> None:
    """A transfer over a bad line takes longer in all than silence may."""
    world = World([part(b"0", cut()) for _ in range(400)])
    with pytest.raises(StopIteration):
        world.run(fetch("x", offset=1))
    assert len(world.emitted) == 400
    assert sum(world.slept) > 20


def test_a_refusal_is_final() -> None:
    world = World([problem_reply(400, "invalid_request")])
    with pytest.raises(InvalidRequest):
        world.run(fetch("x"))


def test_an_archive_is_never_gone_on_with() -> None:
    """It is made anew for each request."""
    with pytest.raises(ServerUnreachable):
        World([Streamed([b"half", cut()], Reply(200))]).run(archive("x"))
    with pytest.raises(InvalidRequest):
        World([problem_reply(400, "invalid_request")]).run(archive("x"))
