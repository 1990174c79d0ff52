"""The sandbox's processes: starting, finding, ending them, within limits that may be changed at any time."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.problems import Conflict, InvalidRequest, NotFound, PayloadTooLarge, StreamError
from sandbox_agent.processes.log import Logs
from sandbox_agent.processes.process import Process
from sandbox_agent.processes.restart import Pace
from sandbox_agent.processes.run import run
from sandbox_agent.supervisor import Command, SpawnFailed
from sandbox_agent.tasks import spawn_task
from sandbox_agent.wire.processes import ProcessConfig, ProcessUsage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox_agent.problems import Problem
    from sandbox_agent.supervisor import Child, Supervisor, Usage
    from sandbox_agent.wire.processes import (
        ProcessConfigRequest,
        ProcessCreateRequest,
        ProcessInfo,
        ProcessOwner,
        ProcessRunRequest,
        ProcessRunResponse,
    )

DEFAULTS = ProcessConfig(
    max_concurrent_processes=64,
    default_run_timeout_ms=30_000,
    max_run_timeout_ms=300_000,
    max_output_bytes=1 << 20,
    max_log_bytes_per_process=10 << 20,
    max_input_bytes_per_request=64 << 10,
)
ENDED_LOG_BYTES = 256 << 20
"""Of the logs of all processes that have ended."""
ENDED_PROCESSES = 4096
"""That are remembered; the oldest are forgotten."""
INPUT_DEADLINE_S = 5.0
STOP_WAIT_MS = 2000
_USAGE_WAIT_S = 0.25
"""What is used is left out of an answer where the process table takes longer to read (a fork bomb)."""
USAGE_FRESH_S = 1.0
"""For how long what is used is told again without reading the process table."""
KILL_WAIT_MS = 1000
_TERM = {"TERM": "xterm-256color"}
_THEIR_FAULT = frozenset(
    {
        errno.ENOENT,
        errno.EACCES,
        errno.EPERM,
        errno.ENOEXEC,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.E2BIG,
        errno.EINVAL,
    }
)


class Processes:
    """All managed processes of a sandbox, those of agents and of the desktop among them.

    Ids are ``proc_1``, ``proc_2``, ... in the order of creation. A process that has ended stays, with its log, until
    it is deleted.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        config: ProcessConfig = DEFAULTS,
        input_deadline: float = INPUT_DEADLINE_S,
        pace: Pace | None = None,
    ) -> None:
        self._supervisor = supervisor
        self._logs = Logs()
        self._config = config
        self._input_deadline = input_deadline
        self._pace = pace or Pace()
        self._processes: dict[str, Process] = {}
        self._ended: dict[str, None] = {}
        self._measured: dict[bytes, tuple[float, ProcessUsage]] = {}
        self._last = 0

    async def open(self) -> None:
        """Before anything else."""
        await self._logs.start()

    async def close(self) -> None:
        """End every process with its whole tree."""
        await asyncio.gather(*(process.end() for process in self._processes.values()))
        await self._logs.stop()

    @property
    def config(self) -> ProcessConfig:
        """The limits."""
        return self._config

    def configure(self, request: ProcessConfigRequest) -> ProcessConfig:
        """Change the limits; those of running processes as well."""
        given = {name: value for name, value in msgspec.structs.asdict(request).items() if value is not None}
        config = msgspec.structs.replace(self._config, **given)
        if config.default_run_timeout_ms > config.max_run_timeout_ms:
            config = msgspec.structs.replace(config, default_run_timeout_ms=config.max_run_timeout_ms)
        self._config = config
        for process in self._processes.values():
            process.log.limit = config.max_log_bytes_per_process
        return config

    async def start(
        self, request: ProcessCreateRequest, *, owner: ProcessOwner = "user", session_id: str | None = None
    ) -> Process:
        """Start a process.

        Raises ``InvalidRequest`` for a command that cannot be started, ``Conflict`` when as many run as may.
        """
        command = _command(request.command, request.args, request.cwd, _TERM | request.env)
        limit = self._config.max_concurrent_processes
        if sum(process.running for process in self._processes.values()) >= limit:
            raise Conflict(
                f"{limit} processes are running, which is the limit",
                hint="stop some, or raise maxConcurrentProcesses",
                limit=limit,
            )
        self._last += 1
        name = f"proc_{self._last}"
        process = Process(
            name,
            request,
            command,
            owner=owner,
            session_id=session_id,
            supervisor=self._supervisor,
            output=await self._logs.open(name, self._config.max_log_bytes_per_process),
            pace=self._pace,
            on_end=self._note_end,
        )
        self._processes[name] = process
        try:
            await process.launch()
        except SpawnFailed as error:
            del self._processes[name]
            await self._logs.delete(name)
            raise _cannot_start(error) from error
        return process

    async def run(self, request: ProcessRunRequest) -> ProcessRunResponse:
        """Run a command to its end, or to its time-out. Raises ``InvalidRequest`` when it cannot be started."""
        config = self._config
        command = _command(request.command, request.args, request.cwd, _TERM | request.env)
        timeout = min(request.timeout_ms or config.default_run_timeout_ms, config.max_run_timeout_ms)
        limit = config.max_output_bytes
        if request.max_output_bytes is not None:
            limit = min(limit, request.max_output_bytes)
        try:
            return await run(self._supervisor, command, timeout=timeout / 1000, limit=limit)
        except SpawnFailed as error:
            raise _cannot_start(error) from error

    def get(self, name: str) -> Process:
        """Raises ``NotFound``."""
        process = self._processes.get(name)
        if process is None:
            raise NotFound(f"process {name} not found", resource="process", id=name)
        return process

    def list(self, owner: ProcessOwner | None = None) -> Sequence[Process]:
        """By creation, oldest first."""
        return [process for process in self._processes.values() if owner in {None, process.owner}]

    async def info(self, name: str) -> ProcessInfo:
        """A process with what it uses now. Raises ``NotFound``."""
        return (await self._infos([self.get(name)]))[0]

    async def infos(self, owner: ProcessOwner | None = None) -> tuple[ProcessInfo, ...]:
        """As `list`, with what each uses now."""
        return await self._infos(self.list(owner))

    async def _infos(self, processes: Sequence[Process]) -> tuple[ProcessInfo, ...]:
        children = {process.id: process.child for process in processes if process.child and process.alive}
        fresh_from = time.monotonic() - USAGE_FRESH_S
        self._measured = {token: told for token, told in self._measured.items() if told[0] >= fresh_from}
        wanted = [child for child in children.values() if child.token not in self._measured]
        if wanted:
            looking = spawn_task(self._measure(wanted), name="measure processes")
            await asyncio.wait({looking}, timeout=_USAGE_WAIT_S)
        usage = {name: self._measured.get(child.token) for name, child in children.items()}
        return tuple(  # who has ended meanwhile uses nothing
            process.info(told[1] if process.alive and (told := usage.get(process.id)) else None)
            for process in processes
        )

    async def _measure(self, children: Sequence[Child]) -> None:
        used = await self._supervisor.usage(children)
        now = time.monotonic()
        self._measured.update((child.token, (now, _usage(one))) for child, one in zip(children, used, strict=True))

    async def stop(self, name: str, wait_ms: int | None = None) -> Process:
        """SIGTERM to a process and its tree; waits for its end (2 s unless told otherwise)."""
        process = self.get(name)
        await process.stop((STOP_WAIT_MS if wait_ms is None else wait_ms) / 1000)
        return process

    async def kill(self, name: str, wait_ms: int | None = None) -> Process:
        """SIGKILL to a process and its tree; waits until all are gone (1 s unless told otherwise)."""
        process = self.get(name)
        await process.kill((KILL_WAIT_MS if wait_ms is None else wait_ms) / 1000)
        return process

    async def delete(self, name: str) -> None:
        """Forget a process and its log, and end what it left running. Raises ``Conflict`` while it runs itself."""
        process = self.get(name)
        if process.running:
            raise Conflict(f"process {name} is running", hint="stop or kill it first", id=name)
        del self._processes[name]
        self._ended.pop(name, None)
        await process.end(0)
        await self._logs.delete(name)

    def _note_end(self, process: Process) -> None:
        """What has ended is kept within bounds: of logs the oldest go first, which their readers are told."""
        if self._processes.get(process.id) is not process:
            return
        self._ended[process.id] = None
        total = 0
        for name in reversed(self._ended):
            log = self._processes[name].log
            total += log.size
            if total > ENDED_LOG_BYTES:
                log.clear()
        if len(self._ended) > ENDED_PROCESSES:
            spawn_task(self.delete(next(iter(self._ended))), name="forget the oldest process")

    async def input(self, name: str, data: bytes, *, eof: bool = False) -> int:
        """Write to a process's input, then end the input if ``eof``; the bytes written.

        Raises ``PayloadTooLarge`` above the limit, ``Conflict`` when it has ended, ``Timeout`` when it does not read.
        """
        process = self.get(name)
        limit = self._config.max_input_bytes_per_request
        if len(data) > limit:
            raise PayloadTooLarge(f"the input is larger than {limit} bytes", limit=limit)
        written = await process.send(data, self._input_deadline)
        if eof:
            await process.end_input(self._input_deadline)
        return written


def _usage(used: Usage) -> ProcessUsage:
    return ProcessUsage(cpu_seconds=used.cpu_seconds, memory_bytes=used.memory_bytes, processes=used.processes)


def _command(program: str, args: tuple[str, ...], cwd: str | None, env: dict[str, str]) -> Command:
    """Raises ``InvalidRequest`` for what no program can be given."""
    if not program.strip():
        raise InvalidRequest("command must not be empty")
    for name in env:
        if not name or "=" in name:
            raise InvalidRequest(f"env: {name!r} is no name for a variable")
    try:
        encoded = [os.fsencode(text) for text in (program, *args, cwd or "", *env, *env.values())]
    except UnicodeEncodeError as error:
        raise InvalidRequest("command, args, cwd and env must be text that has UTF-8") from error
    if any(b"\0" in text for text in encoded):
        raise InvalidRequest("command, args, cwd and env must not hold NUL")
    return Command((program, *args), env=env, cwd=cwd or None)


def _cannot_start(failure: SpawnFailed) -> Problem:
    error, command = failure.error, failure.command
    if error.errno not in _THEIR_FAULT:
        return StreamError(str(failure), code=errno.errorcode.get(error.errno or 0))
    name = errno.errorcode[error.errno or 0]
    if command.cwd is not None and error.filename == command.cwd:
        return InvalidRequest(f"cwd {command.cwd}: {error.strerror}", code=name)
    hint = "give its path, or install it" if error.errno == errno.ENOENT else None
    return InvalidRequest(str(failure), hint=hint, code=name)
