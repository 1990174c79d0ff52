"""One agent process and the JSON-RPC that crosses its standard streams, recorded in a journal."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Self

from sandbox_agent.acp import envelope as envelopes
from sandbox_agent.acp.envelope import Kind
from sandbox_agent.acp.flights import Flights
from sandbox_agent.acp.framing import LINE_CAP
from sandbox_agent.acp.intake import Intake
from sandbox_agent.acp.jsonscan import NotJson
from sandbox_agent.acp.roles import AgentExit, ClientRole, RpcError
from sandbox_agent.journal import Sender
from sandbox_agent.problems import AgentNotInstalled, AgentProcessExited, InvalidRequest, StreamError, Timeout
from sandbox_agent.supervisor import PipeReader, PipeWriter, SpawnFailed
from sandbox_agent.tasks import AwakeTimer, awake_timeout, spawn_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.acp.envelope import Envelope
    from sandbox_agent.acp.flights import Flight
    from sandbox_agent.journal import Journal
    from sandbox_agent.problems import Problem
    from sandbox_agent.supervisor import Child, Command, Supervisor

__all__ = ["AgentConnection", "AgentExit", "ClientRole", "RpcError", "parse_client"]

LAUNCH_DEADLINE = 60.0
_STDERR_KEPT = 16384
_STDIN_QUEUE = 64 << 20
_SILENT_GRACE = 2.0  # s an agent may live on after it closed its stdout or stdin: it can do nothing more for us
_HASTE = 0.5  # s between SIGTERM and SIGKILL for what stands between a client and its error
_METHOD_NOT_FOUND = -32601
_INTERNAL_ERROR = -32603


def parse_client(raw: bytes) -> Envelope:
    """The one JSON-RPC message a client sent. Raises InvalidRequest for anything else."""
    try:
        found = envelopes.parse(envelopes.clean(raw))
    except NotJson as error:
        if raw.lstrip()[:1] == b"[":
            raise InvalidRequest("the body must be one JSON-RPC object; batches are not taken") from None
        raise InvalidRequest(f"the body must be one JSON-RPC object: {error}") from None
    if found.kind is Kind.OTHER:
        raise InvalidRequest("the body must be a JSON-RPC request, notification or response (a method, or an id)")
    return found


class AgentConnection:
    """Made by `open`. Everything the agent writes goes to the journal as it came; responses to their askers as well."""

    def __init__(
        self,
        *,
        server_id: str,
        agent: str,
        child: Child,
        journal: Journal,
        record_clients: bool,
        handler: ClientRole | None,
        launch_deadline: float | None,
        on_exit: Callable[[AgentConnection], None] | None,
        line_cap: int,
    ) -> None:
        self.server_id = server_id
        self.agent = agent
        self.created_at_ms = time.time_ns() // 1_000_000
        self.journal = journal
        self.child = child
        self.exit: AgentExit | None = None
        self._record_clients = record_clients
        self._handler = handler
        self._launch_deadline = launch_deadline
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._flights = Flights()
        self._intake = Intake(
            journal, self._flights, handler, line_cap=line_cap, on_answer=self._on_answer, refuse=self._refuse
        )
        self._stderr_tail = bytearray()
        self._failure: Problem | None = None
        self._launching: tuple[Flight, AwakeTimer] | None = None
        self._launched = False
        self._deaf: AwakeTimer | None = None
        self._closing = False
        self._stdin = PipeWriter(child.stdin_fd, limit=_STDIN_QUEUE, on_broken=self._expect_exit)
        self._stdout = PipeReader(child.stdout_fd, self._on_stdout, self._expect_exit)
        self._stderr = PipeReader(child.stderr_fd, self._on_stderr)
        self._life = spawn_task(self._live(), name=f"agent {agent} {server_id}")

    @classmethod
    async def open(
        cls,
        *,
        server_id: str,
        agent: str,
        command: Command,
        supervisor: Supervisor,
        journal: Journal,
        record_clients: bool = False,
        handler: ClientRole | None = None,
        launch_deadline: float | None = LAUNCH_DEADLINE,
        on_exit: Callable[[AgentConnection], None] | None = None,
        line_cap: int = LINE_CAP,
    ) -> Self:
        """Start the agent's process.

        ``record_clients`` journals what goes to the agent, too. ``launch_deadline`` (seconds) is for its first answer
        to ``initialize``. Raises AgentNotInstalled or AgentProcessExited when it cannot be started.
        """
        try:
            child = await supervisor.spawn(command, owner=f"agent {agent} {server_id}")
        except SpawnFailed as error:
            if isinstance(error.error, FileNotFoundError):
                hint = f"sandbox-agent install-agent {agent}"
                raise AgentNotInstalled(str(error), hint=hint, agent=agent) from error
            raise AgentProcessExited(str(error), agent=agent) from error
        return cls(
            server_id=server_id,
            agent=agent,
            child=child,
            journal=journal,
            record_clients=record_clients,
            handler=handler,
            launch_deadline=launch_deadline,
            on_exit=on_exit,
            line_cap=line_cap,
        )

    def __repr__(self) -> str:
        return f"<AgentConnection {self.server_id} {self.agent} pid={self.child.pid} exit={self.exit}>"

    # To the agent

    async def request(self, method: str, params: Any, *, deadline: float | None = None, shown: Any = None) -> Any:
        """Ask the agent something of our own; its decoded result. ``shown`` are the params for the journal, if others.

        Raises RpcError for its error answer, AgentProcessExited when it ends, Timeout after ``deadline`` seconds (a
        later answer still goes to the journal).
        """
        await self._room()
        flight = self._flights.depart_ours(method, self._loop.create_future())
        recorded = envelopes.request(flight.sent_as, method, shown) if shown is not None else None
        self._send(envelopes.request(flight.sent_as, method, params), record_as=recorded)
        self._watch_launch(flight)
        try:
            async with awake_timeout(deadline):
                raw = await flight.answer
        except TimeoutError:
            detail = f"{self.agent} did not answer {method} within {deadline:g} s"
            raise Timeout(detail, agent=self.agent, method=method, stderr=self.stderr_tail or None) from None
        return self._result(raw)

    async def notify(self, method: str, params: Any) -> None:
        await self._room()
        self._send(envelopes.notification(method, params))

    async def respond(self, request_id: bytes, result: Any = None, error: RpcError | None = None) -> None:
        """Answer a request of the agent's; ``request_id`` is its envelope's."""
        await self._room()
        self._respond(request_id, result, error)

    async def forward(self, envelope: Envelope, *, hold: float | None) -> bytes | None:
        """Pass on a client's own message (of `parse_client`), untouched.

        For a request: the raw response, or None when there is none within ``hold`` seconds (it arrives in the journal
        then); an agent that ends meanwhile has it answered with an error whose data is the problem document. None for
        anything else. Raises AgentProcessExited for an agent that has ended, Timeout for one that does not read.
        """
        await self._room(hold)
        line = envelopes.one_line(envelope.raw)
        if envelope.kind is not Kind.REQUEST or envelope.id is None:
            self._send(line)
            return None
        flight = self._flights.depart(envelope.id, envelope.method or "", self._loop.create_future())
        self._send(envelopes.with_id(line, flight.sent_as) if flight.renamed else line, record_as=line)
        self._watch_launch(flight)
        try:
            async with asyncio.timeout(hold):
                return await flight.answer
        except TimeoutError:
            return None

    async def close(self, grace: float = 2.0) -> AgentExit:
        """End the agent and its whole tree; its last words, and the exit, are in the journal when this returns."""
        self._closing = True
        self._stdin.close()
        self.child.close_stdin()
        await self.child.end(grace)
        await asyncio.shield(self._life)
        return self.exit or AgentExit(None, None)

    @property
    def stderr_tail(self) -> str:
        """The last the agent wrote to its standard error."""
        return self._stderr_tail.decode(errors="replace").strip()

    def _alive(self) -> None:
        if self.exit is not None or self._closing:
            raise self._exit_problem()

    async def _room(self, patience: float | None = None) -> None:
        """Until the agent's input can take a message: an agent that does not read must not fill our memory."""
        self._alive()
        if self._stdin.has_room.is_set():
            return
        try:
            async with asyncio.timeout(patience):
                await self._stdin.has_room.wait()
        except TimeoutError:
            raise Timeout(f"{self.agent} does not read its input", agent=self.agent) from None
        self._alive()

    def _send(self, line: bytes, *, record_as: bytes | None = None) -> None:
        if self._record_clients:
            self.journal.append(record_as or line, Sender.CLIENT)
        self._stdin.write(line + b"\n")

    def _result(self, raw: bytes) -> Any:
        response = envelopes.decode(raw)
        error = response.get("error")
        if error is None:
            return response.get("result")
        if not isinstance(error, dict):
            raise StreamError(f"{self.agent} answered with an error that is none of JSON-RPC", error=error)
        code = error.get("code")
        message = str(error.get("message", ""))
        raise RpcError(code if isinstance(code, int) else _INTERNAL_ERROR, message, error.get("data"))

    def _respond(self, request_id: bytes, result: Any = None, error: RpcError | None = None) -> None:
        if error is None:
            self._send(envelopes.result(request_id, result))
        else:
            self._send(envelopes.error(request_id, error.code, error.message, error.data))

    # From the agent

    def _on_stdout(self, data: bytes) -> None:
        self._intake.feed(data)
        if not self.journal.writable.is_set() and self.exit is None:
            self._stdout.pause()
            spawn_task(self._resume(), name=f"wait for the store {self.server_id}")

    async def _resume(self) -> None:
        await self.journal.writable.wait()
        self._stdout.resume()

    def _on_stderr(self, data: bytes) -> None:
        self._stderr_tail += data
        del self._stderr_tail[:-_STDERR_KEPT]

    def _refuse(self, request: Envelope) -> None:
        if request.id is not None:
            self._respond(request.id, error=RpcError(_METHOD_NOT_FOUND, f"Method not found: {request.method}"))

    def _on_answer(self, flight: Flight) -> None:
        if self._launching is not None and self._launching[0] is flight:
            self._launching[1].cancel()
            self._launching = None

    # Its life

    def _watch_launch(self, flight: Flight) -> None:
        if flight.method == "initialize" and not self._launched:
            self._launched = True
            if self._launch_deadline is not None:
                timer = AwakeTimer(self._launch_deadline, self._launch_failed)
                self._launching = (flight, timer)

    def _launch_failed(self) -> None:
        self._failure = Timeout(
            f"{self.agent} did not answer initialize within {self._launch_deadline:g} s",
            hint="run the agent in a terminal to see what it waits for (a login, a download, a network)",
            agent=self.agent,
            stderr=self.stderr_tail or None,
        )
        spawn_task(self.close(_HASTE), name=f"end {self.server_id}, which does not answer")

    def _expect_exit(self) -> None:
        """A stream of the agent's has ended; so should the agent."""
        if self.child.exit is None and self._deaf is None:
            self._deaf = AwakeTimer(_SILENT_GRACE, self._end_deaf)

    def _end_deaf(self) -> None:
        if self.child.exit is None:
            spawn_task(self.child.end(_HASTE), name=f"end {self.server_id}, which closed its streams")

    async def _live(self) -> None:
        """From start to end of the process; then everything it wrote, its exit, and the errors of who still waits."""
        ended = await self.child.wait()
        if self._failure is not None:
            await self.child.end(_HASTE)
        at_end = [self._stdout.drain(), self._stderr.drain()]
        if not all(at_end):
            # a descendant holds a pipe and may write on: it goes first, so that what it wrote is read as well
            await self.child.end(_HASTE)
            self._stdout.drain()
            self._stderr.drain()
        for pipe in (self._stdin, self._stdout, self._stderr):
            pipe.close()
        self.child.close_fds()
        self._intake.end()
        self._finish(AgentExit(ended.code, ended.signal, self.stderr_tail))
        await self.child.end()

    def _finish(self, ended: AgentExit) -> None:
        self.exit = ended
        for timer in (self._deaf, self._launching and self._launching[1]):
            if timer is not None:
                timer.cancel()
        params = {
            "success": ended.success,
            "code": ended.code,
            "signal": ended.signal,
            "stderr": ended.stderr_tail,
            "expected": self._closing and self._failure is None,
        }
        entries = [envelopes.notification("_adapter/agent_exited", params)]
        problem = self._exit_problem()
        flights = self._flights.clear()
        # A client's request is answered in the agent's place, held or not: the official client takes an error of
        # HTTP for the end of its connection, and would not read on to the agent's last words.
        answers = {
            flight.sent_as: envelopes.error(flight.asked_as, _INTERNAL_ERROR, problem.detail, problem.document())
            for flight in flights
            if not flight.ours
        }
        self.journal.extend([*entries, *answers.values()], Sender.SERVER)
        for flight in flights:
            if flight.answer.done():
                continue
            if flight.ours:
                flight.answer.set_exception(problem)
            else:
                flight.answer.set_result(answers[flight.sent_as])
        if self._on_exit is not None:
            self._on_exit(self)
        if self._handler is not None:
            self._handler.on_exit(ended)

    def _exit_problem(self) -> Problem:
        if self._failure is not None:
            return self._failure
        ended = self.exit
        if ended is None or self._closing:
            return AgentProcessExited(f"the process of {self.agent} was ended", agent=self.agent)
        return AgentProcessExited(
            f"the process of {self.agent} ended with {ended}",
            agent=self.agent,
            exitCode=ended.code,
            signal=ended.signal,
            stderr=ended.stderr_tail or None,
        )
