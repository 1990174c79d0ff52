"""Real agents, end to end: our server, the agent's own program, and a stub where its model would be.

SANDBOX_AGENT_TEST_AGENTS names the agents (``all``, or some of them); without it those run that CI has time for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from ..support.server import poll
from .agents import chosen
from .lab import Lab, Session
from .model_stub import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .agents import RealAgent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(params=chosen(), ids=lambda agent: agent.name)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    agent: RealAgent = request.param
    with serving() as stub:
        yield Lab.build(agent, tmp_path, stub)


def test_texts_models_and_cancel(lab: Lab) -> None:
    """Text comes back, late text too; cancel ends the turn at the model too; another model is asked once it is set."""
    with lab.server() as (_, client):
        session = lab.session(client)
        assert "hello from the stub" in session.answered("say hello from the stub")
        assert "well at last" in session.answered("slow well at last")

        running = session.prompt("stream", wait=0)
        poll(lambda: "streaming" in session.said(), 60)
        session.cancel()
        told = session.ended(running)
        assert (told["state"], told["stopReason"]) == ("cancelled", "cancelled")
        assert lab.stub.hung_up.wait(60)
        assert "still here" in session.answered("say still here")

        model, name = lab.agent.model
        if "models" not in lab.agent.cannot:
            assert name not in session.answered("which")
            assert client.patch(f"/v1/sessions/{session.id}", json={"model": model}).json()["model"] == model
            assert f"model: {name}" in session.answered("which").replace("claude-", "")
            assert session.get()["model"] == model


def test_files_and_commands_wait_for_their_permission(lab: Lab) -> None:
    """A file is written, and a command run, once it is allowed and not before; what was refused never happens."""
    file, made, refused = (lab.work / name for name in ("file.txt", "made.txt", "refused.txt"))
    with lab.server() as (_, client):
        session = lab.session(client)
        running = session.prompt(f"write {file} wombat", wait=0)
        if "permissions" in lab.agent.cannot:
            assert session.ended(running)["state"] == "completed"
            assert (file.read_text().strip(), session.get("/permissions")["items"]) == ("wombat", [])
            return
        permission = session.asked()
        assert session.get()["state"] == "waiting"
        assert not file.exists()
        resolved = session.reply(permission, "once")
        assert (resolved["state"], resolved["reply"], resolved["resolvedBy"]) == ("selected", "once", "client")
        assert session.finish(running, "once")["state"] == "completed"
        assert file.read_text().strip() == "wombat"
        assert session.items("tool_call")[-1]["status"] == "completed"

        running = session.prompt(f"run echo made > {made} && cat {made}", wait=0)
        session.asked()
        assert not made.exists()
        assert session.finish(running, "once")["state"] == "completed"
        assert made.read_text() == "made\n"
        assert "done: " in session.said()

        for order in (f"write {refused} no", f"run echo no > {refused}"):
            running = session.prompt(order, wait=0)
            session.asked()
            assert session.finish(running, "reject")["state"] in {"completed", "cancelled"}
            assert not refused.exists()
            assert session.items("tool_call")[-1]["status"] in {"failed", "cancelled"}
        assert "still here" in session.answered("say still here")


def test_a_session_outlives_a_killed_server(lab: Lab) -> None:
    """SIGKILL takes the agent with the server; the next server has every event, and the agent its memory."""
    with lab.server() as (server, client):
        session = lab.session(client)
        session.answered("say the word is wombat")
        before = session.get("/events?limit=1000")["items"]
        family = psutil.Process(server.process.pid).children(recursive=True)
        assert family
        server.process.kill()
        server.process.wait()
    with lab.server() as (_, client):
        session = Session(client, session.id)
        assert session.get("/events?limit=1000")["items"][: len(before)] == before
        assert "wombat" in session.answered("recall").partition("remembered: ")[2]
        told = {"rebootstrapped"} if "restores at once" in lab.agent.cannot else set()
        assert session.get()["continuity"] in {"native", "loaded"} | told
        alive = [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        assert alive == []


def test_a_tool_of_an_mcp_server_is_called(lab: Lab) -> None:
    """The MCP server given with the session is started by the agent, and its tool's answer reaches the model."""
    with lab.server() as (_, client):
        session = lab.session(client, mcp=True)
        if "mcp" in lab.agent.cannot:
            assert "tiny" in [server["name"] for server in session.get()["mcp"]]
            assert session.answered("shout wombat").strip() == "ok"
            return
        running = session.prompt("shout wombat", wait=0)
        assert session.finish(running, "once")["state"] == "completed"
        assert "WOMBAT" in session.said()
        assert session.items("tool_call")[-1]["status"] == "completed"


def test_errors_of_the_provider_fail_the_turn(lab: Lab) -> None:
    """Whatever shape the agent gives them, the turn has failed and says why; the session goes on."""
    with lab.server() as (_, client):
        session = lab.session(client)
        for status in ("500", "429", "401"):
            if f"gives up on {status}" in lab.agent.cannot:
                running = session.prompt(f"fail {status}", wait=5)
                assert running["state"] == "running"
                session.cancel()
                assert session.ended(running)["state"] == "cancelled"
            else:
                told = session.prompt(f"fail {status}")
                assert told["state"] == "failed", told
                assert told["error"]["detail"]
                assert session.items("turn")[-1]["state"] == "failed"
            if f"goes on after {status}" in lab.agent.cannot:
                assert session.prompt("say still here")["state"] == "failed"
            else:
                assert f"after {status}" in session.answered(f"say after {status}")
