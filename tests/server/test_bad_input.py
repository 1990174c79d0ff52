"""S1, S2, S3, S11: bad input on every route of the table: a problem document, never a 500, a hang or a trace."""

from __future__ import annotations

import contextlib
import re
import socket
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
import pytest

from sandbox_agent.server.call import DEFAULT_BODY_LIMIT, RawJson, SocketRoute, Stream
from sandbox_agent.server.routes import ROUTES, by_path
from sandbox_agent.wire.base import StrictRequest

from ..support.contract import check, check_response
from ..support.server import DEADLINE, envelope, initialize, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox_agent.server.call import Route

    from ..support.server import Server

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
JSON = {"Content-Type": "application/json"}
POST = b"POST /v1/acp/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WITH_BODY = [route for route in ROUTES if route.body is not None and not isinstance(route.body, Stream)]
TYPED = [route for route in WITH_BODY if not isinstance(route.body, RawJson)]
PLAIN = [route for route in ROUTES if not isinstance(route, SocketRoute)]  # the others ask for an upgrade first
WITH_QUERY = [route for route in PLAIN if msgspec.structs.fields(route.query)]
TEXT = ("cursor", "format", "selection", "query")
WITH_ID = [route for route in PLAIN if "{" in route.path]


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


def is_desktop(route: Route) -> bool:
    """Numbers that make no sense to the desktop are problems of its own: see `test_desktop_input`."""
    return route.path.startswith("/v1/desktop/")


def url(route: Route, value: str = "nobody") -> str:
    return re.sub(r"\{\w+\}", value, route.path)


@pytest.fixture(scope="module")
def client(module_server: Server) -> Iterator[httpx2.Client]:
    with module_server.client() as client:
        yield client


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a token."""
    with serve(tmp_path_factory.mktemp("locked"), token="the-servers-own-token") as server:  # noqa: S106
        yield server


def is_problem(response: httpx2.Response, status: int, slug: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    document: dict[str, Any] = response.json()
    assert document["type"] == f"urn:sandbox-agent:error:{slug}"
    assert document["detail"]
    return document


@pytest.mark.parametrize("route", WITH_BODY, ids=name)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b"nope",
        b'{"a":1}}',
        b'{"jsonrpc":"2.0"',
        b"\xff\xfe",
        b'"\xc3\x28"',
        b'{"agent":"\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"\x00",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_malformed_json_is_refused(client: httpx2.Client, route: Route, body: bytes) -> None:
    response = client.request(route.method, url(route), content=body, headers=JSON)
    is_problem(response, 400, "invalid_request")


@pytest.mark.parametrize("route", WITH_BODY, ids=name)
@pytest.mark.parametrize("body", [b"null", b"1", b'"text"', b"[]", b"[{}]", b"true"])
def test_json_of_the_wrong_kind_is_refused(client: httpx2.Client, route: Route, body: bytes) -> None:
    response = client.request(route.method, url(route), content=body, headers=JSON)
    is_problem(response, 400, "invalid_request")


@pytest.mark.parametrize("route", TYPED, ids=name)
def test_every_field_of_the_wrong_type_is_refused_by_its_path(client: httpx2.Client, route: Route) -> None:
    assert isinstance(route.body, type)
    for field in msgspec.structs.fields(route.body):
        for wrong in (12.5, [[1]], {"x": {"y": 1}}):
            if route.path.endswith("/set-value") and wrong == 12.5:
                continue  # what a node is set to may be a number
            response = client.request(route.method, url(route), json={field.encode_name: wrong})
            document = is_problem(response, 400, "invalid_request")
            assert "$" in document["detail"] or "missing" in document["detail"]


@pytest.mark.parametrize("route", [r for r in TYPED if issubclass(r.body, StrictRequest)], ids=name)  # type: ignore[arg-type]
def test_a_misspelt_field_is_refused_not_ignored(client: httpx2.Client, route: Route) -> None:
    """In the bodies that are ours; those of the public contract may have more in them."""
    response = client.request(route.method, url(route), json={"agnet": "mock", "promt": "x", "titel": "y"})
    is_problem(response, 400, "invalid_request")


@pytest.mark.parametrize("route", WITH_BODY, ids=name)
@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"])
def test_a_body_that_is_not_declared_json_is_refused(client: httpx2.Client, route: Route, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    response = client.request(route.method, url(route), content=b'{"agent":"mock"}', headers=headers)
    is_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("path", sorted(by_path()))
@pytest.mark.parametrize("method", METHODS)
def test_a_method_a_path_does_not_have_is_told_with_those_it_has(client: httpx2.Client, path: str, method: str) -> None:
    methods = by_path()[path]
    if method in methods or (method == "HEAD" and "GET" in methods):
        return
    response = client.request(method, re.sub(r"\{\w+\}", "nobody", path))
    assert response.status_code == 405
    assert set(methods) <= set(response.headers["Allow"].split(", "))
    if method != "HEAD":
        is_problem(response, 405, "invalid_request")


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "FOO"])
def test_a_method_nobody_has_is_no_fault_of_the_server(client: httpx2.Client, method: str) -> None:
    assert client.request(method, "/v1/health").status_code == 405


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/v1/nothing", "/v1", "/v1/", "/nothing", "/v1/sessions/a/b/c/d", "/v1/acp/"])
def test_an_unknown_endpoint_is_told_as_a_problem(client: httpx2.Client, method: str, path: str) -> None:
    response = client.request(method, path)
    assert response.status_code == 404
    if method != "HEAD":
        assert is_problem(response, 404, "invalid_request")["detail"] == "endpoint not found"


@pytest.mark.parametrize("route", WITH_ID, ids=name)
def test_unknown_ids_are_told_as_such(client: httpx2.Client, route: Route) -> None:
    bodies: dict[str, Any] = {
        "prompts": {"prompt": "x"},
        "permissions": {"reply": "once"},
        "/login": {},
        "/input": {"data": ""},
        "/resize": {"cols": 1, "rows": 1},
        "/set-value": {"value": "x"},
    }
    body = next((value for part, value in bodies.items() if part in route.path), {"title": "x"})
    if route.path.startswith("/v1/desktop/windows/"):
        body = {"move": {"x": 1, "y": 1}, "resize": {"width": 1, "height": 1}}.get(route.path.rpartition("/")[2], {})
    response = client.request(route.method, url(route), json=body if route.body is not None else None)
    if route.path.startswith("/v1/desktop/windows/"):
        is_problem(response, 409, "desktop_runtime_inactive")  # there are no windows at all
    elif route.path == "/v1/acp/{server_id}" and route.method == "DELETE":
        assert response.status_code == 204
    elif route.path.startswith("/v1/agents/{agent}"):
        is_problem(response, 400, "unsupported_agent")
    elif route.path == "/v1/acp/{server_id}" and route.method == "POST":
        is_problem(response, 400, "invalid_request")
    else:
        assert response.status_code == 404
        assert response.json()["type"].endswith(("not_found", "session_not_found"))


@pytest.mark.parametrize("route", WITH_ID, ids=name)
@pytest.mark.parametrize(
    "value", ["%00", "%2e%2e%2f%2e%2e", "%F0%9F%92%A5", "a%20b", "%", "%ff", "x" * 4000, "%0d%0aX-Evil:1", "'\";--"]
)
def test_strange_ids_are_only_ids(client: httpx2.Client, route: Route, value: str) -> None:
    body = {"prompt": "x"} if route.body is not None else None
    response = client.request(route.method, url(route, value), json=body)
    assert response.status_code < 500
    assert "X-Evil" not in response.headers


@pytest.mark.parametrize("route", WITH_QUERY, ids=name)
def test_queries_of_the_wrong_type_are_refused_by_their_path(client: httpx2.Client, route: Route) -> None:
    for field in msgspec.structs.fields(route.query):
        if field.type in (str | None, str) or field.encode_name in TEXT:
            continue
        for wrong in ("maybe", "") if is_desktop(route) else ("maybe", "-1", "1.5", "9" * 30, ""):
            needed = {"query": "x"} if route.path == "/v1/fs/search" else {}
            response = client.request(route.method, url(route), params=needed | {field.encode_name: wrong})
            document = is_problem(response, 400, "invalid_request")
            assert f"$.{field.encode_name}" in document["detail"]


def test_a_query_that_is_not_utf8_is_refused(client: httpx2.Client) -> None:
    is_problem(client.get("/v1/agents?config=%ff"), 400, "invalid_request")


@pytest.mark.parametrize("cursor", ["nonsense", "%00", "eyJ9", "-1", "1", "💥"])
def test_a_list_cursor_that_is_not_ours_is_refused(client: httpx2.Client, cursor: str) -> None:
    is_problem(client.get("/v1/sessions", params={"cursor": cursor}), 400, "invalid_request")


def test_bad_stream_cursors_are_refused_and_bad_accept_headers_too(client: httpx2.Client, tmp_path: Path) -> None:
    initialize(client, "cursors")
    try:
        for wrong in ("-1", "x", "1.0", "9" * 40):
            response = client.get("/v1/acp/cursors", headers={"Accept": "text/event-stream", "Last-Event-ID": wrong})
            is_problem(response, 400, "invalid_request")
        is_problem(client.get("/v1/acp/cursors", headers={"Accept": "application/json"}), 406, "not_acceptable")
        refused = client.post("/v1/acp/cursors", json=envelope(1, "x"), headers={"Accept": "text/html"})
        is_problem(refused, 406, "not_acceptable")
    finally:
        client.delete("/v1/acp/cursors")


@pytest.mark.parametrize("body", [{}, {"jsonrpc": "2.0"}, {"params": {}}, {"jsonrpc": "2.0", "result": 1}])
def test_json_that_is_no_envelope_is_refused_and_starts_nothing(client: httpx2.Client, body: dict[str, Any]) -> None:
    response = client.post("/v1/acp/half-made", params={"agent": "mock"}, json=body)
    is_problem(response, 400, "invalid_request")
    assert client.get("/v1/acp").json() == {"servers": []}


def test_a_refused_creation_leaves_no_session(client: httpx2.Client, tmp_path: Path) -> None:
    for body, status in (
        ({"agent": "nobody"}, 400),
        ({"agent": "mock", "cwd": "relative"}, 400),
        ({"agent": "mock", "cwd": str(tmp_path / "nowhere")}, 400),
        ({"agent": "mock", "cwd": f"{tmp_path}/\x00"}, 400),
        ({"agent": "mock", "model": "no-such-model"}, 400),
        ({"agent": "mock", "mode": "no-such-mode"}, 400),
        ({"agent": "mock", "id": ""}, 400),
        ({"agent": "mock", "id": "a/b"}, 400),
        ({"agent": "mock", "mcpServers": [{"name": 1}]}, 400),
        ({"agent": "mock", "permissionPolicy": "whatever"}, 400),
    ):
        response = client.post("/v1/sessions", json=body)
        assert response.status_code == status, (body, response.text)
    assert client.get("/v1/sessions").json()["items"] == []
    assert client.get("/v1/acp").json()["servers"] == []


@pytest.mark.parametrize("route", ROUTES, ids=name)
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic dGVzdA=="])
def test_without_the_token_every_route_answers_401_before_anything_else(
    locked: Server, route: Route, authorization: str | None
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    with httpx2.Client(base_url=locked.url, timeout=DEADLINE) as client:
        response = client.request(route.method, url(route), headers=headers, content=b"{" if route.body else None)
    check_response(response)
    if route.public:
        assert response.status_code == 200
    else:
        is_problem(response, 401, "token_invalid")
        assert response.headers["WWW-Authenticate"] == "Bearer"


def test_without_the_token_unknown_endpoints_and_methods_are_not_told_either(locked: Server) -> None:
    with httpx2.Client(base_url=locked.url, timeout=DEADLINE) as client:
        is_problem(client.get("/v1/nothing"), 401, "token_invalid")
        is_problem(client.put("/v1/health"), 401, "token_invalid")
        is_problem(client.get("/v1/acp/x?access_token=the-servers-own-token"), 401, "token_invalid")


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_a_foreign_host_is_refused_on_every_route_even_with_the_token(locked: Server, route: Route) -> None:
    with locked.client(headers={"Host": "evil.example"}) as client:
        is_problem(client.request(route.method, url(route)), 403, "permission_denied")


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method != "GET"], ids=name)
@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://127.0.0.1:1"])
def test_a_foreign_origin_is_refused_on_every_unsafe_route(client: httpx2.Client, route: Route, origin: str) -> None:
    response = client.request(route.method, url(route), headers={"Origin": origin})
    is_problem(response, 403, "permission_denied")


@pytest.mark.parametrize("route", [route for route in WITH_BODY if route.body_limit == DEFAULT_BODY_LIMIT], ids=name)
def test_a_body_over_the_limit_is_refused_before_it_is_read(client: httpx2.Client, route: Route) -> None:
    whole = b'{"title":"' + b"x" * DEFAULT_BODY_LIMIT + b'"}'
    document = is_problem(client.request(route.method, url(route), content=whole, headers=JSON), 413, "invalid_request")
    assert document["limit"] == DEFAULT_BODY_LIMIT


def test_a_body_of_undeclared_length_is_refused_once_it_is_over_the_limit(client: httpx2.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(DEFAULT_BODY_LIMIT // 65536 + 2):
            yield b" " * 65536

    is_problem(client.post("/v1/sessions", content=chunks(), headers=JSON), 413, "invalid_request")


def test_the_limit_can_be_configured_and_holds_on_both_ways_in(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"server": {"max_body_bytes": 1000}}')
    big = envelope(1, "x" * 2000)
    with serve(tmp_path / "home", "--config", str(config)) as server, server.client() as client:
        is_problem(client.post("/v1/acp/x", json=big), 413, "invalid_request")
        is_problem(client.post("/v1/acp/x?agent=mock", json=big), 413, "invalid_request")
        is_problem(client.post("/v1/acp/x", json=envelope(1, "x")), 400, "invalid_request")


def _raw(server: Server, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as sock:
        sock.sendall(request)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := sock.recv(65536):
                received += chunk
        return received


@pytest.mark.parametrize(
    "request_",
    [
        b"GET\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /v1/health HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        POST + b"Content-Length: -5\r\n\r\n",
        POST + b"Content-Length: 99999999999999999999\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET http://[bad/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
    ids=lambda request: repr(request[:40]),
)
def test_broken_http_is_answered_or_cut_and_the_server_goes_on(module_server: Server, request_: bytes) -> None:
    received = _raw(module_server, request_)
    assert not received or received.split(b" ", 2)[1].startswith(b"4"), received[:200]
    assert b"Traceback" not in received
    with module_server.client() as client:
        assert client.get("/v1/health").status_code == 200


def test_nothing_of_all_this_was_a_fault_of_the_server(module_server: Server) -> None:
    log = module_server.log()
    assert "Traceback" not in log, log[-3000:]


def test_the_check_of_answers_would_notice_one_that_is_not_described() -> None:
    with pytest.raises(AssertionError, match="not described"):
        check(
            "GET",
            "/v1/health",
            418,
            "application/problem+json",
            b'{"type":"urn:sandbox-agent:error:x","title":"x","status":418}',
        )
