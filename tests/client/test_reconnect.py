"""R6, R7: whatever happens on the way, a follower gets every event once, and a prompt runs once."""

from __future__ import annotations

import os
import random
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent import AgentProcessExited, SandboxAgent, ServerUnreachable
from sandbox_agent.client.states import ENDED

from ..support.server import poll, serve, start
from .cutter import Cutter

if TYPE_CHECKING:
    from pathlib import Path

    from ..support.server import Server
    from .conftest import Connect

SCALE = int(os.environ.get("SANDBOX_AGENT_TEST_SCALE", "1"))


def joined(events: Any) -> list[tuple[int, bytes]]:
    return [(event.sequence, bytes(event.payload)) for event in events]


def ends(event: Any, prompt_id: str) -> bool:
    if event.method != "_session/turn":
        return False
    params = event.message["params"]
    return params["promptId"] == prompt_id and params["state"] in ENDED


def until_end(stream: Any, prompt_id: str) -> list[Any]:
    seen = []
    for event in stream:
        seen.append(event)
        if ends(event, prompt_id):
            break
    stream.close()
    return seen


@pytest.mark.parametrize(("most", "events"), [(2_000, 40), (60_000, 3_000)])
def test_a_stream_through_a_cutting_proxy_equals_the_journal(
    connect: Connect, module_server: Server, tmp_path: Path, most: int, events: int
) -> None:
    """Connections are reset after a random number of bytes, in headers, between events and in the middle of one."""
    direct = connect(module_server.url)
    session = direct.create_session("mock", cwd=tmp_path)
    count = events * SCALE
    info = session.prompt(f"[[burst count={count} size=300]]").info
    with Cutter.randomly(module_server.port, seed=most, most=most) as proxy:
        through = connect_through(connect, proxy)
        stream = through.get_session(session.id).events() if most > 10_000 else lent(through, session).events()
        seen = until_end(stream, info.id)
        assert proxy.cuts > 3
    assert joined(seen) == joined(session.events(follow=False))
    assert len(seen) > count
    session.destroy()


def connect_through(connect: Connect, proxy: Cutter) -> Any:
    """A client behind the proxy; its own first requests may be cut too, so they are tried until they pass."""
    budget, proxy.budget = proxy.budget, lambda: None
    client = connect(proxy.url)
    proxy.cut_all()
    proxy.budget = budget
    return client


def lent(client: Any, session: Any) -> Any:
    """The session through another client, without asking the server for it."""
    inner = getattr(client, "_inner", client)
    made = inner._session(getattr(session, "_inner", session).info)
    return made if inner is client else client._dress(made)


def test_a_prompt_through_a_cutting_proxy_runs_once(connect: Connect, module_server: Server, tmp_path: Path) -> None:
    """Its answers are lost again and again; the agent hears it one time, and the result is whole."""
    direct = connect(module_server.url)
    session = direct.create_session("mock", cwd=tmp_path)
    chance = random.Random(4)  # noqa: S311 - a repeatable test
    with Cutter(module_server.port, lambda: chance.choice([1, 300, 3000, 40_000])) as proxy:
        through = lent(connect_through(connect, proxy), session)
        texts = [through.prompt(f"[[say number {n}]]").text for n in range(12)]
        assert proxy.cuts > 3
    assert texts == [f"number {n}" for n in range(12)]
    assert len(session.prompts()) == 12
    session.destroy()


def test_a_follower_survives_the_server_being_killed(tmp_path: Path) -> None:
    """Kill -9 mid-stream, restart on the same port and store, several times: no event lost, none doubled."""
    home = tmp_path / "server"
    server = start(home)
    try:
        with SandboxAgent.connect(server.url) as agent:
            session = agent.create_session("mock", cwd=tmp_path)
            seen: list[Any] = []
            last_prompt: list[str] = []
            finished = threading.Event()
            stream = session.events()

            def consume() -> None:
                for event in stream:
                    seen.append(event)
                    if last_prompt and ends(event, last_prompt[0]):
                        finished.set()

            threading.Thread(target=consume, daemon=True).start()
            for round_number in range(3 * SCALE):
                handle = session.prompt("[[tick count=100000 every=0.001]]", wait=False)
                seen_before = len(seen)
                while len(seen) < seen_before + 30 * (round_number + 1):
                    finished.wait(0.01)
                server.stop(signal.SIGKILL)
                server = start(home, port=server.port)
                with pytest.raises(AgentProcessExited):
                    handle.wait()
            handle = session.prompt("[[say still here]]", wait=False)
            last_prompt.append(handle.id)
            assert handle.wait().text == "still here"
            assert finished.wait(60)
            stream.close()
            assert joined(seen) == joined(session.events(follow=False))
            assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    finally:
        server.stop(signal.SIGKILL)


def test_a_waiting_prompt_finds_its_result_after_a_restart(connect: Connect, tmp_path: Path) -> None:
    """The call that waits is not told of the outage, only of the result: here, that the agent died with the server."""
    home = tmp_path / "server"
    server = start(home)
    try:
        agent = connect(server.url)
        session = agent.create_session("mock", cwd=tmp_path)
        session.prompt("[[say one]]")

        def restart() -> None:
            nonlocal server
            with server.client() as looks:
                poll(lambda: looks.get(f"/v1/sessions/{session.id}").json()["state"] == "running")
            server.stop(signal.SIGKILL)
            server = start(home, port=server.port)

        restarting = threading.Thread(target=restart)
        restarting.start()
        with pytest.raises(AgentProcessExited):
            session.prompt("[[sleep 100]]")
        restarting.join()
        assert "one" in session.transcript().text
        assert session.prompt("[[say two]]").text == "two"
    finally:
        server.stop(signal.SIGKILL)


def test_plain_calls_wait_out_a_restart(connect: Connect, tmp_path: Path) -> None:
    """A notebook that runs its next cell while the server is restarted does not see an error."""
    home = tmp_path / "server"
    server = start(home)
    try:
        agent = connect(server.url)
        session = agent.create_session("mock", cwd=tmp_path)
        server.stop(signal.SIGKILL)
        restarted: list[Server] = []
        timer = threading.Timer(0.3, lambda: restarted.append(start(home, port=server.port)))
        timer.start()
        assert session.refresh().id == session.id
        timer.join()
        server = restarted[0]
    finally:
        server.stop(signal.SIGKILL)


def test_a_permission_is_asked_again_after_a_reconnection(module_server: Server, tmp_path: Path) -> None:
    """The watch's stream is cut while nothing happens; the request after that reaches the callback, once."""
    asked: list[str] = []
    with (
        Cutter(module_server.port, lambda: None) as proxy,
        SandboxAgent.connect(module_server.url) as direct,
        SandboxAgent.connect(proxy.url) as through,
    ):
        session = direct.create_session("mock", cwd=tmp_path)

        def decide(request: Any) -> str:
            asked.append(request.id)
            return "once"

        with through.get_session(session.id).on_permission(decide):
            for _ in range(3):
                session.prompt("[[ask May I?]]")
                proxy.cut_all()
        session.destroy()
    assert len(asked) == len(set(asked)) == 3


def test_giving_up_is_said(tmp_path: Path) -> None:
    with serve(tmp_path / "server") as server, SandboxAgent.connect(server.url, give_up_after=0.5) as agent:
        session = agent.create_session("mock", cwd=tmp_path)
        stream = session.events()
        next(stream)
        server.stop(signal.SIGKILL)
        with pytest.raises(ServerUnreachable, match="no answer"):
            list(stream)
