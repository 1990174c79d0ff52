"""What works here and what does not: the machine, then each agent, as far as a live handshake if that is wanted.

Nothing is installed, and no prompt is sent. Of credentials it is told where they are, never what they are.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox_agent import __version__
from sandbox_agent.agents import credentials, launch, machine
from sandbox_agent.agents.environment import key_method, keyed
from sandbox_agent.agents.probe import Probe
from sandbox_agent.agents.service import login_command
from sandbox_agent.problems import AgentProcessExited, Problem
from sandbox_agent.wire.doctor import AgentCheck, DoctorReport, Handshake

if TYPE_CHECKING:
    from sandbox_agent.agents.catalogue import AgentSpec
    from sandbox_agent.agents.credentials import Credential
    from sandbox_agent.agents.service import Agents
    from sandbox_agent.supervisor import Supervisor
    from sandbox_agent.wire.doctor import DoctorRequest

AT_ONCE = 3
"""So many agents are started at a time: each wants a core or two for some seconds."""

_SKIPPED = Handshake(state="skipped")
_LAST_WORDS = 300


class Doctor:
    """Examines what one server, or one command line, has to do with. ``deadline``: seconds for an agent's answer."""

    def __init__(
        self, agents: Agents, supervisor: Supervisor, *, data_dir: Path | None = None, deadline: float = 60.0
    ) -> None:
        self._agents = agents
        self._probe = Probe(supervisor, deadline=deadline)
        self._data_dir = data_dir
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def examine(self, request: DoctorRequest) -> DoctorReport:
        """Raises `UnsupportedAgent` for an agent that there is none of."""
        wanted = self._agents.ids() if request.agents is None else request.agents
        specs = [self._agents.spec(agent) for agent in wanted]
        checks, agents = await asyncio.gather(
            asyncio.to_thread(machine.examine, self._agents.environ, self._data_dir, self._agents.root),
            asyncio.gather(*(self._agent(spec, offline=request.offline) for spec in specs)),
        )
        return DoctorReport(
            version=__version__,
            created_at_ms=time.time_ns() // 1_000_000,
            usable=any(agent.usable for agent in agents),
            checks=tuple(checks),
            agents=tuple(agents),
        )

    async def _agent(self, spec: AgentSpec, *, offline: bool) -> AgentCheck:
        agents = self._agents
        info = await agents.info(spec.id)
        found = await asyncio.to_thread(launch.find, spec, agents.root, agents.environ)
        version = await asyncio.to_thread(launch.version, found) if found is not None else None
        known = await asyncio.to_thread(credentials.usable, spec, agents.providers, agents.environ)
        startable = found is not None and not found.needs
        hands, login = await self._shake(spec, found) if startable and found and not offline else (_SKIPPED, None)
        failed = hands.state == "fault"
        return AgentCheck(
            id=spec.id,
            name=spec.name or spec.id,
            # Without a login an agent may still shake hands, and only fail at the first prompt.
            usable=hands.state == "ok" and info.problem is None if not offline else startable and info.problem is None,
            installed=info.installed,
            handshake=hands,
            path=found.path if found is not None else None,
            version=version,
            credentials="not needed" if not spec.providers else _where(known) if known is not None else None,
            problem=info.problem or (hands.detail if failed else None),
            fix=info.hint or login or (self._remedy(spec, found) if failed else None),
        )

    async def _shake(self, spec: AgentSpec, launcher: launch.Launcher) -> tuple[Handshake, str | None]:
        """How it went, and how to log in where that is what is missing."""
        command = await asyncio.to_thread(launch.command, spec, launcher, self._agents.environ, self._agents.providers)
        async with self._slots:
            started = time.monotonic()
            try:
                await self._probe(spec.id, command)
            except Problem as problem:
                methods = problem.extensions.get("authMethods")
                if methods and key_method(methods, keyed(command.env, self._agents.providers)) is not None:
                    detail = "it is told to use its key when a session starts"
                    return Handshake(state="ok", seconds=_since(started), detail=detail), None
                login = _login(spec, problem) if methods is not None else None
                return Handshake(state="fault", seconds=_since(started), detail=_told(problem)), login
            return Handshake(state="ok", seconds=_since(started)), None

    def _remedy(self, spec: AgentSpec, launcher: launch.Launcher | None) -> str:
        """For one that was started and failed."""
        if launcher is not None and self._agents.root in Path(launcher.path).parents:
            return f"sandbox-agent install-agent {spec.id} --reinstall"
        return f"run {' '.join(launcher.argv)} by hand to see what it says" if launcher is not None else ""


def _login(spec: AgentSpec, problem: Problem) -> str:
    return login_command(spec) if spec.login else problem.hint or f"log in to {spec.id}"


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


def _where(credential: Credential) -> str:
    if credential.variable is not None:
        return credential.variable
    renewed = ", expired and renewed by its agent" if credential.expired() else ""
    return f"{credential.source}'s {'key' if credential.auth_type == 'api_key' else 'login'}{renewed}"


def _told(problem: Problem) -> str:
    """The fault in a line, with the last words of one that died."""
    if isinstance(problem, AgentProcessExited):
        words = str(problem.extensions.get("stderr") or "").strip()[-_LAST_WORDS:]
        return f"{problem.detail}: {words}" if words else problem.detail
    return problem.detail
