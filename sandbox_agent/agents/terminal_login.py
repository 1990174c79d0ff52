"""Logging in to an agent in one of our terminals, by the program that the agent itself names for it.

ACP has agents tell how to authenticate; a way of type ``terminal`` is the agent's own program with other arguments, run
where a person can see and type. Older agents tell a whole command in ``_meta``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox_agent.agents.probe import handshake
from sandbox_agent.problems import InvalidRequest
from sandbox_agent.wire.processes import ProcessCreateRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox_agent.agents.service import Agents
    from sandbox_agent.processes import Process, Processes
    from sandbox_agent.supervisor import Command, Supervisor
    from sandbox_agent.wire.agents import AgentLoginRequest
    from sandbox_agent.wire.base import JsonObject

CAPABILITIES: JsonObject = {"auth": {"terminal": True}, "_meta": {"terminal-auth": True}}
"""Agents name their terminal ways only to clients that say they have terminals; in the words of old and new drafts."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to log in: its id, and what to run in a terminal."""

    id: str
    argv: tuple[str, ...]
    env: dict[str, str]


def ways(methods: Sequence[Any], command: Command) -> list[Way]:
    """Those of an agent's ``authMethods`` that are for a terminal; ``command`` is what starts the agent itself."""
    found = (_way(method, command) for method in methods if isinstance(method, dict))
    return [way for way in found if way is not None]


def _way(method: JsonObject, command: Command) -> Way | None:
    name, meta = method.get("id"), _member(method, "_meta")
    told = _member(meta, "terminal-auth")
    program = told.get("command")
    if not isinstance(name, str):
        return None
    if isinstance(program, str) and program:
        return Way(name, (program, *_words(told)), _env(told))
    for own in (method, meta):
        if own.get("type") == "terminal":
            return Way(name, (*command.argv, *_words(own)), _env(own))
    return None


def _words(told: JsonObject) -> tuple[str, ...]:
    args = told.get("args")
    return tuple(map(str, args)) if isinstance(args, list) else ()


def _env(told: JsonObject) -> dict[str, str]:
    return {str(name): str(value) for name, value in _member(told, "env").items()}


def _member(value: JsonObject, name: str) -> JsonObject:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


class TerminalLogins:
    """Starts agents' own programs for logging in."""

    def __init__(self, agents: Agents, supervisor: Supervisor, processes: Processes) -> None:
        self._agents = agents
        self._supervisor = supervisor
        self._processes = processes

    async def start(self, agent: str, request: AgentLoginRequest) -> Process:
        """A process on a terminal in which a person logs in to the agent, by the first way there is or the one named.

        Raises ``InvalidRequest`` where the agent has none, and what starting an agent raises.
        """
        command = await self._agents.command(agent)
        told = await handshake(self._supervisor, agent, command, capabilities=CAPABILITIES)
        methods = told.get("authMethods")
        offered = ways(methods if isinstance(methods, list) else (), command)
        way = next((way for way in offered if request.method in {None, way.id}), None)
        if way is None:
            asked = f" called {request.method!r}" if request.method is not None else ""
            hint = f"it offers {', '.join(way.id for way in offered)}" if offered else _described(methods)
            raise InvalidRequest(f"{agent} has no way{asked} to log in in a terminal", hint=hint, agent=agent)
        return await self._processes.start(
            ProcessCreateRequest(
                command=way.argv[0],
                args=way.argv[1:],
                env=dict(command.env) | way.env,
                interactive=True,
                tty=True,
                cols=request.cols,
                rows=request.rows,
            ),
            owner="system",
        )


def _described(methods: Any) -> str | None:
    """How else to log in, in the agent's words."""
    told = [method.get("description") or method.get("name") for method in methods or () if isinstance(method, dict)]
    return "; ".join(text for text in told if isinstance(text, str) and text) or None
