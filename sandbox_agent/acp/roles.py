"""What a connection tells those who take part in it, and how they take part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sandbox_agent.problems import SandboxAgentError

if TYPE_CHECKING:
    from sandbox_agent.acp.envelope import Envelope


class RpcError(SandboxAgentError):
    """A JSON-RPC error, the agent's answer or ours to the agent."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class AgentExit:
    """How an agent's process ended: exactly one of ``code`` and ``signal`` is set."""

    code: int | None
    signal: int | None
    stderr_tail: str = ""

    @property
    def success(self) -> bool:
        return self.code == 0

    def __str__(self) -> str:
        return f"code {self.code}" if self.signal is None else f"signal {self.signal}"


class ClientRole(Protocol):
    """How a session takes part in a connection.

    Called on the loop, in stream order, before anything can reach us that a reader of the entries does about them.
    """

    def on_notification(self, sequence: int, envelope: Envelope) -> None: ...

    def on_request(self, sequence: int, envelope: Envelope) -> bool:
        """True when the role will `AgentConnection.respond`; else the agent is told that there is no such method."""

    def on_exit(self, exit: AgentExit) -> None:  # noqa: A002  # the field's own word
        ...

    def accept(self, envelope: Envelope) -> bool:
        """False keeps a notification or request out of the journal, and out of the other callbacks."""
