"""Which agents there are, and how each is started."""

from __future__ import annotations

from sandbox_agent.agents.catalogue import AgentSpec
from sandbox_agent.agents.service import Agents

__all__ = ["AgentSpec", "Agents"]
