"""Installs on disk, in an install root.

``agent_processes/<agent>-acp`` is what starts an agent: a link to the launcher in ``store/<agent>/<build>/``, made
last and in one step, so that an install which was cut off, by whatever means, is never used. A build with no receipt
was cut off; it goes when the agent is installed next.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shlex
import shutil
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.agents.launch import RECEIPT, slot
from sandbox_agent.wire.agents import AgentInstallArtifact
from sandbox_agent.wire.base import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

_POLL = 0.1
LAUNCHER = "launch"


class Receipt(Wire, frozen=True, kw_only=True):
    """What a finished build is.

    ``locked``: every file of it was checked against a digest that came with us. ``runs_on`` is the interpreter outside
    of it without which it cannot start.
    """

    agent: str
    version: str | None
    locked: bool
    artifacts: tuple[AgentInstallArtifact, ...]
    runs_on: str | None = None
    made_ms: int = 0


class Store:
    """The builds of an install root. All but `lock` works on files at once: call it in a thread."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def builds(self, name: str) -> Path:
        return self.root / "store" / name

    def new(self, name: str) -> Path:
        """An empty folder for a build. It keeps its place: virtual environments cannot be moved."""
        build = self.builds(name) / f"{time.strftime('%Y%m%d')}-{secrets.token_hex(4)}"
        build.mkdir(parents=True)
        return build

    @asynccontextmanager
    async def building(self, name: str) -> AsyncIterator[Path]:
        """A folder to build in, removed with all in it unless that ends well."""
        build = await asyncio.to_thread(self.new, name)
        finished = False
        try:
            yield build
            finished = True
        finally:
            if not finished:
                await asyncio.shield(asyncio.to_thread(remove, build))

    def receipt(self, agent: str) -> Receipt | None:
        """What is installed for an agent; None where nothing is, or what is there was put there by somebody else."""
        try:
            data = (slot(self.root, agent).resolve(strict=True).parent / RECEIPT).read_bytes()
            return msgspec.json.decode(data, type=Receipt)
        except (OSError, msgspec.DecodeError):
            return None

    def foreign(self, agent: str) -> bool:
        """Whether the launcher is a file of the user's, which is not ours to replace."""
        place = slot(self.root, agent)
        return place.exists() and not place.is_symlink()

    def publish(self, build: Path, receipt: Receipt) -> Path:
        """Make a proved build the one that is used; the launcher's place."""
        place = slot(self.root, receipt.agent)
        place.parent.mkdir(parents=True, exist_ok=True)
        stamped = msgspec.structs.replace(receipt, made_ms=time.time_ns() // 1_000_000)
        (build / RECEIPT).write_bytes(msgspec.json.encode(stamped))
        fresh = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        fresh.symlink_to(os.path.relpath(build / LAUNCHER, place.parent))
        fresh.replace(place)
        return place

    def sweep(self, name: str, *, keep: int) -> None:
        """Remove the builds that were cut off, and of the others all but the ``keep`` newest and the one in use."""
        folder = self.builds(name)
        if not folder.is_dir():
            return
        used = slot(self.root, name).resolve().parent
        finished = [build for build in folder.iterdir() if (build / RECEIPT).is_file()]
        finished.sort(key=lambda build: (build / RECEIPT).stat().st_mtime, reverse=True)
        kept = {used, *finished[:keep]}
        for build in folder.iterdir():
            if build.is_dir() and build not in kept:
                remove(build)

    @asynccontextmanager
    async def lock(self, name: str, waiting: Callable[[], None]) -> AsyncIterator[None]:
        """One at a time installs under that name, over all processes; ``waiting`` is called once if there is a queue.

        The lock goes with its process, however that ends.
        """
        self.builds(name).mkdir(parents=True, exist_ok=True)
        handle = os.open(self.builds(name) / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        told = False
        try:
            while not _locked(handle):
                if not told:
                    waiting()
                    told = True
                await asyncio.sleep(_POLL)  # the kernel tells nobody when a lock is free but a thread that blocks
            yield
        finally:
            os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove(folder: Path) -> None:
    """Remove a build; what another process is still writing into it goes with the next sweep."""
    shutil.rmtree(folder, ignore_errors=True)


def write_script(
    path: Path,
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    first: Sequence[Path] = (),
    last: Sequence[Path] = (),
) -> None:
    """A program that runs ``argv`` and what it is given itself, with ``first`` before PATH and ``last`` behind it."""
    lines = ["#!/bin/sh", *(f"export {name}={shlex.quote(value)}" for name, value in (env or {}).items())]
    if first or last:
        parts = [*(shlex.quote(str(folder)) for folder in first), '"$PATH"', *(shlex.quote(str(part)) for part in last)]
        lines.append(f"export PATH={':'.join(parts)}")
    lines.append(f'exec {shlex.join(map(str, argv))} "$@"')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o755)
