"""What each area of the API does over HTTP, beyond bad input and streams."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx2
import pytest

from ..support import sse
from ..support.server import dumps, envelope, initialize, new_acp_session, poll, prompt_params, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..support.server import Server


@pytest.fixture(scope="module")
def client(module_server: Server) -> Iterator[httpx2.Client]:
    with module_server.client() as client:
        yield client


@pytest.fixture
def session(client: httpx2.Client, tmp_path: Path) -> Iterator[str]:
    """The path of a new session with the mock agent."""
    made = client.post("/v1/sessions", json={"agent": "mock", "cwd": str(tmp_path)})
    assert made.status_code == 201
    assert made.headers["Location"] == f"/v1/sessions/{made.json()['id']}"
    yield made.headers["Location"]
    client.delete(made.headers["Location"])


def test_the_root_names_the_service_and_where_its_description_is(client: httpx2.Client) -> None:
    told = client.get("/").json()
    assert told["name"] == "Sandbox Agent"
    assert client.get(f"/{told['docs']}").json()["info"]["version"] == told["version"]


def test_agents_are_those_of_the_contract_in_its_order(client: httpx2.Client) -> None:
    agents = client.get("/v1/agents").json()["agents"]
    ids = [agent["id"] for agent in agents]
    assert ids[:7] == ["claude", "codex", "opencode", "amp", "pi", "cursor", "mock"]
    mock = agents[ids.index("mock")]
    assert mock["installed"] is True
    assert mock["credentialsAvailable"] is True
    assert client.get("/v1/agents/mock").json() == mock


def test_config_adds_the_options_of_an_agent(client: httpx2.Client) -> None:
    mock = client.get("/v1/agents/mock", params={"config": "true", "no_cache": "true"}).json()
    assert [option["category"] for option in mock["configOptions"]] == ["model", "mode", "thought_level"]


def test_a_running_server_shows_in_its_agent(client: httpx2.Client) -> None:
    assert "serverStatus" not in client.get("/v1/agents/mock").json()
    initialize(client, "shown")
    assert client.get("/v1/agents/mock").json()["serverStatus"]["status"] == "running"
    assert [server["serverId"] for server in client.get("/v1/acp").json()["servers"]] == ["shown"]
    client.delete("/v1/acp/shown")
    assert "serverStatus" not in client.get("/v1/agents/mock").json()


def test_envelopes_cross_the_bridge_with_their_bytes(client: httpx2.Client, tmp_path: Path) -> None:
    initialize(client, "bytes")
    huge = 123456789012345678901234567890
    for identity in (0, 1, huge, "0", "x" * 300, "ü\u2028\U0001f600"):
        answer = client.post("/v1/acp/bytes", json=envelope(identity, "_unknown/method"))
        assert answer.status_code == 200
        assert answer.json()["id"] == identity
    assert str(huge).encode() in client.post("/v1/acp/bytes", json=envelope(huge, "_unknown/method")).content
    accepted = client.post("/v1/acp/bytes", json={"jsonrpc": "2.0", "method": "session/cancel", "params": {}})
    assert (accepted.status_code, accepted.content) == (202, b"")
    client.delete("/v1/acp/bytes")


def test_both_ways_to_a_live_server_answer_alike(client: httpx2.Client) -> None:
    """The short way takes plain posts; a query, a Prefer or an Origin header takes the long one."""
    initialize(client, "ways")
    short = client.post("/v1/acp/ways", json=envelope(1, "_x"))
    for options in ({"params": {"agent": "mock"}}, {"headers": {"Prefer": "wait=5"}}):
        long = client.post("/v1/acp/ways", json=envelope(1, "_x"), **options)  # type: ignore[arg-type]
        assert (long.status_code, long.content) == (short.status_code, short.content)
        assert set(long.headers) == set(short.headers)
    other = client.post("/v1/acp/ways", params={"agent": "claude"}, json=envelope(1, "_x"))
    assert other.status_code == 409
    client.delete("/v1/acp/ways")
    gone = [
        client.post("/v1/acp/ways", json=envelope(1, "_x"), headers=headers) for headers in ({}, {"Prefer": "wait=1"})
    ]
    assert [answer.status_code for answer in gone] == [400, 400]
    assert gone[0].json() == gone[1].json()


def test_the_short_way_asks_for_the_same_access(tmp_path: Path) -> None:
    with serve(tmp_path, token="t0ken-t0ken") as server, server.client() as client:  # noqa: S106
        initialize(client, "a")
        plain = httpx2.Client(base_url=server.url, headers={"Content-Type": "application/json"})
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            (server.headers | {"Host": "evil.example"}, 403),
            (server.headers | {"Origin": "https://evil.example"}, 403),
            (server.headers, 200),
        ):
            answer = plain.post("/v1/acp/a", json=envelope(1, "_x"), headers=headers)
            assert answer.status_code == status
        plain.close()


def test_a_client_that_goes_in_the_middle_of_a_post_leaves_no_half_line(
    client: httpx2.Client, module_server: Server
) -> None:
    initialize(client, "half")
    body = dumps(envelope("whole", "_x", {"text": "y" * 200_000}))
    head = b"POST /v1/acp/half%s HTTP/1.1\r\nHost: localhost\r\n"
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    for query in (b"", b"?agent=mock"):
        for size in (0, 1, 1000, 150_000, len(body) - 1):
            with socket.create_connection(("127.0.0.1", module_server.port)) as sock:
                sock.sendall(head % (query, len(body)) + body[:size])
    assert client.post("/v1/acp/half", json=envelope("after", "_x")).json()["id"] == "after"
    told = sse.collect(client, "/v1/acp/half", lambda event: event.json().get("id") == "after")
    assert [event.json().get("id") for event in told] == ["init", "after"]
    client.delete("/v1/acp/half")


def test_a_post_is_held_as_long_as_asked_and_its_late_answer_is_on_the_stream(
    client: httpx2.Client, tmp_path: Path
) -> None:
    initialize(client, "late")
    session = new_acp_session(client, "late", tmp_path)
    body = envelope("slow", "session/prompt", prompt_params(session, "[[ask May I?]] done"))
    answer = client.post("/v1/acp/late", json=body, headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.content) == (202, b"")
    asked = sse.collect(
        client, "/v1/acp/late", lambda event: event.json().get("method") == "session/request_permission"
    )
    assert "slow" not in [event.json().get("id") for event in asked]
    once = {"outcome": {"outcome": "selected", "optionId": "allow_once"}}
    client.post("/v1/acp/late", json={"jsonrpc": "2.0", "id": asked[-1].json()["id"], "result": once})
    late = sse.collect(client, "/v1/acp/late", lambda event: event.json().get("id") == "slow")
    assert late[-1].json()["result"]["stopReason"] == "end_turn"
    body = envelope("held", "session/prompt", prompt_params(session, "[[sleep 0.5]] done"))
    held = client.post("/v1/acp/late", json=body, headers={"Prefer": "respond-async, wait=50"})
    assert held.json()["result"]["stopReason"] == "end_turn"
    client.delete("/v1/acp/late")


def test_one_connection_serves_refused_and_served_requests_in_turn(module_server: Server) -> None:
    """An answer given before the request was read must not cost the client its connection unannounced."""
    with module_server.client(limits=httpx2.Limits(max_connections=1)) as one:
        for _ in range(20):
            assert one.get("/v1/nothing").status_code == 404
            assert one.post("/v1/health", json={"a": 1}).status_code == 405
            assert one.post("/v1/sessions", content=b"x").status_code == 415
            assert one.post("/v1/sessions", json={"agent": "nobody"}).status_code == 400
            assert one.get("/v1/health").status_code == 200


def test_head_and_options_tell_what_get_would(client: httpx2.Client, session: str) -> None:
    for path in ("/", "/v1/health", "/v1/agents", session, f"{session}/events"):
        got, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
    allowed = client.options(session)
    assert allowed.status_code == 204
    assert set(allowed.headers["Allow"].split(", ")) == {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}


def test_a_prompt_is_accepted_at_once_and_can_be_waited_for(client: httpx2.Client, session: str) -> None:
    answer = client.post(f"{session}/prompts", json={"prompt": "[[ask May I?]] done"})
    assert answer.status_code == 202
    job = answer.headers["Location"]
    assert job == f"{session}/prompts/{answer.json()['id']}"
    assert client.get(job).json()["state"] in {"queued", "running"}
    (asked,) = poll(lambda: client.get(f"{session}/permissions").json()["items"])
    client.post(f"{session}/permissions/{asked['id']}", json={"reply": "once"})
    done = client.get(job, headers={"Prefer": "wait=50"}).json()
    assert (done["state"], done["stopReason"]) == ("completed", "end_turn")
    assert [item["id"] for item in client.get(f"{session}/prompts").json()["items"]] == [done["id"]]


def test_a_prompt_not_done_within_the_wait_is_still_202(client: httpx2.Client, session: str) -> None:
    answer = client.post(f"{session}/prompts", json={"prompt": "[[hang]]"}, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert answer.json()["state"] in {"queued", "running"}
    assert client.post(f"{session}/cancel").status_code == 200
    ended = client.get(answer.headers["Location"], headers={"Prefer": "wait=50"}).json()
    assert ended["state"] == "cancelled"


def test_an_idempotency_key_runs_a_prompt_once(client: httpx2.Client, session: str) -> None:
    headers = {"Idempotency-Key": "only-once", "Prefer": "wait=50"}

    def send(_: int) -> httpx2.Response:
        return client.post(f"{session}/prompts", json={"prompt": "[[say once]]"}, headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(client.get(f"{session}/prompts").json()["items"]) == 1
    assert client.get(f"{session}/transcript", params={"format": "md"}).text.count("once") == 2
    for bad in ("", "x" * 300):
        refused = client.post(f"{session}/prompts", json={"prompt": "x"}, headers={"Idempotency-Key": bad})
        assert refused.status_code == 400


def test_the_first_answer_to_a_permission_wins_and_the_second_is_told_so(client: httpx2.Client, session: str) -> None:
    client.post(f"{session}/prompts", json={"prompt": "[[ask May I?]]"})
    [asked] = poll(lambda: client.get(f"{session}/permissions?pending=true").json()["items"], what="the question")
    assert client.get(session).json()["state"] == "waiting"
    path = f"{session}/permissions/{asked['id']}"
    for bad in ({}, {"reply": "perhaps"}, {"optionId": "no-such"}, {"reply": "once", "optionId": "allow"}):
        assert client.post(path, json=bad).status_code == 400
    first = client.post(path, json={"reply": "once"})
    assert (first.status_code, first.json()["state"]) == (200, "selected")
    second = client.post(path, json={"reply": "reject"})
    assert second.status_code == 409
    assert second.json()["type"].endswith(":conflict")
    assert client.get(f"{session}/permissions?pending=true").json()["items"] == []


def test_options_change_and_answer_the_effective_values(client: httpx2.Client, session: str) -> None:
    changed = client.patch(
        session, json={"model": "mock-fast", "mode": "plan", "thoughtLevel": "high", "title": "New"}
    ).json()
    assert (changed["model"], changed["mode"], changed["thoughtLevel"]) == ("mock-fast", "plan", "high")
    assert changed["title"] == "New"
    assert client.patch(session, json={"model": "nothing"}).status_code == 400
    assert client.get(session).json()["model"] == "mock-fast"


def test_sessions_are_listed_newest_first_and_paged(running_server: Server, tmp_path: Path) -> None:
    with running_server.client() as client:
        for number in range(5):
            body = {"agent": "mock", "id": f"s{number}", "cwd": str(tmp_path)}
            assert client.post("/v1/sessions", json=body).status_code == 201
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = client.get("/v1/sessions", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
            found += [item["id"] for item in page["items"]]
            cursor = page.get("nextCursor")
            if cursor is None:
                break
        assert found == ["s4", "s3", "s2", "s1", "s0"]
        again = client.post("/v1/sessions", json={"agent": "mock", "id": "s0", "cwd": str(tmp_path)})
        assert again.status_code == 409
        assert again.json()["type"].endswith("session_already_exists")


def test_what_belongs_to_one_session_is_unknown_to_another(client: httpx2.Client, session: str, tmp_path: Path) -> None:
    """S5."""
    other = client.post("/v1/sessions", json={"agent": "mock", "cwd": str(tmp_path)}).headers["Location"]
    prompt = client.post(f"{session}/prompts", json={"prompt": "[[ask May I?]]"}).json()
    [asked] = poll(lambda: client.get(f"{session}/permissions?pending=true").json()["items"], what="the question")
    assert client.get(f"{other}/prompts/{prompt['id']}").status_code == 404
    assert client.post(f"{other}/permissions/{asked['id']}", json={"reply": "once"}).status_code == 404
    assert client.get(f"{other}/prompts", params={"cursor": prompt["id"]}).status_code in {400, 404}
    assert client.get(f"{session}/permissions?pending=true").json()["items"] == [asked]


def test_other_origins_are_answered_only_as_far_as_they_are_allowed(tmp_path: Path) -> None:
    args = (
        "--cors-allow-origin",
        "https://app.example",
        "--cors-allow-method",
        "POST",
        "--cors-allow-header",
        "X-Mine",
    )
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with serve(tmp_path, *args, token="t0ken-t0ken") as server, httpx2.Client(base_url=server.url) as client:  # noqa: S106
        allowed = client.options("/v1/sessions", headers={"Origin": "https://app.example"} | asking)
        assert allowed.status_code == 204, "a preflight carries no token"
        assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert allowed.headers["Access-Control-Allow-Methods"] == "POST"
        assert allowed.headers["Access-Control-Allow-Headers"] == "X-Mine"
        other = client.options("/v1/sessions", headers={"Origin": "https://evil.example"} | asking)
        assert "Access-Control-Allow-Origin" not in other.headers
        refused = client.get("/v1/health", headers={"Origin": "https://app.example"})
        assert refused.status_code == 401
        assert refused.headers["Access-Control-Allow-Origin"] == "https://app.example", "a page can read why"
        headers = server.headers | {"Origin": "https://app.example"}
        assert client.post("/v1/acp/x", json=envelope(1, "x"), headers=headers).status_code == 400


def test_a_session_is_forked_and_the_agents_own_are_listed(client: httpx2.Client, session: str) -> None:
    client.post(f"{session}/prompts", json={"prompt": "[[say one]]"}, headers={"Prefer": "wait=50"})
    fork = client.post(f"{session}/fork", json={"title": "Other"})
    assert fork.status_code == 201
    assert fork.headers["Location"] == f"/v1/sessions/{fork.json()['id']}"
    assert (fork.json()["continuity"], fork.json()["title"]) == ("native", "Other")
    assert f"/v1/sessions/{fork.json()['forkedFrom']}" == session
    listed = client.get(f"{session}/agent-sessions").json()
    assert fork.json()["agentSessionId"] in {one["sessionId"] for one in listed["items"]}
    assert client.post(f"{session}/fork", json={"id": fork.json()["id"]}).status_code == 409
    client.delete(fork.headers["Location"])
