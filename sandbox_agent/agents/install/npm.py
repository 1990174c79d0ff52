"""Agents from npm: `npm ci` on a lock that came with us, into a folder of its own, and no script of any package runs.

npm checks each package against its digest in the lock. The lock has no addresses, so the registry is the one the
user's npm is set to. The few scripts that are needed are named in the catalogue and run by us.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox_agent.agents.install import node as nodes
from sandbox_agent.agents.install.store import LAUNCHER, Receipt, write_script
from sandbox_agent.agents.install.versions import LATEST, npm_lock
from sandbox_agent.agents.launch import builtin
from sandbox_agent.problems import InstallFailed
from sandbox_agent.wire.agents import AgentInstallArtifact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sandbox_agent.agents.catalogue import NpmSource
    from sandbox_agent.agents.install.job import Job
    from sandbox_agent.agents.install.node import Node

_FLAGS = (
    "--ignore-scripts",
    "--include=optional",  # programs for one platform are optional packages, whatever the user's settings leave out
    "--global=false",
    "--engine-strict=false",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--no-progress",
    "--loglevel=http",
)
_OFFLINE = "check the network, and the registry that npm is set to (npm config get registry)"
_MISMATCH = (
    "a package is not the one that was locked: see which registry npm is set to, or whether a proxy alters files"
)
_UNLOCKED = "name a version yourself: sandbox-agent install-agent {agent} --reinstall --agent-process-version {version}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The manifest that npm installs, and its lock where the versions are the locked ones."""

    manifest: dict[str, Any]
    lock: dict[str, Any] | None

    @classmethod
    def of(cls, agent: str, source: NpmSource, process: str | None, native: str | None) -> Wanted:
        """By the versions asked for; without any, those of the lock."""
        lock = npm_lock(agent)
        if lock is not None and process is None and native is None:
            return cls({"private": True, **lock["packages"][""]}, lock)
        packages = dict(lock["packages"][""]["dependencies"]) if lock is not None else {}
        packages[source.process] = process or packages.get(source.process) or source.version or LATEST
        manifest: dict[str, Any] = {"private": True, "dependencies": packages}
        if native is not None and source.agent in {None, source.process}:
            packages[source.process] = native
        elif native is not None and source.agent in packages:
            packages[source.agent] = native
        elif native is not None:
            manifest["overrides"] = {source.agent: native}  # it comes as a dependency of the other
        return cls(manifest, None)


async def install(job: Job, source: NpmSource, build: Path, process: str | None, native: str | None) -> Receipt:
    """Fill the folder and write its launcher. Raises InstallFailed."""
    wanted = Wanted.of(job.spec.id, source, process, native)
    node = await nodes.ensure(job, source.node)
    await asyncio.to_thread(_write, build, wanted)
    await _packages(job, node, build, wanted)
    modules = build / "node_modules"
    for script in source.setup:
        job.tell("setup", f"setting up {script.rpartition('/')[0]}", 0.75)
        hint = f"the packages that are locked may have no program for this machine; {_other(job, wanted)}"
        await job.run([node.program, modules / script], cwd=(modules / script).parent, hint=hint)
    runs_on = _launchers(job, source, build, node)
    artifacts = tuple(_artifacts(source, modules))
    version = artifacts[0].version
    locked = wanted.lock is not None
    return Receipt(agent=job.spec.id, version=version, locked=locked, artifacts=artifacts, runs_on=runs_on)


def _other(job: Job, wanted: Wanted) -> str:
    assert job.spec.npm is not None  # noqa: S101 -- for the type checker
    version = wanted.manifest["dependencies"].get(job.spec.npm.process, LATEST)
    return _UNLOCKED.format(agent=job.spec.id, version=version)


def _write(build: Path, wanted: Wanted) -> None:
    (build / "package.json").write_bytes(msgspec.json.encode(wanted.manifest))
    if wanted.lock is not None:
        (build / "package-lock.json").write_bytes(msgspec.json.encode(wanted.lock))


async def _packages(job: Job, node: Node, build: Path, wanted: Wanted) -> None:
    total = len(wanted.lock["packages"]) if wanted.lock is not None else 0
    names = ", ".join(f"{name} {version}" for name, version in wanted.manifest["dependencies"].items())
    job.tell("packages", f"installing {names}", 0.15)
    command = [*node.npm, "ci" if wanted.lock is not None else "install", *_FLAGS]
    if not os.access(job.home, os.W_OK):
        command.append(f"--cache={job.store.root / 'cache' / 'npm'}")
    # npm's own programs, and those of packages, find the Node.js that was chosen
    env = {"PATH": f"{node.program.parent}:{job.path}"}
    try:
        await job.run(command, cwd=build, env=env, hint=_OFFLINE, on_line=_counting(job, total))
    except InstallFailed as error:
        if "EINTEGRITY" in str(error.extensions.get("output")):
            error.hint = _MISMATCH
        raise


def _counting(job: Job, total: int) -> Callable[[str], None]:
    """Tells npm's lines; each package that came moves the fraction."""
    came = 0

    def tell(line: str) -> None:
        nonlocal came
        came += ".tgz" in line
        job.tell(job.stage, line, 0.15 + 0.6 * min(came / total, 1) if total else None)

    return tell


def _launchers(job: Job, source: NpmSource, build: Path, node: Node) -> str | None:
    """Write them; the interpreter that the agent's runs on, where it is a script."""
    modules = build / "node_modules"
    name = source.bin or _bin_of(job, source, modules)
    for program in source.expose:
        write_script(build / "bin" / program, _argv(job, node, modules / ".bin" / program))
    main: Sequence[str | Path] = _argv(job, node, modules / ".bin" / name)
    if job.spec.builtin is not None:
        main = builtin(job.spec.builtin)
    write_script(
        build / LAUNCHER,
        [*main, *source.args],
        env=job.spec.env,
        first=(build / "bin",) if source.expose else (),
        last=(node.program.parent,) if node.private else (),
    )
    return str(main[0]) if len(main) > 1 else None


def _argv(job: Job, node: Node, program: Path) -> list[Path]:
    """Scripts run on the Node.js that was chosen, whatever PATH says later; other programs by themselves."""
    if not program.exists():
        raise job.failed(f"the packages have no program {program.name}")
    with program.open("rb") as opened:
        first = opened.readline(200)
    return [node.program, program] if first.startswith(b"#!") and b"node" in first else [program]


def _bin_of(job: Job, source: NpmSource, modules: Path) -> str:
    """The program of a package that has one, or of several the one with its name, as `npx` chooses."""
    declared = _manifest(modules, source.process).get("bin")
    own = source.process.rpartition("/")[2]
    if isinstance(declared, str):
        return own
    names = list(declared) if isinstance(declared, dict) else []
    if own in names or len(names) == 1:
        return own if own in names else str(names[0])
    raise job.failed(f"{source.process} has no program, or several and none of its name")


def _manifest(modules: Path, package: str) -> dict[str, Any]:
    try:
        return dict(msgspec.json.decode((modules / package / "package.json").read_bytes()))
    except (OSError, msgspec.DecodeError):
        return {}


def _artifacts(source: NpmSource, modules: Path) -> list[AgentInstallArtifact]:
    kinds = [("agent_process", source.process)]
    if source.agent is not None:
        kinds.append(("native_agent", source.agent))
    return [
        AgentInstallArtifact(
            kind=kind, path=str(modules / package), source="npm", version=_manifest(modules, package).get("version")
        )
        for kind, package in kinds
    ]
