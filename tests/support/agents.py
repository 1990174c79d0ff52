"""Real agents, installed once for all tests into a cache outside of the checkout, as users install them."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

from sandbox_agent.agents import Agents
from sandbox_agent.agents.install import Installer, versions
from sandbox_agent.supervisor import Supervisor


def cache(agent: str) -> Path:
    """An install root of its own for each lock: a changed one is installed anew, beside the old."""
    files = sorted(versions.LOCKS.glob(f"{agent}.*"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "sandbox-agent-tests" / f"{agent}-{digest}"


def installed(agent: str, root: Path | None = None) -> Path:
    """The install root in which the agent is; installed now if it is not. Raises InstallFailed.

    Workers that ask at once share one install. Its launcher is ``agent_processes/<agent>-acp``.
    """
    return asyncio.run(_install(agent, root or cache(agent)))


async def _install(agent: str, root: Path) -> Path:
    supervisor = Supervisor()
    await supervisor.start()
    try:
        environ = {**os.environ, "PATH": os.environ["PATH"]}
        agents = Agents(environ=environ, install_root=root)
        agents.installer = Installer(supervisor, root=root, environ=environ)
        if not (root / "agent_processes" / f"{agent}-acp").exists():  # one on PATH is not the locked one
            await agents.install(agent, reinstall=(await agents.info(agent)).installed)
    finally:
        await supervisor.stop()
    return root
