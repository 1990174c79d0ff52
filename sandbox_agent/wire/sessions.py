"""`/v1/sessions`: durable sessions, their prompts, events and permissions (ours, beyond the 0.4.2 contract)."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import msgspec

from sandbox_agent.wire.base import JsonObject, StrictRequest, Wire
from sandbox_agent.wire.config import SkillSource

SessionState: TypeAlias = Literal["idle", "running", "waiting", "failed", "ended"]
"""``waiting``: a turn waits for a permission. ``failed``: the agent did not start; the next prompt tries again."""

Continuity: TypeAlias = Literal["native", "loaded", "rebootstrapped", "lost"]
"""How the agent got its memory back: it resumed, it loaded, it was told the transcript, or not at all."""

PromptState: TypeAlias = Literal["queued", "running", "completed", "cancelled", "failed"]

Sender: TypeAlias = Literal["agent", "client", "server"]

PolicyMode: TypeAlias = Literal["ask", "allow_edits", "allow_all", "deny"]

POLICY_MODES: Final[tuple[str, ...]] = get_args(PolicyMode)

Decision: TypeAlias = Literal["allow", "deny", "ask"]


class PermissionRule(StrictRequest, frozen=True, kw_only=True):
    """One rule; all given conditions must hold. The first rule that matches decides.

    ``kinds`` are ACP tool kinds (``read``, ``edit``, ``execute``, ...). ``command`` is a prefix of whole words of the
    command line. ``path`` is a file, a folder (with all below it) or a glob; relative ones are taken from the
    session's ``cwd``.

    To allow, a rule must be certain: the command is one plain simple command, every path the tool call names matches;
    a ``path`` without ``command`` allows no commands, as it cannot tell what they do.
    To deny or ask, any part that matches is enough, and where it cannot be told, the answer is to ask.
    """

    decision: Decision
    kinds: tuple[str, ...] | None = None
    command: str | None = None
    path: str | None = None


class PermissionPolicy(StrictRequest, frozen=True, kw_only=True):
    """What is answered without asking a person. Never set, nothing is: the default asks."""

    default: PolicyMode = "ask"
    rules: tuple[PermissionRule, ...] = ()


class SessionCreateRequest(StrictRequest, frozen=True, kw_only=True):
    """``cwd`` is absolute and defaults to the server's; ``mcp_servers`` are ACP `McpServer` objects.

    To ``mcp_servers`` and ``skills`` come those configured for ``cwd`` and the folders above it; of two MCP servers
    with one name, that of the request is taken.

    ``desktop`` offers the agent the desktop's own MCP server, `/v1/mcp/desktop`, with a key of the session's own.

    ``env`` is added to the agent's environment; ``base_url`` (without ``/v1``) is a gateway it asks in place of its
    provider; ``auth_method`` is the id of one of the agent's own ways to authenticate, used before the session is made.
    No answer returns these.
    """

    agent: str
    id: str | None = None
    cwd: str | None = None
    model: str | None = None
    mode: str | None = None
    thought_level: str | None = None
    mcp_servers: tuple[JsonObject, ...] = ()
    desktop: bool = False
    skills: tuple[SkillSource, ...] = ()
    permission_policy: PolicyMode | PermissionPolicy = "ask"
    title: str | None = None
    env: dict[str, str] = msgspec.field(default_factory=dict)
    base_url: str | None = None
    auth_method: str | None = None


class SessionUpdateRequest(StrictRequest, frozen=True, kw_only=True):
    """What is given changes; what is absent stays."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    model: str | msgspec.UnsetType = msgspec.UNSET
    mode: str | msgspec.UnsetType = msgspec.UNSET
    thought_level: str | msgspec.UnsetType = msgspec.UNSET
    permission_policy: PolicyMode | PermissionPolicy | msgspec.UnsetType = msgspec.UNSET


class SessionForkRequest(StrictRequest, frozen=True, kw_only=True):
    """The new session's ``id`` and ``title``; all else is as in the session it comes from."""

    id: str | None = None
    title: str | None = None


class McpStatus(Wire, frozen=True, kw_only=True):
    """An MCP server of a session. ``origin`` is ``session`` or the folder it is configured for.

    ``offered``: the agent was given it, and does with it as it likes. ``running`` and ``exited``: it did start the
    server's program. ``unsupported``: the agent cannot take it. ``disabled``: it is configured so. ``failed``: it
    cannot be offered. ``detail`` says why.
    """

    name: str
    status: Literal["offered", "running", "exited", "unsupported", "disabled", "failed"]
    origin: str
    detail: str | None = None


class SkillStatus(Wire, frozen=True, kw_only=True):
    """A skill of a session, or a source of skills that ``failed``.

    ``placed``: it is at ``path``, where the agent reads skills. ``kept``: another one stood there, and stays.
    """

    name: str
    status: Literal["placed", "kept", "failed"]
    origin: str
    path: str | None = None
    detail: str | None = None


class AgentSessionList(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """The sessions an agent itself has for a folder, in its own words (ACP's ``SessionInfo``)."""

    items: tuple[JsonObject, ...]
    next_cursor: str | None = None


class SessionInfo(Wire, frozen=True, kw_only=True):
    """A session as it is now; ``model``, ``mode`` and ``thought_level`` are the effective values.

    No turn begins before the agent is in this mode; where it will not be, the session is ``failed``: see ``error``.

    Times are milliseconds since the epoch. ``last_sequence`` is the newest event. ``persisted`` is false while the
    store cannot write. ``mcp_servers`` are those of the request, ``mcp`` tells of all, the configured ones too.
    """

    id: str
    agent: str
    cwd: str
    state: SessionState
    created_at_ms: int
    updated_at_ms: int
    last_sequence: int
    permission_policy: PermissionPolicy
    title: str | None = None
    model: str | None = None
    mode: str | None = None
    thought_level: str | None = None
    agent_session_id: str | None = None
    continuity: Continuity | None = None
    pending_permissions: int = 0
    queued_prompts: int = 0
    current_prompt_id: str | None = None
    config_options: tuple[JsonObject, ...] = ()
    modes: JsonObject | None = None
    models: JsonObject | None = None
    agent_info: JsonObject | None = None
    agent_capabilities: JsonObject | None = None
    mcp_servers: tuple[JsonObject, ...] = ()
    mcp: tuple[McpStatus, ...] = ()
    skills: tuple[SkillStatus, ...] = ()
    forked_from: str | None = None
    error: JsonObject | None = None
    persisted: bool = True


class SessionListResponse(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """``next_cursor`` is passed back as ``cursor`` for the next page; ``null`` on the last one."""

    items: tuple[SessionInfo, ...]
    next_cursor: str | None = None


class PromptRequest(StrictRequest, frozen=True, kw_only=True):
    """``prompt`` is a text or ACP content blocks."""

    prompt: str | tuple[JsonObject, ...]


class PromptInfo(Wire, frozen=True, kw_only=True):
    """A prompt as a job. ``first_sequence`` and ``last_sequence`` bound its events; ``usage`` is the agent's own.

    ``stop_reason`` is ACP's, or ``agent_exited`` when the agent died; ``error`` is then the problem document.
    ``meta`` is the ``_meta`` of the agent's answer, where some agents report their usage.
    """

    id: str
    session_id: str
    state: PromptState
    created_at_ms: int
    prompt: tuple[JsonObject, ...]
    idempotency_key: str | None = None
    started_at_ms: int | None = None
    ended_at_ms: int | None = None
    first_sequence: int | None = None
    last_sequence: int | None = None
    stop_reason: str | None = None
    usage: JsonObject | None = None
    meta: JsonObject | None = None
    error: JsonObject | None = None
    model: str | None = None
    mode: str | None = None
    thought_level: str | None = None


class PromptListResponse(Wire, omit_defaults=False, frozen=True, kw_only=True):
    items: tuple[PromptInfo, ...]
    next_cursor: str | None = None


class SessionEvent(Wire, frozen=True, kw_only=True):
    """One raw JSON-RPC envelope of a session's journal."""

    sequence: int
    session_id: str
    created_at_ms: int
    sender: Sender
    payload: msgspec.Raw


class EventPage(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """Events after a cursor; ``next_after`` is ``after`` of the next page, ``has_more`` says whether there is one.

    ``reset`` is true when events after the cursor are gone by retention; ``items`` then start at the oldest kept.
    """

    items: tuple[SessionEvent, ...]
    next_after: int
    has_more: bool
    reset: bool = False


class PermissionOption(Wire, frozen=True, kw_only=True):
    """ACP's own: ``kind`` is ``allow_once``, ``allow_always``, ``reject_once`` or ``reject_always``."""

    option_id: str
    name: str
    kind: str


PermissionState: TypeAlias = Literal["pending", "selected", "cancelled"]

Reply: TypeAlias = Literal["once", "always", "reject"]

CancelReason: TypeAlias = Literal["turn_cancelled", "turn_ended", "agent_exited", "server_restarted"]


class PermissionInfo(Wire, frozen=True, kw_only=True):
    """A permission request as a durable row.

    ``resolved_by`` is ``client`` (with ``resolved_by_name`` where the identity is known), ``policy`` (``rule`` tells
    which: ``rule N`` by its index, or ``default MODE``) or ``cancel`` (``reason`` tells which end of what had asked).
    """

    id: str
    session_id: str
    state: PermissionState
    created_at_ms: int
    options: tuple[PermissionOption, ...]
    tool_call: JsonObject
    available_replies: tuple[Reply, ...]
    prompt_id: str | None = None
    option_id: str | None = None
    reply: Reply | None = None
    resolved_at_ms: int | None = None
    resolved_by: Literal["client", "policy", "cancel"] | None = None
    resolved_by_name: str | None = None
    rule: str | None = None
    reason: CancelReason | None = None


class PermissionListResponse(Wire, omit_defaults=False, frozen=True, kw_only=True):
    items: tuple[PermissionInfo, ...]


class PermissionAnswer(StrictRequest, frozen=True, kw_only=True):
    """Exactly one of ``reply`` (by kind) and ``option_id`` (one of the request's own)."""

    reply: Reply | None = None
    option_id: str | None = None
