"""A real Jupyter Server as a process, with the extension as an installation enables it."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2

from .contract import check_response
from .ports import free_port
from .server import DEADLINE, environment, poll

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

START_DEADLINE = 110.0
"""Jupyter Server and JupyterLab read a hundred megabytes of Python before they answer: minutes on a busy machine."""

ENABLED = """
c.ServerApp.jpserver_extensions = {"sandbox_agent_jupyter": True}
"""


@dataclass
class Jupyter:
    """``url`` ends with the base URL, ``api`` is where our API begins."""

    process: subprocess.Popen[bytes]
    url: str
    token: str
    home: Path
    stderr: Path

    @property
    def api(self) -> str:
        return f"{self.url}sandbox-agent"

    def client(self, *, token: bool = True, checked: bool = True, base: str | None = None) -> httpx2.Client:
        """A client of our API; without the token it is a stranger."""
        headers = {"Authorization": f"token {self.token}"} if token else {}
        hooks = {"response": [check_response]} if checked else {}
        return httpx2.Client(base_url=base or self.api, headers=headers, timeout=DEADLINE, event_hooks=hooks)

    def browser(self) -> httpx2.Client:
        """A client as a page that somebody logged in with: cookies, no token in its headers."""
        page = httpx2.Client(base_url=self.api, timeout=DEADLINE)
        assert page.get(f"{self.url}login").status_code == 200
        assert page.get(f"{self.url}api/status?token={self.token}").status_code == 200
        return page

    def log(self) -> str:
        return self.stderr.read_text(errors="replace")

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE)


@contextlib.contextmanager
def serve(
    home: Path, config: str = "", *, base_url: str = "/", env: Mapping[str, str] | None = None
) -> Iterator[Jupyter]:
    """A server that answers, with its files and its user's below ``home``."""
    folder = home / "work"
    folder.mkdir(parents=True, exist_ok=True)
    file = home / "config.py"
    token = secrets.token_hex(16)
    port = free_port()
    settings = f"""
c = get_config()
c.ServerApp.port = {port}
c.ServerApp.port_retries = 0
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.open_browser = False
c.ServerApp.allow_root = True
c.ServerApp.base_url = {json.dumps(base_url)}
c.ServerApp.root_dir = {json.dumps(str(folder))}
c.IdentityProvider.token = {json.dumps(token)}
"""
    file.write_text(settings + ENABLED + config)
    stderr = home / "jupyter.log"
    runtime = {"JUPYTER_RUNTIME_DIR": str(home / "runtime"), "JUPYTER_CONFIG_DIR": str(home / "jupyter-config")}
    argv = [sys.executable, "-m", "jupyter_server", f"--config={file}", "--log-level=DEBUG"]
    with stderr.open("ab") as log:
        process = subprocess.Popen(
            argv, env=environment(home, runtime | dict(env or {})), cwd=folder, stdout=log, stderr=log
        )
    server = Jupyter(process, f"http://127.0.0.1:{port}{base_url}", token, home, stderr)
    try:
        poll(lambda: _answers(server), START_DEADLINE, what="Jupyter Server")
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(DEADLINE)
            process.kill()
        process.wait()


def _answers(server: Jupyter) -> bool:
    assert server.process.poll() is None, server.log()[-3000:]
    with contextlib.suppress(httpx2.TransportError):
        return httpx2.get(f"{server.url}api", timeout=DEADLINE).status_code == 200
    return False
