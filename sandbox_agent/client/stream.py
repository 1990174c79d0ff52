"""Following a server-sent stream through cuts, restarts and sleeping laptops (pure).

A :class:`StreamState` knows what to ask for and what each event means; :func:`follow` opens its stream, and opens it
again from where it stood whenever it ends early, until the state is done or the server says that it never will be.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from sandbox_agent.client.backoff import Backoff
from sandbox_agent.client.calls import AWAY, is_problem, problem_of, unreachable
from sandbox_agent.client.effects import (
    Emit,
    Shut,
    Sleep,
    TransportFault,
    now,
    open_stream,
    read,
)
from sandbox_agent.client.errors import ProtocolMismatch
from sandbox_agent.client.sse import SseParser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.client.effects import (
        Program,
        Reply,
        Request,
        Source,
    )
    from sandbox_agent.client.sse import SseEvent

logger = logging.getLogger("sandbox_agent.client")

SILENCE: Final = 45.0
"""Seconds without a byte after which a stream counts as cut: three of the server's heartbeats."""


class StreamState(Protocol):
    """What is followed. ``done`` ends it without another connection."""

    @property
    def done(self) -> bool: ...

    def request(self) -> Request:
        """The request that goes on from where this stands."""
        ...

    def accept(self, event: SseEvent) -> Iterable[Any]:
        """The values ``event`` means; none for heartbeats and for what was seen before."""
        ...


def follow(state: StreamState, *, give_up_after: float | None = None, until: float | None = None) -> Source:
    """Emit what ``state`` accepts. Raises the server's problem when it is final.

    ``give_up_after`` seconds without a connection raise :class:`ServerUnreachable`; by default it waits for ever.
    It ends quietly at ``until`` (monotonic seconds), noticed at the latest with the server's next heartbeat.
    """
    backoff = Backoff()
    lost_at: float | None = None
    connected_once = False
    while not state.done:
        error: Exception | None = None
        request = state.request()
        if until is not None:
            left = until - (yield from now())
            if left <= 0:
                return
            request = replace(request, read_timeout=min(request.read_timeout or SILENCE, left))
        try:
            reply = yield from open_stream(request)
        except TransportFault as fault:
            error = unreachable(fault)
        else:
            if reply.status == HTTPStatus.NO_CONTENT:  # the stream says that there is no more (WHATWG HTML, 9.2.3)
                return
            error = _refusal(reply, connected_once=connected_once)
        if error is None:
            lost_at, connected_once = None, True
            yield from _drain(state, backoff, until)
            if state.done:
                return
        at = yield from now()
        lost_at = at if lost_at is None else lost_at
        if error is not None and give_up_after is not None and at - lost_at >= give_up_after:
            raise error
        pause = backoff.delay()
        logger.debug("stream interrupted, trying again", extra={"reason": str(error), "seconds": pause})
        yield Sleep(pause)


def _drain(state: StreamState, backoff: Backoff, until: float | None) -> Program[None]:
    parser = SseParser()
    try:
        while not state.done and (chunk := (yield from read())) is not None:
            values: list[Any] = []
            for event in parser.feed(chunk):
                backoff.reset()
                values.extend(state.accept(event))
                if state.done:
                    break
            if until is not None and (yield from now()) >= until:
                break
            if values:
                yield Emit(tuple(values))
    except TransportFault as fault:
        logger.debug("stream cut", extra={"reason": fault.reason})
    yield Shut()


def _refusal(reply: Reply, *, connected_once: bool) -> Exception | None:
    """``None`` for a stream; raises what is final; returns what may pass."""
    if reply.status == HTTPStatus.OK:
        if reply.media_type == "text/event-stream":
            return None
        raise ProtocolMismatch(f"expected an event stream, got {reply.media_type or 'no content type'}")
    problem = problem_of(reply)
    ours = is_problem(reply)
    passing = reply.status in AWAY or (
        connected_once and not ours and reply.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    )
    if passing:
        return problem
    raise problem
