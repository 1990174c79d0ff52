"""Clients of a server: finding it, starting it, and what they say when that fails."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from sandbox_agent import (
    AsyncSandboxAgent,
    ClientClosed,
    InvalidRequest,
    NoServerFound,
    ProtocolMismatch,
    SandboxAgent,
    ServerUnreachable,
    TokenInvalid,
    UnsupportedAgent,
)

from ..support.ports import free_port
from ..support.server import poll, serve

if TYPE_CHECKING:
    from pathlib import Path

    from ..support.server import Server
    from .conftest import Connect

TOKEN = "a-token-of-the-tests"  # noqa: S105 - made up


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment in which there is nothing to find; its data directory."""
    for name in list(os.environ):
        if name.startswith(("SANDBOX_AGENT_", "JUPYTER", "JPY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "data" / "sandbox-agent"


class TestConnect:
    def test_a_url_and_its_token(self, connect: Connect, tmp_path: Path) -> None:
        with serve(tmp_path, token=TOKEN) as server:
            assert connect(server.url, TOKEN).health().status == "ok"
            assert connect(f"{server.url}/?token={TOKEN}").health().status == "ok"
            for wrong in (None, "wrong"):
                with pytest.raises(TokenInvalid):
                    connect(server.url, wrong)

    def test_the_environment(
        self, connect: Connect, tmp_path: Path, alone: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serve(tmp_path / "server", token=TOKEN) as server:
            monkeypatch.setenv("SANDBOX_AGENT_URL", server.url)
            monkeypatch.setenv("SANDBOX_AGENT_TOKEN", TOKEN)
            assert connect().url == server.url

    def test_a_running_local_server(self, connect: Connect, tmp_path: Path, alone: Path) -> None:
        """Its URL and token are in a file that only this user reads; a dead server's file is passed over."""
        (alone / "servers").mkdir(parents=True)
        (alone / "servers" / "4194300.json").write_text(json.dumps({"url": f"http://127.0.0.1:{free_port()}"}))
        with serve(tmp_path / "server", token=TOKEN, data_dir=alone) as server:
            agent = connect()
            assert agent.url == server.url
            assert agent.health().status == "ok"

    def test_nothing_to_find(self, connect: Connect, alone: Path) -> None:
        with pytest.raises(NoServerFound, match="sandbox-agent daemon start"):
            connect()

    def test_a_named_server_that_does_not_run_is_said_at_once(self, connect: Connect, alone: Path) -> None:
        with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1") as caught:
            connect(f"http://127.0.0.1:{free_port()}")
        assert caught.value.hint is not None

    def test_something_else_at_the_url(self, connect: Connect, tmp_path: Path) -> None:
        """Below a path the server does not have, say."""
        with serve(tmp_path) as server, pytest.raises(ProtocolMismatch, match="no Sandbox Agent API"):
            connect(f"{server.url}/elsewhere")

    def test_the_constructor_asks_nobody(self) -> None:
        agent = SandboxAgent(f"http://127.0.0.1:{free_port()}")
        assert "open" in repr(agent)
        agent.close()
        assert "closed" in repr(agent)


class TestServer:
    def test_installing_what_is_there_answers_where(self, agent: Any) -> None:
        installed = agent.install_agent("mock")
        assert installed.already_installed
        with pytest.raises(UnsupportedAgent):
            agent.install_agent("nobody")

    def test_agents(self, agent: Any) -> None:
        agents = agent.agents()
        assert [a.id for a in agents][-1] == "mock" or agents.get("mock") is not None
        assert agents.get("mock").installed
        mock = agent.agent("mock")
        assert {option["id"] for option in mock.config_options} == {"model", "mode", "thought_level"}

    def test_health(self, agent: Any) -> None:
        assert agent.health().persisted

    def test_what_a_client_shows_has_no_token(self) -> None:
        agent = SandboxAgent("http://127.0.0.1:1", TOKEN)
        assert TOKEN not in repr(agent) + agent._repr_html_()
        assert "<script" not in agent._repr_html_()
        agent.close()


class TestAcp:
    def test_a_raw_conversation(self, agent: Any, tmp_path: Path) -> None:
        server = agent.acp(f"raw-{tmp_path.name}")
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": 1}}
        assert server.post(hello, agent="mock")["id"] == 1
        assert server.id in {info.server_id for info in agent.list_acp_servers()}
        raw = b'{"jsonrpc":"2.0","id":"x","method":"session/new","params":{"cwd":"/","mcpServers":[]}}'
        assert server.post(raw)["result"]["sessionId"]
        assert server.post({"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": "none"}}) is None
        with server.stream() as stream:
            first, second = next(stream), next(stream)
        assert (first.message["id"], second.sequence) == (1, first.sequence + 1)
        with server.stream(after=first.sequence) as stream:
            assert next(stream) == second
        server.delete()
        assert server.id not in {info.server_id for info in agent.list_acp_servers()}

    def test_a_server_needs_an_agent_first(self, agent: Any) -> None:
        with pytest.raises(InvalidRequest):
            agent.acp("nobody").post({"jsonrpc": "2.0", "id": 1, "method": "x"})


class TestTransport:
    def test_a_transport_of_the_users_own(self) -> None:
        """The seam: tests, tracing, sockets that only the user knows."""
        asked: list[str] = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            asked.append(f"{request.method} {request.url.path} {request.headers.get('authorization')}")
            return httpx2.Response(200, json={"status": "ok"})

        with SandboxAgent("http://box.test", "t", transport=httpx2.MockTransport(answer)) as agent:
            assert agent.health().status == "ok"
        assert asked == ["GET /v1/health Bearer t"]

    async def test_an_awaited_transport_of_the_users_own(self) -> None:
        def answer(_request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, json={"status": "ok"})

        async with AsyncSandboxAgent("http://box.test", transport=httpx2.MockTransport(answer)) as agent:
            assert (await agent.health()).status == "ok"

    def test_a_proxy_of_the_environment_is_not_given_the_token(
        self, module_server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
        with SandboxAgent.connect(module_server.url) as agent:
            assert agent.health().status == "ok"


class TestClose:
    def test_closing_ends_streams_and_refuses_calls(
        self, connect: Connect, module_server: Server, tmp_path: Path
    ) -> None:
        agent = connect(module_server.url)
        session = agent.create_session("mock", cwd=tmp_path)
        stream = session.events()
        next(stream)
        agent.close()
        agent.close()
        assert list(stream) == []
        with pytest.raises(ClientClosed):
            session.refresh()

    def test_closing_wakes_a_thread_that_waits_for_events(self, module_server: Server, tmp_path: Path) -> None:
        agent = SandboxAgent.connect(module_server.url)
        session = agent.create_session("mock", cwd=tmp_path)
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.extend(e.sequence for e in session.events()))
        thread.start()
        last = session.refresh().last_sequence
        poll(lambda: len(seen) >= last)  # and then it waits
        agent.close()
        thread.join(60)
        assert not thread.is_alive()

    async def test_closing_wakes_a_task_that_waits_for_events(self, module_server: Server, tmp_path: Path) -> None:
        agent = await AsyncSandboxAgent.connect(module_server.url)
        session = await agent.create_session("mock", cwd=tmp_path)
        await session.prompt("[[say x]]")  # what the agent says of itself comes before
        stream = session.events(after=None)
        waiting = asyncio.ensure_future(anext(stream, None))
        await session.refresh()
        await agent.close()
        assert await asyncio.wait_for(waiting, 60) is None

    async def test_a_cancelled_next_loses_nothing(self, module_server: Server, tmp_path: Path) -> None:
        """`wait_for(anext(stream), 1)` in a loop is how people poll."""
        async with await AsyncSandboxAgent.connect(module_server.url) as agent:
            session = await agent.create_session("mock", cwd=tmp_path)
            handle = await session.prompt("[[tick count=20 every=0.02]]", wait=False)
            seen: list[int] = []
            stream = session.events()
            while (await handle.refresh()).state in {"queued", "running"} or seen[-1] < (
                await session.refresh()
            ).last_sequence:
                try:
                    seen.append((await asyncio.wait_for(anext(stream), 0.015)).sequence)
                except TimeoutError:
                    continue
            assert seen == list(range(1, len(seen) + 1))
            await stream.aclose()


def interrupt_once_it_runs(server: Server, session_id: str) -> None:
    """The signal to the main thread, which waits for its turn then, or for the answer that says that it runs."""
    with server.client() as looks:
        poll(lambda: looks.get(f"/v1/sessions/{session_id}").json()["state"] == "running")
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


class TestInterrupt:
    def test_an_interrupt_cancels_the_turn_and_keeps_the_session(self, module_server: Server, tmp_path: Path) -> None:
        """A KeyboardInterrupt as a terminal or a notebook sends it: a signal in the main thread."""
        with SandboxAgent.connect(module_server.url) as agent:
            session = agent.create_session("mock", cwd=tmp_path)
            interrupts = threading.Thread(target=interrupt_once_it_runs, args=(module_server, session.id))
            interrupts.start()
            with pytest.raises(KeyboardInterrupt):
                session.prompt("[[sleep 100]]")
            interrupts.join()
            (prompt,) = session.prompts()
            assert session.get_prompt(prompt.id).wait(timeout=60).state == "cancelled"
            assert session.prompt("[[say on]]").text == "on"

    def test_an_interrupt_while_events_are_handed_over(self, module_server: Server, tmp_path: Path) -> None:
        def interrupt(event: Any) -> None:
            if event.method == "session/prompt":
                raise KeyboardInterrupt

        with SandboxAgent.connect(module_server.url) as agent:
            session = agent.create_session("mock", cwd=tmp_path)
            with pytest.raises(KeyboardInterrupt):
                session.prompt("[[sleep 100]]", on_event=interrupt)
            assert session.get_prompt(session.prompts()[0].id).wait(timeout=60).state == "cancelled"

    def test_a_stream_goes_on_after_an_interrupt(self, module_server: Server, tmp_path: Path) -> None:
        """Interrupt a cell that iterates, run it again: the next event is the next event."""
        with SandboxAgent.connect(module_server.url) as agent:
            session = agent.create_session("mock", cwd=tmp_path)
            session.prompt("[[say before]]")
            last = session.refresh().last_sequence
            stream = session.events(after=last)
            timer = threading.Timer(0.3, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                next(stream)
            handle = session.prompt("[[say x]]", wait=False)
            assert next(stream).sequence == last + 1
            handle.wait()
            stream.close()

    async def test_a_cancelled_task_cancels_the_turn(self, module_server: Server, tmp_path: Path) -> None:
        async with await AsyncSandboxAgent.connect(module_server.url) as agent:
            session = await agent.create_session("mock", cwd=tmp_path)
            prompting = asyncio.ensure_future(session.prompt("[[sleep 100]]"))
            while (await session.refresh()).state != "running":  # noqa: ASYNC110 - the server sets no event of ours
                await asyncio.sleep(0.01)
            prompting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await prompting
            (prompt,) = await session.prompts()
            assert (await (await session.get_prompt(prompt.id)).wait(timeout=60)).state == "cancelled"
            assert (await session.prompt("[[say on]]")).text == "on"


class TestBesideALoop:
    async def test_the_blocking_client_works_where_a_loop_runs(self, module_server: Server, tmp_path: Path) -> None:
        """As in a notebook's kernel, whose thread has a running event loop."""
        assert asyncio.get_running_loop().is_running()
        with SandboxAgent.connect(module_server.url) as agent:
            session = agent.create_session("mock", cwd=tmp_path)
            with session.on_permission(lambda _request: "once"):
                assert session.prompt("[[ask May I?]] [[say yes]]").text.endswith("yes")

    def test_one_client_serves_many_threads(self, module_server: Server, tmp_path: Path) -> None:
        with SandboxAgent.connect(module_server.url) as agent:
            texts: dict[int, str] = {}

            def work(number: int) -> None:
                session = agent.create_session("mock", cwd=tmp_path)
                seen: list[Any] = []
                texts[number] = session.prompt(f"[[say number {number}]]", on_event=seen.append).text
                session.destroy()

            threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert texts == {n: f"number {n}" for n in range(8)}


class TestUnixSocket:
    def test_a_server_behind_a_unix_socket(self, module_server: Server, tmp_path: Path) -> None:
        """As a Jupyter Server started with `--sock`; here a forwarder stands in for it."""
        from sandbox_agent.client.target import Target  # noqa: PLC0415 - only here

        path = str(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()

            def forward() -> None:
                client, _ = listener.accept()
                with client, socket.create_connection(("127.0.0.1", module_server.port)) as server:
                    server.sendall(client.recv(65536))
                    client.sendall(server.recv(65536))

            thread = threading.Thread(target=forward)
            thread.start()
            with SandboxAgent(Target("http://localhost", socket=path)) as agent:
                assert agent.health().status == "ok"
            thread.join()
