"""Asking an agent which options its sessions have: started for a moment, in an empty folder, then ended."""

from __future__ import annotations

import asyncio
import shlex
import tempfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sandbox_agent import __version__
from sandbox_agent.acp.connection import AgentConnection
from sandbox_agent.acp.roles import RpcError
from sandbox_agent.journal import open_journals
from sandbox_agent.problems import StreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sandbox_agent.supervisor import Command, Supervisor
    from sandbox_agent.wire.base import JsonObject

AUTH_REQUIRED = -32000

INITIALIZE = {
    "protocolVersion": 1,
    "clientCapabilities": {},
    "clientInfo": {"name": "sandbox-agent", "title": "Sandbox Agent", "version": __version__},
}

# How agents offered models and modes before there were config options: the member of the answer to `session/new`,
# then of it the list, the id of an entry, and the current one.
_OLDER = {
    "model": ("models", "availableModels", "modelId", "currentModelId"),
    "mode": ("modes", "availableModes", "id", "currentModeId"),
}


@asynccontextmanager
async def _started(
    supervisor: Supervisor, agent: str, command: Command, deadline: float
) -> AsyncIterator[tuple[AgentConnection, str]]:
    """The agent, running, and an empty folder; both are gone afterwards. Its error answers are a StreamError."""
    journals = open_journals("memory:")
    await journals.start()
    folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="sandbox-agent-")
    try:
        connection = await AgentConnection.open(
            server_id=f"probe of {agent}",
            agent=agent,
            command=command,
            supervisor=supervisor,
            journal=await journals.open("probe"),
            launch_deadline=deadline,
        )
        try:
            yield connection, folder.name
        except RpcError as error:
            told = {"code": error.code, "message": error.message}
            raise StreamError(f"{agent} answered: {error}", agent=agent, error=told) from error
        finally:
            await connection.close(grace=0.5)
    finally:
        await asyncio.to_thread(folder.cleanup)
        await journals.stop()


async def handshake(
    supervisor: Supervisor,
    agent: str,
    command: Command,
    *,
    deadline: float = 60.0,
    capabilities: JsonObject | None = None,
) -> JsonObject:
    """What an agent answers to `initialize`; ``capabilities`` are what it is told that we do for it.

    Raises AgentNotInstalled, AgentProcessExited, Timeout, or StreamError when that is an error, or no object.
    """
    async with _started(supervisor, agent, command, deadline) as (connection, _):
        params = INITIALIZE | {"clientCapabilities": capabilities or {}}
        answer = await connection.request("initialize", params, deadline=deadline)
    if not isinstance(answer, dict) or "protocolVersion" not in answer:
        raise StreamError(f"{agent} answered initialize with something else than its protocol version", agent=agent)
    return answer


class Probe:
    """Makes a real session and reads its options; what the agent tells is not kept. ``deadline``: seconds an answer."""

    def __init__(self, supervisor: Supervisor, *, deadline: float = 30.0) -> None:
        self._supervisor = supervisor
        self._deadline = deadline

    async def __call__(self, agent: str, command: Command) -> tuple[JsonObject, ...]:
        """The config options of a new session.

        Raises AgentNotInstalled, AgentProcessExited, Timeout, or StreamError when the agent answers with an error.
        """
        async with _started(self._supervisor, agent, command, self._deadline) as (connection, folder):
            return await self._options(connection, folder)

    async def _options(self, connection: AgentConnection, cwd: str) -> tuple[JsonObject, ...]:
        able = await connection.request("initialize", INITIALIZE, deadline=self._deadline)
        session = await self._session(connection, cwd, able)
        if session is None:
            return ()
        if "delete" in _member(_member(able, "agentCapabilities"), "sessionCapabilities"):
            # The session was made to be asked only; agents list what they keep.
            await connection.request("session/delete", {"sessionId": session.get("sessionId")}, deadline=self._deadline)
        return options_of(session)

    async def _session(self, connection: AgentConnection, cwd: str, able: Any) -> JsonObject | None:
        """A new session; a refusal for want of a login has the agent's ways to log in."""
        params = {"cwd": cwd, "mcpServers": []}
        try:
            made = await connection.request("session/new", params, deadline=self._deadline)
        except RpcError as error:
            if error.code != AUTH_REQUIRED:
                raise
            # It is not told to use a key it has: some keep it then, and this is to look only.
            methods = able.get("authMethods") if isinstance(able, dict) else None
            usable = [method for method in methods if isinstance(method, dict)] if isinstance(methods, list) else []
            detail = f"{connection.agent} wants a login: {error.message}"
            raise StreamError(detail, hint=login_hint(usable), agent=connection.agent, authMethods=usable) from error
        return made if isinstance(made, dict) else None


def login_hint(methods: Sequence[JsonObject]) -> str | None:
    """What to run to log in, as the agent's own ways to authenticate tell it; None where none does."""
    for method in methods:
        terminal = _member(_member(method, "_meta"), "terminal-auth")
        command, args = terminal.get("command"), terminal.get("args")
        if isinstance(command, str):
            return shlex.join([command, *map(str, args if isinstance(args, list) else ())])
    told = (method.get("description") or method.get("name") for method in methods)
    return next((text for text in told if isinstance(text, str) and text), None)


def options_of(session: JsonObject) -> tuple[JsonObject, ...]:
    """The config options a session offers; those of older agents are made from their models and modes."""
    offered = session.get("configOptions")
    if isinstance(offered, list) and offered:
        return tuple(option for option in offered if isinstance(option, dict))
    found = (_older(session, option) for option in _OLDER)
    return tuple(option for option in found if option is not None)


def _older(session: JsonObject, option: str) -> JsonObject | None:
    member, listed, key, current = _OLDER[option]
    state = _member(session, member)
    entries = [entry for entry in state.get(listed) or () if isinstance(entry, dict) and key in entry]
    if not entries:
        return None
    return {
        "id": option,
        "name": option.title(),
        "category": option,
        "type": "select",
        "currentValue": state.get(current),
        "options": [{"value": entry[key], "name": entry.get("name", entry[key])} for entry in entries],
    }


def _member(value: Any, name: str) -> JsonObject:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}
