"""A session's own key and base URL reach a gateway by way of the real agent, and stay out of the user's files."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ..support.agents import installed
from ..support.server import poll, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

KEY = "sk-of-this-session-0123456789"
REFUSAL = b'{"error": {"message": "the gateway says no", "type": "invalid_request_error"}}'

# What the session is given besides, the model it is to ask for, and the route by which the gateway is asked.
CASES: dict[str, tuple[dict[str, str], str | None, str]] = {
    "claude": ({"ANTHROPIC_API_KEY": KEY, "IS_SANDBOX": "1", "CLAUDE_CODE_MAX_RETRIES": "1"}, None, "/v1/messages"),
    "codex": ({"OPENAI_API_KEY": KEY}, None, "/v1/responses"),
    "opencode": (
        {"ANTHROPIC_API_KEY": KEY, "OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
        "anthropic/claude-haiku-4-5",
        "/v1/messages",
    ),
    "gemini": ({"GEMINI_API_KEY": KEY, "GEMINI_CLI_NO_RELAUNCH": "true"}, None, "/v1beta/models/"),
    "qwen": ({"OPENAI_API_KEY": KEY, "OPENAI_MODEL": "gpt-5.2"}, None, "/v1/chat/completions"),
    "copilot": (
        {"COPILOT_OFFLINE": "true", "COPILOT_PROVIDER_API_KEY": KEY, "COPILOT_MODEL": "gpt-5.2"},
        None,
        "/v1/chat/completions",
    ),
}


class Gateway(ThreadingHTTPServer):
    """Refuses every request, and remembers its path and its key."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: set[tuple[str, str]] = set()
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        keys = [self.headers.get(name) for name in ("Authorization", "X-Api-Key", "X-Goog-Api-Key")]
        self.server.asked.add((self.path, next(filter(None, keys), "").removeprefix("Bearer ")))
        self.send_response(400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(REFUSAL)))
        self.end_headers()
        self.wfile.write(REFUSAL)

    def log_message(self, *args: object) -> None:
        """Nothing."""


@contextmanager
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("name", CASES)
def test_the_gateway_is_asked_with_the_sessions_key(tmp_path: Path, name: str) -> None:
    """By the route of the API that the agent speaks; afterwards no file but the server's own holds the key."""
    env, model, route = CASES[name]
    root = tmp_path / "data" / "sandbox-agent" / "bin"
    root.parent.mkdir(parents=True)
    root.symlink_to(installed(name))
    (tmp_path / "work").mkdir()
    with gateway() as asked_here, serve(tmp_path) as server, server.client(timeout=120) as client:
        url = f"http://127.0.0.1:{asked_here.server_port}"
        body: dict[str, Any] = {"agent": name, "cwd": str(tmp_path / "work"), "env": env, "baseUrl": url}
        made = client.post("/v1/sessions", json=body | ({"model": model} if model else {}))
        assert made.status_code == 201, made.text
        path = made.headers["Location"]
        client.post(f"{path}/prompts", json={"prompt": "hello"}, headers={"Prefer": "wait=90"})
        assert [key for path, key in asked_here.asked if path.startswith(route)][:1] == [KEY], asked_here.asked
        # codex keeps what a login shell sets, its key too, in a file while it looks; it must have looked by its end
        poll(lambda: not [*tmp_path.glob(".codex/shell_snapshots/*.tmp-*")], what="codex's look at the shell")
        client.delete(path)
    assert [file for file in holding(tmp_path, KEY) if "store" not in file.relative_to(tmp_path).parts] == []


def holding(folder: Path, text: str) -> list[Path]:
    """The files below a folder, links left out, that hold a text."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return [file for file in files if text.encode() in file.read_bytes()]
