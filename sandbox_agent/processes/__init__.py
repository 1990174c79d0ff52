"""The sandbox's processes: managed ones with logs as journals, commands that are waited for, terminals."""

from __future__ import annotations

from sandbox_agent.processes.log import ProcessLog
from sandbox_agent.processes.process import Process
from sandbox_agent.processes.restart import Pace
from sandbox_agent.processes.service import DEFAULTS, Processes

__all__ = ["DEFAULTS", "Pace", "Process", "ProcessLog", "Processes"]
