"""`/v1/agents`: what agents there are and whether they can be used."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from sandbox_agent.wire.base import JsonObject, StrictRequest, Wire


class AgentCapabilities(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """What an agent can do, as clients of 0.4.2 read it."""

    plan_mode: bool = False
    permissions: bool = False
    questions: bool = False
    tool_calls: bool = False
    tool_results: bool = False
    text_messages: bool = False
    images: bool = False
    file_attachments: bool = False
    session_lifecycle: bool = False
    error_events: bool = False
    reasoning: bool = False
    status: bool = False
    command_execution: bool = False
    file_changes: bool = False
    mcp_tools: bool = False
    streaming_deltas: bool = False
    item_started: bool = False
    shared_process: bool = False


class ServerStatusInfo(Wire, frozen=True, kw_only=True):
    status: Literal["running", "stopped"]
    uptime_ms: int | None = None


class AgentInfo(Wire, frozen=True, kw_only=True):
    """``problem`` and ``hint`` (ours) say why an agent cannot be used and the command that fixes it."""

    id: str
    installed: bool
    credentials_available: bool
    capabilities: AgentCapabilities
    name: str | None = None
    version: str | None = None
    path: str | None = None
    server_status: ServerStatusInfo | None = None
    config_options: tuple[JsonObject, ...] | None = None
    config_error: str | None = None
    problem: str | None = None
    hint: str | None = None


class AgentListResponse(Wire, omit_defaults=False, frozen=True, kw_only=True):
    agents: tuple[AgentInfo, ...]


class AgentInstallRequest(Wire, frozen=True, kw_only=True):
    """``agent_version`` is of the agent itself, ``agent_process_version`` of the program that speaks ACP for it.

    Either may be ``latest``, and overrides the versions that are locked with their digests.
    """

    reinstall: bool | None = None
    agent_version: str | None = None
    agent_process_version: str | None = None


class AgentLoginRequest(StrictRequest, frozen=True, kw_only=True):
    """``method`` is one of the ways to log in that the agent tells, the first for a terminal without it."""

    method: str | None = None
    cols: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    rows: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None


class AgentInstallArtifact(Wire, frozen=True, kw_only=True):
    """``kind``: ``agent_process`` or ``native_agent``; ``source``: npm, pypi, binary, path or builtin."""

    kind: str
    path: str
    source: str
    version: str | None = None


class InstallProgress(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """A step of an install or a line of a program's output; ``fraction`` (0 to 1) of the whole, where it is known."""

    stage: str
    text: str
    fraction: float | None = None


class AgentInstallResponse(Wire, rename=None, omit_defaults=False, frozen=True, kw_only=True):
    """Its keys are not camelCase on the wire."""

    already_installed: bool
    artifacts: tuple[AgentInstallArtifact, ...]
