"""What the blocking and the awaited objects share: everything that asks nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.client.content import to_prompt

if TYPE_CHECKING:
    from sandbox_agent.client.content import Prompt
    from sandbox_agent.client.results import SessionInfo
    from sandbox_agent.client.target import Target
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.sessions import SessionState


class SessionBase:
    """A session as last heard of."""

    def __init__(self, info: SessionInfo, *, local: bool) -> None:
        self._info = info
        self._local = local

    @property
    def id(self) -> str:
        return self._info.id

    @property
    def info(self) -> SessionInfo:
        """The session as it was when last heard of; ``refresh()`` asks."""
        return self._info

    @property
    def agent(self) -> str:
        """The agent's id."""
        return self._info.agent

    @property
    def state(self) -> SessionState:
        return self._info.state

    @property
    def title(self) -> str | None:
        return self._info.title

    @property
    def cwd(self) -> str:
        return self._info.cwd

    @property
    def model(self) -> str | None:
        return self._info.model

    @property
    def mode(self) -> str | None:
        return self._info.mode

    @property
    def thought_level(self) -> str | None:
        return self._info.thought_level

    def _content(self, prompt: Prompt) -> str | tuple[JsonObject, ...]:
        return to_prompt(prompt, capabilities=self._info.agent_capabilities, embed_files=not self._local)

    def __repr__(self) -> str:
        title = f" {self.title!r}" if self.title else ""
        return f"<{type(self).__name__} {self.id} {self.agent} {self.state}{title}>"

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.session_html(self._info)


class AgentBase:
    """A client of one server."""

    _target: Target

    @property
    def url(self) -> str:
        """The server's base URL; routes are below its ``/v1``."""
        return self._target.url

    def _closed_now(self) -> bool:
        raise NotImplementedError

    def _state(self) -> str:
        return "closed" if self._closed_now() else "open"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url} {self._state()}>"

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.card_html(type(self).__name__, {"URL": self.url}, state=self._state())
