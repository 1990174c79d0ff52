"""`/v1/doctor`: what of the machine and of the agents works, and what to run where it does not (ours)."""

from __future__ import annotations

from typing import Literal, TypeAlias

from sandbox_agent.wire.base import StrictRequest, Wire

Finding: TypeAlias = Literal["ok", "warning", "fault", "skipped"]


class DoctorRequest(StrictRequest, frozen=True, kw_only=True):
    """``agents`` are the ids to look at (default: all); ``offline`` starts none of them."""

    agents: tuple[str, ...] | None = None
    offline: bool = False


class Check(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """One thing looked at; ``fix`` is the command or change that mends it."""

    name: str
    state: Finding
    detail: str
    fix: str | None = None


class Handshake(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """How an agent answered `initialize` and `session/new`: after so many seconds, or with this fault."""

    state: Finding
    seconds: float | None = None
    detail: str | None = None


class AgentCheck(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """``usable``: it shook hands, or where that was not tried, nothing speaks against it.

    ``credentials`` names where a key or login was found, never what it is; null where there is none.
    """

    id: str
    name: str
    usable: bool
    installed: bool
    handshake: Handshake
    path: str | None = None
    version: str | None = None
    credentials: str | None = None
    problem: str | None = None
    fix: str | None = None


class DoctorReport(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """``usable``: one of the agents that were looked at is. Times are milliseconds since the epoch."""

    version: str
    created_at_ms: int
    usable: bool
    checks: tuple[Check, ...]
    agents: tuple[AgentCheck, ...]
