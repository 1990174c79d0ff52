"""`/v1/doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.server.call import Answer

if TYPE_CHECKING:
    from sandbox_agent.server.call import Call


async def examine(call: Call) -> Answer:
    """Look at the machine and at the agents, where the server runs."""
    return Answer(body=await call.sandbox.doctor.examine(call.body))
