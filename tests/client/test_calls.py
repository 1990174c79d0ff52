"""One request and its answer: what is retried, what is raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox_agent.client import calls
from sandbox_agent.client.calls import Call, decoder, perform
from sandbox_agent.client.effects import Reply, Request
from sandbox_agent.client.errors import START_HINT, ProtocolMismatch, ServerUnreachable
from sandbox_agent.problems import (
    AgentNotInstalled,
    Conflict,
    EndpointNotFound,
    InvalidRequest,
    PermissionDenied,
    Problem,
    SessionNotFound,
    TokenInvalid,
)
from sandbox_agent.wire.health import HealthResponse

from .world import World, cut, json_reply, problem_reply

if TYPE_CHECKING:
    from sandbox_agent.problems import (
        SandboxAgentError,
    )

OK = json_reply(b'{"status":"ok"}')
HTML = {"content-type": "text/html"}


def call(*, repeatable: bool = True) -> Call[HealthResponse]:
    return Call(Request("GET", "/v1/health"), decoder(HealthResponse), repeatable)


def test_an_answer_is_decoded() -> None:
    assert World([OK]).run(perform(call())) == HealthResponse(status="ok")


def test_a_lost_answer_is_asked_for_again() -> None:
    """A repeatable request survives refusals, cuts and a proxy's word that the server is away."""
    world = World([cut(unsent=True), cut(), Reply(502, HTML), Reply(503, HTML), OK])
    assert world.run(perform(call())).status == "ok"
    assert len(world.slept) == 4


def test_what_may_have_run_is_not_run_twice() -> None:
    """A request that is not repeatable is sent again only when it surely never arrived."""
    world = World([cut(unsent=True), cut(), OK])
    with pytest.raises(ServerUnreachable, match="connection reset"):
        world.run(perform(call(repeatable=False)))
    assert len(world.requests) == 2


@pytest.mark.parametrize(("patience", "most"), [(0, 1), (10.0, 12)])
def test_patience_ends(patience: float, most: int) -> None:
    """A server that stays away is an error within the time given, with a hint."""
    world = World(lambda _request: cut(unsent=True))
    with pytest.raises(ServerUnreachable) as caught:
        world.run(perform(call(), patience=patience))
    assert world.time - 1000 <= patience
    assert len(world.requests) <= most
    assert caught.value.hint is not None
    assert START_HINT in caught.value.hint


def test_without_end_it_waits_for_the_server() -> None:
    world = World([*[cut(unsent=True)] * 500, OK])
    assert world.run(perform(call(), patience=calls.FOREVER)).status == "ok"
    assert world.time > 2000


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (problem_reply(404, "session_not_found"), SessionNotFound),
        (problem_reply(404, "agent_not_installed", hint="sandbox-agent install-agent pi"), AgentNotInstalled),
        (problem_reply(409, "conflict"), Conflict),
        (problem_reply(401, "token_invalid"), TokenInvalid),
        (Reply(404, HTML, b"<h1>no</h1>"), EndpointNotFound),
        (Reply(302, {"location": "/hub/login?next=secret"}), TokenInvalid),
        (Reply(301, {"location": "https://h/"}), InvalidRequest),
        (json_reply(b'{"message":"Forbidden"}', 403), PermissionDenied),
        (json_reply(b"not json", 500), Problem),
        (Reply(418, HTML), Problem),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_refusal_is_a_typed_error_at_once(reply: Reply, error: type[SandboxAgentError]) -> None:
    world = World([reply])
    with pytest.raises(error):
        world.run(perform(call()))
    assert world.slept == []


def test_a_problem_keeps_what_it_says() -> None:
    world = World([problem_reply(409, "conflict", "answered", hint="look", reply="once")])
    with pytest.raises(Conflict) as caught:
        world.run(perform(call()))
    assert (caught.value.detail, caught.value.hint, caught.value.extensions) == ("answered", "look", {"reply": "once"})


def test_a_redirect_does_not_show_where_in_full() -> None:
    """What follows the question mark may hold a token."""
    assert "secret" not in str(calls.problem_of(Reply(302, {"location": "/x?next=secret"})))


def test_an_answer_of_something_else_is_told_apart() -> None:
    """A web page or another API's JSON at this URL is no crash of the decoder."""
    for body in (b"<html>", b'{"status":"fine"}'):
        with pytest.raises(ProtocolMismatch, match="HealthResponse"):
            World([json_reply(body)]).run(perform(call()))
