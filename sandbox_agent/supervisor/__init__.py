"""Starting and ending processes: groups, pidfds, reaping, an allow-listed environment, pipes on the event loop."""

from __future__ import annotations

from sandbox_agent.supervisor.child import Child, Command, Exit
from sandbox_agent.supervisor.environment import DEFAULT_ALLOWED
from sandbox_agent.supervisor.pipes import PipeReader, PipeWriter
from sandbox_agent.supervisor.pty import Size, TerminalReader
from sandbox_agent.supervisor.service import SpawnFailed, Supervisor
from sandbox_agent.supervisor.usage import Usage

__all__ = [
    "DEFAULT_ALLOWED",
    "Child",
    "Command",
    "Exit",
    "PipeReader",
    "PipeWriter",
    "Size",
    "SpawnFailed",
    "Supervisor",
    "TerminalReader",
    "Usage",
]
