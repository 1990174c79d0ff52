"""Installing agents: locked versions, checked digests, one private prefix each, proved before use."""

from __future__ import annotations

from sandbox_agent.agents.install.progress import Listener, Progress
from sandbox_agent.agents.install.service import Installer

__all__ = ["Installer", "Listener", "Progress"]
