"""`/v1/config/*` over HTTP, and what sessions make of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

    from ..support.server import Server

MCP_SERVER = str(Path(__file__).parents[1] / "support" / "mcp_server.py")
ENTRIES = {
    "mcp": ("mcpName", {"type": "remote", "url": "http://x", "transport": "sse", "unknown": [1]}),
    "skills": ("skillName", {"sources": [{"type": "github", "source": "a/b", "skills": ["c"]}], "unknown": {"a": 1}}),
}


@pytest.fixture(scope="module")
def client(module_server: Server) -> Iterator[httpx2.Client]:
    with module_server.client() as client:
        yield client


@pytest.mark.parametrize("kind", ENTRIES)
def test_an_entry_is_put_read_and_deleted(client: httpx2.Client, tmp_path: Path, kind: str) -> None:
    key, entry = ENTRIES[kind]
    query = {"directory": str(tmp_path), key: "one"}
    put = client.put(f"/v1/config/{kind}", params=query, json=entry)
    assert (put.status_code, put.content) == (204, b"")
    assert client.get(f"/v1/config/{kind}", params=query).json() == entry
    file = tmp_path / ".sandbox-agent" / "config" / f"{kind}.json"
    assert json.loads(file.read_text()) == {"one": entry}
    assert client.delete(f"/v1/config/{kind}", params=query).status_code == 204
    for gone in (client.get(f"/v1/config/{kind}", params=query), client.delete(f"/v1/config/{kind}", params=query)):
        assert gone.status_code == 404
        assert gone.json()["type"].endswith(":not_found")


@pytest.mark.parametrize("kind", ENTRIES)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_blank_or_missing_directory_or_name_is_a_bad_request(
    client: httpx2.Client, tmp_path: Path, kind: str, method: str
) -> None:
    key, entry = ENTRIES[kind]
    body = {"json": entry} if method == "PUT" else {}
    for query in (
        {"directory": " ", key: "x"},
        {"directory": str(tmp_path), key: ""},
        {key: "x"},
        {"directory": str(tmp_path)},
    ):
        answer = client.request(method, f"/v1/config/{kind}", params=query, **body)
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:sandbox-agent:error:invalid_request")


def test_a_body_of_another_shape_or_type_is_refused(client: httpx2.Client, tmp_path: Path) -> None:
    query = {"directory": str(tmp_path), "mcpName": "one"}
    bad = client.put("/v1/config/mcp", params=query, json={"type": "local"})
    assert bad.status_code == 400
    assert "command" in bad.json()["detail"]
    assert client.put("/v1/config/mcp", params=query, content="x").status_code == 415


def test_a_session_in_the_directory_uses_the_server(client: httpx2.Client, tmp_path: Path) -> None:
    entry = {"type": "local", "command": sys.executable, "args": [MCP_SERVER]}
    client.put("/v1/config/mcp", params={"directory": str(tmp_path), "mcpName": "tiny"}, json=entry)
    (tmp_path / "below").mkdir()
    made = client.post("/v1/sessions", json={"agent": "mock", "cwd": str(tmp_path / "below")}).json()
    assert [(one["name"], one["origin"]) for one in made["mcp"]] == [("tiny", str(tmp_path))]
    assert made["mcp"][0]["status"] in {"offered", "running"}, "as fast as the agent started it"
    path = f"/v1/sessions/{made['id']}"
    prompt = {"prompt": '[[mcp name=tiny tool=shout args={"text": "hi"}]]'}
    assert client.post(f"{path}/prompts", json=prompt, headers={"Prefer": "wait=50"}).status_code == 200
    assert "HI" in client.get(f"{path}/transcript", params={"format": "text"}).text
    assert client.get(path).json()["mcp"][0]["status"] == "running"
    client.delete(path)
