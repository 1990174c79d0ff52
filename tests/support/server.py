"""The real server as a process of its own, on a free port, with a client that holds every answer to the contract."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from .contract import check_response
from .ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

READY = "Sandbox Agent listening on "
DEADLINE = 60.0
PATIENT = {"Prefer": "wait=50"}
"""A request with it is held almost as long as a client of these tests waits."""


@dataclass
class Server:
    """``lines`` are what it printed after the ready line; ``stderr`` is a file."""

    process: subprocess.Popen[str]
    url: str
    token: str | None
    home: Path
    data_dir: Path
    stderr: Path
    lines: queue.Queue[str] = field(default_factory=queue.Queue)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def client(self, **options: Any) -> httpx2.Client:
        """A client with the token, whose every answer is checked against our OpenAPI."""
        options.setdefault("timeout", DEADLINE)
        headers = self.headers | options.pop("headers", {})
        return httpx2.Client(base_url=self.url, headers=headers, event_hooks={"response": [check_response]}, **options)

    def log(self) -> str:
        return self.stderr.read_text(errors="replace")

    def stop(self, number: int = signal.SIGTERM, deadline: float = DEADLINE) -> int:
        """Send a signal and wait for the end; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(deadline)


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which nothing of this user's is read or written."""
    own = {
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "SANDBOX_AGENT_REQUIRE_PREINSTALL": "1",  # a test that wants an agent installed says so
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SANDBOX_AGENT_", "JUPYTER"))}
    return kept | own | dict(extra or {})


def start(
    home: Path,
    *args: str,
    token: str | None = None,
    port: int = 0,
    data_dir: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Server:
    """A server that has printed its ready line; on a port that it can have again, unless told one."""
    home.mkdir(parents=True, exist_ok=True)
    data = data_dir or home / "store"
    access = ["--token", token] if token else ["--no-token"]
    where = ["--port", str(port or free_port()), "--data-dir", str(data)]
    argv = [sys.executable, "-m", "sandbox_agent", "server", *where]
    stderr = home / "server.log"
    with stderr.open("ab") as log:
        process = subprocess.Popen(
            [*argv, *access, *args],
            env=environment(home, env),
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    try:
        line = lines.get(timeout=DEADLINE)
    except queue.Empty:
        line = ""
    if not line.startswith(READY):
        process.kill()
        process.wait()
        raise AssertionError(f"the server did not start, it printed {line!r} and\n{stderr.read_text()}")
    return Server(process, line.removeprefix(READY).strip(), token, home, data, stderr, lines)


def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    with process.stdout as stream:
        for line in stream:
            lines.put(line)
    lines.put("")


@contextlib.contextmanager
def serve(home: Path, *args: str, **options: Any) -> Iterator[Server]:
    """`start`, and the end of it whatever happens."""
    server = start(home, *args, **options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
            try:
                server.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                server.process.kill()
        server.process.wait()


def envelope(number: int | str, method: str, params: Any = None) -> dict[str, Any]:
    """A JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}


def initialize(client: httpx2.Client, server_id: str, agent: str = "mock") -> dict[str, Any]:
    """Start an agent on a server id by its handshake; the agent's answer."""
    request = envelope(
        "init",
        "initialize",
        {"protocolVersion": 1, "clientCapabilities": {"fs": {"readTextFile": False, "writeTextFile": False}}},
    )
    answer = client.post(f"/v1/acp/{server_id}", params={"agent": agent}, json=request, headers=PATIENT)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def new_acp_session(client: httpx2.Client, server_id: str, cwd: Path) -> str:
    """An ACP session on a server id that is live; its id."""
    request = envelope("new", "session/new", {"cwd": str(cwd), "mcpServers": []})
    answer = client.post(f"/v1/acp/{server_id}", json=request, headers=PATIENT)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["result"]["sessionId"])


def prompt_params(session: str, text: str) -> dict[str, Any]:
    return {"sessionId": session, "prompt": [{"type": "text", "text": text}]}


def poll(condition: Any, deadline: float = DEADLINE, what: str = "the condition") -> Any:
    """The first true value of ``condition()``."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} did not come true"
        time.sleep(0.01)
    return value


def dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
