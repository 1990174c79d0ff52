"""`/v1/config/mcp` and `/v1/config/skills`: what every session in a directory gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.server.call import Answer

if TYPE_CHECKING:
    from sandbox_agent.server.call import Call


class McpConfigQuery(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """``directory`` is the folder for whose sessions it is, ``mcp_name`` what the server is called there."""

    directory: str
    mcp_name: str


class SkillsConfigQuery(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """``directory`` is the folder for whose sessions they are, ``skill_name`` what they are called there."""

    directory: str
    skill_name: str


async def get_mcp(call: Call) -> Answer:
    return Answer(body=await call.sandbox.directories.get("mcp", call.query.directory, call.query.mcp_name))


async def put_mcp(call: Call) -> Answer:
    await call.sandbox.directories.put("mcp", call.query.directory, call.query.mcp_name, call.body)
    return Answer(204)


async def delete_mcp(call: Call) -> Answer:
    await call.sandbox.directories.delete("mcp", call.query.directory, call.query.mcp_name)
    return Answer(204)


async def get_skills(call: Call) -> Answer:
    return Answer(body=await call.sandbox.directories.get("skills", call.query.directory, call.query.skill_name))


async def put_skills(call: Call) -> Answer:
    await call.sandbox.directories.put("skills", call.query.directory, call.query.skill_name, call.body)
    return Answer(204)


async def delete_skills(call: Call) -> Answer:
    await call.sandbox.directories.delete("skills", call.query.directory, call.query.skill_name)
    return Answer(204)
