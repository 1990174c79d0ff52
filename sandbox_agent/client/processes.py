"""Processes of the sandbox, from blocking code and from code on an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from sandbox_agent.client import commands, logs, process_calls
from sandbox_agent.client.calls import gone, perform
from sandbox_agent.client.process_results import ProcessList
from sandbox_agent.client.terminal import AsyncTerminal, Terminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from os import PathLike
    from types import TracebackType

    from sandbox_agent.client.async_driver import AsyncDriver, AsyncStream
    from sandbox_agent.client.process_results import LogEntry, ProcessInfo, RunResult
    from sandbox_agent.client.sync_driver import Stream, SyncDriver
    from sandbox_agent.wire.processes import ProcessConfig, ProcessLogsStream, ProcessOwner, RestartPolicy


class ProcessBase:
    """A process as last heard of."""

    def __init__(self, info: ProcessInfo) -> None:
        self._info = info

    @property
    def id(self) -> str:
        return self._info.id

    @property
    def info(self) -> ProcessInfo:
        """The process as it was when last heard of; ``refresh()`` asks."""
        return self._info

    @property
    def running(self) -> bool:
        return self._info.running

    @property
    def exit_code(self) -> int | None:
        return self._info.exit_code

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self._info.command} {self._info.status}>"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(str(self._info))

    def _repr_html_(self) -> str:
        return self._info._repr_html_()


class Process(ProcessBase):
    """A process that lives in the server: it outlasts this object and this kernel. Iterating it gives its lines.

    As a context manager it is ended, and forgotten, on the way out.
    """

    def __init__(self, driver: SyncDriver, info: ProcessInfo) -> None:
        super().__init__(info)
        self._driver = driver

    def refresh(self) -> ProcessInfo:
        """Ask the server how the process is."""
        self._info = self._driver.run(perform(process_calls.process(self.id)))
        return self._info

    def logs(
        self,
        *,
        stream: ProcessLogsStream | None = None,
        follow: bool = True,
        tail: int | None = None,
        since: int | None = None,
    ) -> Stream[str]:
        """The lines it wrote, as it writes them, until it ends; without ``follow`` those of now.

        Nothing is lost when a connection is cut. ``stream`` is ``stdout``, ``stderr`` or ``combined``; ``tail`` begins
        that many entries before the end, ``since`` after an entry's sequence.

        >>> from sandbox_agent import SandboxAgent
        >>> with SandboxAgent.start() as agent:
        ...     for line in agent.processes.start("echo one; echo two").logs():
        ...         print(line)
        one
        two
        """
        source = logs.entries(self.id, stream, follow_on=follow, tail=tail, since=since)
        return self._driver.iterate(logs.lines(source))

    def log_entries(
        self,
        *,
        stream: ProcessLogsStream | None = None,
        follow: bool = True,
        tail: int | None = None,
        since: int | None = None,
    ) -> Stream[LogEntry]:
        """The same as raw entries, with numbers, times and bytes; one with ``is_reset`` stands for what is gone."""
        return self._driver.iterate(logs.entries(self.id, stream, follow_on=follow, tail=tail, since=since))

    def output(self, *, stream: ProcessLogsStream | None = None) -> str:
        """All that it wrote and that is kept, as one text."""
        return self._driver.run(logs.output(self.id, stream))

    def __iter__(self) -> Iterator[str]:
        return self.logs()

    def wait(self, timeout: float | None = None) -> ProcessInfo:
        """Wait for its end. Raises :class:`ProcessTimeout` after ``timeout`` seconds; the process goes on."""
        self._info = self._driver.run(commands.wait(self.id, timeout))
        return self._info

    def send(self, data: str | bytes, *, eof: bool = False) -> int:
        """Write to its input, then with ``eof`` end that; the number of bytes written.

        Raises :class:`Timeout` when it does not read, :class:`Conflict` when it has ended.
        """
        return self._driver.run(commands.send(self.id, data, eof=eof))

    def stop(self, *, wait: float | None = None) -> ProcessInfo:
        """Ask it and all it started to end (SIGTERM), and wait for that: 2 seconds, or ``wait``."""
        self._info = self._driver.run(perform(process_calls.end(self.id, "stop", wait)))
        return self._info

    def kill(self, *, wait: float | None = None) -> ProcessInfo:
        """End it and all it started (SIGKILL), and wait until that is done: 1 second, or ``wait``."""
        self._info = self._driver.run(perform(process_calls.end(self.id, "kill", wait)))
        return self._info

    def delete(self) -> None:
        """Forget it with its log. Raises :class:`Conflict` while it runs."""
        self._driver.run(gone(process_calls.delete(self.id)))

    def terminal(self) -> Terminal:
        """Its terminal, if it was started with one; what is on its screen is seen again."""
        return Terminal(self._driver, self._info).connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._driver.run(commands.put_away(self.id))


class AsyncProcess(ProcessBase):
    """A process that lives in the server: it outlasts this object and this kernel. Iterating it gives its lines.

    As a context manager it is ended, and forgotten, on the way out.
    """

    def __init__(self, driver: AsyncDriver, info: ProcessInfo) -> None:
        super().__init__(info)
        self._driver = driver

    async def refresh(self) -> ProcessInfo:
        """See :meth:`Process.refresh`."""
        self._info = await self._driver.run(perform(process_calls.process(self.id)))
        return self._info

    def logs(
        self,
        *,
        stream: ProcessLogsStream | None = None,
        follow: bool = True,
        tail: int | None = None,
        since: int | None = None,
    ) -> AsyncStream[str]:
        """See :meth:`Process.logs`."""
        source = logs.entries(self.id, stream, follow_on=follow, tail=tail, since=since)
        return self._driver.iterate(logs.lines(source))

    def log_entries(
        self,
        *,
        stream: ProcessLogsStream | None = None,
        follow: bool = True,
        tail: int | None = None,
        since: int | None = None,
    ) -> AsyncStream[LogEntry]:
        """See :meth:`Process.log_entries`."""
        return self._driver.iterate(logs.entries(self.id, stream, follow_on=follow, tail=tail, since=since))

    async def output(self, *, stream: ProcessLogsStream | None = None) -> str:
        """See :meth:`Process.output`."""
        return await self._driver.run(logs.output(self.id, stream))

    def __aiter__(self) -> AsyncIterator[str]:
        return self.logs()

    async def wait(self, timeout: float | None = None) -> ProcessInfo:  # noqa: ASYNC109 - it ends the wait alone
        """See :meth:`Process.wait`."""
        self._info = await self._driver.run(commands.wait(self.id, timeout))
        return self._info

    async def send(self, data: str | bytes, *, eof: bool = False) -> int:
        """See :meth:`Process.send`."""
        return await self._driver.run(commands.send(self.id, data, eof=eof))

    async def stop(self, *, wait: float | None = None) -> ProcessInfo:
        """See :meth:`Process.stop`."""
        self._info = await self._driver.run(perform(process_calls.end(self.id, "stop", wait)))
        return self._info

    async def kill(self, *, wait: float | None = None) -> ProcessInfo:
        """See :meth:`Process.kill`."""
        self._info = await self._driver.run(perform(process_calls.end(self.id, "kill", wait)))
        return self._info

    async def delete(self) -> None:
        """See :meth:`Process.delete`."""
        await self._driver.run(gone(process_calls.delete(self.id)))

    async def terminal(self) -> AsyncTerminal:
        """See :meth:`Process.terminal`."""
        return await AsyncTerminal(self._driver, self._info).connect()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._driver.run(commands.put_away(self.id))


class Processes:
    """The processes of the server: ``sdk.processes``."""

    def __init__(self, driver: SyncDriver) -> None:
        self._driver = driver

    def start(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        interactive: bool = False,
        tty: bool = False,
        cols: int | None = None,
        rows: int | None = None,
        restart_policy: RestartPolicy = "never",
    ) -> Process:
        """Start a process and return at once.

        ``command`` is a line for the shell (``sh``), or a program and its arguments. ``interactive`` leaves its input
        open for `send`; ``tty`` gives it a terminal of ``cols`` x ``rows``. ``restart_policy`` is ``never``,
        ``on_failure`` or ``always``.
        """
        request = process_calls.create_request(
            command,
            cwd=cwd,
            env=env,
            interactive=interactive,
            tty=tty,
            cols=cols,
            rows=rows,
            restart_policy=restart_policy,
        )
        return Process(self._driver, self._driver.run(perform(process_calls.create(request))))

    def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        max_output_bytes: int | None = None,
        check: bool = False,
    ) -> RunResult:
        """Run a command to its end; see `SandboxAgent.run`."""
        request = process_calls.run_request(
            command, cwd=cwd, env=env, timeout=timeout, max_output_bytes=max_output_bytes
        )
        return self._driver.run(commands.run(request, check=check))

    def list(self, *, owner: ProcessOwner | None = None) -> ProcessList:
        """The processes, oldest first: those of ``user``, of ``session``s, of the ``desktop``, or all."""
        return ProcessList(self._driver.run(perform(process_calls.listing(owner))).processes)

    def get(self, process_id: str) -> Process:
        """A process by its id. Raises :class:`NotFound`."""
        return Process(self._driver, self._driver.run(perform(process_calls.process(process_id))))

    def limits(self) -> ProcessConfig:
        """The limits of processes and commands, in bytes and milliseconds."""
        return self._driver.run(perform(process_calls.limits()))

    def set_limits(
        self,
        *,
        max_concurrent_processes: int | None = None,
        default_run_timeout_ms: int | None = None,
        max_run_timeout_ms: int | None = None,
        max_output_bytes: int | None = None,
        max_log_bytes_per_process: int | None = None,
        max_input_bytes_per_request: int | None = None,
    ) -> ProcessConfig:
        """Change the limits that are given; the answer tells those in force."""
        call = process_calls.set_limits(
            max_concurrent_processes=max_concurrent_processes,
            default_run_timeout_ms=default_run_timeout_ms,
            max_run_timeout_ms=max_run_timeout_ms,
            max_output_bytes=max_output_bytes,
            max_log_bytes_per_process=max_log_bytes_per_process,
            max_input_bytes_per_request=max_input_bytes_per_request,
        )
        return self._driver.run(perform(call))


class AsyncProcesses:
    """The processes of the server: ``sdk.processes``."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    async def start(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        interactive: bool = False,
        tty: bool = False,
        cols: int | None = None,
        rows: int | None = None,
        restart_policy: RestartPolicy = "never",
    ) -> AsyncProcess:
        """See :meth:`Processes.start`."""
        request = process_calls.create_request(
            command,
            cwd=cwd,
            env=env,
            interactive=interactive,
            tty=tty,
            cols=cols,
            rows=rows,
            restart_policy=restart_policy,
        )
        return AsyncProcess(self._driver, await self._driver.run(perform(process_calls.create(request))))

    async def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the server's, for the command
        max_output_bytes: int | None = None,
        check: bool = False,
    ) -> RunResult:
        """See :meth:`SandboxAgent.run`."""
        request = process_calls.run_request(
            command, cwd=cwd, env=env, timeout=timeout, max_output_bytes=max_output_bytes
        )
        return await self._driver.run(commands.run(request, check=check))

    async def list(self, *, owner: ProcessOwner | None = None) -> ProcessList:
        """See :meth:`Processes.list`."""
        return ProcessList((await self._driver.run(perform(process_calls.listing(owner)))).processes)

    async def get(self, process_id: str) -> AsyncProcess:
        """See :meth:`Processes.get`."""
        return AsyncProcess(self._driver, await self._driver.run(perform(process_calls.process(process_id))))

    async def limits(self) -> ProcessConfig:
        """See :meth:`Processes.limits`."""
        return await self._driver.run(perform(process_calls.limits()))

    async def set_limits(
        self,
        *,
        max_concurrent_processes: int | None = None,
        default_run_timeout_ms: int | None = None,
        max_run_timeout_ms: int | None = None,
        max_output_bytes: int | None = None,
        max_log_bytes_per_process: int | None = None,
        max_input_bytes_per_request: int | None = None,
    ) -> ProcessConfig:
        """See :meth:`Processes.set_limits`."""
        call = process_calls.set_limits(
            max_concurrent_processes=max_concurrent_processes,
            default_run_timeout_ms=default_run_timeout_ms,
            max_run_timeout_ms=max_run_timeout_ms,
            max_output_bytes=max_output_bytes,
            max_log_bytes_per_process=max_log_bytes_per_process,
            max_input_bytes_per_request=max_input_bytes_per_request,
        )
        return await self._driver.run(perform(call))
