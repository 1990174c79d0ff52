"""The /v1 routes as :class:`~sandbox_agent.client.calls.Call` values: how to ask, and how to read the answer (pure)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import msgspec

from sandbox_agent.client.asking import ACCEPT_JSON, ACCEPT_STREAM, JSON, get, path, query, send, stream
from sandbox_agent.client.calls import Call, decoder, ignore
from sandbox_agent.client.effects import Request
from sandbox_agent.client.process_results import ProcessInfo
from sandbox_agent.client.results import (
    AgentInfo,
    DoctorReport,
    EventPage,
    HealthResponse,
    PermissionInfo,
    PromptInfo,
    SessionInfo,
    Transcript,
)
from sandbox_agent.wire.acp import AcpServerListResponse
from sandbox_agent.wire.agents import AgentInstallResponse
from sandbox_agent.wire.base import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox_agent.client.effects import Reply
    from sandbox_agent.wire.agents import AgentInstallRequest, AgentLoginRequest
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.doctor import DoctorRequest
    from sandbox_agent.wire.sessions import (
        PermissionAnswer,
        PromptRequest,
        SessionCreateRequest,
        SessionForkRequest,
        SessionUpdateRequest,
    )

T = TypeVar("T")

_object_decoder: Final = msgspec.json.Decoder(dict[str, Any])
HOLD_MARGIN: Final = 30.0
"""Seconds past the time a server may hold a request before its silence counts as a fault."""


class AgentListing(Wire, frozen=True, kw_only=True):
    agents: tuple[AgentInfo, ...]


class SessionListing(Wire, frozen=True, kw_only=True):
    items: tuple[SessionInfo, ...]
    next_cursor: str | None = None


class PromptListing(Wire, frozen=True, kw_only=True):
    items: tuple[PromptInfo, ...]
    next_cursor: str | None = None


class PermissionListing(Wire, frozen=True, kw_only=True):
    items: tuple[PermissionInfo, ...]


def health(read_timeout: float = 10.0) -> Call[HealthResponse]:
    return get(HealthResponse, "health", read_timeout=read_timeout)


def agents(*, config: bool, no_cache: bool) -> Call[AgentListing]:
    return get(AgentListing, "agents", query=query(config=config, no_cache=no_cache))


def agent(agent_id: str, *, config: bool, no_cache: bool) -> Call[AgentInfo]:
    return get(AgentInfo, "agents", agent_id, query=query(config=config, no_cache=no_cache))


def install_agent(agent_id: str, request: AgentInstallRequest) -> Call[AgentInstallResponse]:
    """No read timeout: packages are fetched. Repeatable: an install that runs is joined."""
    return send(AgentInstallResponse, "POST", "agents", agent_id, "install", body=request, read_timeout=None)


def install_stream(agent_id: str, request: AgentInstallRequest) -> Request:
    """The same, with its progress as server-sent events."""
    return Request(
        "POST",
        path("agents", agent_id, "install"),
        headers=(*ACCEPT_STREAM, JSON),
        body=msgspec.json.encode(request),
        read_timeout=45.0,
    )


def login(agent_id: str, request: AgentLoginRequest) -> Call[ProcessInfo]:
    """No read timeout: the agent is started to be asked for its ways, and installed before that where it lacks."""
    return send(ProcessInfo, "POST", "agents", agent_id, "login", body=request, read_timeout=None)


def doctor(request: DoctorRequest) -> Call[DoctorReport]:
    """No read timeout: every agent is started, and the server has its own deadlines for them."""
    return send(DoctorReport, "POST", "doctor", body=request, read_timeout=None)


def config(kind: Literal["mcp", "skills"], directory: str, name: str) -> Call[JsonObject]:
    return Call(Request("GET", *_config(kind, directory, name), (ACCEPT_JSON,)), decoder(dict[str, Any]))


def set_config(
    kind: Literal["mcp", "skills"], directory: str, name: str, entry: Mapping[str, Any] | Wire
) -> Call[None]:
    body = msgspec.json.encode(entry if isinstance(entry, Wire) else dict(entry))
    return Call(Request("PUT", *_config(kind, directory, name), (ACCEPT_JSON, JSON), body), ignore)


def delete_config(kind: Literal["mcp", "skills"], directory: str, name: str) -> Call[None]:
    return Call(Request("DELETE", *_config(kind, directory, name), (ACCEPT_JSON,)), ignore, repeatable=False)


def _config(kind: Literal["mcp", "skills"], directory: str, name: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    names = {"mcp": "mcpName", "skills": "skillName"}
    return path("config", kind), (("directory", directory), (names[kind], name))


def create_session(request: SessionCreateRequest, *, repeatable: bool) -> Call[SessionInfo]:
    """No read timeout: an agent may have to be installed first, and the server has its own deadlines for agents."""
    return send(SessionInfo, "POST", "sessions", body=request, read_timeout=None, repeatable=repeatable)


def sessions(*, limit: int | None, cursor: str | None) -> Call[SessionListing]:
    return get(SessionListing, "sessions", query=query(limit=limit, cursor=cursor))


def session(session_id: str) -> Call[SessionInfo]:
    return get(SessionInfo, "sessions", session_id)


def update_session(session_id: str, request: SessionUpdateRequest) -> Call[SessionInfo]:
    return send(SessionInfo, "PATCH", "sessions", session_id, body=request)


def fork_session(session_id: str, request: SessionForkRequest, *, repeatable: bool) -> Call[SessionInfo]:
    """No read timeout, as for a new session."""
    return send(
        SessionInfo, "POST", "sessions", session_id, "fork", body=request, read_timeout=None, repeatable=repeatable
    )


def destroy_session(session_id: str) -> Call[None]:
    return Call(Request("DELETE", path("sessions", session_id), headers=(ACCEPT_JSON,)), ignore)


def cancel(session_id: str) -> Call[SessionInfo]:
    return send(SessionInfo, "POST", "sessions", session_id, "cancel")


def post_prompt(session_id: str, request: PromptRequest, *, key: str, hold: float) -> Call[PromptInfo]:
    headers = (("Idempotency-Key", key), *prefer(hold))
    parts = ("sessions", session_id, "prompts")
    return send(PromptInfo, "POST", *parts, body=request, headers=headers, read_timeout=hold + HOLD_MARGIN)


def prompt(session_id: str, prompt_id: str, *, hold: float = 0.0) -> Call[PromptInfo]:
    request = Request(
        "GET",
        path("sessions", session_id, "prompts", prompt_id),
        headers=(ACCEPT_JSON, *prefer(hold)),
        read_timeout=hold + HOLD_MARGIN,
    )
    return Call(request, decoder(PromptInfo))


def prompts(session_id: str, *, limit: int | None = None, cursor: str | None = None) -> Call[PromptListing]:
    return get(PromptListing, "sessions", session_id, "prompts", query=query(limit=limit, cursor=cursor))


def event_page(session_id: str, *, after: int, limit: int | None) -> Call[EventPage]:
    return get(EventPage, "sessions", session_id, "events", query=query(after=after, limit=limit))


def transcript(session_id: str) -> Call[Transcript]:
    return get(Transcript, "sessions", session_id, "transcript")


def export(session_id: str, fmt: str) -> Call[str]:
    request = Request("GET", path("sessions", session_id, "transcript"), query(format=fmt), (("Accept", "*/*"),))
    return Call(request, _text)


def permissions(session_id: str, *, pending: bool = False) -> Call[PermissionListing]:
    return get(PermissionListing, "sessions", session_id, "permissions", query=query(pending=pending))


def answer(session_id: str, request_id: str, body: PermissionAnswer, *, repeatable: bool) -> Call[PermissionInfo]:
    parts = ("sessions", session_id, "permissions", request_id)
    return send(PermissionInfo, "POST", *parts, body=body, repeatable=repeatable)


def events_stream(session_id: str, after: int) -> Request:
    return stream("sessions", session_id, "events", after=after)


def transcript_stream(session_id: str, after: int | None) -> Request:
    return stream("sessions", session_id, "transcript", after=after)


def acp_servers() -> Call[AcpServerListResponse]:
    return get(AcpServerListResponse, "acp")


def acp_post(server_id: str, envelope: bytes, *, agent: str | None, wait: float | None) -> Call[JsonObject | None]:
    """Not repeatable: an envelope has no key by which the agent would know that it saw it before."""
    request = Request(
        "POST",
        path("acp", server_id),
        query(agent=agent),
        (ACCEPT_JSON, JSON, *prefer(wait or 0.0)),
        envelope,
        read_timeout=None,
    )
    return Call(request, _object_or_none, repeatable=False)


def acp_stream(server_id: str, after: int | None) -> Request:
    return stream("acp", server_id, after=after)


def acp_delete(server_id: str) -> Call[None]:
    return Call(Request("DELETE", path("acp", server_id), headers=(ACCEPT_JSON,)), ignore)


def prefer(hold: float) -> tuple[tuple[str, str], ...]:
    """RFC 7240, 4.3; whole seconds."""
    return (("Prefer", f"wait={int(hold)}"),) if hold >= 1 else ()


def _text(reply: Reply) -> str:
    return reply.body.decode("utf-8", "replace")


def _object_or_none(reply: Reply) -> JsonObject | None:
    return _object_decoder.decode(reply.body) if reply.status == HTTPStatus.OK and reply.body else None
