"""The Python SDK: :class:`SandboxAgent` and :class:`AsyncSandboxAgent` over one core.

What the client decides is written once, as programs over effects (:mod:`.effects`), and carried out by two drivers.
"""

from __future__ import annotations

from sandbox_agent.client.acp import AcpServer, AsyncAcpServer
from sandbox_agent.client.agent import SandboxAgent, SessionList
from sandbox_agent.client.async_agent import AsyncSandboxAgent, AsyncSessionList
from sandbox_agent.client.async_desktop import AsyncDesktop
from sandbox_agent.client.async_driver import AsyncStream
from sandbox_agent.client.async_session import AsyncPromptHandle, AsyncSession
from sandbox_agent.client.desktop import Desktop
from sandbox_agent.client.desktop_results import (
    ActionResult,
    ActionsResult,
    DesktopStatus,
    DisplayInfo,
    LaunchResult,
    Position,
    Region,
    Screenshot,
    WindowInfo,
    WindowList,
)
from sandbox_agent.client.errors import (
    ActionFailed,
    ClientClosed,
    ClientError,
    CommandFailed,
    ContentNotSupported,
    DesktopTimeout,
    ExtraMissing,
    FileChanged,
    NoServerFound,
    ProcessTimeout,
    PromptTimeout,
    ProtocolMismatch,
    ServerExited,
    ServerStartFailed,
    ServerUnreachable,
    TerminalClosed,
    TerminalTimeout,
)
from sandbox_agent.client.file_results import (
    EntryList,
    FileChange,
    FileEntry,
    FileInfo,
    FileMatch,
    MatchList,
    Transfer,
    WriteResult,
)
from sandbox_agent.client.fs import AsyncFileSystem, FileSystem
from sandbox_agent.client.local import LocalServer
from sandbox_agent.client.nodes import AsyncNode, Node, NodeList
from sandbox_agent.client.permissions import AsyncPermissionWatch, PermissionWatch
from sandbox_agent.client.process_results import LogEntry, ProcessInfo, ProcessList, RunResult, Screen
from sandbox_agent.client.processes import AsyncProcess, AsyncProcesses, Process, Processes
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
from sandbox_agent.client.terminal import AsyncTerminal, Terminal
from sandbox_agent.client.windows import AsyncWindow, Window

__all__ = [
    "AcpMessage",
    "AcpServer",
    "ActionFailed",
    "ActionResult",
    "ActionsResult",
    "AgentInfo",
    "AgentList",
    "AsyncAcpServer",
    "AsyncDesktop",
    "AsyncFileSystem",
    "AsyncNode",
    "AsyncPermissionWatch",
    "AsyncProcess",
    "AsyncProcesses",
    "AsyncPromptHandle",
    "AsyncSandboxAgent",
    "AsyncSession",
    "AsyncSessionList",
    "AsyncStream",
    "AsyncTerminal",
    "AsyncWindow",
    "ClientClosed",
    "ClientError",
    "CommandFailed",
    "ContentNotSupported",
    "Desktop",
    "DesktopStatus",
    "DesktopTimeout",
    "DisplayInfo",
    "EntryList",
    "EventPage",
    "ExtraMissing",
    "FileChange",
    "FileChanged",
    "FileEntry",
    "FileInfo",
    "FileMatch",
    "FileSystem",
    "HealthResponse",
    "LaunchResult",
    "LocalServer",
    "LogEntry",
    "MatchList",
    "NoServerFound",
    "Node",
    "NodeList",
    "PermissionInfo",
    "PermissionList",
    "PermissionWatch",
    "Position",
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
    "Region",
    "RunResult",
    "SandboxAgent",
    "Screen",
    "Screenshot",
    "ServerExited",
    "ServerStartFailed",
    "ServerUnreachable",
    "Session",
    "SessionEvent",
    "SessionInfo",
    "SessionList",
    "Stream",
    "Terminal",
    "TerminalClosed",
    "TerminalTimeout",
    "Transcript",
    "TranscriptChange",
    "Transfer",
    "Window",
    "WindowInfo",
    "WindowList",
    "WriteResult",
]
