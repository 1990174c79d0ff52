"""Installing an agent while hearing how far it is (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from sandbox_agent.client import api
from sandbox_agent.client.stream import follow
from sandbox_agent.problems import InstallFailed, from_document
from sandbox_agent.wire.agents import AgentInstallResponse, InstallProgress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.client.effects import Program, Request
    from sandbox_agent.client.sse import SseEvent
    from sandbox_agent.problems import Problem
    from sandbox_agent.wire.agents import AgentInstallRequest

PATIENCE: Final = 60.0
"""Seconds without a server after which an install counts as lost."""

_progress_decoder: Final = msgspec.json.Decoder(InstallProgress)
_response_decoder: Final = msgspec.json.Decoder(AgentInstallResponse)
_problem_decoder: Final = msgspec.json.Decoder(dict[str, Any])


class InstallState:
    """An install's events: its progress, then how it ended. Asking again joins the install that runs."""

    def __init__(self, agent_id: str, request: AgentInstallRequest) -> None:
        self._agent_id = agent_id
        self._request = request
        self.response: AgentInstallResponse | None = None
        self.failure: Problem | None = None

    @property
    def done(self) -> bool:
        return self.response is not None or self.failure is not None

    def request(self) -> Request:
        return api.install_stream(self._agent_id, self._request)

    def accept(self, event: SseEvent) -> Iterable[InstallProgress]:
        if event.name == "progress":
            return (_progress_decoder.decode(event.data),)
        if event.name == "installed":
            self.response = _response_decoder.decode(event.data)
        elif event.name == "failed":
            document = _problem_decoder.decode(event.data)
            self.failure = from_document(int(document.get("status", InstallFailed.status)), document)
        return ()


def install(agent_id: str, request: AgentInstallRequest) -> Program[AgentInstallResponse]:
    """Emit the progress; end with the response. Raises the server's problem."""
    state = InstallState(agent_id, request)
    yield from follow(state, give_up_after=PATIENCE)
    if state.failure is not None:
        raise state.failure
    if state.response is None:  # the server said that there is no more to come
        raise InstallFailed(f"the server did not say how the install of {agent_id} ended", agent=agent_id)
    return state.response
