"""The prompts of one session, run one after another, each to its end.

A prompt is a job: once accepted it is on disk and runs, whoever waits for it. After a restart of the server the queued
ones run; one that ran is ``failed``, as nobody knows how far it got. A cancel ends what runs and empties the queue:
who presses stop wants everything to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from typing import TYPE_CHECKING

from sandbox_agent.acp.roles import RpcError
from sandbox_agent.problems import (
    AgentProcessExited,
    Conflict,
    InternalError,
    NotFound,
    Problem,
    SandboxAgentError,
    StreamError,
)
from sandbox_agent.sessions import events, handshake
from sandbox_agent.sessions.core import now_ms
from sandbox_agent.sessions.prompts import (
    AGENT_EXITED,
    CANCELLED,
    FINAL,
    Outcome,
    ended,
    for_agent,
    outcome_of,
    started,
    with_last,
    with_options,
)
from sandbox_agent.sessions.records import PromptRow
from sandbox_agent.sessions.restore import priming
from sandbox_agent.tasks import awake_timeout, spawn_task
from sandbox_agent.wire.sessions import PromptInfo

if TYPE_CHECKING:
    from sandbox_agent.sessions.core import Core
    from sandbox_agent.sessions.desk import Asked, PermissionDesk
    from sandbox_agent.sessions.link import AgentLink
    from sandbox_agent.sessions.updates import ToolCalls
    from sandbox_agent.sessions.view import TranscriptView
    from sandbox_agent.wire.base import JsonObject

INFERENCE_ENTRIES = 64
"""A turn that left more entries said something: its ending well is believed."""


class Job:
    """A prompt that is not final, or has just become so."""

    def __init__(self, row: PromptRow) -> None:
        self.row = row
        self.done = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.sent = False

    @property
    def info(self) -> PromptInfo:
        return self.row.info

    @info.setter
    def info(self, info: PromptInfo) -> None:
        self.row = PromptRow(ordinal=self.row.ordinal, info=info)


class PromptQueue:
    """``running`` is the job whose turn it is."""

    def __init__(
        self, core: Core, link: AgentLink, desk: PermissionDesk, tools: ToolCalls, view: TranscriptView
    ) -> None:
        self._core = core
        self._link = link
        self._desk = desk
        self._tools = tools
        self._view = view
        self._ordinal = 0
        self._waiting: deque[Job] = deque()
        self._jobs: dict[str, Job] = {}
        self._submitting = asyncio.Lock()
        self._worker: asyncio.Task[None] | None = None
        self._stopped = False
        self.running: Job | None = None
        desk.current_prompt = lambda: self.running.info.id if self.running is not None else None

    # -- what is there

    @property
    def queued(self) -> int:
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        return self.running is not None or bool(self._waiting)

    async def info(self, prompt_id: str) -> PromptInfo:
        job = self._jobs.get(prompt_id)
        if job is not None:
            return job.info
        row = await self._core.records.prompt(self._core.id, prompt_id)
        if row is None:
            raise NotFound(f"session {self._core.id} has no prompt {prompt_id!r}", sessionId=self._core.id)
        return row.info

    async def wait(self, prompt_id: str, seconds: float) -> PromptInfo:
        """The prompt once it is final, or as it is after so many seconds."""
        job = self._jobs.get(prompt_id)
        if job is None:
            return await self.info(prompt_id)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await job.done.wait()
        return job.info

    # -- coming and going

    def restore(self, ordinal: int, rows: list[PromptRow]) -> None:
        """Take up what an earlier run of the server left."""
        self._ordinal = ordinal
        for row in rows:
            job = Job(row)
            if row.info.state == "queued":
                self._jobs[row.info.id] = job
                self._waiting.append(job)
            else:
                self._end(job, _interrupted(self._core.row.agent))
        self._work_on()

    async def submit(self, blocks: tuple[JsonObject, ...], key: str | None) -> PromptInfo:
        """Accept a prompt; it is on disk when this returns. A known ``key`` gives the prompt it stands for."""
        async with self._submitting:
            if key is not None and (known := await self._known(key, blocks)) is not None:
                return known
            if self._stopped:
                raise Conflict(f"session {self._core.id} is being closed", sessionId=self._core.id)
            self._ordinal += 1
            info = PromptInfo(
                id=f"prm_{secrets.token_hex(8)}",
                session_id=self._core.id,
                state="queued",
                created_at_ms=now_ms(),
                prompt=blocks,
                idempotency_key=key,
            )
            job = Job(PromptRow(ordinal=self._ordinal, info=info))
            # The key goes first: a crash between the two leaves a key that stands for nothing, which is harmless.
            if key is not None:
                self._core.records.put_key(self._core.id, key, info.id)
            self._core.records.put_prompt(job.row)
            self._jobs[info.id] = job
            await self._core.records.durable()
            if not self._stopped:  # else it is queued on disk all the same, and runs after the restart
                self._waiting.append(job)
                self._work_on()
            return job.info

    async def cancel(self) -> None:
        """End the turn and empty the queue; returns when that is done."""
        running = self.running
        while self._waiting:
            self._drop(self._waiting.popleft())
        if running is not None:
            running.cancelled.set()
            await running.done.wait()
        else:
            await self._desk.tell_cancelled(self._desk.cancel_all("turn_cancelled"))

    async def stop(self, *, keep: bool) -> None:
        """Stop with the server (``keep``: queued prompts stay queued), or for good with the session."""
        self._stopped = self._desk.closed = True
        self._desk.cancel_all("server_restarted" if keep else "turn_cancelled")
        ran = self.running is not None
        if self.running is not None:
            self._end(self.running, _interrupted(self._core.row.agent))
        while self._waiting:
            job = self._waiting.popleft()
            if keep:
                job.done.set()
            else:
                self._drop(job)
        if not keep and not ran:
            await self._link.dismiss()
        await self._link.close(for_good=True)
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait({self._worker})

    async def _known(self, key: str, blocks: tuple[JsonObject, ...]) -> PromptInfo | None:
        prompt_id = await self._core.records.key(self._core.id, key)
        job = self._jobs.get(prompt_id) if prompt_id is not None else None
        row = await self._core.records.prompt(self._core.id, prompt_id) if prompt_id is not None else None
        info = job.info if job is not None else row.info if row is not None else None
        if info is not None and info.prompt != blocks:
            raise Conflict(
                "this Idempotency-Key was used for another prompt",
                hint="take a new key for a new prompt",
                sessionId=self._core.id,
                promptId=info.id,
            )
        return info

    # -- running

    def _work_on(self) -> None:
        if self._waiting and self._worker is None and not self._stopped:
            self._worker = spawn_task(self._work(), name=f"prompts of {self._core.id}")

    async def _work(self) -> None:
        try:
            while self._waiting and not self._stopped:
                await self._run(self._waiting.popleft())
        finally:
            self._worker = None
            self._work_on()

    async def _run(self, job: Job) -> None:
        core = self._core
        self.running = job
        job.info = started(job.info, now_ms=now_ms(), first_sequence=core.journal.head + 1, options=core.row.standing)
        core.tell("turn_started", promptId=job.info.id)
        talk = spawn_task(self._talk(job), name=f"turn {job.info.id}")
        stop = spawn_task(job.cancelled.wait(), name=f"cancel of {job.info.id}")
        outcome = _fault(core.row.agent)
        try:
            await asyncio.wait({talk, stop}, return_when=asyncio.FIRST_COMPLETED)
            outcome = await (self._call_off(job, talk) if job.cancelled.is_set() else talk)
            await self._desk.tell_cancelled(self._desk.cancel_all("turn_ended"))
            self._end(job, await self._second_look(job, outcome))
            await core.records.durable()  # nobody is told of an end that a crash could take back
        finally:
            stop.cancel()
            talk.cancel()
            self._end(job, outcome)
            self._release(job)
        self._view.save_soon()
        self._link.look_after()

    async def _talk(self, job: Job) -> Outcome:
        """One turn with the agent, to whatever end."""
        core = self._core
        try:
            connection = await self._link.ensure()
        except Problem as problem:
            core.change(error=core.redact(problem.document()))
            return Outcome(state="failed", error=problem.document())
        try:
            blocks = list(for_agent(job.info.prompt, core.row.agent_capabilities, agent=core.row.agent))
        except Problem as problem:  # another version of the agent than when the prompt was accepted
            return Outcome(state="failed", error=problem.document())
        if core.row.priming and (past := priming(await self._view.snapshot(), core.settings.priming_characters)):
            blocks.insert(0, past)
        # Not before: processes that ended while the agent was restored end no turn, and what was not sent yet may be
        # sent after a crash. On disk before it is sent: nothing runs twice.
        core.note(events.turn(job.info))
        self._save(job, with_options(job.info, core.row.options))
        core.change(remembers=True, priming=False)
        await core.records.durable()
        self._link.prompting()
        job.sent = True
        params = {"sessionId": core.row.agent_session_id, "prompt": blocks, "_meta": {"promptId": job.info.id}}
        try:
            return outcome_of(await connection.request("session/prompt", params))
        except AgentProcessExited as problem:
            return Outcome(state="failed", stop_reason=AGENT_EXITED, error=problem.document())
        except RpcError as error:
            refused = handshake.refusal(error, "session/prompt", agent=core.row.agent)
            return Outcome(state="failed", error=refused.document())

    async def _call_off(self, job: Job, talk: asyncio.Task[Outcome]) -> Outcome:
        """Cancel a turn: ask the agent, and end it when it does not obey within the grace period."""
        self._desk.closed = True
        if not job.sent:
            talk.cancel()
            await asyncio.wait({talk})
            return CANCELLED
        waiting = self._desk.cancel_all("turn_cancelled")
        telling = spawn_task(self._tell_cancelled(waiting), name=f"tell cancel of {job.info.id}")
        with contextlib.suppress(TimeoutError):
            async with awake_timeout(self._core.settings.cancel_grace):
                await asyncio.wait({talk})
        telling.cancel()
        if talk.done():
            outcome = talk.result()
            refused = outcome.state == "failed" and outcome.stop_reason != AGENT_EXITED
            return CANCELLED if refused else outcome
        self._core.note(events.notice("warning", "The agent did not obey the cancel; its process was ended."))
        self._end(job, CANCELLED)  # first: what the killed process leaves behind belongs to no turn
        await self._link.close()
        return CANCELLED

    async def _tell_cancelled(self, waiting: list[Asked]) -> None:
        connection = self._link.connection
        try:
            if connection is not None:
                await connection.notify("session/cancel", {"sessionId": self._core.row.agent_session_id})
            await self._desk.tell_cancelled(waiting)
        except SandboxAgentError:
            return  # the agent is gone: that ends the turn by itself

    async def _second_look(self, job: Job, outcome: Outcome) -> Outcome:
        """Some agents end a turn that failed as if all were well; the transcript fold knows their ways."""
        core = self._core
        if outcome.stop_reason != "end_turn" or core.journal.head - (job.info.first_sequence or 0) > INFERENCE_ENTRIES:
            return outcome
        await core.journal.durable()
        seen = await self._view.turn(job.info.id)
        told = seen.error if seen is not None and seen.state == "failed" else None
        if not told or "inferred" not in told:
            return outcome
        error = StreamError(str(told.get("message")), agent=core.row.agent, inferred=told["inferred"])
        return Outcome(
            state="failed", stop_reason="end_turn", usage=outcome.usage, meta=outcome.meta, error=error.document()
        )

    def _save(self, job: Job, info: PromptInfo) -> None:
        job.info = info
        self._core.records.put_prompt(job.row)
        self._core.change()

    def _end(self, job: Job, outcome: Outcome) -> None:
        """The prompt is final. The first outcome stays."""
        if job.info.state in FINAL:
            return
        info = ended(job.info, self._core.redact(outcome), now_ms=now_ms())
        sequence = self._core.note(events.turn(info))
        self._save(job, with_last(info, sequence))
        self._tools.clear()
        self._core.tell("turn_ended", promptId=info.id, state=info.state, stopReason=info.stop_reason)

    def _release(self, job: Job) -> None:
        """Nobody has to wait for the job any more."""
        if self.running is job:
            self.running = None
            self._desk.closed = self._stopped
        self._jobs.pop(job.info.id, None)
        job.done.set()

    def _drop(self, job: Job) -> None:
        """A job that never ran is cancelled."""
        job.cancelled.set()
        self._end(job, CANCELLED)
        self._release(job)


def _interrupted(agent: str) -> Outcome:
    problem = AgentProcessExited(
        "the server stopped while this turn ran",
        hint="look at what was done so far, then prompt again",
        agent=agent,
        reason="server_restarted",
    )
    return Outcome(state="failed", stop_reason=AGENT_EXITED, error=problem.document())


def _fault(agent: str) -> Outcome:
    problem = InternalError("a fault of the server ended this turn; its log tells more", agent=agent)
    return Outcome(state="failed", error=problem.document())
