"""The server's token stays with the server (S4): a session's leavings, and all that its agent can read of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from ..support.server import serve

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "tok3n-that-must-not-leak"  # noqa: S105 - only a test's
LOOK = "env; tr '\\0' '\\n' </proc/$PPID/environ; tr '\\0' ' ' </proc/$PPID/cmdline; echo looked"


def test_no_answer_event_export_log_or_agent_holds_the_token(tmp_path: Path) -> None:
    """Read from the environment and said in a header and in an address, at the most talkative log level."""
    environ = {"SANDBOX_AGENT_TOKEN": TOKEN}
    with (
        serve(tmp_path / "home", "--log-level", "debug", token=TOKEN, env=environ) as server,
        server.client() as client,
    ):
        session = {"agent": "mock", "id": "s", "permissionPolicy": "allow_all"}
        assert client.post("/v1/sessions", json=session).status_code == 201
        client.get("/v1/health", params={"access_token": TOKEN})
        client.get("/v1/nothing", params={"access_token": TOKEN})
        look = {"prompt": f"[[bash {LOOK}]] [[stderr last words]]"}
        assert client.post("/v1/sessions/s/prompts", json=look, headers={"Prefer": "wait=50"}).status_code == 200
        exports = [f"transcript?format={form}" for form in ("json", "md", "html", "ipynb", "text")]
        told = [client.get(f"/v1/sessions/s/{path}").text for path in ("events", "prompts", *exports)]
        told += [client.get(path).text for path in ("/v1/sessions", "/v1/acp", "/v1/agents", "/v1/openapi.json")]
        agents = psutil.Process(server.process.pid).children(recursive=True)
        assert agents
        for process in agents:
            told += [*process.cmdline(), *process.environ().values()]

    assert "looked" in told[0]
    assert not [text for text in told if TOKEN in text]
    assert server.log()
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]
