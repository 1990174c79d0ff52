"""`/v1/agents`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.server.call import Answer
from sandbox_agent.wire.agents import AgentListResponse

if TYPE_CHECKING:
    from sandbox_agent.server.call import Call


class AgentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``config`` adds options; ``no_cache`` looks again instead of remembering."""

    config: bool = False
    no_cache: bool = False


async def list_agents(call: Call) -> Answer:
    infos = await call.sandbox.agents.list(config=call.query.config, no_cache=call.query.no_cache)
    return Answer(body=AgentListResponse(agents=tuple(infos)))


async def get_agent(call: Call) -> Answer:
    info = await call.sandbox.agents.info(call.params["agent"], config=call.query.config, no_cache=call.query.no_cache)
    return Answer(body=info)


async def login(call: Call) -> Answer:
    process = await call.sandbox.logins.start(call.params["agent"], call.body)
    return Answer(body=process.info())
