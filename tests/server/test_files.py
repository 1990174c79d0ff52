"""The file routes over HTTP: what is answered, and how a connection goes on."""

from __future__ import annotations

import http.client
import json
import os
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from sandbox_agent.files import Files
from sandbox_agent.server.call import Call
from sandbox_agent.server.files import endpoints

from ..support.command import Command
from ..support.server import DEADLINE, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

    from ..support.server import Server

PREFIX = "urn:sandbox-agent:error:"


@pytest.fixture(scope="module")
def client(module_server: Server) -> Iterator[httpx2.Client]:
    with module_server.client() as client:
        yield client


def put(client: httpx2.Client, path: str | Path, content: Any, **headers: str) -> httpx2.Response:
    return client.put("/v1/fs/file", params={"path": str(path)}, content=content, headers=headers)


def get(client: httpx2.Client, path: str | Path, **headers: str) -> httpx2.Response:
    return client.get("/v1/fs/file", params={"path": str(path)}, headers=headers)


def problem(response: httpx2.Response, status: int, slug: str, code: str | None = None) -> dict[str, Any]:
    assert response.status_code == status, response.text
    document: dict[str, Any] = response.json()
    assert document["type"] == PREFIX + slug
    assert document.get("code") == code
    return document


def test_a_file_goes_in_and_comes_out_with_its_type_and_tag(client: httpx2.Client, tmp_path: Path) -> None:
    written = put(client, tmp_path / "a" / "page.html", "<p>é</p>").json()
    assert written["path"] == f"{tmp_path}/a/page.html"
    assert written["bytesWritten"] == 9
    assert written["created"] is True
    read = get(client, tmp_path / "a" / "page.html")
    assert read.content == "<p>é</p>".encode()
    assert read.headers["Content-Type"] == "text/html; charset=utf-8"
    assert read.headers["ETag"] == written["etag"]
    assert read.headers["Accept-Ranges"] == "bytes"
    assert read.headers["Last-Modified"]
    assert client.get("/v1/fs/stat", params={"path": f"{tmp_path}/a/page.html"}).json()["etag"] == written["etag"]


def test_a_page_that_an_agent_wrote_cannot_act_on_our_origin(client: httpx2.Client, tmp_path: Path) -> None:
    put(client, tmp_path / "page.html", "<script>alert(1)</script>")
    headers = get(client, tmp_path / "page.html").headers
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("kind", [None, "application/octet-stream", "text/plain", "application/json", "x/y; z=1"])
def test_any_content_type_and_none_is_taken(client: httpx2.Client, tmp_path: Path, kind: str | None) -> None:
    content = os.urandom(1000)
    assert put(client, tmp_path / "f", content, **({"Content-Type": kind} if kind else {})).status_code == 200
    assert (tmp_path / "f").read_bytes() == content


def test_a_body_of_unknown_length_is_taken(client: httpx2.Client, tmp_path: Path) -> None:
    parts = [os.urandom(size) for size in (1, 70_000, 0, 3_000_000, 17)]
    assert put(client, tmp_path / "f", iter(parts)).json()["bytesWritten"] == sum(map(len, parts))
    assert (tmp_path / "f").read_bytes() == b"".join(parts)


def test_an_encoded_body_is_refused_rather_than_kept_encoded(client: httpx2.Client, tmp_path: Path) -> None:
    problem(put(client, tmp_path / "f", b"x", **{"Content-Encoding": "gzip"}), 415, "unsupported_media_type")
    assert not (tmp_path / "f").exists()


def test_ranges_and_conditions_are_answered(client: httpx2.Client, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    etag = put(client, tmp_path / "f", content).json()["etag"]
    part = get(client, tmp_path / "f", Range="bytes=100000-199999")
    assert (part.status_code, part.content) == (206, content[100_000:200_000])
    assert part.headers["Content-Range"] == "bytes 100000-199999/300000"
    assert get(client, tmp_path / "f", Range="bytes=-5").content == content[-5:]
    beyond = get(client, tmp_path / "f", Range="bytes=300000-")
    assert problem(beyond, 416, "range_not_satisfiable")["size"] == 300_000
    assert beyond.headers["Content-Range"] == "bytes */300000"
    known = get(client, tmp_path / "f", **{"If-None-Match": etag})
    assert (known.status_code, known.content, known.headers["ETag"]) == (304, b"", etag)
    assert "Content-Type" not in known.headers
    changed = get(client, tmp_path / "f", Range="bytes=0-1", **{"If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, content)
    problem(get(client, tmp_path / "f", **{"If-Match": '"other"'}), 412, "precondition_failed")


def test_head_tells_what_get_would(client: httpx2.Client, tmp_path: Path) -> None:
    put(client, tmp_path / "f.txt", b"12345")
    got = get(client, tmp_path / "f.txt")
    head = client.head("/v1/fs/file", params={"path": str(tmp_path / "f.txt")})
    assert head.content == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Last-Modified"):
        assert head.headers[name] == got.headers[name]
    assert client.head("/v1/fs/file", params={"path": str(tmp_path / "no")}).status_code == 404


def test_a_write_can_demand_what_it_replaces(client: httpx2.Client, tmp_path: Path) -> None:
    first = put(client, tmp_path / "f", b"1", **{"If-None-Match": "*"})
    assert first.status_code == 200
    problem(put(client, tmp_path / "f", b"2", **{"If-None-Match": "*"}), 412, "precondition_failed")
    second = put(client, tmp_path / "f", b"2", **{"If-Match": first.headers["ETag"]})
    assert second.status_code == 200
    refused = put(client, tmp_path / "f", b"3", **{"If-Match": first.headers["ETag"]})
    assert problem(refused, 412, "precondition_failed")["etag"] == second.headers["ETag"]
    problem(put(client, tmp_path / "new", b"3", **{"If-Match": "*"}), 412, "precondition_failed")
    assert (tmp_path / "f").read_bytes() == b"2"
    assert not (tmp_path / "new").exists()


def test_a_refused_upload_is_not_asked_for(module_server: Server, tmp_path: Path) -> None:
    """A client that waits for 100 Continue (RFC 9110, 10.1.1) gets the refusal instead."""
    (tmp_path / "f").write_text("old")
    head = f"PUT /v1/fs/file?path={tmp_path}/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n"
    for extra, status in (("If-None-Match: *\r\n", b"412"), ("", b"100")):
        with socket.create_connection(("127.0.0.1", module_server.port), timeout=DEADLINE) as sock:
            sock.sendall(f"{head}{extra}Expect: 100-continue\r\n\r\n".encode())
            assert sock.recv(65536).split(b" ", 2)[1] == status
    assert (tmp_path / "f").read_text() == "old"


def test_one_connection_serves_everything_in_turn(module_server: Server, tmp_path: Path) -> None:
    """Large and small, whole and in part, errors between: the connection is kept and stays in step."""
    big, small = os.urandom(5_000_000), b"small"
    connection = http.client.HTTPConnection("127.0.0.1", module_server.port, timeout=DEADLINE)
    sockets = set()

    def ask(method: str, path: Path, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        connection.request(method, f"/v1/fs/file?path={quote(str(path))}", body=body, headers=headers)
        response = connection.getresponse()
        content = response.read()
        sockets.add(connection.sock.getsockname() if connection.sock else None)
        return response.status, content

    assert ask("PUT", tmp_path / "big", big)[0] == 200
    assert ask("PUT", tmp_path / "small", small)[0] == 200
    for _ in range(3):
        assert ask("GET", tmp_path / "big") == (200, big)
        assert ask("GET", tmp_path / "small") == (200, small)
        assert ask("GET", tmp_path / "none")[0] == 404
        assert ask("HEAD", tmp_path / "big") == (200, b"")
        assert ask("GET", tmp_path / "big", Range="bytes=1000000-4999998") == (206, big[1_000_000:-1])
        assert ask("GET", tmp_path / "big", **{"If-None-Match": "*"}) == (304, b"")
        assert ask("GET", tmp_path / "small", Range="bytes=9-")[0] == 416
        assert ask("PUT", tmp_path / "small", small, **{"If-None-Match": "*"})[0] == 412
    connection.close()
    assert len(sockets) == 1


def test_a_client_of_http_1_0_gets_the_whole_file_and_the_connection_as_it_asked(
    module_server: Server, tmp_path: Path
) -> None:
    """Ended after the answer, or kept for another where it wants that."""
    content = os.urandom(1_000_000)
    (tmp_path / "f").write_bytes(content)
    asked = f"GET /v1/fs/file?path={tmp_path}/f HTTP/1.0\r\nHost: localhost\r\n".encode()
    with socket.create_connection(("127.0.0.1", module_server.port), timeout=DEADLINE) as sock:
        answers = sock.makefile("rb")
        for extra in (b"Connection: keep-alive\r\n", b""):
            sock.sendall(asked + extra + b"\r\n")
            head = b"".join(iter(answers.readline, b"\r\n"))
            assert (b"Connection: Keep-Alive" in head) is bool(extra)
            assert answers.read(len(content)) == content
        assert answers.read() == b""


def test_a_listing_pages_by_the_cursor_it_gives(client: httpx2.Client, tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"f{number}").touch()
    query: dict[str, Any] = {"path": str(tmp_path), "limit": 2}
    seen: list[str] = []
    while True:
        response = client.get("/v1/fs/entries", params=query)
        seen += [entry["name"] for entry in response.json()]
        if "Next-Cursor" not in response.headers:
            break
        query["cursor"] = response.headers["Next-Cursor"]
    assert seen == [f"f{number}" for number in range(5)]
    everything = client.get("/v1/fs/entries", params={"path": str(tmp_path.parent), "recursive": True, "glob": "f3"})
    assert f"{tmp_path}/f3" in [entry["path"] for entry in everything.json()]


async def test_a_listing_that_goes_down_comes_in_pages_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody who asks for a whole disk gets millions of entries at once, nor has the server to hold them."""
    monkeypatch.setattr(endpoints, "RECURSIVE_LIMIT", 3)
    for number in range(5):
        (tmp_path / f"f{number}").touch()
    sandbox: Any = SimpleNamespace(files=Files())
    for query, count in (({}, 5), ({"recursive": True}, 3), ({"depth": 1}, 3), ({"recursive": True, "limit": 4}, 4)):
        asked = endpoints.EntriesQuery(path=str(tmp_path), **query)
        answer = await endpoints.entries(Call(sandbox=sandbox, path="", params={}, headers={}, query=asked))
        assert len(json.loads(answer.encode())) == count
        assert bool(answer.headers) is (count < 5)


def test_a_name_that_is_not_utf8_can_be_listed_read_written_moved_and_deleted(
    client: httpx2.Client, tmp_path: Path
) -> None:
    odd = os.fsencode(tmp_path) + b"/odd\xff"
    with open(odd, "wb") as file:  # noqa: PTH123 - a path of bytes
        file.write(b"content")
    listed = client.get("/v1/fs/entries", params={"path": str(tmp_path)})
    (entry,) = json.loads(listed.content)
    assert os.fsencode(entry["path"]) == odd
    assert entry["encodedPath"] == f"{tmp_path}/odd%FF"
    url = f"/v1/fs/file?path={entry['encodedPath']}"
    assert client.get(url).content == b"content"
    assert os.fsencode(json.loads(client.put(url, content=b"new").content)["path"]) == odd
    assert client.get(f"/v1/fs/stat?path={entry['encodedPath']}").json()["size"] == 3
    body = json.dumps({"from": entry["path"], "to": f"{tmp_path}/other\udcfe"})
    headers = {"Content-Type": "application/json"}
    assert client.post("/v1/fs/move", content=body, headers=headers).status_code == 200
    assert os.listdir(os.fsencode(tmp_path)) == [b"other\xfe"]  # noqa: PTH208 - bytes
    missing = client.get(url)
    assert missing.status_code == 404
    assert os.fsencode(json.loads(missing.content)["path"]) == odd
    assert client.delete(f"/v1/fs/entry?path={tmp_path}/other%FE").status_code == 200


Fault = tuple[str, str, str, int, str, str]
FAULTS: list[Fault] = [
    ("GET", "stat", "nothing", 404, "not_found", "not_found"),
    ("GET", "stat", "file/x", 400, "invalid_request", "not_a_directory"),
    ("GET", "stat", "loop", 400, "invalid_request", "link_loop"),
    ("GET", "stat", "x" * 300, 400, "invalid_request", "name_too_long"),
    ("GET", "stat", "", 400, "invalid_request", "invalid_path"),
    ("GET", "stat", "a\0b", 400, "invalid_request", "invalid_path"),
    ("GET", "entries", "file", 400, "invalid_request", "not_a_directory"),
    ("GET", "file", "folder", 400, "invalid_request", "is_directory"),
    ("GET", "file", "/dev/null", 400, "invalid_request", "not_a_file"),
    ("PUT", "file", "folder", 400, "invalid_request", "is_directory"),
    ("PUT", "file", "file/x", 400, "invalid_request", "not_a_directory"),
    ("POST", "mkdir", "file", 400, "invalid_request", "not_a_directory"),
    ("DELETE", "entry", "folder", 400, "invalid_request", "not_empty"),
    ("DELETE", "entry", "nothing", 404, "not_found", "not_found"),
    ("DELETE", "entry", "/", 409, "conflict", "busy"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0]} {fault[1]} {fault[2][:8]!r}")
def test_what_cannot_be_is_told_with_its_path(client: httpx2.Client, tmp_path: Path, fault: Fault) -> None:
    method, verb, path, status, slug, code = fault
    (tmp_path / "folder" / "full").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    asked = f"{tmp_path}/{path}" if path and not path.startswith("/") else path
    response = client.request(method, f"/v1/fs/{verb}", params={"path": asked})
    document = problem(response, status, slug, code)
    assert code == "invalid_path" or asked.startswith(document["path"])


def test_relative_paths_are_from_home_and_never_lead_above_it(client: httpx2.Client, module_server: Server) -> None:
    assert put(client, "notes/a.txt", b"x").json()["path"] == f"{module_server.home}/notes/a.txt"
    for path in ("../x", "notes/../../x", ".."):
        problem(get(client, path), 400, "invalid_request", "invalid_path")
    assert client.delete("/v1/fs/entry", params={"path": "notes", "recursive": True}).status_code == 200


def test_a_root_confines_every_route(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    root.mkdir()
    secret.write_text("secret")
    (root / "link").symlink_to("../secret")
    with serve(tmp_path / "home", "--root", str(root)) as server, server.client() as client:
        assert put(client, "inside", b"x").json()["path"] == f"{root}/inside"
        for path in (str(secret), f"{root}/link", f"{root}/../secret"):
            for response in (
                get(client, path),
                put(client, path, b"x"),
                client.get("/v1/fs/stat", params={"path": path}),
                client.post("/v1/fs/mkdir", params={"path": f"{path}-new/x"}) if "link" not in path else None,
                client.post("/v1/fs/move", json={"from": f"{root}/inside", "to": f"{root}/link/x"}),
            ):
                if response is not None:
                    problem(response, 403, "permission_denied", "outside_root")
        problem(client.get("/v1/fs/entries", params={"path": "/"}), 403, "permission_denied", "outside_root")
        entries = client.get("/v1/fs/entries").json()
    assert [entry["name"] for entry in entries] == ["inside", "link"]
    assert secret.read_text() == "secret"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "root", "secret"]


def test_a_root_that_is_no_folder_is_told_at_the_start(tmp_path: Path) -> None:
    command = Command(tmp_path / "home")
    done = command("server", "--no-token", "--port", "0", "--root", str(tmp_path / "nowhere"), status=1)
    assert f"path not found: {tmp_path}/nowhere" in done.stderr


def test_uploads_have_a_limit_where_one_is_set(tmp_path: Path) -> None:
    """Declared or not, and the old file stays."""
    with serve(tmp_path / "home", "--max-upload-bytes", "100000") as server, server.client() as client:
        (tmp_path / "f").write_text("old")
        assert problem(put(client, tmp_path / "f", b"x" * 100_001), 413, "invalid_request")["limit"] == 100_000
        problem(put(client, tmp_path / "f", iter([b"x" * 60_000] * 3)), 413, "invalid_request")
        assert (tmp_path / "f").read_text() == "old"
        assert put(client, tmp_path / "f", b"x" * 100_000).status_code == 200
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "home"]


def test_nothing_of_all_this_was_a_fault_of_the_server(module_server: Server) -> None:
    assert "Traceback" not in (log := module_server.log()), log[-3000:]
