"""Our server as its users start it: the installed program, on a port of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Server:
    port: int
    token: str
    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/v1/health", headers={"Authorization": f"Bearer {self.token}"})
            return connection.getresponse().status == 200
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serve(home: Path, environ: Mapping[str, str] | None = None, *args: str) -> Iterator[Server]:
    """A healthy server whose data, state and log are under ``home``; stopped by SIGTERM, killed if it lingers."""
    port, token = free_port(), secrets.token_hex(16)
    program = Path(sys.executable).with_name("sandbox-agent")
    argv = [program, "server", "--port", str(port), "--token", token, *args]
    own = {"HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "XDG_STATE_HOME": str(home / "state")}
    log = home / "server.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            argv, env={**os.environ, **own, **(environ or {})}, cwd=home, stdout=out, stderr=out
        )
    server = Server(port, token, process, log)
    try:
        deadline = time.monotonic() + 30
        while not server.healthy():
            assert process.poll() is None, f"the server ended with {process.returncode}:\n{server.log()}"
            assert time.monotonic() < deadline, f"the server did not become healthy:\n{server.log()}"
            time.sleep(0.02)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(15)
        finally:
            process.kill()
            process.wait()
