"""Installing agents, once however many ask for it at once, in this process or in others."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sandbox_agent.agents import launch
from sandbox_agent.agents.install.job import Job
from sandbox_agent.agents.install.store import LAUNCHER, Store
from sandbox_agent.agents.probe import handshake
from sandbox_agent.problems import InstallFailed, InvalidRequest, Problem
from sandbox_agent.supervisor import Command
from sandbox_agent.tasks import spawn_task
from sandbox_agent.wire.agents import AgentInstallArtifact, AgentInstallResponse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import TypeAlias

    from sandbox_agent.agents.catalogue import AgentSpec
    from sandbox_agent.agents.install.progress import Listener
    from sandbox_agent.agents.install.store import Receipt
    from sandbox_agent.agents.launch import Launcher
    from sandbox_agent.supervisor import Supervisor
    from sandbox_agent.wire.agents import AgentInstallRequest

    Running: TypeAlias = tuple[Job, asyncio.Task[AgentInstallResponse | Problem]]

log = logging.getLogger(__name__)

PROOF = 120.0
"""Seconds an agent has to answer `initialize` after it was installed; the first start is the slowest."""


class Installer:
    """Installs into one install root; ``supervisor`` ends what it started when the server ends."""

    def __init__(self, supervisor: Supervisor, *, root: Path, environ: Mapping[str, str]) -> None:
        self._supervisor = supervisor
        self._environ = environ
        self.store = Store(root)
        self._running: dict[
            tuple[str, AgentInstallRequest], tuple[Job, asyncio.Task[AgentInstallResponse | Problem]]
        ] = {}

    async def install(
        self, spec: AgentSpec, request: AgentInstallRequest, listener: Listener | None = None
    ) -> AgentInstallResponse:
        """Install an agent unless it is there. Those who ask for the same while it runs share it, and hear the rest.

        A caller who gives up does not end it. Raises InstallFailed, or InvalidRequest for versions it cannot have.
        """
        _check(spec, request)
        key = (spec.id, request)
        running = self._running.get(key)
        if running is None:
            job = Job(spec, self._supervisor, self.store, self._environ)
            task = spawn_task(self._guarded(job, request), name=f"install {spec.id}")
            running = self._running[key] = (job, task)
            task.add_done_callback(lambda _: self._running.pop(key, None))
        job, task = running
        if listener is not None:
            job.listeners.append(listener)
        outcome = await asyncio.shield(task)
        if isinstance(outcome, Problem):
            raise outcome
        return outcome

    async def _guarded(self, job: Job, request: AgentInstallRequest) -> AgentInstallResponse | Problem:
        """The outcome as a value: each of those who wait raises it, and the task did not die."""
        try:
            return await self._install(job, request)
        except Problem as problem:
            log.info("install of %s failed", job.spec.id, extra={"agent": job.spec.id, "problem": str(problem)})
            return problem

    async def _install(self, job: Job, request: AgentInstallRequest) -> AgentInstallResponse:
        spec = job.spec
        wanted = request.reinstall or request.agent_version or request.agent_process_version
        if not wanted and (found := await self._there(spec)) is not None:
            return found
        if not spec.installable:
            raise job.failed(
                "nothing is known to install it from",
                hint=f"put an executable at {launch.slot(self.store.root, spec.id)}",
            )
        try:
            async with self.store.lock(spec.id, lambda: job.tell("wait", "another install of it runs, waiting for it")):
                if not wanted and (found := await self._there(spec)) is not None:
                    return found
                return await self._build(job, request)
        except OSError as error:
            raise job.failed(str(error), hint=f"see whether {self.store.root} can be written, and has room") from error

    async def _there(self, spec: AgentSpec) -> AgentInstallResponse | None:
        """What is there and can start, whoever installed it."""
        launcher = await asyncio.to_thread(launch.find, spec, self.store.root, self._environ)
        if launcher is None or launcher.interpreter is not None:
            return None
        return AgentInstallResponse(
            already_installed=True, artifacts=await asyncio.to_thread(self._artifacts, spec, launcher)
        )

    def _artifacts(self, spec: AgentSpec, launcher: Launcher) -> tuple[AgentInstallArtifact, ...]:
        receipt = self.store.receipt(spec.id)
        if receipt is not None:
            return receipt.artifacts
        source = "builtin" if launcher.builtin else "path"
        version = launch.version(launcher)
        return (AgentInstallArtifact(kind="agent_process", path=launcher.path, source=source, version=version),)

    async def _build(self, job: Job, request: AgentInstallRequest) -> AgentInstallResponse:
        spec = job.spec
        if await asyncio.to_thread(self.store.foreign, spec.id):
            place = launch.slot(self.store.root, spec.id)
            raise job.failed(f"{place} was put there by somebody, and is left alone", hint=f"move {place} away")
        await asyncio.to_thread(self.store.sweep, spec.id, keep=1)
        async with self.store.building(spec.id) as build:
            receipt = await self._fill(job, build, request)
            await self._prove(job, build)
            place = await asyncio.to_thread(self.store.publish, build, receipt)
        await asyncio.to_thread(self.store.sweep, spec.id, keep=2)  # agents that run stand on the one before
        job.tell("done", f"{spec.id} {receipt.version or ''} is installed at {place}", 1.0)
        log.info(
            "installed %s", spec.id, extra={"agent": spec.id, "version": receipt.version, "locked": receipt.locked}
        )
        return AgentInstallResponse(already_installed=False, artifacts=receipt.artifacts)

    async def _fill(self, job: Job, build: Path, request: AgentInstallRequest) -> Receipt:
        # Imported when something is installed: the server starts without them.
        from sandbox_agent.agents.install import binary, npm, python  # noqa: PLC0415

        spec = job.spec
        process, native = request.agent_process_version, request.agent_version
        if spec.npm is not None:
            return await npm.install(job, spec.npm, build, process, native)
        if spec.python is not None:
            return await python.install(job, spec.python, build, process or native)
        return await binary.install(job, spec.binary or {}, build)

    async def _prove(self, job: Job, build: Path) -> None:
        """Only an agent that answers `initialize` is installed."""
        job.tell("verify", "starting it, to see that it answers", 0.85)
        found = launch.Launcher((str(build / LAUNCHER),), str(build / LAUNCHER))
        command = launch.command(job.spec, found, self._environ)
        home = {name: self._environ[name] for name in ("HOME", "PATH") if name in self._environ}
        command = Command(argv=command.argv, env=home | dict(command.env))
        try:
            await handshake(self._supervisor, job.spec.id, command, deadline=PROOF)
        except InstallFailed:
            raise
        except Problem as problem:
            raise job.failed(
                f"it was unpacked but does not start: {problem.detail}",
                hint=problem.hint,
                command=" ".join(command.argv),
                exit_code=problem.extensions.get("exitCode"),
                output=problem.extensions.get("stderr"),
            ) from problem


def _check(spec: AgentSpec, request: AgentInstallRequest) -> None:
    process, native = request.agent_process_version, request.agent_version
    if not (process or native):
        return
    if spec.npm is None and spec.python is None:
        raise InvalidRequest(f"{spec.id} has no versions to choose from", agent=spec.id)
    single = spec.python is not None or (spec.npm is not None and spec.npm.agent in {None, spec.npm.process})
    if single and process and native and process != native:
        raise InvalidRequest(f"{spec.id} is one package: it cannot have two versions", agent=spec.id)
    for version in (process, native):
        if version and not all(part.isalnum() or part in ".-+_" for part in version):
            raise InvalidRequest(f"not a version: {version}", agent=spec.id)
