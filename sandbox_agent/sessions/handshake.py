"""The first words with an agent: ``initialize`` and a new session, and the problems they may end in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from sandbox_agent import __version__
from sandbox_agent.acp.roles import RpcError
from sandbox_agent.agents import environment
from sandbox_agent.config.mcp import shown as shown_server
from sandbox_agent.problems import InvalidRequest, StreamError, Timeout
from sandbox_agent.sessions.fold_faults import error_text
from sandbox_agent.sessions.options import AgentOptions
from sandbox_agent.wire.base import JsonObject

if TYPE_CHECKING:
    from collections.abc import Container

    from sandbox_agent.acp.connection import AgentConnection

PROTOCOL_VERSION = 1
AUTH_REQUIRED = -32000

CLIENT = {"name": "sandbox-agent", "title": "Sandbox Agent", "version": __version__}


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent said of itself."""

    info: JsonObject | None = None
    capabilities: JsonObject = {}
    auth_methods: tuple[JsonObject, ...] = ()

    def can_resume(self) -> bool:
        session = self.capabilities.get("sessionCapabilities")
        return isinstance(session, dict) and session.get("resume") is not None

    def can(self, verb: Literal["fork", "close", "delete", "list"]) -> bool:
        """Whether it said it has ``session/<verb>``."""
        session = self.capabilities.get("sessionCapabilities")
        return isinstance(session, dict) and isinstance(session.get(verb), dict)

    def can_load(self) -> bool:
        return self.capabilities.get("loadSession") is True


async def initialize(
    connection: AgentConnection, agent: str, deadline: float, capabilities: JsonObject | None = None
) -> Greeting:
    """Greet the agent. ``capabilities`` are what we do for it."""
    params = {"protocolVersion": PROTOCOL_VERSION, "clientInfo": CLIENT, "clientCapabilities": capabilities or {}}
    result = await ask(connection, "initialize", params, agent=agent, deadline=deadline)
    version = result.get("protocolVersion")
    if version != PROTOCOL_VERSION:
        raise StreamError(
            f"{agent} speaks version {version!r} of the Agent Client Protocol, not {PROTOCOL_VERSION}", agent=agent
        )
    info, capabilities, methods = (result.get(key) for key in ("agentInfo", "agentCapabilities", "authMethods"))
    return Greeting(
        info=info if isinstance(info, dict) else None,
        capabilities=capabilities if isinstance(capabilities, dict) else {},
        auth_methods=tuple(m for m in methods if isinstance(m, dict)) if isinstance(methods, list) else (),
    )


async def new_session(
    connection: AgentConnection,
    greeting: Greeting,
    *,
    agent: str,
    cwd: str,
    mcp_servers: tuple[JsonObject, ...],
    deadline: float,
    forked_from: str | None = None,
) -> tuple[str, AgentOptions]:
    """A new session of the agent, or one forked from another: its id there, and what can be chosen."""
    method = "session/fork" if forked_from is not None else "session/new"
    result = await ask(
        connection,
        method,
        placed(cwd, mcp_servers, forked_from),
        agent=agent,
        deadline=deadline,
        greeting=greeting,
        shown=placed(cwd, tuple(map(shown_server, mcp_servers)), forked_from),
    )
    session_id = result.get("sessionId")
    if not isinstance(session_id, str) or not session_id:
        raise StreamError(f"{agent} answered {method} without a sessionId", agent=agent)
    return session_id, AgentOptions.of(result)


async def authenticate(connection: AgentConnection, method: str, *, agent: str, deadline: float) -> None:
    """Have the agent use one of its own ways to log in; those that open a browser end by the deadline."""
    await ask(connection, "authenticate", {"methodId": method}, agent=agent, deadline=deadline)


def chosen_method(greeting: Greeting, method: str, *, agent: str) -> str:
    """The method asked for. Raises ``InvalidRequest`` when it is none of those the agent tells, if it tells any."""
    offered = [str(known.get("id")) for known in greeting.auth_methods]
    if offered and method not in offered:
        detail = f"{agent} does not offer to authenticate by {method!r}"
        raise InvalidRequest(detail, hint=f"it offers {', '.join(offered)}", agent=agent)
    return method


def key_method(refused: StreamError, greeting: Greeting, keyed: Container[str]) -> str | None:
    """The way to log in with a key that is in the agent's environment already, where that is what it asks for.

    ``keyed`` are the providers whose keys are there.
    """
    error = refused.extensions.get("error")
    if not isinstance(error, dict) or error.get("code") != AUTH_REQUIRED:
        return None
    return environment.key_method(greeting.auth_methods, keyed)


def placed(cwd: str, mcp_servers: tuple[JsonObject, ...], session_id: str | None = None) -> JsonObject:
    """The params all requests have that open a session."""
    params: JsonObject = {} if session_id is None else {"sessionId": session_id}
    return params | {"cwd": cwd, "mcpServers": list(mcp_servers)}


async def ask(
    connection: AgentConnection,
    method: str,
    params: JsonObject,
    *,
    agent: str,
    deadline: float,
    greeting: Greeting | None = None,
    shown: JsonObject | None = None,
) -> JsonObject:
    """A request with a deadline, its failures told as problems. An answer that is no object counts as empty.

    ``shown`` is what the events hold in place of params with secrets.

    Raises ``Timeout``, ``StreamError`` (the agent's own error in extension ``error``), ``AgentProcessExited``.
    """
    try:
        result = await connection.request(method, params, deadline=deadline, shown=shown)
    except Timeout as late:
        raise Timeout(
            f"{agent} did not answer {method} within {deadline:g} s",
            hint=f"run {agent} by hand to see what it waits for, or allow it more time",
            agent=agent,
            method=method,
        ) from late
    except RpcError as error:
        raise refusal(error, method, agent=agent, greeting=greeting) from error
    return result if isinstance(result, dict) else {}


def refusal(error: RpcError, method: str, *, agent: str, greeting: Greeting | None = None) -> StreamError:
    """The problem of an error the agent answered; one of missing credentials says how to log in."""
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    detail = f"{agent} answered {method} with error {error.code}: {error_text(told)}"
    if error.code != AUTH_REQUIRED:
        return StreamError(detail, agent=agent, error=told)
    methods = greeting.auth_methods if greeting else ()
    data_methods = error.data.get("authMethods") if isinstance(error.data, dict) else None
    if isinstance(data_methods, list):
        methods = tuple(m for m in data_methods if isinstance(m, dict)) or methods
    ways = "; ".join(filter(None, map(_way, methods)))
    hint = f"log in to {agent} or set its API key" + (f": {ways}" if ways else "")
    return StreamError(detail, hint=hint, agent=agent, error=told, authMethods=list(methods) or None)


def _way(method: JsonObject) -> str:
    name, description = method.get("name") or method.get("id"), method.get("description")
    return f"{name} ({description})" if name and description else str(name or "")
