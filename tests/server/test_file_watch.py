"""`GET /v1/fs/watch` over HTTP."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..support.inside import descriptors
from ..support.server import poll
from ..support.sse import events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

    from ..support.server import Server

SSE = {"Accept": "text/event-stream"}


def told_by(response: httpx2.Response) -> Iterator[tuple[str, Any]]:
    """Each event's name and data, but heartbeats."""
    return ((event.name, event.json()) for event in events(response) if event.name != "heartbeat")


def test_changes_are_told_as_events_until_the_folder_is_gone(module_server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with module_server.client() as client:
        query = {"path": str(folder), "recursive": "true"}
        with client.stream("GET", "/v1/fs/watch", params=query, headers=SSE) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream"
            told = told_by(response)
            assert next(told) == ("ready", {})
            (folder / "below").mkdir()
            assert next(told) == (
                "change",
                {"change": "created", "path": f"{folder}/below", "entryType": "directory"},
            )
            (folder / "below").rmdir()
            folder.rmdir()
            rest = [(name, data["change"], data["path"]) for name, data in told]
    assert rest[-1] == ("change", "deleted", str(folder))


def test_a_name_that_is_not_utf8_is_told_percent_encoded_too(module_server: Server, tmp_path: Path) -> None:
    with (
        module_server.client() as client,
        client.stream("GET", "/v1/fs/watch", params={"path": str(tmp_path)}, headers=SSE) as response,
    ):
        told = told_by(response)
        assert next(told)[0] == "ready"
        (tmp_path / "\udcff").mkdir()
        assert next(told)[1]["encodedPath"] == f"{tmp_path}/%FF"


def test_what_is_not_there_is_404_and_a_client_that_takes_no_events_406(module_server: Server, tmp_path: Path) -> None:
    with module_server.client() as client:
        assert client.get("/v1/fs/watch", params={"path": str(tmp_path / "none")}, headers=SSE).status_code == 404
        json_only = {"Accept": "application/json"}
        assert client.get("/v1/fs/watch", params={"path": str(tmp_path)}, headers=json_only).status_code == 406


def test_a_watch_ends_when_its_client_goes_and_others_are_answered_meanwhile(
    running_server: Server, tmp_path: Path
) -> None:
    """Forty watchers on a folder; their inotify descriptor is closed once the last has gone."""
    inotify = "anon_inode:inotify"
    folder = tmp_path / "folder"
    folder.mkdir()
    watched: list[Iterator[tuple[str, Any]]] = []
    with ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(running_server.client())
            stream = client.stream("GET", "/v1/fs/watch", params={"path": str(folder)}, headers=SSE)
            watched.append(told_by(stack.enter_context(stream)))  # held, for its end closes the connection
            assert next(watched[-1])[0] == "ready"
        assert descriptors(running_server).count(inotify) == 1
        assert client.get("/v1/health").status_code == 200
        assert client.get("/v1/fs/entries", params={"path": str(folder)}).json() == []
    poll(lambda: inotify not in descriptors(running_server), what="the end of all watches")
