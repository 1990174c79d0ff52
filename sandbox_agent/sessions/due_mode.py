"""The mode an agent was asked for, before it has said yes: creation does not wait for that, every turn does.

An agent that would decide by itself must never get a prompt in that mode. So the mode that is due stands in the
session's row from before it is asked for until the agent has confirmed it, whatever becomes of agent and server
meanwhile; and an agent that does not confirm it is ended, and the session says why.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sandbox_agent.problems import Problem
from sandbox_agent.sessions import events
from sandbox_agent.sessions.options import not_accepted
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox_agent.acp.connection import AgentConnection
    from sandbox_agent.sessions.core import Core
    from sandbox_agent.sessions.options import Choice


class DueMode:
    """``choose`` asks the agent, and gives the value that stands then."""

    def __init__(self, core: Core, choose: Callable[[AgentConnection, Choice, str], Awaitable[str | None]]) -> None:
        self._core = core
        self._choose = choose
        self._asked: asyncio.Task[Problem | None] | None = None
        self._ending: AgentConnection | None = None

    def ask(self, connection: AgentConnection, mode: str) -> None:
        """Ask for the mode now, and do not wait for the answer."""
        self._core.change(due_mode=mode)
        self._asked = spawn_task(self._ask(connection, mode), name=f"mode of {self._core.id}")

    def ask_if_due(self, connection: AgentConnection) -> None:
        """Ask for the mode that the row says is due, where that was not done yet."""
        mode = self._core.row.due_mode
        if mode is not None and self._asked is None:
            self.ask(connection, mode)

    async def answered(self) -> None:
        """Wait for the agent's answer, if one is due, whatever it is."""
        if self._asked is not None:
            await asyncio.wait({self._asked})

    async def settled(self) -> None:
        """Wait until the agent is in the mode it was asked for; raises, once, the problem it has with that."""
        await self.answered()
        asked, self._asked = self._asked, None
        if asked is not None and (problem := asked.result()) is not None:
            raise problem

    def forget(self) -> None:
        """Another mode was chosen, or there is none to choose."""
        self._asked = None
        if self._core.row.due_mode is not None:
            self._core.change(due_mode=None)

    def ending(self, connection: AgentConnection) -> None:
        """We end this agent: that it does not answer any more is no news."""
        self._ending = connection

    async def _ask(self, connection: AgentConnection, mode: str) -> Problem | None:
        core = self._core
        try:
            stands = await self._choose(connection, "mode", mode)
            if stands != mode:
                raise not_accepted("mode", mode, stands, agent=core.row.agent)
        except Problem as problem:
            if self._ending is not connection:
                text = f"The agent is not in the mode {mode} and was ended; no prompt reaches it in another one"
                core.note(events.notice("error", text, problem.detail))
                core.change(error=core.redact(problem.document()))
                await connection.close(core.settings.end_grace)
            return problem
        core.change(due_mode=None)
        return None
