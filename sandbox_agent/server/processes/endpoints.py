"""Managed processes, commands that are waited for, input, signals, limits."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from typing import TYPE_CHECKING, Annotated

import msgspec

from sandbox_agent.problems import InvalidRequest
from sandbox_agent.server.call import Answer
from sandbox_agent.wire.processes import ProcessInputResponse, ProcessListResponse, ProcessOwner

if TYPE_CHECKING:
    from sandbox_agent.server.call import Call
    from sandbox_agent.wire.processes import ProcessInputRequest

_DAY_MS = 86_400_000


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``owner`` leaves out what others started; what clients start is the ``user``'s."""

    owner: ProcessOwner | None = None


class SignalQuery(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """``wait_ms`` is for how long the end is waited for: 2,000 after a stop, 1,000 after a kill, unless given."""

    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=_DAY_MS)] | None = None


async def list_processes(call: Call) -> Answer:
    processes = call.sandbox.processes
    return Answer(body=ProcessListResponse(processes=await processes.infos(call.query.owner)))


async def create(call: Call) -> Answer:
    process = await call.sandbox.processes.start(call.body)
    return Answer(body=process.info())


async def config(call: Call) -> Answer:
    return Answer(body=call.sandbox.processes.config)


async def configure(call: Call) -> Answer:
    return Answer(body=call.sandbox.processes.configure(call.body))


async def run(call: Call) -> Answer:
    return Answer(body=await call.sandbox.processes.run(call.body))


async def get(call: Call) -> Answer:
    """Held until the process has ended, for as long as ``Prefer: wait=N`` asks."""
    processes, name = call.sandbox.processes, call.params["id"]
    if hold := call.hold(0.0):
        process = processes.get(name)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(hold):
                await process.wait()
        return Answer(body=process.info() if not process.running else await processes.info(name))
    return Answer(body=await processes.info(name))


async def delete(call: Call) -> Answer:
    await call.sandbox.processes.delete(call.params["id"])
    return Answer(status=204)


async def send_input(call: Call) -> Answer:
    request: ProcessInputRequest = call.body
    written = await call.sandbox.processes.input(call.params["id"], _decoded(request), eof=request.eof)
    return Answer(body=ProcessInputResponse(bytes_written=written))


def _decoded(request: ProcessInputRequest) -> bytes:
    if request.encoding not in {None, "base64"}:
        return request.data.encode()
    try:
        return base64.b64decode(request.data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"data is not base64: {error}", hint='for text, send "encoding": "utf8"') from error


async def stop(call: Call) -> Answer:
    return Answer(body=(await call.sandbox.processes.stop(call.params["id"], call.query.wait_ms)).info())


async def kill(call: Call) -> Answer:
    return Answer(body=(await call.sandbox.processes.kill(call.params["id"], call.query.wait_ms)).info())
