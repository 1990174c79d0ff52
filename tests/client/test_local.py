"""`start()`: a server of one's own, which ends with its parent however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from sandbox_agent import AsyncSandboxAgent, SandboxAgent, ServerExited, ServerStartFailed
from sandbox_agent.client import local

from ..support.server import environment, poll

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def agent() -> Iterator[SandboxAgent]:
    with SandboxAgent.start() as agent:
        yield agent


def process_of(agent: SandboxAgent) -> psutil.Process:
    assert agent.server is not None
    return psutil.Process(agent.server.pid)


def test_it_serves_at_once(agent: SandboxAgent) -> None:
    assert agent.create_session("mock").prompt("[[say hello]]").text == "hello"


def test_connect_finds_it_in_the_same_process(agent: SandboxAgent) -> None:
    with SandboxAgent.connect() as other:
        assert other.url == agent.url
        assert other.health().status == "ok"


def test_its_token_is_in_no_command_line(agent: SandboxAgent) -> None:
    """S4: others on the machine can read argv; and it is not handed to agents."""
    session = agent.create_session("mock")
    token = agent._target.token
    assert token
    server = process_of(agent)
    everyone = [server, *server.children(recursive=True)]
    assert len(everyone) > 1
    assert not any(token in part for process in everyone for part in process.cmdline())
    assert not any(token in value for process in everyone[1:] for value in process.environ().values())
    assert token not in repr(agent) + repr(agent.server) + session.prompt("[[bash env]]", wait=False).__repr__()


def test_a_file_beside_the_program_is_not_one_of_its_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook's folder may hold a `queue.py`."""
    (tmp_path / "tornado.py").write_text("raise SystemExit('not that one')")
    monkeypatch.chdir(tmp_path)
    with SandboxAgent.start(data_dir=tmp_path / "data") as agent:
        assert agent.health().status == "ok"


def test_closing_ends_it_with_its_agents(agent: SandboxAgent) -> None:
    agent.create_session("mock")
    server = process_of(agent)
    everyone = [server, *server.children(recursive=True)]
    agent.close()
    agent.close()
    assert psutil.wait_procs(everyone, timeout=60)[1] == []


async def test_the_awaited_one_starts_and_ends_too() -> None:
    async with await AsyncSandboxAgent.start() as agent:
        assert agent.server is not None
        server = psutil.Process(agent.server.pid)
        assert (await agent.health()).status == "ok"
    assert not server.is_running()


def test_sessions_are_found_again_by_the_next() -> None:
    """Without a data directory two starts in a row use the same one; two at once do not trip over each other."""
    with SandboxAgent.start() as first:
        session_id = first.create_session("mock", title="mine").id
        with SandboxAgent.start() as second:
            assert len(second.list_sessions()) == 0
    with SandboxAgent.start() as again:
        assert again.get_session(session_id).title == "mine"


def test_a_data_directory_of_ones_own(tmp_path: Path) -> None:
    with SandboxAgent.start(data_dir=tmp_path / "mine") as agent:
        agent.create_session("mock")
    assert (tmp_path / "mine").stat().st_mode & 0o077 == 0
    assert list((tmp_path / "mine").glob("*.db"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent(number: signal.Signals, tmp_path: Path) -> None:
    """The parent is killed and can clean nothing up: server and agent are gone all the same."""
    program = (
        "import time; from sandbox_agent import SandboxAgent; agent = SandboxAgent.start(); "
        "agent.create_session('mock'); print(agent.server.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        everyone = [server, *server.children(recursive=True)]
        assert len(everyone) > 1
        parent.send_signal(number)
        assert psutil.wait_procs(everyone, timeout=60)[1] == []


def test_a_program_that_just_ends_leaves_nothing_behind() -> None:
    program = "from sandbox_agent import SandboxAgent; print(SandboxAgent.start().server.pid)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not psutil.pid_exists(int(done.stdout))
    assert done.stderr == ""


def test_a_fork_of_the_parent_is_not_the_owner(agent: SandboxAgent) -> None:
    """Multiprocessing forks: the child's end must not take the server along."""
    assert agent.server is not None
    stop = agent.server._finalizer.peek()
    assert stop is not None
    local._stop(agent.server.process, os.getpid() + 1)
    assert agent.health().status == "ok"


def test_a_server_that_died_is_said_with_its_last_words(agent: SandboxAgent) -> None:
    """At once: nobody will come back on that port."""
    session = agent.create_session("mock")
    stream = session.events()
    next(stream)
    process_of(agent).kill()
    poll(lambda: agent.server is not None and agent.server.exited())
    with pytest.raises(ServerExited, match="code -9") as caught:
        session.refresh()
    assert caught.value.code == -9
    with pytest.raises(ServerExited):
        list(stream)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ServerStartFailed, match="data directory") as caught:
        SandboxAgent.start(data_dir=file)
    assert "data directory" in caught.value.logs


def test_a_server_that_is_not_ready_in_time_is_ended() -> None:
    before = {process.pid for process in psutil.Process().children()}
    with pytest.raises(ServerStartFailed, match="not ready"):
        SandboxAgent.start(timeout=0.001)
    assert {process.pid for process in psutil.Process().children()} <= before


def test_options_reach_the_server(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text("{}")
    with SandboxAgent.start(config=config, arguments=["--log-level", "debug"], environ={"X_MARK": "here"}) as agent:
        assert agent.server is not None
        assert process_of(agent).environ()["X_MARK"] == "here"
        agent.health()
        assert poll(agent.server.logs)
