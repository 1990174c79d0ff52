"""A session with the desktop inside a real Jupyter Server: its agent reaches the tools by its key, and nothing else."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from typing import TYPE_CHECKING

import httpx2
import pytest

from ..support import jupyter
from ..support.desktop import begin
from ..support.server import DEADLINE, poll

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..support.jupyter import Jupyter

SPY = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message or "method" not in message:
        continue
    result = {}
    if message["method"] == "initialize":
        result = {"protocolVersion": 1, "agentCapabilities": {"mcpCapabilities": {"http": True}}}
    elif message["method"] == "session/new":
        open(sys.argv[1], "w").write(json.dumps(message["params"]["mcpServers"]))
        result = {"sessionId": "s"}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""
"""An agent that writes down which MCP servers it is given."""

CONFIG = """
c.ServerApp.ip = {ip!r}
"""


@pytest.fixture(scope="module", params=["127.0.0.1", "0.0.0.0", "localhost"])  # noqa: S104 - what a hub binds to
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """A server under a prefix, its desktop active."""
    home = tmp_path_factory.mktemp("hub")
    spy = home / "data" / "sandbox-agent" / "bin" / "agent_processes" / "codex-acp"
    spy.parent.mkdir(parents=True)
    (home / "spy.py").write_text(SPY)
    spy.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{home}/spy.py" "{home}/offered"\n')
    spy.chmod(0o755)
    with jupyter.serve(home, CONFIG.format(ip=request.param), base_url="/user/ada/") as server:
        with server.client() as client:
            begin(client)
        yield server
        with contextlib.suppress(httpx2.TransportError), server.client() as client:
            client.post("/v1/desktop/stop")


def test_the_agent_of_a_session_sees_and_uses_the_desktop(hub: Jupyter, tmp_path: Path) -> None:
    with hub.client() as client:
        made = client.post("/v1/sessions", json={"agent": "mock", "cwd": str(tmp_path), "desktop": True})
        assert made.status_code == 201, made.text
        assert made.json()["mcp"] == [{"name": "desktop", "status": "offered", "origin": "session"}]
        path = f"/v1/sessions/{made.json()['id']}"
        click = '[[mcp name=desktop tool=click args={"x":123,"y":45}]]'
        steps = f"[[mcp]] [[mcp name=desktop tool=screenshot]] {click}"
        turn = client.post(f"{path}/prompts", json={"prompt": steps}, headers={"Prefer": f"wait={DEADLINE:g}"})
        assert turn.json()["state"] == "completed", turn.text
        told = client.get(f"{path}/transcript").text
        assert re.search(r"screenshot \w+: 640x480 pixels", told), told
        at = client.get("/v1/desktop/mouse/position").json()
        assert (at["x"], at["y"]) == (123, 45)
        assert client.delete(path).status_code == 204


def test_its_key_opens_that_route_alone_and_ends_with_the_session(hub: Jupyter, tmp_path: Path) -> None:
    """What the agent is given is used as it stands, by somebody whom the Jupyter Server does not know otherwise."""
    with hub.client() as client:
        made = client.post("/v1/sessions", json={"agent": "codex", "cwd": str(tmp_path), "desktop": True})
        assert made.status_code == 201, made.text
        (offered,) = json.loads((hub.home / "offered").read_text())
        assert offered["url"].endswith("/user/ada/sandbox-agent/v1/mcp/desktop")
        headers = {pair["name"]: pair["value"] for pair in offered["headers"]}
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        with httpx2.Client(headers=headers, timeout=DEADLINE) as agent:
            assert agent.post(offered["url"], json=ping).json()["result"] == {}
            for address in ("/v1/health", "/v1/sessions", "/v1/desktop/status", "/v1/desktop/screenshot"):
                assert agent.get(f"{hub.api}{address}").status_code == 401, address
            assert agent.get(f"{hub.url}api/contents").status_code == 403
            evil = agent.post(offered["url"], json=ping, headers={"Origin": "https://evil.example"})
            assert evil.status_code == 403
            assert client.delete(f"/v1/sessions/{made.json()['id']}").status_code == 204
            assert agent.post(offered["url"], json=ping).status_code == 401
        assert headers["Authorization"].partition(" ")[2] not in hub.log()


def test_the_page_that_shows_the_stream_is_opened_by_its_address(hub: Jupyter) -> None:
    """With the Jupyter Server's token in it, which no log tells."""
    page = httpx2.get(f"{hub.api}/v1/desktop/stream/view", params={"access_token": hub.token}, timeout=DEADLINE)
    assert (page.status_code, page.headers["Referrer-Policy"]) == (200, "no-referrer")
    poll(lambda: "/v1/desktop/stream/view" in hub.log(), what="the request in the log")
    assert hub.token not in hub.log()
    for query in ({}, {"access_token": "wrong"}):
        refused = httpx2.get(f"{hub.api}/v1/desktop/stream/view", params=query, timeout=DEADLINE)
        assert (refused.status_code, refused.json()["type"]) == (401, "urn:sandbox-agent:error:token_invalid")
