"""Following a stream through everything that can cut it: the joined stream is the journal, each event once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.client.effects import Reply
from sandbox_agent.client.errors import ProtocolMismatch, ServerUnreachable
from sandbox_agent.client.states import EventsState
from sandbox_agent.client.stream import follow
from sandbox_agent.problems import SessionNotFound, TokenInvalid

from .world import Streamed, World, cut, problem_reply

if TYPE_CHECKING:
    from sandbox_agent.client.effects import Request

    from .world import Answer

HTML = {"content-type": "text/html"}


def frame(sequence: int) -> bytes:
    body = {
        "sequence": sequence,
        "sessionId": "s",
        "createdAtMs": 1,
        "sender": "agent",
        "payload": {"jsonrpc": "2.0", "method": "x", "params": {"n": sequence}},
    }
    return b"id: %d\nevent: message\ndata: %s\n\n" % (sequence, msgspec.json.encode(body))


HEARTBEAT = b"event: heartbeat\ndata: {}\n\n"


def cursor(request: Request) -> int:
    return int(dict(request.headers)["Last-Event-ID"])


class Until(EventsState):
    """Events up to a sequence: the tests' streams would not end otherwise."""

    def __init__(self, last: int, after: int = 0) -> None:
        super().__init__("s", after)
        self.last = last

    def _message(self, event: Any) -> Any:
        fresh = super()._message(event)
        self.done = self.cursor >= self.last
        return fresh


def sequences(world: World) -> list[int]:
    return [event.sequence for event in world.emitted]


def test_events_come_in_order() -> None:
    world = World([Streamed([frame(1) + frame(2), HEARTBEAT, frame(3)])])
    world.run(follow(Until(3)))
    assert sequences(world) == [1, 2, 3]


@given(last=st.integers(1, 12), data=st.data())
def test_a_stream_cut_anywhere_any_number_of_times_is_whole(last: int, data: st.DataObject) -> None:
    """R6: cut at every boundary and mid-chunk, refused, away, repeated: no loss, no duplicate."""
    troubles = data.draw(st.lists(st.sampled_from(["cut", "end", "refused", "away", "again"]), max_size=8))

    def serve(request: Request) -> Answer:
        trouble = troubles.pop(0) if troubles else None
        if trouble == "refused":
            return cut(unsent=True)
        if trouble == "away":
            return Reply(503, HTML)
        after = cursor(request)
        first = max(1, after - 2) if trouble == "again" else after + 1
        stream = b"".join(frame(n) for n in range(first, last + 1))
        if trouble is None:
            return Streamed([stream])
        at = data.draw(st.integers(0, len(stream)))
        middle = data.draw(st.integers(0, at))
        return Streamed([stream[:middle], stream[middle:at], *([cut()] if trouble == "cut" else [])])

    world = World(serve)
    world.run(follow(Until(last)))
    assert sequences(world) == list(range(1, last + 1))


def test_it_goes_on_from_the_last_event() -> None:
    world = World([Streamed([frame(5), frame(6), cut()]), Streamed([frame(7)])])
    world.run(follow(Until(7, after=4)))
    assert [cursor(request) for request in world.requests] == [4, 6]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (problem_reply(404, "session_not_found"), SessionNotFound),
        (problem_reply(401, "token_invalid"), TokenInvalid),
        (Reply(200, HTML), ProtocolMismatch),
    ],
    ids=["404", "401", "not a stream"],
)
def test_what_is_final_ends_it(reply: Reply, error: type[Exception]) -> None:
    """The server's own word that the session is gone or the token wrong is not waited out."""
    world = World([Streamed([frame(1), cut()]), reply])
    with pytest.raises(error):
        world.run(follow(Until(9)))
    assert sequences(world) == [1]


def test_a_proxy_that_knows_nothing_of_us_is_waited_for() -> None:
    """Once the stream was there, a page of a hub or proxy in its place means that the server is away."""
    world = World(
        [Streamed([frame(1), cut()]), Reply(404, HTML), Reply(424, HTML), Reply(500, HTML), Streamed([frame(2)])]
    )
    world.run(follow(Until(2)))
    assert sequences(world) == [1, 2]


def test_before_the_first_connection_a_foreign_404_is_final() -> None:
    """There is no such API at this URL."""
    with pytest.raises(Exception, match="404"):
        World([Reply(404, HTML)]).run(follow(Until(1)))


def test_giving_up_is_a_choice() -> None:
    """By default it waits for hours; with a limit it raises once the server was away that long."""
    hours = World([*[cut(unsent=True)] * 2000, Streamed([frame(1)])])
    hours.run(follow(Until(1)))
    assert hours.time > 1000 + 3600

    world = World([Streamed([frame(1), cut()]), *[cut(unsent=True)] * 100])
    with pytest.raises(ServerUnreachable):
        world.run(follow(Until(9), give_up_after=30))
    assert 30 <= world.time - 1000 <= 36


def test_time_connected_does_not_count_as_time_away() -> None:
    """The limit is for one outage, not for the stream's life."""
    outage = [cut(unsent=True)] * 12
    answers = [
        *outage,
        Streamed([frame(1), cut()]),
        *outage,
        Streamed([frame(2), cut()]),
        *outage,
        Streamed([frame(3)]),
    ]
    world = World(answers)
    world.run(follow(Until(3), give_up_after=40))
    assert world.time - 1000 > 40


def test_a_stream_that_works_is_reopened_quickly() -> None:
    """A proxy that cuts idle streams every minute does not make the client slower each time."""
    answers: list[Answer] = [Streamed([HEARTBEAT, cut()]) for _ in range(20)]
    world = World([*answers, Streamed([frame(1)])])
    world.run(follow(Until(1)))
    assert max(world.slept) <= 0.1


def test_a_server_that_closes_at_once_is_not_hammered() -> None:
    answers: list[Answer] = [Streamed([]) for _ in range(20)]
    world = World([*answers, Streamed([frame(1)])])
    world.run(follow(Until(1)))
    assert world.slept[-1] > 2


def test_it_ends_at_its_time() -> None:
    """With ``until`` a stream of heartbeats only does not hold the caller."""

    def beat(_request: Request) -> Answer:
        return Streamed(tick())

    def tick() -> Any:
        while True:
            world.time += 15
            yield HEARTBEAT

    world = World(beat)
    world.run(follow(Until(1), until=1000 + 40))
    assert world.time <= 1000 + 60


def test_no_content_is_the_end() -> None:
    """WHATWG HTML, 9.2.3: 204 tells the client to stop reconnecting."""
    world = World([Reply(204)])
    world.run(follow(Until(1)))
    assert len(world.requests) == 1
