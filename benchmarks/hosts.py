"""The two servers that are measured, and the programs that measure them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sandbox-agent-benchmarks"
REFERENCE = "@sandbox-agent/cli-linux-x64@0.4.2"
AGENT = "pi"  # an id that the reference launches from the install root with nothing else installed


def programs() -> dict[str, Path]:
    """The agent and the load program, compiled when their source is newer."""
    compiler = shutil.which("cc") or sys.exit("a C compiler is needed: apt-get install gcc libc6-dev")
    CACHE.mkdir(parents=True, exist_ok=True)
    built = {}
    for source in (HERE / "programs").glob("*.c"):
        target = CACHE / source.stem
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            subprocess.run([compiler, "-O2", "-o", target, source], check=True)
        built[source.stem] = target
    return built


def reference_program() -> Path:
    """The reference's program, from npm, kept outside the checkout."""
    program = CACHE / "node_modules" / REFERENCE.rpartition("@")[0] / "bin" / "sandbox-agent"
    if not program.exists():
        npm = shutil.which("npm") or sys.exit("npm is needed to install the reference; or give --reference PATH")
        subprocess.run([npm, "install", "--prefix", CACHE, "--no-audit", "--no-fund", REFERENCE], check=True)
    return program


@dataclass(frozen=True)
class Host:
    """A server that can be started: its name and its command, to which the port is added."""

    name: str
    command: tuple[str, ...]
    launchers: Mapping[str, str] = field(default_factory=dict)  # agent to the script in its slot of the install root


def reference(program: Path) -> Host:
    # Its mock wants an install, which is no more than this file.
    mock = f'#!/bin/sh\nexec "{program}" mock-agent-process "$@"\n'
    return Host("reference", (str(program), "server", "--no-token", "--no-telemetry"), {"mock": mock})


def ours() -> Host:
    return Host("ours", (str(Path(sys.executable).with_name("sandbox-agent")), "server", "--no-token"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running server on a core of its own."""

    process: subprocess.Popen[bytes]
    port: int
    load: Path
    started_ms: float

    def request(self, method: str, path: str, body: Any = None, *, deadline: float = 30) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=deadline)
        headers = {"Content-Type": "application/json", "Accept": "application/json"} if body is not None else {}
        with contextlib.closing(connection):
            # No space after separators: the agent is no JSON parser.
            text = None if body is None else json.dumps(body, separators=(",", ":"))
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def send(self, server_id: str, method: str, params: Any, *, agent: str = AGENT, wait: bool = False) -> float:
        """Posts a notification, or a request to wait for; returns how many milliseconds it took."""
        envelope = {"jsonrpc": "2.0", **({"id": 1} if wait else {}), "method": method, "params": params}
        begun = time.perf_counter()
        status, body = self.request("POST", f"/v1/acp/{server_id}?agent={agent}", envelope)
        if status not in {200, 202}:
            raise RuntimeError(f"{method} was answered {status}: {body.decode(errors='replace')}")
        return (time.perf_counter() - begun) * 1000

    def agents(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [child for child in own.children(recursive=True) if child.name() == f"{AGENT}-acp"]

    def memory_kib(self) -> float:
        """Resident memory of the server and of what it runs for itself, the agents apart."""
        own = psutil.Process(self.process.pid)
        total = own.memory_info().rss
        for child in own.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # a command may end while it is looked at
                total += child.memory_info().rss if child.name() != f"{AGENT}-acp" else 0
        return float(total) / 1024

    def cpu_us(self) -> float:
        """Processor time the server has used; the scheduler's own count is finer than the ticks of /proc/PID/stat."""
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1000

    def read(self, server_id: str, readers: int, seconds: float) -> subprocess.Popen[str]:
        """Readers of one event stream; returns once all are connected."""
        argv = [str(self.load), "read", str(self.port), f"/v1/acp/{server_id}", str(readers), str(seconds)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the event stream was not opened")
        return process

    def post(self, server_id: str, connections: int, requests: int) -> dict[str, float]:
        body = '{"jsonrpc":"2.0","id":%llu,"method":"bench/echo","params":{}}'
        path = f"/v1/acp/{server_id}?agent={AGENT}"
        argv = [str(self.load), "post", str(self.port), path, str(connections), str(requests), body]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
        result: dict[str, float] = json.loads(done.stdout)
        return result


class Bench:
    """Starts servers on one core and keeps the measuring programs off it."""

    def __init__(self, core: int | None = None) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.core = cores[0] if core is None else core
        self.rest = [c for c in cores if c != self.core] or cores
        self.programs = programs()
        os.sched_setaffinity(0, self.rest)

    @contextlib.contextmanager
    def running(self, host: Host, cores: Iterable[int] | None = None) -> Iterator[Server]:
        """A fresh server with a data folder of its own, healthy; its whole tree is gone afterwards.

        It has one core, or those that are given.
        """
        with tempfile.TemporaryDirectory(prefix="sandbox-agent-bench-", ignore_cleanup_errors=True) as scratch:
            home = Path(scratch)
            slots = home / "data" / "sandbox-agent" / "bin" / "agent_processes"
            slots.mkdir(parents=True)
            shutil.copy2(self.programs["agent"], slots / f"{AGENT}-acp")
            for agent, script in host.launchers.items():
                (slots / f"{agent}-acp").write_text(script)
                (slots / f"{agent}-acp").chmod(0o755)
            server = self.start(host, home, cores)
            family = [psutil.Process(server.process.pid)]
            try:
                yield server
                family += family[0].children(recursive=True) if server.process.poll() is None else []
            finally:
                for process in family:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
                server.process.wait()

    def start(self, host: Host, home: Path, cores: Iterable[int] | None = None) -> Server:
        port = free_port()
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": scratch_dir(home, "home"),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_STATE_HOME": scratch_dir(home, "state"),
            "SANDBOX_AGENT_REQUIRE_PREINSTALL": "1",
        }
        with (home / "log").open("wb") as log:
            os.sched_setaffinity(0, cores or [self.core])  # what a process starts inherits its core
            begun = time.perf_counter()
            try:
                process = subprocess.Popen(
                    [*host.command, "--port", str(port)], env=environ, cwd=home, stdout=log, stderr=log
                )
            finally:
                os.sched_setaffinity(0, self.rest)
        server = Server(process, port, self.programs["load"], 0)
        while process.poll() is None and time.perf_counter() - begun < 30:
            with contextlib.suppress(OSError):
                if server.request("GET", "/v1/health")[0] == 200:
                    server.started_ms = (time.perf_counter() - begun) * 1000
                    return server
            time.sleep(0.001)
        process.kill()
        raise RuntimeError(f"{host.name} did not start: {(home / 'log').read_text()[-2000:]}")


def scratch_dir(home: Path, name: str) -> str:
    (home / name).mkdir()
    return str(home / name)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it went between the two questions
        return False


def terminate(server: Server, deadline: float = 10) -> float:
    """SIGTERM; returns the seconds until the process had ended, or the deadline."""
    begun = time.perf_counter()
    server.process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.process.wait(deadline)
    return time.perf_counter() - begun
