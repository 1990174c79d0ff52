"""`/v1/health` and `GET /`."""

from __future__ import annotations

from typing import Literal

from sandbox_agent.wire.base import Wire


class HealthResponse(Wire, frozen=True, kw_only=True):
    """``status`` stays ``ok`` while requests are served, as clients of 0.4.2 wait for that word.

    ``persisted`` is false, with ``problem`` and ``hint``, while the store cannot write (disk full): events are then
    served from memory only.
    """

    status: Literal["ok"]
    persisted: bool = True
    problem: str | None = None
    hint: str | None = None


class ServiceInfo(Wire, frozen=True, kw_only=True):
    name: str
    docs: str
    version: str
