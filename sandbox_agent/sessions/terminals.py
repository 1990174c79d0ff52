"""The commands that a session's agent runs through us: processes of the sandbox that end with the agent."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

from sandbox_agent.problems import NotFound
from sandbox_agent.wire.processes import ProcessCreateRequest

if TYPE_CHECKING:
    from sandbox_agent.processes import Process, Processes
    from sandbox_agent.sessions.core import Core
    from sandbox_agent.supervisor import Exit
    from sandbox_agent.wire.base import JsonObject


class Terminals:
    """By the ids that the agent knows them by, which are those of the processes."""

    def __init__(self, core: Core, processes: Processes) -> None:
        self._core = core
        self._processes = processes
        self._terminals: dict[str, tuple[Process, int | None]] = {}

    async def create(
        self, command: str, args: tuple[str, ...], cwd: str, env: dict[str, str], limit: int | None
    ) -> str:
        """Run a program with ``args``, or a line of shell without; its id. Its input is at its end.

        ``limit`` is bytes of output that the agent wants to hear of, the last ones. Raises what `Processes.start` does.
        """
        program, words = (command, args) if args else ("sh", ("-c", command))
        request = ProcessCreateRequest(command=program, args=words, cwd=cwd, env=dict(self._core.private.env) | env)
        process = await self._processes.start(request, owner="session", session_id=self._core.id)
        await process.end_input(0)
        self._terminals[process.id] = (process, limit)
        return process.id

    async def output(self, name: str) -> JsonObject:
        """The last of what it wrote, and how it ended if it has."""
        process, limit = self._get(name)
        ended = process.exit  # before the output is read: when it has ended, all of it is there
        data, cut = await process.log.last(limit)
        answer: dict[str, Any] = {"output": _whole(data, cut=cut), "truncated": cut}
        if ended is not None:
            answer["exitStatus"] = _status(ended)
        return answer

    async def wait(self, name: str) -> JsonObject:
        """Until it has ended."""
        return _status(await self._get(name)[0].wait())

    async def kill(self, name: str) -> None:
        """End it, with all it started; its output can still be read."""
        await self._get(name)[0].end(0)

    async def release(self, name: str) -> None:
        """End it if it runs; the agent is done with it. Its log stays."""
        await self.kill(name)
        del self._terminals[name]

    async def end(self) -> None:
        """End all; the agent is gone."""
        terminals, self._terminals = self._terminals, {}
        await asyncio.gather(*(process.end(0) for process, _ in terminals.values()))

    def _get(self, name: str) -> tuple[Process, int | None]:
        if (known := self._terminals.get(name)) is None:
            raise NotFound(f"there is no terminal {name}", terminalId=name)
        return known


def _status(ended: Exit) -> JsonObject:
    name = None if ended.signal is None else signal.Signals(ended.signal).name
    return {"exitCode": ended.code, "signal": name}


def _whole(data: bytes, *, cut: bool) -> str:
    """As text; where the beginning was cut off, without the rest of a character."""
    if cut:
        begin = 0
        while begin < min(3, len(data)) and data[begin] & 0xC0 == 0x80:  # noqa: PLR2004 - a character's later bytes
            begin += 1
        data = data[begin:]
    return data.decode("utf-8", "replace")
