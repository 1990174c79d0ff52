"""Whether the MCP servers an agent was given live. The agent starts them; their environment bears a mark of ours.

Nothing stands between an agent and its servers, and nothing is asked of them: the process table tells who bears the
mark, and a pidfd (pidfd_open(2)) when such a process ends.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sandbox_agent.supervisor.proctree import look
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.wire.base import JsonObject

MARK = "SANDBOX_AGENT_MCP"
_ASIDE_S = 0.25
"""An agent that ends may end its servers first; whether it does shows within this time."""


class Seen(NamedTuple):
    pid: int
    start: int
    name: str


def marked(server: JsonObject, session_id: str) -> JsonObject:
    """A stdio server with the mark among its variables; others as they are."""
    if "command" not in server:
        return server
    return {**server, "env": [*server["env"], {"name": MARK, "value": f"{session_id}/{server['name']}"}]}


class McpWatch:
    """``told(name, pid, alive)`` hears of each process that is found, and of its end while the agent lives on."""

    def __init__(self, session_id: str, told: Callable[[str, int, bool], None]) -> None:
        self._prefix = f"{MARK}={session_id}/".encode()
        self._told = told
        self._watched: dict[tuple[int, int], int] = {}
        self._looking = asyncio.Lock()
        self.active = False
        self.agent_pid = 0
        self._agents = 0

    def begin(self) -> None:
        """An agent was given servers."""
        self.active = True

    async def look(self) -> None:
        """Find the servers that have been started since the last look."""
        if not self.active:
            return
        async with self._looking:
            for seen in await asyncio.to_thread(_scan, self._prefix):
                if self.active and (seen.pid, seen.start) not in self._watched:
                    self._watch(seen)

    def end(self) -> None:
        """The agent ends, and they with it."""
        self.active = False
        self._agents += 1
        loop = asyncio.get_running_loop()
        for fd in self._watched.values():
            if fd >= 0:
                loop.remove_reader(fd)
                os.close(fd)
        self._watched.clear()

    def _watch(self, seen: Seen) -> None:
        try:
            fd = os.pidfd_open(seen.pid)
        except OSError:
            return
        now = look(seen.pid)
        if now is None or now.start != seen.start or now.dead:
            os.close(fd)
            return
        self._watched[seen.pid, seen.start] = fd
        asyncio.get_running_loop().add_reader(fd, self._ended, seen, fd)
        self._told(seen.name, seen.pid, True)

    def _ended(self, seen: Seen, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
        self._watched[seen.pid, seen.start] = -1
        spawn_task(self._tell_end(seen, self._agents), name=f"end of MCP server {seen.name}")

    async def _tell_end(self, seen: Seen, of_agent: int) -> None:
        await asyncio.sleep(_ASIDE_S)
        agent = look(self.agent_pid)
        if of_agent == self._agents and agent is not None and not agent.dead:
            self._told(seen.name, seen.pid, False)


def _scan(prefix: bytes) -> list[Seen]:
    """The outermost processes that bear the mark; those they start themselves inherit it."""
    bearers: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (name := _name(entry, prefix)) is not None:
            bearers[int(entry.name)] = name
    seen = []
    for pid, name in bearers.items():
        process = look(pid)
        if process is not None and not process.dead and process.ppid not in bearers:
            seen.append(Seen(pid, process.start, name))
    return seen


def _name(entry: Path, prefix: bytes) -> str | None:
    try:
        environ = (entry / "environ").read_bytes()
    except OSError:
        return None
    at = environ.find(prefix)
    if at < 0 or (at > 0 and environ[at - 1]):
        return None
    return environ[at + len(prefix) :].split(b"\0", 1)[0].decode(errors="replace")
