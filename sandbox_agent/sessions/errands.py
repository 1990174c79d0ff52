"""What an agent asks of its client beside permissions: to read and write text files, and to run commands.

An agent asks a person before it acts, by ``session/request_permission``; these requests are how it then acts, so they
are carried out as they come, as other ACP clients do. The session's policy can still forbid: what it denies is not done
here either, whether the agent has asked or not. A default of ``deny`` leaves reading, which agents never ask about.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from sandbox_agent.acp.roles import RpcError
from sandbox_agent.problems import NotFound, PermissionDenied, Problem
from sandbox_agent.sessions.policy import decide
from sandbox_agent.sessions.terminals import Terminals
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container

    from sandbox_agent.acp.connection import AgentConnection
    from sandbox_agent.acp.envelope import Envelope
    from sandbox_agent.files import Files
    from sandbox_agent.processes import Processes
    from sandbox_agent.sessions.core import Core
    from sandbox_agent.wire.base import JsonObject

INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
RESOURCE_NOT_FOUND = -32002
REFUSED = -32003


def offer(without: Container[str] = ()) -> JsonObject:
    """What we tell an agent that we do for it.

    Gemini CLI is not offered to read: it does not know the error of a missing file again, and then makes no new ones.
    """
    files = {name: name not in without for name in ("readTextFile", "writeTextFile")}
    return {"fs": files, "terminal": "terminal" not in without}


Natural = Annotated[int, msgspec.Meta(ge=0)]


class _Request(msgspec.Struct):
    params: msgspec.Raw = msgspec.Raw(b"{}")


class _Read(msgspec.Struct):
    path: str
    line: Natural | None = None
    limit: Natural | None = None


class _Write(msgspec.Struct):
    path: str
    content: str


class Variable(msgspec.Struct):
    name: str
    value: str


class Create(msgspec.Struct, rename="camel"):
    """``terminal/create``. Without ``args`` agents put a whole line of shell into ``command``."""

    command: str
    args: tuple[str, ...] | None = None
    env: tuple[Variable, ...] | None = None
    cwd: str | None = None
    output_byte_limit: Natural | None = None


class _Named(msgspec.Struct, rename="camel"):
    terminal_id: str


class Errands:
    """Answers the requests of one session's agent."""

    def __init__(self, core: Core, files: Files, processes: Processes) -> None:
        self._core = core
        self._files = files
        self._terminals = Terminals(core, processes)
        self._methods: dict[str, tuple[type[Any], Callable[[Any], Awaitable[JsonObject]]]] = {
            "fs/read_text_file": (_Read, self._read),
            "fs/write_text_file": (_Write, self._write),
            "terminal/create": (Create, self._create),
            "terminal/output": (_Named, self._output),
            "terminal/wait_for_exit": (_Named, self._wait),
            "terminal/kill": (_Named, self._kill),
            "terminal/release": (_Named, self._release),
        }

    def asked(self, connection: AgentConnection, envelope: Envelope) -> bool:
        """Take on a request; false where it is none of these."""
        known = self._methods.get(envelope.method or "")
        if known is None:
            return False
        spawn_task(self._answer(connection, envelope, *known), name=f"{envelope.method} of {self._core.id}")
        return True

    async def end(self) -> None:
        """The agent has gone: its commands end with it. What it asked to be written is written all the same."""
        await self._terminals.end()

    async def _answer(
        self,
        connection: AgentConnection,
        envelope: Envelope,
        form: type[Any],
        do: Callable[[Any], Awaitable[JsonObject]],
    ) -> None:
        result: JsonObject | None = None
        error: RpcError | None = None
        try:
            result = await do(_params(envelope, form))
        except RpcError as refused:
            error = refused
        except Problem as problem:
            error = _as_error(problem)
        with contextlib.suppress(Problem):  # the agent is gone
            await connection.respond(envelope.id or b"null", result, error)

    # -- files

    async def _read(self, params: _Read) -> JsonObject:
        path = self._placed(params.path)
        await self._permit({"kind": "read", "rawInput": {"path": path}}, default=False)
        try:
            return {"content": await self._files.read_text(path, params.line or None, params.limit)}
        except NotFound as missing:
            raise RpcError(RESOURCE_NOT_FOUND, "Resource not found", {"uri": path}) from missing

    async def _write(self, params: _Write) -> JsonObject:
        path = self._placed(params.path)
        await self._permit({"kind": "edit", "rawInput": {"path": path}})
        await self._files.write_text(path, params.content)
        return {}

    def _placed(self, path: str) -> str:
        """The protocol asks for absolute paths; agents that give others mean the session's folder."""
        return os.path.normpath(os.path.join(self._core.row.cwd, path))  # noqa: PTH118 - text in, text out

    # -- terminals

    async def _create(self, params: Create) -> JsonObject:
        line = [params.command, *params.args] if params.args else params.command
        await self._permit({"kind": "execute", "rawInput": {"command": line}})
        cwd = self._placed(params.cwd) if params.cwd else self._core.row.cwd
        env = {variable.name: variable.value for variable in params.env or ()}
        name = await self._terminals.create(params.command, params.args or (), cwd, env, params.output_byte_limit)
        return {"terminalId": name}

    async def _output(self, params: _Named) -> JsonObject:
        return await self._terminals.output(params.terminal_id)

    async def _wait(self, params: _Named) -> JsonObject:
        return await self._terminals.wait(params.terminal_id)

    async def _kill(self, params: _Named) -> JsonObject:
        await self._terminals.kill(params.terminal_id)
        return {}

    async def _release(self, params: _Named) -> JsonObject:
        await self._terminals.release(params.terminal_id)
        return {}

    async def _permit(self, call: JsonObject, *, default: bool = True) -> None:
        """Raises what the agent is told when the policy denies it, by a rule or also by its ``default``."""
        row = self._core.row
        verdict = await asyncio.to_thread(decide, row.permission_policy, call, row.cwd)
        if verdict.decision == "deny" and (default or not verdict.label.startswith("default")):
            raise RpcError(REFUSED, f"the session's permission policy denies it ({verdict.label})")


def _params(envelope: Envelope, form: type[Any]) -> Any:
    """The request's params. Raises RpcError."""
    try:
        return msgspec.json.decode(msgspec.json.decode(envelope.raw, type=_Request).params, type=form)
    except msgspec.DecodeError as error:
        raise RpcError(INVALID_PARAMS, f"Invalid params: {error}") from error


def _as_error(problem: Problem) -> RpcError:
    code = REFUSED if isinstance(problem, PermissionDenied) else INTERNAL_ERROR
    if isinstance(problem, NotFound):
        code = RESOURCE_NOT_FOUND
    return RpcError(code, str(problem), problem.document())
