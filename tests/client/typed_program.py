"""A user's program, which the type checker must accept as it stands."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, assert_type

from sandbox_agent import (
    AcpMessage,
    AgentInfo,
    AgentProcessExited,
    AsyncPromptHandle,
    AsyncSandboxAgent,
    AsyncSession,
    PermissionPolicy,
    PermissionRule,
    PromptHandle,
    PromptResult,
    SandboxAgent,
    Session,
    SessionEvent,
    SessionInfo,
    Transcript,
    TranscriptChange,
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
