"""Which agents there are, whether they can be used, and what starts them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING

from sandbox_agent.agents import credentials, launch
from sandbox_agent.agents.catalogue import load
from sandbox_agent.agents.environment import environment, keyed
from sandbox_agent.agents.registry import Registry
from sandbox_agent.problems import AgentNotInstalled, InstallFailed, SandboxAgentError, UnsupportedAgent
from sandbox_agent.tasks import spawn_task
from sandbox_agent.wire.agents import AgentInfo, AgentInstallRequest, ServerStatusInfo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path
    from typing import Any, TypeAlias

    from sandbox_agent.agents.catalogue import AgentSpec, Config, Provider
    from sandbox_agent.agents.install import Installer, Listener
    from sandbox_agent.supervisor import Command
    from sandbox_agent.wire.agents import AgentInstallResponse
    from sandbox_agent.wire.base import JsonObject

    Prober: TypeAlias = Callable[[str, Command], Awaitable[tuple[JsonObject, ...]]]
    """Starts an agent for a moment to ask which options its sessions have. Raises of the problem tree."""

    Options: TypeAlias = tuple[JsonObject, ...] | SandboxAgentError

log = logging.getLogger(__name__)

_LOOK_AGAIN = 1.0  # s after which a launcher that was found is looked for again


class Agents:
    """The catalogue, as seen from one environment.

    ``config`` is a file or a mapping (see `catalogue`); ``running`` tells for how many ms a server of an agent has
    been running, None where none is; ``prober`` asks an agent for its options (without one they stay unknown);
    ``installer`` installs what is asked for (without one nothing is).
    """

    def __init__(
        self,
        *,
        config: Config = None,
        environ: Mapping[str, str] | None = None,
        install_root: Path | None = None,
        running: Callable[[str], int | None] | None = None,
        prober: Prober | None = None,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._root = install_root or launch.install_root(self._environ)
        self._config_source = config
        self._registry = Registry(self._environ)
        self._specs, self._providers = load(config, self._registry.kept())
        self.running = running
        self.prober = prober
        self.installer: Installer | None = None
        self._asked: dict[tuple[str, ...], asyncio.Task[Options]] = {}
        self._found: dict[str, tuple[float, launch.Launcher]] = {}

    def spec(self, agent: str) -> AgentSpec:
        """Raises `UnsupportedAgent`."""
        if agent not in self._specs:
            raise UnsupportedAgent(f"unsupported agent: {agent}", agent=agent, hint=f"one of {', '.join(self._specs)}")
        return self._specs[agent]

    @property
    def root(self) -> Path:
        """Where agents are installed."""
        return self._root

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Who answers for models."""
        return self._providers

    @property
    def environ(self) -> Mapping[str, str]:
        return self._environ

    def ids(self) -> tuple[str, ...]:
        """All agents, in the order of `list`."""
        return tuple(self._specs)

    async def command(
        self,
        agent: str,
        progress: Listener | None = None,
        *,
        env: Mapping[str, str] | None = None,
        base_url: str | None = None,
    ) -> Command:
        """What starts an agent, installed now if it is not there and that is allowed.

        ``env`` and ``base_url`` are a session's own, see `environment`. Raises `UnsupportedAgent`,
        `AgentNotInstalled`, `InstallFailed` or `InvalidRequest`.
        """
        spec = await self.known(agent)
        launcher = await self._startable(spec)
        if launcher is None and self._lazily(spec):
            log.info("installing %s on first use", agent, extra={"agent": agent})
            await self.install(agent, progress=progress)
            launcher = await self._startable(spec)
        if launcher is None:
            raise await self._not_startable(spec)
        prepare = partial(launch.command, spec, launcher, self._environ, self._providers, env=env, base_url=base_url)
        return await asyncio.to_thread(prepare) if spec.keyed else prepare()  # those look at the agent's own settings

    async def _startable(self, spec: AgentSpec) -> launch.Launcher | None:
        """The agent's launcher where it can start; who starts many does not look for it each time."""
        until, known = self._found.get(spec.id, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known
        launcher = await self._find(spec)
        if launcher is None or launcher.interpreter is not None:
            return None
        self._found[spec.id] = (time.monotonic() + _LOOK_AGAIN, launcher)
        return launcher

    async def _not_startable(self, spec: AgentSpec) -> AgentNotInstalled:
        launcher = await self._find(spec)
        if launcher is None:
            return AgentNotInstalled(f"agent {spec.id} is not installed", agent=spec.id, hint=self._install_hint(spec))
        detail = f"{launcher.path} needs {launcher.interpreter}, not found on PATH"
        hint = self._install_hint(spec) if spec.installable else f"install {launcher.interpreter}"
        return AgentNotInstalled(detail, agent=spec.id, hint=hint)

    def keyed(self, agent: str, command: Command) -> frozenset[str]:
        """The providers for which an agent may be told to use the key in its environment; none if it would keep it."""
        return frozenset() if self.spec(agent).keyed else keyed(command.env, self._providers)

    def secrets(self, agent: str, env: Mapping[str, str], base_url: str | None = None) -> frozenset[str]:
        """The secret values that an agent started with these gets to see; for an unknown one, of these alone."""
        spec = self._specs.get(agent)
        added = environment(spec, self._providers, self._environ, env=env) if spec is not None else env
        return credentials.secrets(added) | credentials.secrets({"": base_url or ""})

    async def install(
        self,
        agent: str,
        *,
        reinstall: bool = False,
        agent_version: str | None = None,
        agent_process_version: str | None = None,
        progress: Listener | None = None,
    ) -> AgentInstallResponse:
        """Install an agent, unless it is there or ``reinstall``; a version overrides the locked one.

        ``progress`` hears the steps and what the programs write. Raises `UnsupportedAgent`, `InvalidRequest` or
        `InstallFailed`.
        """
        spec = await self.known(agent)
        if self.installer is None:
            raise InstallFailed("nothing installs agents here", agent=agent, hint=self._install_hint(spec))
        request = AgentInstallRequest(
            reinstall=reinstall or None,
            agent_version=agent_version or None,
            agent_process_version=agent_process_version or None,
        )
        response = await self.installer.install(spec, request, progress)
        if not response.already_installed:
            self._asked = {key: asked for key, asked in self._asked.items() if key[0] != agent}
            self._found.pop(agent, None)
        return response

    def _lazily(self, spec: AgentSpec) -> bool:
        """Whether first use installs: unasked, only what is checked against digests that came with us."""
        forbidden = self._environ.get("SANDBOX_AGENT_REQUIRE_PREINSTALL", "").lower() not in {"", "0", "false", "no"}
        return self.installer is not None and spec.installable and spec.locked and not forbidden

    async def list(self, *, config: bool = False, no_cache: bool = False) -> list[AgentInfo]:
        """Every agent, in the catalogue's order, then the custom ones."""
        await self._refresh()
        return list(
            await asyncio.gather(*(self.info(agent, config=config, no_cache=no_cache) for agent in self._specs))
        )

    async def info(self, agent: str, *, config: bool = False, no_cache: bool = False) -> AgentInfo:
        """One agent; ``config`` adds its options, ``no_cache`` has it asked anew.

        Raises `UnsupportedAgent`.
        """
        spec = await self.known(agent)
        launcher = await self._find(spec)
        known = await asyncio.to_thread(credentials.available, spec, self._providers, self._environ)
        problem, hint = self._problem(spec, launcher, credentials=known)
        more = await self._config(spec, launcher, no_cache=no_cache) if config and launcher is not None else {}
        return AgentInfo(
            id=spec.id,
            name=spec.name,
            installed=launcher is not None,
            version=await asyncio.to_thread(launch.version, launcher) if launcher is not None else None,
            path=launcher.path if launcher is not None else None,
            credentials_available=known,
            capabilities=spec.able(),
            server_status=self._status(agent),
            problem=problem,
            hint=hint,
            **more,
        )

    async def known(self, agent: str) -> AgentSpec:
        """`spec`, after a look at the registry where that could help. Raises `UnsupportedAgent`."""
        if agent not in self._specs:
            await self._refresh()
        return self.spec(agent)

    async def _refresh(self) -> None:
        found = await self._registry.fresh()
        if found is not None:
            self._specs, self._providers = load(self._config_source, found)

    async def _find(self, spec: AgentSpec) -> launch.Launcher | None:
        return await asyncio.to_thread(launch.find, spec, self._root, self._environ)

    def _status(self, agent: str) -> ServerStatusInfo | None:
        uptime = self.running(agent) if self.running is not None else None
        return None if uptime is None else ServerStatusInfo(status="running", uptime_ms=uptime)

    def _problem(
        self, spec: AgentSpec, launcher: launch.Launcher | None, *, credentials: bool
    ) -> tuple[str | None, str | None]:
        """Why an agent cannot be used, and what would help; the nearest fault first."""
        if launcher is None:
            names = " or ".join([program[0] for program in spec.programs] + list(spec.drives))
            return f"not installed: {names} is not on PATH" if names else "not installed", self._install_hint(spec)
        if launcher.needs:
            names = ", ".join(launcher.needs)
            ours = spec.installable and not set(launcher.needs) & set(spec.brings)
            again = launcher.interpreter is None
            hint = self._install_hint(spec, again=again) if ours else spec.brought_by or f"install {names}"
            return f"{launcher.path} needs {names}, not found on PATH", hint
        if not credentials:
            providers = [self._providers[name] for name in spec.providers]
            names = " or ".join(provider.name for provider in providers)
            keys = " or ".join(provider.env[0] for provider in providers)
            login = f"{login_command(spec)}, or " if spec.login else ""
            return f"no key or login for {names} found", f"{login}set {keys} in the server's environment"
        return None, None

    def _install_hint(self, spec: AgentSpec, *, again: bool = False) -> str:
        if spec.installable:
            return f"sandbox-agent install-agent {spec.id}" + (" --reinstall" if again else "")
        program = f"put {spec.programs[0][0]} on PATH, or " if spec.programs else "put "
        return f"{program}an executable at {launch.slot(self._root, spec.id)}"

    async def _config(self, spec: AgentSpec, launcher: launch.Launcher, *, no_cache: bool) -> dict[str, Any]:
        """The members `?config=true` adds."""
        if spec.config_options is not None and launcher.builtin:
            return {"config_options": spec.config_options}
        if self.prober is None:
            return {}
        options = await self._probe(spec, launcher, no_cache=no_cache)
        if isinstance(options, SandboxAgentError):
            return {"config_error": str(options)}
        return {"config_options": options}

    async def _probe(self, spec: AgentSpec, launcher: launch.Launcher, *, no_cache: bool) -> Options:
        """The options of an agent, asked for once; those who come meanwhile wait for the same answer."""
        key = (spec.id, *launcher.argv)
        asked = self._asked.get(key)
        stale = asked is not None and asked.done() and (no_cache or _failed(asked))
        if asked is None or stale:
            asked = spawn_task(self._ask(spec, launcher), name=f"options of {spec.id}")
            self._asked[key] = asked
        # A caller who gives up must not end it for the others.
        return await asyncio.shield(asked)

    async def _ask(self, spec: AgentSpec, launcher: launch.Launcher) -> Options:
        assert self.prober is not None  # noqa: S101 -- for the type checker
        try:
            return await self.prober(spec.id, launch.command(spec, launcher, self._environ, self._providers))
        except SandboxAgentError as error:
            return error


def _failed(asked: asyncio.Task[Options]) -> bool:
    return asked.cancelled() or isinstance(asked.result(), SandboxAgentError)


def login_command(spec: AgentSpec) -> str:
    """What to run to log in, where the agent has a program for that."""
    return f"sandbox-agent login {spec.id}"
