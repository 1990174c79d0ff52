"""Installs as the client hears them: events made up here, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from sandbox_agent.client import installs
from sandbox_agent.client.effects import Clock, Emit, Open, Read, Reply, Shut
from sandbox_agent.problems import InstallFailed
from sandbox_agent.wire.agents import AgentInstallRequest, AgentInstallResponse

if TYPE_CHECKING:
    from sandbox_agent.client.effects import Program
    from sandbox_agent.wire.agents import InstallProgress

STREAM = Reply(200, {"content-type": "text/event-stream"})


def play(program: Program[AgentInstallResponse], chunks: list[bytes | None]) -> tuple[list[InstallProgress], object]:
    """Carry a program out on a stream of these chunks; what it emitted, and how it ended."""
    told: list[InstallProgress] = []
    outcome: object = None
    left = iter(chunks)
    try:
        while True:
            effect = program.send(outcome)
            match effect:
                case Open(request):
                    assert (request.method, request.path) == ("POST", "/v1/agents/x/install")
                    assert ("Accept", "text/event-stream") in request.headers
                    assert msgspec.json.decode(request.body or b"") == {"reinstall": True}
                    outcome = STREAM
                case Read():
                    outcome = next(left)
                case Emit(values):
                    told += values
                    outcome = None
                case Clock():
                    outcome = 0.0
                case Shut():
                    outcome = None
    except StopIteration as stop:
        return told, stop.value


def event(name: str, document: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(document))


def test_progress_is_emitted_and_the_response_is_the_end() -> None:
    """However the stream is cut into pieces; heartbeats mean nothing."""
    whole = (
        event("progress", {"stage": "packages", "text": "npm ci", "fraction": 0.5})
        + event("heartbeat", {})
        + event("progress", {"stage": "packages", "text": "added 3", "fraction": None})
        + event("installed", {"already_installed": False, "artifacts": []})
    )
    program = installs.install("x", AgentInstallRequest(reinstall=True))
    told, response = play(program, [whole[n : n + 7] for n in range(0, len(whole), 7)])
    assert [(one.text, one.fraction) for one in told] == [("npm ci", 0.5), ("added 3", None)]
    assert response == AgentInstallResponse(already_installed=False, artifacts=())


def test_a_failure_is_the_servers_problem() -> None:
    """With its detail, hint and extensions."""
    problem = InstallFailed("npm failed", hint="try again", stage="packages").document()
    with pytest.raises(InstallFailed, match="npm failed") as failed:
        play(installs.install("x", AgentInstallRequest(reinstall=True)), [event("failed", problem)])
    assert (failed.value.hint, failed.value.extensions) == ("try again", {"stage": "packages"})
