"""The route table: every method of every path, once. Dispatch, OpenAPI and the tests are made from it."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from sandbox_agent import problems as p
from sandbox_agent.server import (
    acp,
    agents,
    config,
    doctor,
    health,
    install,
    negotiate,
    openapi,
    session_events,
    sessions,
)
from sandbox_agent.server.call import MIB, RawJson, Route
from sandbox_agent.server.desktop.a11y import ROUTES as DESKTOP_A11Y
from sandbox_agent.server.desktop.routes import ROUTES as DESKTOP
from sandbox_agent.server.files.routes import ROUTES as FILES
from sandbox_agent.server.processes.routes import ROUTES as PROCESSES
from sandbox_agent.wire import acp as acp_wire
from sandbox_agent.wire import agents as agents_wire
from sandbox_agent.wire import config as config_wire
from sandbox_agent.wire import doctor as doctor_wire
from sandbox_agent.wire import health as health_wire
from sandbox_agent.wire import processes as processes_wire
from sandbox_agent.wire import sessions as wire
from sandbox_agent.wire.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Iterable

    import msgspec

ACP_BODY_LIMIT = 256 * MIB
PROMPT_BODY_LIMIT = 64 * MIB
EXECUTE = "execute"
_STREAM = (negotiate.EVENT_STREAM,)
_LAST_EVENT_ID = {"Last-Event-ID": "the sequence after which to go on"}
_PREFER = {"Prefer": "`wait=N` holds the answer for up to N seconds"}

# What it may come to that an agent is started, or asked for something.
_ASKS = (p.AgentNotInstalled, p.AgentProcessExited, p.StreamError, p.Timeout)
_STARTS = (*_ASKS, p.InstallFailed)


def _configuration(path: str, query: type[msgspec.Struct], body: RawJson, what: tuple[str, str, str]) -> list[Route]:
    """The three routes of what is configured for a directory, with their summaries."""
    of_it = partial(Route, path=path, query=query)
    return [
        of_it(method="GET", endpoint=config.get, summary=what[0], answers={200: body}, problems=(p.NotFound,)),
        of_it(method="PUT", endpoint=config.put, summary=what[1], body=body, answers={204: None}, action=EXECUTE),
        of_it(method="DELETE", endpoint=config.delete, summary=what[2], answers={204: None}, problems=(p.NotFound,)),
    ]


_CONFIG = (
    *_configuration(
        "/v1/config/mcp",
        config.McpConfigQuery,
        RawJson("McpServerConfig", config_wire.McpServerConfig),
        (
            "Tell how an MCP server is configured for a directory",
            "Configure an MCP server for every session in a directory",
            "Forget an MCP server of a directory",
        ),
    ),
    *_configuration(
        "/v1/config/skills",
        config.SkillsConfigQuery,
        RawJson("SkillsConfig", config_wire.SkillsConfig),
        (
            "Tell which skills are configured for a directory",
            "Configure skills for every session in a directory",
            "Forget skills of a directory",
        ),
    ),
)

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/",
        endpoint=health.service,
        summary="Name the service",
        answers={200: health_wire.ServiceInfo},
        public=True,
    ),
    Route(
        method="GET",
        path="/v1/health",
        endpoint=health.health,
        summary="Tell whether the server serves, and whether it can write to its store",
        answers={200: health_wire.HealthResponse},
    ),
    Route(
        method="GET",
        path="/v1/openapi.json",
        endpoint=openapi.document_of_server,
        summary="This description",
        answers={200: (negotiate.JSON,)},
    ),
    Route(
        method="GET",
        path="/v1/acp",
        endpoint=acp.list_servers,
        summary="List the live ACP servers",
        answers={200: acp_wire.AcpServerListResponse},
    ),
    Route(
        method="POST",
        path="/v1/acp/{server_id}",
        endpoint=acp.post,
        summary="Send one JSON-RPC envelope to an agent, starting it when `agent` is given",
        query=acp.AcpQuery,
        body=RawJson("AcpEnvelope"),
        headers=_PREFER,
        answers={200: RawJson("AcpEnvelope"), 202: None},
        problems=(p.UnsupportedAgent, *_STARTS, p.NotAcceptable, p.Conflict, p.SessionNotFound),
        action=EXECUTE,
        body_limit=ACP_BODY_LIMIT,
    ),
    Route(
        method="GET",
        path="/v1/acp/{server_id}",
        endpoint=acp.stream,
        summary="Stream everything the agent wrote, from the cursor on",
        headers=_LAST_EVENT_ID,
        answers={200: _STREAM},
        problems=(p.SessionNotFound, p.NotAcceptable),
    ),
    Route(
        method="DELETE",
        path="/v1/acp/{server_id}",
        endpoint=acp.delete,
        summary="End the agent's process",
        answers={204: None},
    ),
    Route(
        method="GET",
        path="/v1/agents",
        endpoint=agents.list_agents,
        summary="List the agents and whether they can be used",
        query=agents.AgentQuery,
        answers={200: agents_wire.AgentListResponse},
    ),
    Route(
        method="GET",
        path="/v1/agents/{agent}",
        endpoint=agents.get_agent,
        summary="Tell about one agent",
        query=agents.AgentQuery,
        answers={200: agents_wire.AgentInfo},
        problems=(p.UnsupportedAgent,),
    ),
    Route(
        method="POST",
        path="/v1/agents/{agent}/install",
        endpoint=install.install,
        summary="Install an agent; as an event stream, with its progress",
        body=agents_wire.AgentInstallRequest,
        answers={200: (agents_wire.AgentInstallResponse, negotiate.EVENT_STREAM)},
        problems=(p.UnsupportedAgent, p.InstallFailed),
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/agents/{agent}/login",
        endpoint=agents.login,
        summary="Start the agent's own program for logging in, on a terminal; the process, to attach to",
        body=agents_wire.AgentLoginRequest,
        answers={200: processes_wire.ProcessInfo},
        problems=(p.UnsupportedAgent, *_STARTS, p.Conflict),
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/doctor",
        endpoint=doctor.examine,
        summary="Check the machine and the agents, each by a live handshake, and say what to run",
        body=doctor_wire.DoctorRequest,
        answers={200: doctor_wire.DoctorReport},
        problems=(p.UnsupportedAgent,),
        action=EXECUTE,
    ),
    *_CONFIG,
    Route(
        method="GET",
        path="/v1/sessions",
        endpoint=sessions.list_sessions,
        summary="List the sessions, newest first",
        query=sessions.PageQuery,
        answers={200: wire.SessionListResponse},
    ),
    Route(
        method="POST",
        path="/v1/sessions",
        endpoint=sessions.create,
        summary="Create a session",
        body=wire.SessionCreateRequest,
        answers={201: wire.SessionInfo},
        problems=(p.UnsupportedAgent, p.ModeNotSupported, *_STARTS, p.SessionAlreadyExists),
        action=EXECUTE,
    ),
    Route(
        method="GET",
        path="/v1/sessions/{id}",
        endpoint=sessions.get,
        summary="Tell about one session",
        answers={200: wire.SessionInfo},
        problems=(p.SessionNotFound,),
    ),
    Route(
        method="PATCH",
        path="/v1/sessions/{id}",
        endpoint=sessions.update,
        summary="Change a session's title, model, mode, thought level or permission policy",
        body=wire.SessionUpdateRequest,
        answers={200: wire.SessionInfo},
        problems=(p.ModeNotSupported, p.SessionNotFound, p.Conflict, *_STARTS),
        action=EXECUTE,
    ),
    Route(
        method="DELETE",
        path="/v1/sessions/{id}",
        endpoint=sessions.delete,
        summary="Destroy a session with its events",
        answers={204: None},
        problems=(p.SessionNotFound,),
    ),
    Route(
        method="POST",
        path="/v1/sessions/{id}/fork",
        endpoint=sessions.fork,
        summary="Create a session that goes on from where this one stands",
        body=wire.SessionForkRequest,
        answers={201: wire.SessionInfo},
        problems=(p.SessionNotFound, p.SessionAlreadyExists, p.Conflict, *_ASKS),
        action=EXECUTE,
    ),
    Route(
        method="GET",
        path="/v1/sessions/{id}/agent-sessions",
        endpoint=sessions.agent_sessions,
        summary="List the sessions that the agent itself has for the session's folder",
        query=sessions.AgentSessionsQuery,
        answers={200: wire.AgentSessionList},
        problems=(p.SessionNotFound, *_ASKS),
        action=EXECUTE,
    ),
    Route(
        method="GET",
        path="/v1/sessions/{id}/prompts",
        endpoint=sessions.prompts,
        summary="List a session's prompts",
        query=sessions.PageQuery,
        answers={200: wire.PromptListResponse},
        problems=(p.SessionNotFound,),
    ),
    Route(
        method="POST",
        path="/v1/sessions/{id}/prompts",
        endpoint=sessions.prompt,
        summary="Give the agent a prompt, as a job",
        body=wire.PromptRequest,
        headers=_PREFER | {"Idempotency-Key": "a prompt with the same key runs once"},
        answers={200: wire.PromptInfo, 202: wire.PromptInfo},
        problems=(p.SessionNotFound, p.Conflict),
        action=EXECUTE,
        body_limit=PROMPT_BODY_LIMIT,
    ),
    Route(
        method="GET",
        path="/v1/sessions/{id}/prompts/{prompt_id}",
        endpoint=sessions.get_prompt,
        summary="Tell how a prompt goes",
        headers=_PREFER,
        answers={200: wire.PromptInfo},
        problems=(p.SessionNotFound, p.NotFound),
    ),
    Route(
        method="POST",
        path="/v1/sessions/{id}/cancel",
        endpoint=sessions.cancel,
        summary="End the turn, keep the session",
        answers={200: wire.SessionInfo},
        problems=(p.SessionNotFound,),
        action=EXECUTE,
    ),
    Route(
        method="GET",
        path="/v1/sessions/{id}/events",
        endpoint=session_events.events,
        summary="Page through a session's events, or stream them",
        query=session_events.EventsQuery,
        headers=_LAST_EVENT_ID,
        answers={200: (wire.EventPage, negotiate.EVENT_STREAM)},
        problems=(p.SessionNotFound,),
    ),
    Route(
        method="GET",
        path="/v1/sessions/{id}/transcript",
        endpoint=session_events.transcript,
        summary="The folded view of a session, its export, or a stream of its changes",
        query=session_events.TranscriptQuery,
        headers=_LAST_EVENT_ID,
        answers={
            200: (
                Transcript,
                negotiate.EVENT_STREAM,
                "text/markdown",
                "text/html",
                "text/plain",
                "application/x-ipynb+json",
            )
        },
        problems=(p.SessionNotFound,),
    ),
    Route(
        method="GET",
        path="/v1/sessions/{id}/permissions",
        endpoint=sessions.permissions,
        summary="List a session's permission requests",
        query=sessions.PermissionQuery,
        answers={200: wire.PermissionListResponse},
        problems=(p.SessionNotFound,),
    ),
    Route(
        method="POST",
        path="/v1/sessions/{id}/permissions/{request_id}",
        endpoint=sessions.answer_permission,
        summary="Answer a permission request; the first answer wins",
        body=wire.PermissionAnswer,
        answers={200: wire.PermissionInfo},
        problems=(p.SessionNotFound, p.NotFound, p.Conflict),
        action=EXECUTE,
    ),
    *FILES,
    *PROCESSES,
    *DESKTOP,
    *DESKTOP_A11Y,
)

_PARAMETER = re.compile(r"\{(\w+)\}")


def by_path(routes: Iterable[Route] = ROUTES) -> dict[str, dict[str, Route]]:
    """The routes as path -> method -> route."""
    table: dict[str, dict[str, Route]] = {}
    for route in routes:
        table.setdefault(route.path, {})[route.method] = route
    return table


def pattern(path: str) -> str:
    """The regular expression of a path; each ``{name}`` is one path segment, percent-decoded by the host."""
    return _PARAMETER.sub(r"(?P<\1>[^/]+)", path)


def parameters(path: str) -> list[str]:
    return _PARAMETER.findall(path)
