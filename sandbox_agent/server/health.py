"""`GET /` and `GET /v1/health`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent import __version__
from sandbox_agent.server.call import Answer
from sandbox_agent.wire.health import ServiceInfo

if TYPE_CHECKING:
    from sandbox_agent.server.call import Call

DOCS = "v1/openapi.json"


async def service(_: Call) -> Answer:
    return Answer(body=ServiceInfo(name="Sandbox Agent", docs=DOCS, version=__version__))


async def health(call: Call) -> Answer:
    return Answer(body=call.sandbox.health())
