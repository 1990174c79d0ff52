"""`/v1/agents/{agent}/install`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.problems import Problem
from sandbox_agent.server import negotiate
from sandbox_agent.server.call import Answer, EventStream
from sandbox_agent.server.sse import event
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox_agent.agents.install import Listener, Progress
    from sandbox_agent.server.call import Call, Outcome
    from sandbox_agent.wire.agents import AgentInstallRequest, AgentInstallResponse


async def install(call: Call) -> Outcome:
    """The response when it is installed; as an event stream if asked for, with ``progress`` events before it.

    A client that goes away does not end the install.
    """
    # what cannot be begun is told by the status, also to those who want a stream
    await call.sandbox.agents.known(call.params["agent"])
    if call.wants(negotiate.EVENT_STREAM):
        return EventStream(batches=_events(call))
    return Answer(body=await _install(call))


async def _install(call: Call, listener: Listener | None = None) -> AgentInstallResponse:
    request: AgentInstallRequest = call.body
    return await call.sandbox.agents.install(
        call.params["agent"],
        reinstall=bool(request.reinstall),
        agent_version=request.agent_version,
        agent_process_version=request.agent_process_version,
        progress=listener,
    )


async def _events(call: Call) -> AsyncIterator[bytes]:
    """``progress`` with ``stage``, ``text`` and ``fraction``; then ``installed``, or ``failed`` with the problem."""
    queue: asyncio.Queue[Progress | None] = asyncio.Queue()
    task = spawn_task(_outcome(call, queue.put_nowait), name=f"install {call.params['agent']} for a stream")
    task.add_done_callback(lambda _: queue.put_nowait(None))
    while (progress := await queue.get()) is not None:
        told = {"stage": progress.stage, "text": progress.text, "fraction": progress.fraction}
        yield event("progress", msgspec.json.encode(told))
    outcome = await task
    if isinstance(outcome, Problem):
        yield event("failed", outcome.encode())
    else:
        yield event("installed", msgspec.json.encode(outcome))


async def _outcome(call: Call, listener: Listener) -> AgentInstallResponse | Problem:
    try:
        return await _install(call, listener)
    except Problem as problem:
        return problem
