"""The extension in a real Jupyter Server: the same API behind Jupyter's own access policy."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

import httpx2
import psutil
import pytest

from sandbox_agent.server.routes import ROUTES

from ..support import jupyter, sse
from ..support.server import DEADLINE, envelope, initialize, poll

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox_agent.server.call import Route

    from ..support.jupyter import Jupyter

PREFIX = "/user/ada/"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """A server under a prefix, as JupyterHub runs it, its API at the root as well."""
    config = "c.SandboxAgentApp.mount_at_root = True\nc.SandboxAgentApp.heartbeat_seconds = 0.2\n"
    with jupyter.serve(tmp_path_factory.mktemp("hub"), config, base_url=PREFIX) as server:
        yield server


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


def url(route: Route) -> str:
    return re.sub(r"\{\w+\}", "nobody", route.path)


def slug(response: httpx2.Response) -> str:
    kind: str = response.json()["type"]
    return kind.rpartition(":")[2]


def make_session(client: httpx2.Client, cwd: Path, **fields: Any) -> str:
    answer = client.post("/v1/sessions", json={"agent": "mock", "cwd": str(cwd)} | fields)
    assert answer.status_code == 201, answer.text
    return f"/v1/sessions/{answer.json()['id']}"


def test_the_same_api_is_served_below_the_prefix_and_at_the_root_when_asked(hub: Jupyter) -> None:
    with hub.client() as client:
        assert client.get("/").json()["name"] == "Sandbox Agent"
        assert client.get("/v1/health").json() == {"status": "ok"}
        assert client.get(f"{hub.url}v1/health").json() == {"status": "ok"}
        assert client.get("/v1/openapi.json").json()["openapi"].startswith("3.1")
        assert httpx2.get(f"{hub.url.replace(PREFIX, '/')}sandbox-agent/v1/health").status_code == 404


def test_a_session_runs_from_start_to_end_with_events_and_transcript(hub: Jupyter, tmp_path: Path) -> None:
    with hub.client() as client:
        path = make_session(client, tmp_path)
        made = client.post(f"{path}/prompts", json={"prompt": "[[say aloha]]"}, headers={"Prefer": "wait=50"})
        assert made.status_code == 200
        assert made.json()["state"] == "completed"
        assert made.headers["Location"].startswith(f"{PREFIX}sandbox-agent/v1/sessions/")
        assert "aloha" in client.get(f"{path}/transcript", params={"format": "md"}).text
        last = client.get(path).json()["lastSequence"]
        streamed = sse.collect(client, f"{path}/events", lambda event: event.id == last)
        assert [event.id for event in streamed] == list(range(1, last + 1))
        with sse.opened(client, f"{path}/events", after=last) as response:
            assert response.headers["X-Accel-Buffering"] == "no"
            assert "Content-Encoding" not in response.headers
            assert next(iter(sse.events(response))).name == "heartbeat"
        assert client.delete(path).status_code == 204


def test_the_raw_bridge_works_the_same(hub: Jupyter) -> None:
    with hub.client() as client:
        answer = initialize(client, "bridge")
        assert answer["result"]["agentInfo"]["name"] == "mock"
        assert client.post("/v1/acp/bridge", json=envelope(7, "_unknown")).json()["id"] == 7
        told = sse.collect(client, "/v1/acp/bridge", lambda event: event.json().get("id") == 7)
        assert [event.id for event in told] == list(range(1, len(told) + 1))
        assert client.delete("/v1/acp/bridge").status_code == 204


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_a_stranger_is_told_401_on_every_route(hub: Jupyter, route: Route) -> None:
    with hub.client(token=False) as client:
        body = {} if route.body is not None else None
        response = client.request(route.method, url(route), json=body)
        assert response.status_code == 401
        assert slug(response) == "token_invalid"
        wrong = client.request(route.method, url(route), json=body, headers={"Authorization": "token nope"})
        assert wrong.status_code == 401
        unknown = client.get("/v1/nothing")
        assert unknown.status_code == 401


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_a_foreign_host_is_refused_on_every_route(hub: Jupyter, route: Route) -> None:
    with hub.client() as client:
        response = client.request(route.method, url(route), headers={"Host": "evil.example"})
        assert response.status_code == 403
        assert slug(response) == "permission_denied"


def test_bad_requests_are_told_as_problems_here_too(hub: Jupyter) -> None:
    with hub.client() as client:
        json_type = {"Content-Type": "application/json"}
        assert client.post("/v1/sessions", content=b"{", headers=json_type).status_code == 400
        assert client.post("/v1/sessions", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
        assert client.put("/v1/health").status_code == 405
        assert client.get("/v1/nothing").json()["detail"] == "endpoint not found"
        assert client.get("/v1/sessions/nobody").status_code == 404
        assert client.get("/v1/agents?config=maybe").status_code == 400
        large = b" " * (17 << 20)
        assert client.post("/v1/sessions", content=large, headers=json_type).status_code == 413


def test_a_page_needs_the_xsrf_token_of_its_cookie_on_unsafe_requests(hub: Jupyter, tmp_path: Path) -> None:
    body = {"agent": "mock", "cwd": str(tmp_path)}
    with contextlib.closing(hub.browser()) as page:
        cookie = page.cookies.get("_xsrf")
        assert cookie
        refused = page.post("/v1/sessions", json=body)
        assert (refused.status_code, slug(refused)) == (403, "permission_denied")
        wrong = page.post("/v1/sessions", json=body, headers={"X-XSRFToken": "2|0|0|0"})
        assert wrong.status_code == 403
        made = page.post("/v1/sessions", json=body, headers={"X-XSRFToken": cookie})
        assert made.status_code == 201
        path = f"/v1/sessions/{made.json()['id']}"
        assert page.get(path).status_code == 200
        assert page.delete(path).status_code == 403
        assert page.delete(path, headers={"X-XSRFToken": cookie}).status_code == 204


def test_a_page_of_another_origin_is_refused_though_its_cookie_comes_along(hub: Jupyter, tmp_path: Path) -> None:
    with contextlib.closing(hub.browser()) as page:
        headers = {"X-XSRFToken": page.cookies.get("_xsrf") or "", "Origin": "https://evil.example"}
        body = {"agent": "mock", "cwd": str(tmp_path)}
        assert page.post("/v1/sessions", json=body, headers=headers).status_code == 403
        assert page.get("/v1/sessions", headers={"Origin": "https://evil.example"}).status_code == 403


def test_a_running_turn_counts_as_activity(hub: Jupyter, tmp_path: Path) -> None:
    def last_activity() -> str:
        told: str = httpx2.get(f"{hub.url}api/status", headers={"Authorization": f"token {hub.token}"}).json()[
            "last_activity"
        ]
        return told

    with hub.client() as client:
        path = make_session(client, tmp_path, permissionPolicy="allow_all")
        before = last_activity()
        client.post(f"{path}/prompts", json={"prompt": "[[bash until [ -e go ]; do sleep 0.05; done]]"})
        assert last_activity() > before
        started = last_activity()
        (tmp_path / "go").touch()
        poll(lambda: last_activity() > started, what="the end of the turn, which is activity with nobody asking")


def test_what_happens_is_told_to_the_event_system(hub: Jupyter, tmp_path: Path) -> None:
    from jupyter_events import EventLogger  # noqa: PLC0415 - here alone

    from sandbox_agent_jupyter import events  # noqa: PLC0415 - here alone

    logger = EventLogger()
    events.register(logger)
    events.register(logger)
    assert {events.schema_id(kind) for kind in events.KINDS} <= set(logger.schemas.schema_ids)
    kinds = {kind: {"sessionId": "s", "agent": "mock", "promptId": "p", "permissionId": "r"} for kind in events.KINDS}
    for kind, data in kinds.items():
        events.emit(logger, kind, data | {"state": None})
    events.emit(logger, "of no kind", {})


EVENT_SINK = """
import json, logging
class Sink(logging.Handler):
    def emit(self, record):
        with open({path!r}, "a") as file:
            file.write(json.dumps(record.msg) + "\\n")
c.EventLogger.handlers = [Sink()]
"""

WHO_IS_WHO = """
from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.auth.identity import IdentityProvider, User

class Names(IdentityProvider):
    def get_user(self, handler):
        given = handler.request.headers.get("X-Who")
        return User(username=given, name=given.title(), display_name=given.title() + " L.") if given else None
    def is_token_authenticated(self, handler):
        return "X-Who" in handler.request.headers

class Rules(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        assert resource == "sandbox_agent"
        allowed = {"ada": ("read", "write", "execute"), "bob": ("read", "write"), "eve": ("read",)}
        return action in allowed.get(user.username, ())

c.ServerApp.identity_provider_class = Names
c.ServerApp.authorizer_class = Rules
"""


def test_identity_authorizer_and_events_are_those_of_the_server(tmp_path: Path) -> None:
    sink = tmp_path / "events.jsonl"
    config = WHO_IS_WHO + EVENT_SINK.format(path=str(sink))

    def who(server: Jupyter, user: str) -> httpx2.Client:
        return httpx2.Client(base_url=server.api, headers={"X-Who": user}, timeout=DEADLINE)

    with jupyter.serve(tmp_path / "home", config) as server:
        with who(server, "ada") as ada, who(server, "bob") as bob, who(server, "eve") as eve:
            path = make_session(ada, tmp_path)
            assert bob.get(path).status_code == eve.get(path).status_code == 200
            body = {"agent": "mock", "cwd": str(tmp_path)}
            for reader in (bob, eve):
                refused = reader.post("/v1/sessions", json=body)
                assert (refused.status_code, slug(refused)) == (403, "permission_denied")
                assert reader.post(f"{path}/prompts", json={"prompt": "x"}).status_code == 403
                assert reader.post("/v1/acp/x?agent=mock", json=envelope(1, "initialize")).status_code == 403
            assert eve.delete(path).status_code == 403

            ada.post(f"{path}/prompts", json={"prompt": "[[ask May I?]]"})
            [asked] = poll(lambda: ada.get(f"{path}/permissions?pending=true").json()["items"], what="the question")
            answer = f"{path}/permissions/{asked['id']}"
            assert bob.post(answer, json={"reply": "once"}).status_code == 403
            assert ada.post(answer, json={"reply": "once"}).json()["resolvedByName"] == "Ada L."
            poll(lambda: ada.get(path).json()["state"] == "idle", what="the turn's end")
            assert bob.delete(path).status_code == 204, "to write is enough to delete"
        server.stop()
        told = [json.loads(line) for line in sink.read_text().splitlines()]
    schemas = [event["__schema__"].split(":")[-2] for event in told if "sandbox-agent" in event["__schema__"]]
    assert schemas == ["session_created", "turn_started", "permission_asked", "permission_resolved", "turn_ended"]
    assert "Traceback" not in server.log()


def test_sessions_are_found_again_by_the_next_server_in_the_same_folder_only(tmp_path: Path) -> None:
    with jupyter.serve(tmp_path / "home") as first, first.client() as client:
        path = make_session(client, tmp_path, id="mine")
        with jupyter.serve(tmp_path / "home") as beside, beside.client() as other:
            assert other.get("/v1/sessions").json()["items"] == [], "one store has one server"
    with jupyter.serve(tmp_path / "home") as again, again.client() as client:
        assert client.get(path).json()["id"] == "mine"
        client.post(f"{path}/prompts", json={"prompt": "[[say back]]"}, headers={"Prefer": "wait=50"})
        assert "back" in client.get(f"{path}/transcript", params={"format": "md"}).text


def test_a_server_that_stops_takes_agents_and_streams_with_it(tmp_path: Path) -> None:
    with jupyter.serve(tmp_path / "home") as server, server.client() as client:
        path = make_session(client, tmp_path)
        client.post(f"{path}/prompts", json={"prompt": "[[spawn count=2 daemon=1]] [[hang]]"})
        family = poll(lambda: _family(server), what="the agent and its daemons")
        with sse.opened(client, f"{path}/events") as response:
            server.stop()
            assert list(sse.events(response))
    assert psutil.wait_procs(family, timeout=DEADLINE)[1] == []


def _family(server: Jupyter) -> list[psutil.Process]:
    found = psutil.Process(server.process.pid).children(recursive=True)
    return found if len(found) >= 2 else []


def test_where_the_store_cannot_be_opened_jupyter_runs_and_each_request_is_told_why(tmp_path: Path) -> None:
    config = 'c.SandboxAgentApp.store = "sqlite:////proc/nowhere/x.db"\n'
    with jupyter.serve(tmp_path / "home", config) as server, server.client(checked=False) as client:
        for path in ("/v1/sessions", "/v1/health"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert slug(answer) == "store_unavailable"


def test_every_trait_has_a_help_text() -> None:
    from sandbox_agent_jupyter.app import SandboxAgentApp  # noqa: PLC0415 - heavy

    own = SandboxAgentApp.class_own_traits(config=True) | SandboxAgentApp.class_traits(
        config=True, help=lambda text: not text
    )
    assert {"mount_at_root", "base_url_path"} <= set(own)
    assert [
        key
        for key in ("mount_at_root", "base_url_path", "data_dir", "store")
        if not own.get(key, SandboxAgentApp.class_traits()[key]).help
    ] == []
