"""A server whose disk is full (R10), as its clients see it: it goes on, says so, and catches up."""

from __future__ import annotations

import resource
import signal
import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ..support.server import poll, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx2

    from ..support.server import Server

MIB = 1 << 20
WAIT = {"Prefer": "wait=50"}


class Disk:
    """A file system of 1 MiB; where mounting is refused, a limit of 1 MiB to each file of the server."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.mounted = self._mount("size=1m")

    def _mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.folder]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def limit(self, server: Server) -> None:
        if not self.mounted:
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (MIB, resource.RLIM_INFINITY))

    def grow(self, server: Server) -> None:
        """Space returns."""
        if self.mounted:
            assert self._mount("remount,size=64m")
        else:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)

    def remove(self) -> None:
        if self.mounted:
            subprocess.run(["umount", self.folder], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.remove()


@pytest.fixture
def serving(tmp_path: Path, disk: Disk) -> Callable[[], Any]:
    return lambda: serve(tmp_path / "home", data_dir=disk.folder)


def session(client: httpx2.Client, name: str) -> dict[str, Any]:
    answer = client.post("/v1/sessions", json={"agent": "mock", "id": name})
    assert answer.status_code == 201, answer.text
    info: dict[str, Any] = answer.json()
    return info


def prompt(client: httpx2.Client, name: str, text: str) -> None:
    answer = client.post(f"/v1/sessions/{name}/prompts", json={"prompt": text}, headers=WAIT)
    assert (answer.status_code, answer.json()["state"]) == (200, "completed"), answer.text


def events(client: httpx2.Client, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    more = True
    while more:
        after = found[-1]["sequence"] if found else 0
        page = client.get(f"/v1/sessions/{name}/events", params={"after": after, "limit": 1000}).json()
        assert not page["reset"]
        found += page["items"]
        more = page["hasMore"]
    return found


def test_a_full_disk_is_told_and_nothing_is_lost_when_space_returns(disk: Disk, serving: Callable[[], Any]) -> None:
    """Sessions are made, prompted and read meanwhile; after that even SIGKILL takes nothing."""
    with serving() as server, server.client() as client:
        assert session(client, "before").get("persisted", True)
        disk.limit(server)
        prompt(client, "before", "[[burst count=1500 size=2000]]")
        health = poll(lambda: (found := client.get("/v1/health").json()).get("persisted") is False and found)
        assert "space" in health["hint"] if disk.mounted else health["problem"]

        assert session(client, "meanwhile")["persisted"] is False
        prompt(client, "meanwhile", "[[say served from memory]]")
        assert {row["id"]: row["persisted"] for row in client.get("/v1/sessions").json()["items"]} == {
            "before": False,
            "meanwhile": False,
        }
        changed = client.patch("/v1/sessions/meanwhile", json={"mode": "plan"}).json()
        assert (changed["mode"], changed["persisted"]) == ("plan", False)
        shown = {name: events(client, name) for name in ("before", "meanwhile")}
        assert [event["sequence"] for event in shown["before"]] == list(range(1, len(shown["before"]) + 1))
        assert len(shown["before"]) > 1500

        disk.grow(server)
        poll(lambda: client.get("/v1/health").json().get("persisted", True))
        assert client.get("/v1/sessions/meanwhile").json().get("persisted", True)
        server.stop(signal.SIGKILL)

    with sqlite3.connect(next(disk.folder.glob("*.db"))) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store.close()
    with serving() as server, server.client() as client:
        for name, told in shown.items():
            assert events(client, name)[: len(told)] == told
        prompt(client, "meanwhile", "[[recall]]")
