"""`/v1/config/mcp` and `/v1/config/skills`: what every session in a directory gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from sandbox_agent.server.call import Answer

if TYPE_CHECKING:
    from sandbox_agent.server.call import Call


class McpConfigQuery(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """``directory`` is the folder for whose sessions it is, ``mcp_name`` what the server is called there."""

    kind: ClassVar[str] = "mcp"
    directory: str
    mcp_name: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Kind, directory and name."""
        return self.kind, self.directory, self.mcp_name


class SkillsConfigQuery(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """``directory`` is the folder for whose sessions they are, ``skill_name`` what they are called there."""

    kind: ClassVar[str] = "skills"
    directory: str
    skill_name: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Kind, directory and name."""
        return self.kind, self.directory, self.skill_name


async def get(call: Call) -> Answer:
    return Answer(body=await call.sandbox.directories.get(*call.query.place))


async def put(call: Call) -> Answer:
    kind, directory, name = call.query.place
    await call.sandbox.directories.put(kind, directory, name, call.body)
    return Answer(204)


async def delete(call: Call) -> Answer:
    await call.sandbox.directories.delete(*call.query.place)
    return Answer(204)
