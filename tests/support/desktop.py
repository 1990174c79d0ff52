"""A desktop of its own for each test, on a display nobody else tries."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox_agent.desktop.service import Desktop
from sandbox_agent.processes.service import Processes
from sandbox_agent.supervisor import Supervisor
from sandbox_agent.wire.desktop import DesktopStartRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    import httpx2

    from sandbox_agent.wire.desktop import DesktopStatusResponse

DEADLINE = 60.0


def some_display() -> int:
    """A display number that no other test starts from, nor comes to by trying the next ones.

    A name in the kernel stands for each twenty, and is held until this process ends.
    """
    while True:
        number = 1000 + 20 * secrets.randbelow(2900)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0sandbox-agent-test-display-{number}")
        except OSError:
            claim.close()
        else:
            claim.detach()
            return number


def begin(client: httpx2.Client, **options: Any) -> dict[str, Any]:
    """Start the desktop of a server, of 640x480 pixels unless told otherwise; its status."""
    body = {"displayNum": some_display(), "width": 640, "height": 480} | options
    answer = client.post("/v1/desktop/start", json=body)
    assert answer.status_code == 200, answer.text
    status: dict[str, Any] = answer.json()
    assert status["state"] == "active", status
    return status


@dataclass
class World:
    """A desktop with the services below it. ``environ`` is what it sees of the environment."""

    desktop: Desktop
    processes: Processes
    supervisor: Supervisor
    state: Path
    display: int

    async def start(self, **options: Any) -> DesktopStatusResponse:
        return await self.desktop.start(DesktopStartRequest(**{"display_num": self.display} | options))

    def pid(self, part: str) -> int:
        """The process of a part that runs."""
        info = next(info for info in self.desktop.runtime.parts() if info.name == part)
        assert info.pid is not None
        return info.pid


@contextlib.asynccontextmanager
async def world(tmp_path: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[World]:
    """A world that is taken down whatever happens in it."""
    supervisor = Supervisor()
    await supervisor.start()
    processes = Processes(supervisor)
    await processes.open()
    seen = dict(os.environ) | {"XDG_STATE_HOME": str(tmp_path / "state")} | dict(environ or {})
    desktop = Desktop(processes, seen)
    try:
        yield World(desktop, processes, supervisor, tmp_path / "state" / "sandbox-agent" / "desktop", some_display())
    finally:
        await desktop.stop()
        await processes.close()
        await supervisor.stop()


async def eventually(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """The first true value of ``condition()``."""
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} did not come true"
        await asyncio.sleep(0.01)
    return value
