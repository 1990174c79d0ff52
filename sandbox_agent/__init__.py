"""Run coding agents in a sandbox and drive them over one HTTP API, from a notebook cell above all.

>>> from sandbox_agent import SandboxAgent
>>> with SandboxAgent.start() as agent:
...     session = agent.create_session("mock")
...     session.prompt("[[say hello]]").text
'hello'

Names are imported when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox_agent.client import (
        AcpMessage,
        AcpServer,
        AgentInfo,
        AgentList,
        AsyncAcpServer,
        AsyncFileSystem,
        AsyncPermissionWatch,
        AsyncProcess,
        AsyncProcesses,
        AsyncPromptHandle,
        AsyncSandboxAgent,
        AsyncSession,
        AsyncSessionList,
        AsyncStream,
        AsyncTerminal,
        ClientClosed,
        ClientError,
        CommandFailed,
        ContentNotSupported,
        EntryList,
        EventPage,
        FileChange,
        FileChanged,
        FileEntry,
        FileInfo,
        FileMatch,
        FileSystem,
        HealthResponse,
        LocalServer,
        LogEntry,
        MatchList,
        NoServerFound,
        PermissionInfo,
        PermissionList,
        PermissionWatch,
        Process,
        Processes,
        ProcessInfo,
        ProcessList,
        ProcessTimeout,
        PromptHandle,
        PromptInfo,
        PromptList,
        PromptResult,
        PromptTimeout,
        ProtocolMismatch,
        RunResult,
        SandboxAgent,
        Screen,
        ServerExited,
        ServerStartFailed,
        ServerUnreachable,
        Session,
        SessionEvent,
        SessionInfo,
        SessionList,
        Stream,
        Terminal,
        TerminalClosed,
        TerminalTimeout,
        Transcript,
        TranscriptChange,
        Transfer,
        WriteResult,
    )
    from sandbox_agent.problems import (
        AgentNotInstalled,
        AgentProcessExited,
        Conflict,
        FileFault,
        InstallFailed,
        InvalidRequest,
        ModeNotSupported,
        NoSpace,
        NotFound,
        PayloadTooLarge,
        PermissionDenied,
        PreconditionFailed,
        Problem,
        SandboxAgentError,
        SessionAlreadyExists,
        SessionNotFound,
        StreamError,
        Timeout,
        TokenInvalid,
        UnsupportedAgent,
    )
    from sandbox_agent.wire.sessions import PermissionPolicy, PermissionRule

__version__ = "0.1.0"

__all__ = [
    "AcpMessage",
    "AcpServer",
    "AgentInfo",
    "AgentList",
    "AgentNotInstalled",
    "AgentProcessExited",
    "AsyncAcpServer",
    "AsyncFileSystem",
    "AsyncPermissionWatch",
    "AsyncProcess",
    "AsyncProcesses",
    "AsyncPromptHandle",
    "AsyncSandboxAgent",
    "AsyncSession",
    "AsyncSessionList",
    "AsyncStream",
    "AsyncTerminal",
    "ClientClosed",
    "ClientError",
    "CommandFailed",
    "Conflict",
    "ContentNotSupported",
    "EntryList",
    "EventPage",
    "FileChange",
    "FileChanged",
    "FileEntry",
    "FileFault",
    "FileInfo",
    "FileMatch",
    "FileSystem",
    "HealthResponse",
    "InstallFailed",
    "InvalidRequest",
    "LocalServer",
    "LogEntry",
    "MatchList",
    "ModeNotSupported",
    "NoServerFound",
    "NoSpace",
    "NotFound",
    "PayloadTooLarge",
    "PermissionDenied",
    "PermissionInfo",
    "PermissionList",
    "PermissionPolicy",
    "PermissionRule",
    "PermissionWatch",
    "PreconditionFailed",
    "Problem",
    "Process",
    "ProcessInfo",
    "ProcessList",
    "ProcessTimeout",
    "Processes",
    "PromptHandle",
    "PromptInfo",
    "PromptList",
    "PromptResult",
    "PromptTimeout",
    "ProtocolMismatch",
    "RunResult",
    "SandboxAgent",
    "SandboxAgentError",
    "Screen",
    "ServerExited",
    "ServerStartFailed",
    "ServerUnreachable",
    "Session",
    "SessionAlreadyExists",
    "SessionEvent",
    "SessionInfo",
    "SessionList",
    "SessionNotFound",
    "Stream",
    "StreamError",
    "Terminal",
    "TerminalClosed",
    "TerminalTimeout",
    "Timeout",
    "TokenInvalid",
    "Transcript",
    "TranscriptChange",
    "Transfer",
    "UnsupportedAgent",
    "WriteResult",
]

_PROBLEMS = frozenset(
    {
        "AgentNotInstalled",
        "AgentProcessExited",
        "Conflict",
        "FileFault",
        "InstallFailed",
        "InvalidRequest",
        "ModeNotSupported",
        "NoSpace",
        "NotFound",
        "PayloadTooLarge",
        "PermissionDenied",
        "PreconditionFailed",
        "Problem",
        "SandboxAgentError",
        "SessionAlreadyExists",
        "SessionNotFound",
        "StreamError",
        "Timeout",
        "TokenInvalid",
        "UnsupportedAgent",
    }
)
_POLICY = frozenset({"PermissionPolicy", "PermissionRule"})


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "problems" if name in _PROBLEMS else "wire.sessions" if name in _POLICY else "client"
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext sandbox_agent``: the magics of `sandbox_agent_jupyter`."""
    importlib.import_module("sandbox_agent_jupyter").load_ipython_extension(ipython)
