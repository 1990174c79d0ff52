"""`POST /v1/agents/{agent}/install`, with an agent from registries that the tests serve."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.agents.install.versions import this_platform

from ..agents.registries import ANSWER, serving, tarball
from ..support.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

    from ..agents.registries import Registries
    from ..support.server import Server

AGENT = "#!/bin/sh\nread line\necho '" + ANSWER.replace("%s", '"sa-1"') + "'\ncat\n"


@pytest.fixture
def registries() -> Iterator[Registries]:
    with serving() as running:
        data = tarball({"agent": AGENT})
        source = {
            "archive": running.file("a.tar.gz", data),
            "cmd": "agent",
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        entries = [
            {"id": name, "name": name, "version": "1.0.0", "distribution": {"binary": {this_platform(): given}}}
            for name, given in (("tiny", source), ("broken", source | {"sha256": "0" * 64}))
        ]
        running.files["/registry.json"] = ("application/json", json.dumps({"agents": entries}).encode())
        yield running


@pytest.fixture
def server(tmp_path: Path, registries: Registries) -> Iterator[Server]:
    env = {"SANDBOX_AGENT_ACP_REGISTRY_URL": f"{registries.url}/registry.json", "SANDBOX_AGENT_REQUIRE_PREINSTALL": ""}
    with serve(tmp_path / "server", env=env) as running:
        yield running


def install(client: httpx2.Client, agent: str, **body: Any) -> httpx2.Response:
    return client.post(f"/v1/agents/{agent}/install", json=body)


def test_an_agent_is_installed_and_then_it_is_there(server: Server) -> None:
    """With the keys of the contract; and the list tells it."""
    with server.client(timeout=60) as client:
        told = client.get("/v1/agents/tiny").json()
        assert (told["installed"], told["hint"]) == (False, "sandbox-agent install-agent tiny")
        first = install(client, "tiny")
        assert first.status_code == 200
        assert first.json()["already_installed"] is False
        (made,) = first.json()["artifacts"]
        assert (made["kind"], made["source"], made["version"]) == ("agent_process", "binary", "1.0.0")
        again = install(client, "tiny", reinstall=None, agentVersion=None).json()
        assert again == {"already_installed": True, "artifacts": [made]}
        assert client.get("/v1/agents/tiny").json()["installed"] is True


def test_a_stream_tells_how_it_goes(server: Server) -> None:
    """Progress, then the outcome; the failure as a problem."""
    with server.client(timeout=60) as client:
        headers = {"Accept": "text/event-stream"}
        events = read(client.post("/v1/agents/tiny/install", json={}, headers=headers))
        assert {name for name, _ in events[:-1]} == {"progress"}
        assert [data["stage"] for _, data in events[:-1]][-1] == "done"
        assert events[-1][0] == "installed"
        assert events[-1][1]["already_installed"] is False
        events = read(client.post("/v1/agents/broken/install", json={}, headers=headers))
        assert events[-1][0] == "failed"
        assert events[-1][1]["type"].endswith(":install_failed")


def read(answer: httpx2.Response) -> list[tuple[str, dict[str, Any]]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [block.split("\n", 1) for block in answer.text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in events]


def test_a_failure_says_stage_and_remedy(server: Server) -> None:
    with server.client(timeout=60) as client:
        answer = install(client, "broken")
        assert answer.status_code == 500
        problem = answer.json()
        assert problem["type"] == "urn:sandbox-agent:error:install_failed"
        assert (problem["agent"], problem["stage"]) == ("broken", "download")
        assert problem["hint"]
        assert client.get("/v1/agents/broken").json()["installed"] is False


def test_an_unknown_agent_is_unsupported(server: Server) -> None:
    """Also for those who want a stream."""
    with server.client() as client:
        for accept in ("application/json", "text/event-stream"):
            answer = client.post("/v1/agents/nope/install", json={}, headers={"Accept": accept})
            assert (answer.status_code, answer.json()["type"]) == (400, "urn:sandbox-agent:error:unsupported_agent")


def test_the_mock_is_there_already(server: Server) -> None:
    with server.client() as client:
        told = install(client, "mock").json()
        assert told["already_installed"] is True
        assert told["artifacts"][0]["source"] == "builtin"


def test_first_use_installs(server: Server, registries: Registries) -> None:
    """The envelope that names the agent is answered by it, without an install before."""
    with server.client(timeout=60) as client:
        envelope = {"jsonrpc": "2.0", "id": "sa-1", "method": "initialize", "params": {"protocolVersion": 1}}
        answer = client.post("/v1/acp/one?agent=tiny", json=envelope)
        assert answer.status_code == 200
        assert answer.json()["result"]["protocolVersion"] == 1
        assert registries.count("a.tar.gz") == 1


def test_first_use_may_be_forbidden(tmp_path: Path, registries: Registries) -> None:
    env = {"SANDBOX_AGENT_ACP_REGISTRY_URL": f"{registries.url}/registry.json"}
    env["SANDBOX_AGENT_REQUIRE_PREINSTALL"] = "1"
    with serve(tmp_path / "server", env=env) as running, running.client() as client:
        envelope = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": 1}}
        answer = client.post("/v1/acp/one?agent=tiny", json=envelope)
        assert answer.status_code == 404
        problem = answer.json()
        assert problem["type"] == "urn:sandbox-agent:error:agent_not_installed"
        assert problem["hint"] == "sandbox-agent install-agent tiny"
        assert registries.count("a.tar.gz") == 0


def test_a_stopped_server_leaves_no_half_install(server: Server, registries: Registries) -> None:
    """SIGTERM in the middle of a download: the server ends, nothing usable is left."""
    registries.hold("a.tar.gz")
    with server.client(timeout=60) as client:
        request = client.build_request(
            "POST", "/v1/agents/tiny/install", json={}, headers={"Accept": "text/event-stream"}
        )
        answer = client.send(request, stream=True)
        assert registries.holding.wait(60)
        assert server.stop() == 0
        answer.close()
    root = server.home / "data" / "sandbox-agent" / "bin"
    assert not (root / "agent_processes" / "tiny-acp").exists()
    shutil.rmtree(root)
