"""`/v1/config/*`: MCP servers and skills kept for a directory. Members unknown to us are kept, too."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from sandbox_agent.wire.base import JsonObject, Wire


class LocalMcpServer(Wire, tag="local", tag_field="type", frozen=True, kw_only=True):
    """A program that speaks MCP on its stdio. ``command`` is its name, a command line, or its words."""

    command: str | tuple[str, ...]
    args: tuple[str, ...] = ()
    cwd: str | None = None
    enabled: bool | None = None
    env: dict[str, str] | None = None
    timeout_ms: int | None = msgspec.field(name="timeoutMs", default=None)


class RemoteMcpServer(Wire, tag="remote", tag_field="type", frozen=True, kw_only=True):
    """A server by its URL. ``transport`` is ``http`` (unless given) or ``sse``.

    ``env_headers`` names for each header the variable that holds its value, ``bearer_token_env_var`` the one with the
    token: they are read from the server's environment when an agent starts, and kept nowhere.
    """

    url: str
    bearer_token_env_var: str | None = None
    enabled: bool | None = None
    env_headers: dict[str, str] | None = None
    headers: dict[str, str] | None = None
    oauth: JsonObject | bool | None = None
    timeout_ms: int | None = msgspec.field(name="timeoutMs", default=None)
    transport: str | None = None


McpServerConfig: TypeAlias = LocalMcpServer | RemoteMcpServer


class SkillSource(Wire, frozen=True, kw_only=True):
    """Where skills come from. ``type`` is ``github`` (``source``: owner/name), ``git`` (a URL) or ``local`` (a folder).

    ``skills`` selects some by name, ``ref`` is a branch, tag or commit, ``subpath`` the folder to look in.
    """

    type: str
    source: str
    ref: str | None = None
    skills: tuple[str, ...] | None = None
    subpath: str | None = None


class SkillsConfig(Wire, frozen=True, kw_only=True):
    sources: tuple[SkillSource, ...]
