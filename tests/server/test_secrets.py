"""S10: what a session's agent was given is in no answer, export or log of the real server, even when it is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ..support.server import dumps, serve

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

    from ..support.server import Server

MINE = "sk-mine-0123456789-abcdef"
SERVERS = "sk-ant-of-the-server-0123456789"


def prompted(client: httpx2.Client, tmp_path: Path, text: str) -> str:
    """The path of a session with a key, after one prompt."""
    body = {"agent": "mock", "cwd": str(tmp_path), "env": {"MY_KEY": MINE, "PLAIN": "to be seen"}}
    made = client.post("/v1/sessions", json=body)
    assert made.status_code == 201, made.text
    path: str = made.headers["Location"]
    done = client.post(f"{path}/prompts", json={"prompt": text}, headers={"Prefer": "wait=50"})
    assert done.status_code == 200, done.text
    return path


@pytest.mark.parametrize("form", ["json", "md", "html", "text", "ipynb"])
def test_every_export_is_without_it(module_server: Server, tmp_path: Path, form: str) -> None:
    """In its place stands that something was there; what is no secret stays."""
    with module_server.client() as client:
        path = prompted(client, tmp_path, "[[env MY_KEY]][[env PLAIN]]")
        told = client.get(f"{path}/transcript", params={"format": form}).text
        assert MINE not in told
        assert "[redacted]" in told.replace("\\", "")
        assert "to be seen" in told


def test_no_answer_returns_it(module_server: Server, tmp_path: Path) -> None:
    """The session, the list and its prompts; an agent that dies with it on stderr, too."""
    with module_server.client() as client:
        path = prompted(client, tmp_path, f"[[stderr {MINE}]][[crash code=3]]")
        answers = [client.get(url).text for url in (path, "/v1/sessions", f"{path}/prompts", f"{path}/transcript")]
        assert "exitCode" in answers[2]
        # The prompt itself is the client's own words, and stays as it was sent.
        assert [answer.count(MINE) for answer in answers] == [0, 0, 1, 0]
        refused = client.post("/v1/sessions", json={"agent": "mock", "env": {"A B": MINE}})
        assert (refused.status_code, MINE in refused.text) == (400, False)
    assert MINE not in module_server.log()


def test_the_doctor_and_the_log_know_no_key_of_the_server(tmp_path: Path) -> None:
    """Where a key is may be told, what it is may not."""
    with serve(tmp_path / "s", env={"ANTHROPIC_API_KEY": SERVERS}) as server, server.client(timeout=60) as client:
        told = client.post("/v1/doctor", json={"agents": ["mock", "claude"], "offline": True})
        assert told.status_code == 200
        assert "ANTHROPIC_API_KEY" in told.text
        assert SERVERS not in told.text
        assert client.post("/v1/doctor", json={"agents": ["nobody"]}).status_code == 400
        alone = client.post("/v1/doctor", json={"agents": ["mock"]}).json()
        assert (alone["usable"], alone["agents"][0]["handshake"]["state"]) == (True, "ok"), dumps(alone)
        assert SERVERS not in server.log()
