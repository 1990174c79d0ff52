"""`/v1/acp`: servers and the JSON-RPC envelopes that cross them."""

from __future__ import annotations

from sandbox_agent.wire.base import Wire


class AcpServerInfo(Wire, frozen=True, kw_only=True):
    server_id: str
    agent: str
    created_at_ms: int


class AcpServerListResponse(Wire, omit_defaults=False, frozen=True, kw_only=True):
    servers: tuple[AcpServerInfo, ...]
