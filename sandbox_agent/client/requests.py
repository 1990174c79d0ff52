"""From the SDK's arguments to the wire's request structs (pure)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox_agent.wire.config import SkillSource
from sandbox_agent.wire.sessions import PermissionPolicy, PolicyMode, SessionCreateRequest, SessionUpdateRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox_agent.wire.base import JsonObject

Policy = PolicyMode | PermissionPolicy


def create_request(
    agent: str,
    *,
    cwd: str | Path | None,
    local: bool,
    model: str | None,
    mode: str | None,
    thought_level: str | None,
    permission_policy: Policy,
    mcp_servers: Sequence[Mapping[str, Any]],
    desktop: bool = False,
    skills: Sequence[Mapping[str, Any] | SkillSource] = (),
    title: str | None,
    session_id: str | None,
    env: Mapping[str, str] | None = None,
    base_url: str | None = None,
    auth_method: str | None = None,
) -> SessionCreateRequest:
    """Paths are this machine's where the server is here too; elsewhere they are the server's and go as they are."""
    if local:
        cwd = Path(cwd or ".").expanduser().absolute()
    servers: tuple[JsonObject, ...] = tuple(dict(server) for server in mcp_servers)
    return SessionCreateRequest(
        agent=agent,
        id=session_id,
        cwd=None if cwd is None else str(cwd),
        model=model,
        mode=mode,
        thought_level=thought_level,
        mcp_servers=servers,
        desktop=desktop,
        skills=tuple(map(_skill_source, skills)),
        permission_policy=permission_policy,
        title=title,
        env=dict(env or {}),
        base_url=base_url,
        auth_method=auth_method,
    )


def _skill_source(given: Mapping[str, Any] | SkillSource) -> SkillSource:
    return given if isinstance(given, SkillSource) else msgspec.convert(dict(given), SkillSource)


def update_request(
    *,
    title: str | None = None,
    model: str | None = None,
    mode: str | None = None,
    thought_level: str | None = None,
    permission_policy: Policy | None = None,
) -> SessionUpdateRequest:
    """What is ``None`` stays as it is."""

    def given(value: Any) -> Any:
        return msgspec.UNSET if value is None else value

    return SessionUpdateRequest(
        title=given(title),
        model=given(model),
        mode=given(mode),
        thought_level=given(thought_level),
        permission_policy=given(permission_policy),
    )
