"""What an agent asks its client to do: files read and written, commands run, each within the session's policy."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox_agent.agents import Agents
from sandbox_agent.sessions.errands import offer
from sandbox_agent.sessions.terminals import _whole
from sandbox_agent.wire.sessions import PermissionPolicy

if TYPE_CHECKING:
    from sandbox_agent.wire.processes import ProcessInfo
    from sandbox_agent.wire.sessions import SessionInfo

    from .conftest import World


async def call(world: World, session: SessionInfo, method: str, **params: Any) -> dict[str, Any]:
    """What the agent was answered: ``result`` or ``error``."""
    given = json.dumps(params)
    assert (await world.prompt(session.id, f"[[call method={method} params={given}]]")).state == "completed"
    answer: dict[str, Any] = json.loads((await world.texts(session.id))[-1][1])
    return answer


def processes(world: World, session: SessionInfo) -> list[ProcessInfo]:
    return [process.info() for process in world.processes.list("session") if process.session_id == session.id]


async def test_files_and_terminals_are_offered(world: World) -> None:
    """The agent is told so when it is greeted."""
    session = await world.create()
    (offered,) = [json.loads(raw) for _, raw in await world.events(session.id) if b'"initialize"' in raw]
    assert offered["params"]["clientCapabilities"] == {
        "fs": {"readTextFile": True, "writeTextFile": True},
        "terminal": True,
    }


def test_an_agent_is_not_offered_what_it_does_not_get_on_with() -> None:
    """Gemini reads by itself, and writes by us."""
    without = Agents().spec("gemini").unoffered
    assert offer(without) == {"fs": {"readTextFile": False, "writeTextFile": True}, "terminal": True}


async def test_text_is_read(world: World) -> None:
    """Whole, or some lines of it; a path that is not absolute lies in the session's folder."""
    session = await world.create()
    (world.cwd / "notes.txt").write_text("one\ntwo\nthree\n")
    path = str(world.cwd / "notes.txt")
    assert await call(world, session, "fs/read_text_file", path=path) == {"result": {"content": "one\ntwo\nthree\n"}}
    some = await call(world, session, "fs/read_text_file", path="notes.txt", line=2, limit=1)
    assert some["result"]["content"].rstrip("\n") == "two"


async def test_a_missing_file_has_the_code_of_the_protocol(world: World) -> None:
    """Agents tell a new file by it."""
    session = await world.create()
    path = str(world.cwd / "none.txt")
    answer = await call(world, session, "fs/read_text_file", path=path)
    assert answer == {"error": {"code": -32002, "message": "Resource not found", "data": {"uri": path}}}


async def test_text_is_written(world: World) -> None:
    """Also where its folder is not there yet; what was there is replaced."""
    session = await world.create()
    path = world.cwd / "new" / "notes.txt"
    for content in ("first", "zweitens: ä\n"):
        assert await call(world, session, "fs/write_text_file", path=str(path), content=content) == {"result": {}}
        assert path.read_text() == content


async def test_what_fails_is_told(world: World) -> None:
    session = await world.create()
    answer = await call(world, session, "fs/write_text_file", path=str(world.cwd), content="x")
    assert answer["error"]["code"] == -32603
    assert answer["error"]["data"]["status"] == 400
    for params in ({}, {"path": 1}, {"path": "x", "line": -1}):
        assert (await call(world, session, "fs/read_text_file", **params))["error"]["code"] == -32602
    assert (await call(world, session, "fs/no_such_thing"))["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("policy", "read", "written", "ran"),
    [
        ("ask", True, True, True),
        ("allow_all", True, True, True),
        ("deny", True, False, False),
        ({"default": "ask", "rules": [{"decision": "deny", "path": "secret"}]}, False, False, True),
        ({"default": "allow_all", "rules": [{"decision": "deny", "kinds": ["execute"]}]}, True, True, False),
        ({"default": "ask", "rules": [{"decision": "deny", "command": "echo"}]}, True, True, False),
    ],
    ids=["ask", "allow", "deny", "path", "kind", "command"],
)
async def test_what_the_policy_denies_is_not_done(
    world: World, policy: Any, *, read: bool, written: bool, ran: bool
) -> None:
    """Neither by a rule nor by default; reading, which no agent asks about, is denied by a rule alone."""
    given = policy if isinstance(policy, str) else msgspec.convert(policy, PermissionPolicy)
    session = await world.create(permission_policy=given)
    folder = world.cwd / "secret"
    folder.mkdir()
    (folder / "a").write_text("a")
    answers = [
        await call(world, session, "fs/read_text_file", path=str(folder / "a")),
        await call(world, session, "fs/write_text_file", path=str(folder / "b"), content="b"),
        await call(world, session, "terminal/create", command="echo", args=["ran"]),
    ]
    assert ["result" in answer for answer in answers] == [read, written, ran]
    assert {answer["error"]["code"] for answer in answers if "error" in answer} <= {-32003}
    assert (folder / "b").exists() is written
    assert bool(processes(world, session)) is ran


async def test_a_command_from_start_to_release(world: World) -> None:
    """It is a process of the sandbox that says whose it is, in the session's folder, with the session's environment."""
    session = await world.create(env={"GIVEN": "1"})
    create = {"command": "sh", "args": ["-c", "pwd; echo $GIVEN $MORE; cat; exit 3"]}
    env = [{"name": "MORE", "value": "2"}]
    name = (await call(world, session, "terminal/create", **create, env=env))["result"]["terminalId"]
    assert await call(world, session, "terminal/wait_for_exit", terminalId=name) == {
        "result": {"exitCode": 3, "signal": None}
    }
    assert await call(world, session, "terminal/output", terminalId=name) == {
        "result": {
            "output": f"{world.cwd}\n1 2\n",
            "truncated": False,
            "exitStatus": {"exitCode": 3, "signal": None},
        }
    }
    (shown,) = processes(world, session)
    assert (shown.id, shown.owner, shown.session_id, shown.exit_code) == (name, "session", session.id, 3)
    assert await call(world, session, "terminal/release", terminalId=name) == {"result": {}}
    for method in ("output", "wait_for_exit", "kill", "release"):
        answer = await call(world, session, f"terminal/{method}", terminalId=name)
        assert answer["error"]["code"] == -32002
    assert [info.id for info in processes(world, session)] == [name]


async def test_a_command_without_arguments_is_a_line_of_shell(world: World) -> None:
    """So Kimi writes it."""
    session = await world.create()
    line = "touch z.txt && echo from-terminal"
    name = (await call(world, session, "terminal/create", command=line))["result"]["terminalId"]
    await call(world, session, "terminal/wait_for_exit", terminalId=name)
    output = await call(world, session, "terminal/output", terminalId=name)
    assert output["result"]["output"] == "from-terminal\n"
    assert (world.cwd / "z.txt").exists()


async def test_output_is_cut_from_its_beginning(world: World) -> None:
    """To the bytes the agent wants, at a character's border, and it is said."""
    session = await world.create()
    create = {"command": "printf", "args": ["ab\\303\\244\\303\\266cd"], "outputByteLimit": 5}
    name = (await call(world, session, "terminal/create", **create))["result"]["terminalId"]
    await call(world, session, "terminal/wait_for_exit", terminalId=name)
    output = (await call(world, session, "terminal/output", terminalId=name))["result"]
    assert (output["output"], output["truncated"]) == ("öcd", True)


@pytest.mark.parametrize(
    ("data", "cut", "text"),
    [
        (b"abc", True, "abc"),
        (b"\xa4bc", True, "bc"),
        (b"\xa4\xa4", True, ""),
        (b"\xa4bc", False, "�bc"),
        (b"", True, ""),
    ],
)
def test_a_cut_character_is_left_out(data: bytes, *, cut: bool, text: str) -> None:
    assert _whole(data, cut=cut) == text


async def test_a_running_command_is_killed_and_still_read(world: World) -> None:
    session = await world.create()
    command = {"command": "echo before; sleep 1000 & sleep 1000"}
    name = (await call(world, session, "terminal/create", **command))["result"]["terminalId"]
    async with asyncio.timeout(60):
        while (output := (await call(world, session, "terminal/output", terminalId=name))["result"])["output"] == "":
            pass
    assert output == {"output": "before\n", "truncated": False}
    assert await call(world, session, "terminal/kill", terminalId=name) == {"result": {}}
    after = (await call(world, session, "terminal/output", terminalId=name))["result"]
    assert after == output | {"exitStatus": {"exitCode": None, "signal": "SIGKILL"}}


async def test_commands_end_with_the_session(world: World) -> None:
    """And with the agent, whichever goes first; another session's go on."""
    other, closed, crashed = [await world.create() for _ in range(3)]
    for session in (other, closed, crashed):
        await call(world, session, "terminal/create", command="sleep", args=["1000"])
    await world.sessions.delete(closed.id)
    assert (await world.prompt(crashed.id, "[[crash]]")).state == "failed"

    async def ended() -> bool:
        states = [info.status for session in (closed, crashed) for info in processes(world, session)]
        return states == ["exited", "exited"]

    await world.until(ended)
    assert [info.status for info in processes(world, other)] == ["running"]


async def test_a_prompt_can_be_cancelled_while_a_command_is_waited_for(world: World) -> None:
    """R25: the agent's wait does not hold up the turn's end."""
    session = await world.create()
    name = (await call(world, session, "terminal/create", command="sleep", args=["1000"]))["result"]["terminalId"]
    given = json.dumps({"terminalId": name})
    prompt = await world.send(session.id, f"[[call method=terminal/wait_for_exit params={given}]]")

    async def waiting() -> bool:
        return any(b'"terminal/wait_for_exit"' in raw for _, raw in await world.events(session.id))

    await world.until(waiting)
    await world.sessions.cancel(session.id)
    assert (await world.ended(prompt)).state == "cancelled"
