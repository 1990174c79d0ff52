"""The /v1 routes as :class:`~sandbox_agent.client.calls.Call` values: how to ask, and how to read the answer (pure)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import quote

import msgspec

from sandbox_agent.client.calls import Call, decoder, ignore
from sandbox_agent.client.effects import Request
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
    from sandbox_agent.wire.agents import AgentInstallRequest
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

JSON: Final = ("Content-Type", "application/json")
ACCEPT_JSON: Final = ("Accept", "application/json")
ACCEPT_STREAM: Final = (("Accept", "text/event-stream"), ("Cache-Control", "no-store"))
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


def _path(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _query(**values: str | int | bool | None) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in values.items()
        if value is not None and value is not False
    )


def _get(
    kind: type[T], *parts: str, query: tuple[tuple[str, str], ...] = (), read_timeout: float | None = 120.0
) -> Call[T]:
    request = Request("GET", _path(*parts), query, (ACCEPT_JSON,), read_timeout=read_timeout)
    return Call(request, decoder(kind))


def _send(
    kind: type[T],
    method: str,
    *parts: str,
    body: Wire | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    read_timeout: float | None = 120.0,
    repeatable: bool = True,
) -> Call[T]:
    # A POST without a body still says JSON: servers refuse other types of cross-site request by that header.
    content = b"{}" if body is None else msgspec.json.encode(body)
    request = Request(
        method, _path(*parts), headers=(ACCEPT_JSON, JSON, *headers), body=content, read_timeout=read_timeout
    )
    return Call(request, decoder(kind), repeatable)


def health(read_timeout: float = 10.0) -> Call[HealthResponse]:
    return _get(HealthResponse, "health", read_timeout=read_timeout)


def agents(*, config: bool, no_cache: bool) -> Call[AgentListing]:
    return _get(AgentListing, "agents", query=_query(config=config, no_cache=no_cache))


def agent(agent_id: str, *, config: bool, no_cache: bool) -> Call[AgentInfo]:
    return _get(AgentInfo, "agents", agent_id, query=_query(config=config, no_cache=no_cache))


def install_agent(agent_id: str, request: AgentInstallRequest) -> Call[AgentInstallResponse]:
    """No read timeout: packages are fetched. Repeatable: an install that runs is joined."""
    return _send(AgentInstallResponse, "POST", "agents", agent_id, "install", body=request, read_timeout=None)


def install_stream(agent_id: str, request: AgentInstallRequest) -> Request:
    """The same, with its progress as server-sent events."""
    return Request(
        "POST",
        _path("agents", agent_id, "install"),
        headers=(*ACCEPT_STREAM, JSON),
        body=msgspec.json.encode(request),
        read_timeout=45.0,
    )


def doctor(request: DoctorRequest) -> Call[DoctorReport]:
    """No read timeout: every agent is started, and the server has its own deadlines for them."""
    return _send(DoctorReport, "POST", "doctor", body=request, read_timeout=None)


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
    return _path("config", kind), (("directory", directory), (names[kind], name))


def create_session(request: SessionCreateRequest, *, repeatable: bool) -> Call[SessionInfo]:
    """No read timeout: an agent may have to be installed first, and the server has its own deadlines for agents."""
    return _send(SessionInfo, "POST", "sessions", body=request, read_timeout=None, repeatable=repeatable)


def sessions(*, limit: int | None, cursor: str | None) -> Call[SessionListing]:
    return _get(SessionListing, "sessions", query=_query(limit=limit, cursor=cursor))


def session(session_id: str) -> Call[SessionInfo]:
    return _get(SessionInfo, "sessions", session_id)


def update_session(session_id: str, request: SessionUpdateRequest) -> Call[SessionInfo]:
    return _send(SessionInfo, "PATCH", "sessions", session_id, body=request)


def fork_session(session_id: str, request: SessionForkRequest, *, repeatable: bool) -> Call[SessionInfo]:
    """No read timeout, as for a new session."""
    return _send(
        SessionInfo, "POST", "sessions", session_id, "fork", body=request, read_timeout=None, repeatable=repeatable
    )


def destroy_session(session_id: str, *, repeatable: bool) -> Call[None]:
    return Call(Request("DELETE", _path("sessions", session_id), headers=(ACCEPT_JSON,)), ignore, repeatable)


def cancel(session_id: str) -> Call[SessionInfo]:
    return _send(SessionInfo, "POST", "sessions", session_id, "cancel")


def post_prompt(session_id: str, request: PromptRequest, *, key: str, hold: float) -> Call[PromptInfo]:
    headers = (("Idempotency-Key", key), *_prefer(hold))
    parts = ("sessions", session_id, "prompts")
    return _send(PromptInfo, "POST", *parts, body=request, headers=headers, read_timeout=hold + HOLD_MARGIN)


def prompt(session_id: str, prompt_id: str, *, hold: float = 0.0) -> Call[PromptInfo]:
    request = Request(
        "GET",
        _path("sessions", session_id, "prompts", prompt_id),
        headers=(ACCEPT_JSON, *_prefer(hold)),
        read_timeout=hold + HOLD_MARGIN,
    )
    return Call(request, decoder(PromptInfo))


def prompts(session_id: str, *, limit: int | None = None, cursor: str | None = None) -> Call[PromptListing]:
    return _get(PromptListing, "sessions", session_id, "prompts", query=_query(limit=limit, cursor=cursor))


def event_page(session_id: str, *, after: int, limit: int | None) -> Call[EventPage]:
    return _get(EventPage, "sessions", session_id, "events", query=_query(after=after, limit=limit))


def transcript(session_id: str) -> Call[Transcript]:
    return _get(Transcript, "sessions", session_id, "transcript")


def export(session_id: str, fmt: str) -> Call[str]:
    request = Request("GET", _path("sessions", session_id, "transcript"), _query(format=fmt), (("Accept", "*/*"),))
    return Call(request, _text)


def permissions(session_id: str, *, pending: bool = False) -> Call[PermissionListing]:
    return _get(PermissionListing, "sessions", session_id, "permissions", query=_query(pending=pending))


def answer(session_id: str, request_id: str, body: PermissionAnswer, *, repeatable: bool) -> Call[PermissionInfo]:
    parts = ("sessions", session_id, "permissions", request_id)
    return _send(PermissionInfo, "POST", *parts, body=body, repeatable=repeatable)


def events_stream(session_id: str, after: int) -> Request:
    return _stream("sessions", session_id, "events", after=after)


def transcript_stream(session_id: str, after: int | None) -> Request:
    return _stream("sessions", session_id, "transcript", after=after)


def acp_servers() -> Call[AcpServerListResponse]:
    return _get(AcpServerListResponse, "acp")


def acp_post(server_id: str, envelope: bytes, *, agent: str | None, wait: float | None) -> Call[JsonObject | None]:
    """Not repeatable: an envelope has no key by which the agent would know that it saw it before."""
    request = Request(
        "POST",
        _path("acp", server_id),
        _query(agent=agent),
        (ACCEPT_JSON, JSON, *_prefer(wait or 0.0)),
        envelope,
        read_timeout=None,
    )
    return Call(request, _object_or_none, repeatable=False)


def acp_stream(server_id: str, after: int | None) -> Request:
    return _stream("acp", server_id, after=after)


def acp_delete(server_id: str) -> Call[None]:
    return Call(Request("DELETE", _path("acp", server_id), headers=(ACCEPT_JSON,)), ignore)


def _stream(*parts: str, after: int | None) -> Request:
    cursor = () if after is None else (("Last-Event-ID", str(after)),)
    return Request("GET", _path(*parts), headers=(*ACCEPT_STREAM, *cursor), read_timeout=45.0)


def _prefer(hold: float) -> tuple[tuple[str, str], ...]:
    """RFC 7240, 4.3; whole seconds."""
    return (("Prefer", f"wait={int(hold)}"),) if hold >= 1 else ()


def _text(reply: Reply) -> str:
    return reply.body.decode("utf-8", "replace")


def _object_or_none(reply: Reply) -> JsonObject | None:
    return _object_decoder.decode(reply.body) if reply.status == HTTPStatus.OK and reply.body else None
