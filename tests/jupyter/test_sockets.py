"""WebSockets below a Jupyter Server: its identity, its authorizer, its rules about origins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import InvalidStatus

from ..support import jupyter
from ..support.server import poll
from ..support.terminal import Viewer, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

    from ..support.jupyter import Jupyter

AUTHORIZER = """
import os
from jupyter_server.auth import Authorizer

class OnlyReads(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return action == "read" or not os.path.exists({marker!r})

c.ServerApp.authorizer_class = OnlyReads
"""


@pytest.fixture(scope="module")
def marker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """While it is there, the authorizer lets nobody do more than read."""
    return tmp_path_factory.mktemp("authorizer") / "read-only"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, marker: Path) -> Iterator[Jupyter]:
    with jupyter.serve(
        tmp_path_factory.mktemp("hub"), AUTHORIZER.format(marker=str(marker)), base_url="/user/ada/"
    ) as server:
        yield server


@pytest.fixture
def client(hub: Jupyter) -> Iterator[httpx2.Client]:
    with hub.client() as client:
        yield client


@pytest.fixture
def echo(client: httpx2.Client) -> Iterator[str]:
    """A process on a terminal that gives back what it gets."""
    name = start(client, "sh", "-c", "stty raw -echo; printf go; exec cat")
    yield name
    client.post(f"/v1/processes/{name}/kill")
    poll(lambda: client.delete(f"/v1/processes/{name}").status_code == 204)


def refused(hub: Jupyter, name: str, headers: dict[str, str], **query: str) -> tuple[int, str]:
    """Status and kind of the problem that an upgrade is refused with."""
    with pytest.raises(InvalidStatus) as told:
        Viewer(hub.api, name, headers, **query)
    response = told.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(response.body or b"")
    return response.status_code, document["type"].rpartition(":")[2]


def works(viewer: Viewer) -> None:
    viewer.until_text("go")
    viewer.type("x")
    viewer.until(lambda viewer: viewer.data[-1:] == b"x")


@pytest.mark.parametrize("scheme", ["token", "Bearer"])
def test_the_token_of_the_server_opens_a_socket_in_a_header(hub: Jupyter, echo: str, scheme: str) -> None:
    with Viewer(hub.api, echo, {"Authorization": f"{scheme} {hub.token}"}) as viewer:
        works(viewer)


@pytest.mark.parametrize("name", ["access_token", "token"])
def test_and_in_the_url_by_our_name_and_by_its_own(hub: Jupyter, echo: str, name: str) -> None:
    with Viewer(hub.api, echo, **{name: hub.token}) as viewer:
        works(viewer)


def test_a_page_of_the_server_opens_one_by_its_cookie(hub: Jupyter, echo: str) -> None:
    page = hub.browser()
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in page.cookies.jar)
    page.close()
    origin = hub.url.removesuffix("/user/ada/")
    with Viewer(hub.api, echo, {"Cookie": cookies, "Origin": origin}) as viewer:
        works(viewer)
    assert refused(hub, echo, {"Cookie": cookies, "Origin": "https://evil.example"}) == (403, "permission_denied")
    assert refused(hub, echo, {"Cookie": cookies, "Origin": "null"}) == (403, "permission_denied")


def test_a_stranger_is_told_so_before_the_upgrade(hub: Jupyter, echo: str) -> None:
    assert refused(hub, echo, {}) == (401, "token_invalid")
    assert refused(hub, echo, {"Authorization": "Bearer wrong"}) == (401, "token_invalid")
    assert refused(hub, echo, {}, access_token="wrong") == (401, "token_invalid")  # noqa: S106 - no secret
    assert refused(hub, "proc_0", {}) == (401, "token_invalid")


def test_a_socket_is_for_those_who_may_act(hub: Jupyter, echo: str, marker: Path) -> None:
    headers = {"Authorization": f"token {hub.token}"}
    marker.touch()
    try:
        assert refused(hub, echo, headers) == (403, "permission_denied")
    finally:
        marker.unlink()
    with Viewer(hub.api, echo, headers) as viewer:
        works(viewer)


def test_other_problems_are_told_as_elsewhere(hub: Jupyter, client: httpx2.Client) -> None:
    headers = {"Authorization": f"token {hub.token}"}
    assert refused(hub, "proc_0", headers) == (404, "not_found")
    piped = str(client.post("/v1/processes", json={"command": "cat"}).json()["id"])
    assert refused(hub, piped, headers) == (409, "conflict")
    client.post(f"/v1/processes/{piped}/kill")


def test_a_server_that_stops_says_so_after_the_last_output(tmp_path: Path) -> None:
    with jupyter.serve(tmp_path / "server") as server:
        with server.client() as client:
            name = start(client, "sh", "-c", "trap 'printf last; exit 0' TERM; printf go; while :; do sleep 0.01; done")
        with Viewer(server.api, name, {"Authorization": f"token {server.token}"}) as viewer:
            viewer.until_text("go")
            server.process.terminate()
            viewer.all()
            assert viewer.data.endswith(b"last")
            assert viewer.frames[-1]["type"] == "exit"
            assert viewer.socket.close_code == 1000
        assert server.process.wait(60) == 0
