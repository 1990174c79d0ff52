"""The Python SDK: :class:`SandboxAgent` and :class:`AsyncSandboxAgent` over one core.

What the client decides is written once, as programs over effects (:mod:`.effects`), and carried out by two drivers.
"""

from __future__ import annotations

from sandbox_agent.client.acp import AcpServer, AsyncAcpServer
from sandbox_agent.client.agent import SandboxAgent, SessionList
from sandbox_agent.client.async_agent import AsyncSandboxAgent, AsyncSessionList
from sandbox_agent.client.async_driver import AsyncStream
from sandbox_agent.client.async_session import AsyncPromptHandle, AsyncSession
from sandbox_agent.client.errors import (
    ClientClosed,
    ClientError,
    ContentNotSupported,
    NoServerFound,
    PromptTimeout,
    ProtocolMismatch,
    ServerExited,
    ServerStartFailed,
    ServerUnreachable,
)
from sandbox_agent.client.local import LocalServer
from sandbox_agent.client.permissions import AsyncPermissionWatch, PermissionWatch
from sandbox_agent.client.results import (
    AcpMessage,
    AgentInfo,
    AgentList,
    EventPage,
    HealthResponse,
    PermissionInfo,
    PermissionList,
    PromptInfo,
    PromptList,
    PromptResult,
    SessionEvent,
    SessionInfo,
    Transcript,
    TranscriptChange,
)
from sandbox_agent.client.session import PromptHandle, Session
from sandbox_agent.client.sync_driver import Stream

__all__ = [
    "AcpMessage",
    "AcpServer",
    "AgentInfo",
    "AgentList",
    "AsyncAcpServer",
    "AsyncPermissionWatch",
    "AsyncPromptHandle",
    "AsyncSandboxAgent",
    "AsyncSession",
    "AsyncSessionList",
    "AsyncStream",
    "ClientClosed",
    "ClientError",
    "ContentNotSupported",
    "EventPage",
    "HealthResponse",
    "LocalServer",
    "NoServerFound",
    "PermissionInfo",
    "PermissionList",
    "PermissionWatch",
    "PromptHandle",
    "PromptInfo",
    "PromptList",
    "PromptResult",
    "PromptTimeout",
    "ProtocolMismatch",
    "SandboxAgent",
    "ServerExited",
    "ServerStartFailed",
    "ServerUnreachable",
    "Session",
    "SessionEvent",
    "SessionInfo",
    "SessionList",
    "Stream",
    "Transcript",
    "TranscriptChange",
]
