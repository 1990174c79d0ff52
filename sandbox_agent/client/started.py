"""The servers this process has started and not ended, so that ``connect()`` finds them in another cell."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox_agent.client.local import LocalServer
    from sandbox_agent.client.target import Target

_servers: weakref.WeakSet[LocalServer] = weakref.WeakSet()


def note(server: LocalServer) -> None:
    """Remember a server for as long as it lives."""
    _servers.add(server)


def targets() -> list[Target]:
    """Those that run, the newest first."""
    running = [server for server in _servers if server.exited() is None]
    return [server.target for server in sorted(running, key=lambda server: server.started_at, reverse=True)]
