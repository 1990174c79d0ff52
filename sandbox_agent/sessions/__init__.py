"""Durable sessions: the server owns them, whoever comes and goes."""

from sandbox_agent.sessions.core import SessionOptions
from sandbox_agent.sessions.service import Sessions

__all__ = ["SessionOptions", "Sessions"]
