"""A user's program, which the type checker must accept as it stands."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, assert_type

from sandbox_agent import (
    AcpMessage,
    AgentInfo,
    AgentProcessExited,
    AsyncProcess,
    AsyncPromptHandle,
    AsyncSandboxAgent,
    AsyncSession,
    AsyncTerminal,
    CommandFailed,
    EntryList,
    FileChange,
    FileEntry,
    FileInfo,
    FileMatch,
    LogEntry,
    PermissionPolicy,
    PermissionRule,
    Process,
    ProcessInfo,
    PromptHandle,
    PromptResult,
    RunResult,
    SandboxAgent,
    Session,
    SessionEvent,
    SessionInfo,
    Terminal,
    Transcript,
    TranscriptChange,
    Transfer,
    WriteResult,
)

if TYPE_CHECKING:
    from sandbox_agent import (
        PermissionInfo,
    )


def decide(request: PermissionInfo) -> str | None:
    return "once" if request.kind == "read" else None


def blocking() -> None:
    with SandboxAgent.start(data_dir=Path("x")) as agent:
        assert_type(agent, SandboxAgent)
        policy = PermissionPolicy(default="ask", rules=(PermissionRule(decision="allow", kinds=("read",)),))
        session = agent.create_session("mock", cwd=Path(), permission_policy=policy, mcp_servers=[{"name": "x"}])
        assert_type(session, Session)
        assert_type(session.prompt("hi"), PromptResult)
        assert_type(session.prompt(["hi", Path("x"), b"", {"type": "text", "text": "x"}], timeout=3), PromptResult)
        assert_type(session.prompt("hi", wait=False), PromptHandle)
        assert_type(session.prompt("hi").text, str)
        assert_type(session.set_mode("plan"), SessionInfo)
        assert_type(session.transcript(), Transcript)
        for event in session.events(after=None):
            assert_type(event, SessionEvent)
        for change in session.follow_transcript():
            assert_type(change, TranscriptChange)
        for other in agent.list_sessions(limit=10):
            assert_type(other, Session)
        assert_type(agent.agents()[0], AgentInfo)
        with session.on_permission(decide) as watch:
            assert_type(watch.active, bool)
        session.on_permission(lambda request: request.options[0].option_id)
        for message in agent.acp("x").stream():
            assert_type(message, AcpMessage)
        try:
            session.prompt("hi", on_event=print)
        except AgentProcessExited as error:
            assert_type(error.hint, str | None)


def on_progress(done: int, total: int | None) -> None:
    """Told of a transfer."""


def sandbox() -> None:
    with SandboxAgent.connect() as agent:
        assert_type(agent.fs.list("x", recursive=True), EntryList)
        for entry in agent.fs.scan("x", glob="*.py"):
            assert_type(entry, FileEntry)
            assert_type(agent.fs.read(entry), bytes)
        assert_type(agent.fs.read_text(Path("x")), str)
        assert_type(agent.fs.stat("x"), FileInfo)
        with Path("x").open("rb") as file:
            assert_type(agent.fs.write("x", file), WriteResult)
        agent.fs.write("x", [b"a", b"b"], progress=on_progress)
        assert_type(agent.fs.upload("x", "y", progress=False), Transfer)
        assert_type(agent.fs.download("x"), Path)
        for change in agent.fs.watch("x").ready():
            assert_type(change, FileChange)
        assert_type(agent.fs.search("x")[0], FileMatch)
        assert_type(agent.run("ls", timeout=3).check(), RunResult)
        assert_type(agent.run(["ls", "-l"], cwd=Path()).exit_code, int | None)
        with agent.processes.start("x", env={"A": "b"}, restart_policy="always") as process:
            assert_type(process, Process)
            for line in process.logs(stream="stderr"):
                assert_type(line, str)
            for logged in process.log_entries():
                assert_type(logged, LogEntry)
            assert_type(process.wait(3), ProcessInfo)
        with agent.terminal("bash") as terminal:
            assert_type(terminal, Terminal)
            assert_type(terminal.read_until(re.compile("x")), str)
            assert_type(terminal.screen().lines, tuple[str, ...])
        try:
            agent.run("x", check=True)
        except CommandFailed as failed:
            assert_type(failed.result, RunResult)


async def awaited_sandbox() -> None:
    async with await AsyncSandboxAgent.connect() as agent:
        assert_type(await agent.fs.list(), EntryList)
        async for piece in agent.fs.stream("x"):
            assert_type(piece, bytes)
        assert_type(await agent.run("ls"), RunResult)
        async with await agent.processes.start("x") as process:
            assert_type(process, AsyncProcess)
            async for line in process.logs():
                assert_type(line, str)
        async with await agent.terminal("bash") as terminal:
            assert_type(terminal, AsyncTerminal)
            async for text in terminal:
                assert_type(text, str)


async def awaited() -> None:
    async def decide_slowly(request: PermissionInfo) -> str | None:
        return decide(request)

    async with await AsyncSandboxAgent.connect("http://127.0.0.1:2468", "token") as agent:
        assert_type(agent, AsyncSandboxAgent)
        session = await agent.create_session("mock")
        assert_type(session, AsyncSession)
        assert_type(await session.prompt("hi"), PromptResult)
        assert_type(await session.prompt("hi", wait=False), AsyncPromptHandle)
        async for event in session:
            assert_type(event, SessionEvent)
        async for other in await agent.list_sessions():
            assert_type(other, AsyncSession)
        async with session.on_permission(decide_slowly):
            pass
        session.on_permission(decide)


if __name__ == "__main__":
    blocking()
    asyncio.run(awaited())
