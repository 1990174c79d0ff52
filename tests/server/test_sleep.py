"""R8: a laptop sleeps. Time in which nobody could run is nobody's fault: nothing times out, nothing is sent twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.agents.launch import BUILTIN

from ..support import sse
from ..support.server import DEADLINE, poll, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..support.server import Server

PATIENCE = 6.0  # s, the server's with agents
SLEEP = 8.0  # s

CLIENT = """
import sys
from sandbox_agent import SandboxAgent
session = SandboxAgent.connect(sys.argv[1]).create_session("mock", cwd=sys.argv[2])
print(session.id, flush=True)
print(session.prompt("[[ask ready?]] [[burst count=200 size=200]] [[say done]]").text[-4:], flush=True)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Its agent ``late`` starts only when the file ``go`` is there."""
    slow = f'until [ -e "{tmp_path}/go" ]; do sleep 0.01; done; exec "{sys.executable}" -I -S -E "{BUILTIN["mock"]}"'
    (tmp_path / "agents.json").write_text(json.dumps({"agents": {"late": {"command": "sh", "args": ["-c", slow]}}}))
    settings = {
        "agent_start_seconds": PATIENCE,
        "cancel_grace_seconds": PATIENCE,
        "agents_config": str(tmp_path / "agents.json"),
    }
    (tmp_path / "config.json").write_text(json.dumps({"server": settings}))
    with serve(tmp_path / "server", "--config", str(tmp_path / "config.json")) as running:
        yield running


def stop(process: subprocess.Popen[Any]) -> None:
    process.send_signal(signal.SIGSTOP)
    with open(f"/proc/{process.pid}/stat") as stat:  # noqa: PTH123 - of another process
        poll(lambda: (stat.seek(0), stat.read().rpartition(")")[2].split()[0])[1] == "T", what="the stop")


def sleep_through(process: subprocess.Popen[Any]) -> None:
    """Longer than the server's patience."""
    time.sleep(SLEEP)
    process.send_signal(signal.SIGCONT)


def test_an_agent_that_answered_while_the_server_slept_is_not_late(server: Server, tmp_path: Path) -> None:
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        creating = pool.submit(client.post, "/v1/sessions", json={"agent": "late", "cwd": str(tmp_path)})
        poll(lambda: client.get("/v1/agents/late").is_success, what="a server that has begun")
        stop(server.process)
        (tmp_path / "go").touch()
        sleep_through(server.process)
        assert creating.result(DEADLINE).status_code == 201, creating.result().text


def test_an_agent_that_never_answers_still_times_out(server: Server, tmp_path: Path) -> None:
    with server.client() as client:
        answer = client.post("/v1/sessions", json={"agent": "late", "cwd": str(tmp_path)})
    assert (answer.status_code, answer.json()["method"]) == (504, "initialize")


def test_an_agent_that_obeyed_a_cancel_while_the_server_slept_is_kept(server: Server, tmp_path: Path) -> None:
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        session = client.post("/v1/sessions", json={"agent": "mock", "cwd": str(tmp_path)}).headers["Location"]
        until_go = f"[[ignore_cancel]] [[say begun]] [[bash until [ -e {tmp_path}/go ]; do sleep 0.01; done]]"
        client.patch(session, json={"permissionPolicy": {"default": "allow_all"}})
        prompt = client.post(f"{session}/prompts", json={"prompt": until_go}).headers["Location"]
        sse.collect(client, f"{session}/events", lambda event: b"in_progress" in event.data)
        cancelling = pool.submit(client.post, f"{session}/cancel")
        sse.collect(client, f"{session}/events", lambda event: b"session/cancel" in event.data)
        stop(server.process)
        (tmp_path / "go").touch()
        sleep_through(server.process)
        assert cancelling.result(DEADLINE).is_success
        whole = client.get(f"{session}/events", params={"limit": 1000}).text
        assert "did not obey" not in whole
        assert client.get(prompt).json()["state"] in {"completed", "cancelled"}


def test_a_client_and_a_server_that_slept_go_on_with_the_same_turn(server: Server, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", CLIENT, server.url, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as sleeper, server.client() as client:
        assert sleeper.stdout is not None
        session = f"/v1/sessions/{sleeper.stdout.readline().strip()}"
        asked = poll(lambda: client.get(f"{session}/permissions").json()["items"], what="the question")[0]
        stop(sleeper)
        stop(server.process)
        sleep_through(server.process)
        answer = client.post(f"{session}/permissions/{asked['id']}", json={"reply": "once"})
        assert answer.is_success, answer.text
        sse.collect(client, f"{session}/events", lambda event: b"done" in event.data)
        sleep_through(sleeper)
        assert sleeper.stdout.read() == "done\n"
        assert sleeper.wait(DEADLINE) == 0
        [prompt] = client.get(f"{session}/prompts").json()["items"]
        assert prompt["state"] == "completed"
