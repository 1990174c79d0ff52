"""`GET /v1/fs/search` over HTTP."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil

from ..support.server import poll, serve

if TYPE_CHECKING:
    from pathlib import Path

    from ..support.server import Server


def test_contents_and_names_are_found(module_server: Server, tmp_path: Path) -> None:
    (tmp_path / "needle.txt").write_text("hay\nhay needle\n")
    with module_server.client() as client:
        answer = client.get("/v1/fs/search", params={"path": str(tmp_path), "query": "NEEDLE"})
        assert answer.json() == {
            "matches": [
                {
                    "path": f"{tmp_path}/needle.txt",
                    "entryType": "file",
                    "text": "hay needle",
                    "ranges": [{"start": 4, "end": 10}],
                    "line": 2,
                }
            ],
            "truncated": False,
        }
        params = {"path": str(tmp_path), "query": "needle", "kind": "name", "caseSensitive": "true"}
        answer = client.get("/v1/fs/search", params=params)
        assert [match["text"] for match in answer.json()["matches"]] == ["needle.txt"]


def test_what_cannot_be_searched_or_understood_is_a_problem(module_server: Server, tmp_path: Path) -> None:
    with module_server.client() as client:
        for params, status in (
            ({"path": str(tmp_path / "none"), "query": "x"}, 404),
            ({"path": str(tmp_path), "query": ""}, 400),
            ({"path": str(tmp_path)}, 400),
            ({"path": str(tmp_path), "query": "(", "regex": "true"}, 400),
            ({"path": str(tmp_path), "query": "x", "kind": "colour"}, 400),
            ({"path": str(tmp_path), "query": "x", "limit": "0"}, 400),
        ):
            assert client.get("/v1/fs/search", params=params).status_code == status, params


def test_a_search_ends_when_its_client_goes(tmp_path: Path) -> None:
    (tmp_path / ("a" * 60 + "!")).write_text("")  # a name, for names are matched by our own program
    with serve(tmp_path / "server") as server:
        children = psutil.Process(server.process.pid).children

        def searching() -> bool:
            return any("search_worker" in part for child in children() for part in _argv(child))

        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            query = f"path={tmp_path}&kind=name&regex=true&query={quote('(a+)+$')}"
            connection.sendall(f"GET /v1/fs/search?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            poll(searching, what="the search to begin")
        poll(lambda: not searching(), what="the search to end with its client")


def _argv(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
