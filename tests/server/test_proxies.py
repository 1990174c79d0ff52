"""R18: through the proxies people put before a server, as they come, events flow and no stream is cut."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from ..support import jupyter, sse, terminal
from ..support.ports import free_port
from ..support.server import DEADLINE, envelope, initialize, new_acp_session, poll, prompt_params, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..support.server import Server

ACP = "/v1/acp/a"
TYPESCRIPT = Path(__file__).parents[1] / "typescript"
DOCUMENTED = Path(__file__).parents[2] / "docs" / "how-to" / "run-a-server.md"
IMPATIENT = 1.0  # s of silence after which the proxies that know such a limit cut a connection
SILENCE = 3.0  # s that the agent says nothing

NGINX = """
daemon off;
pid {home}/nginx.pid;
error_log {home}/nginx.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  server {{
    listen unix:{home}/nginx.sock;
    proxy_read_timeout {seconds}s;
    {location}
  }}
}}
"""
JUPYTER_SERVER_PROXY = 'c.ServerApp.jpserver_extensions = {"jupyter_server_proxy": True}\n'


@dataclass
class Proxy:
    """``url`` is what stands before ``/v1``; ``socket`` is set where it listens on a path instead of a port."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    socket: str | None = None

    def viewer(self, process: str) -> terminal.Viewer:
        return terminal.Viewer(self.url, process, self.headers, unix=self.socket)

    def client(self) -> httpx2.Client:
        transport = httpx2.HTTPTransport(uds=self.socket) if self.socket else None
        return httpx2.Client(base_url=self.url, headers=self.headers, timeout=DEADLINE, transport=transport)


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.terminate()
        process.wait(DEADLINE)


def nginx(home: Path, upstream: str) -> contextlib.AbstractContextManager[Proxy]:
    """With its defaults: it buffers, and speaks HTTP/1.0 to what is behind it."""
    return _nginx(home, f"location / {{ proxy_pass {upstream}; }}")


def nginx_as_documented(home: Path, upstream: str) -> contextlib.AbstractContextManager[Proxy]:
    found = re.search("```nginx\n(.*?)```", DOCUMENTED.read_text(), re.DOTALL)
    assert found is not None
    return _nginx(home, found.group(1).replace("http://127.0.0.1:2468", upstream))


@contextlib.contextmanager
def _nginx(home: Path, location: str) -> Iterator[Proxy]:
    config = home / "nginx.conf"
    config.write_text(NGINX.format(home=home, location=location, seconds=int(IMPATIENT)))
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "nginx is missing: apt-get install nginx-light"
    with ended(subprocess.Popen([program, "-p", home, "-c", config], stderr=subprocess.DEVNULL)):
        proxy = Proxy("http://localhost", socket=str(home / "nginx.sock"))
        poll(lambda: _answers(proxy), what="nginx")
        yield proxy


@contextlib.contextmanager
def configurable_http_proxy(home: Path, upstream: str) -> Iterator[Proxy]:
    """The proxy of JupyterHub."""
    script = TYPESCRIPT / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    limit = str(int(IMPATIENT * 1000))

    def started() -> tuple[subprocess.Popen[bytes], Proxy] | None:
        port = free_port()
        argv = ["node", str(script), "--ip=127.0.0.1", f"--port={port}", f"--api-port={free_port()}"]
        argv += [f"--default-target={upstream}", f"--timeout={limit}", f"--proxy-timeout={limit}"]
        with (home / "proxy.log").open("ab") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log)
        proxy = Proxy(f"http://127.0.0.1:{port}")
        poll(lambda: process.poll() is not None or _answers(proxy), what="configurable-http-proxy")
        return (process, proxy) if process.poll() is None else None  # somebody else took the port: another

    process, proxy = poll(started, what="a port")
    with ended(process):
        yield proxy


@contextlib.contextmanager
def jupyter_server_proxy(home: Path, upstream: str) -> Iterator[Proxy]:
    """How Binder and JupyterHub reach a server that runs beside Jupyter."""
    with jupyter.serve(home, JUPYTER_SERVER_PROXY) as server:
        port = upstream.rpartition(":")[2]
        yield Proxy(f"{server.url}proxy/{port}", {"Authorization": f"token {server.token}"})


def _answers(proxy: Proxy) -> bool:
    with contextlib.suppress(httpx2.TransportError), proxy.client() as client:
        return client.get("/v1/health").status_code == 200
    return False


WITH_SOCKETS = [nginx_as_documented, configurable_http_proxy, jupyter_server_proxy]
all_ways = pytest.mark.parametrize("proxy", [nginx, *WITH_SOCKETS], indirect=True)
ways_with_sockets = pytest.mark.parametrize("proxy", WITH_SOCKETS, indirect=True)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    config = tmp_path_factory.mktemp("config") / "config.json"
    config.write_text('{"server": {"heartbeat_seconds": 0.2}}')
    with serve(tmp_path_factory.mktemp("server"), "--config", str(config)) as server:
        yield server


@pytest.fixture(
    scope="module", params=[nginx, configurable_http_proxy, jupyter_server_proxy], ids=lambda way: way.__name__
)
def proxy(
    request: pytest.FixtureRequest, upstream: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    way: Callable[[Path, str], contextlib.AbstractContextManager[Proxy]] = request.param
    with way(tmp_path_factory.mktemp("proxy"), upstream.url) as running:
        yield running


@pytest.fixture
def acp() -> str:
    return f"a-{secrets.token_hex(4)}"


def prompt(client: httpx2.Client, acp: str, cwd: Path, text: str) -> None:
    """Begin a turn, whose end comes over the stream."""
    initialize(client, acp)
    session = new_acp_session(client, acp, cwd)
    body = envelope("turn", "session/prompt", prompt_params(session, text))
    answer = client.post(f"/v1/acp/{acp}", json=body, headers={"Prefer": "wait=0"})
    assert answer.status_code == 202, answer.text


def is_end(event: sse.Event) -> bool:
    return event.name == "message" and event.json().get("id") == "turn"


@all_ways
def test_what_an_agent_says_comes_through_while_its_turn_goes_on(proxy: Proxy, acp: str, tmp_path: Path) -> None:
    """The agent waits for an answer that is given only after its words were read: a proxy that held them would hang."""
    said = b""
    with proxy.client() as client:
        prompt(client, acp, tmp_path, "hello [[ask]]")
        with sse.opened(client, f"/v1/acp/{acp}") as response:
            assert "no-transform" in response.headers["cache-control"]
            for event in sse.events(response):
                said += event.data
                if is_end(event):
                    break
                if event.name == "message" and event.json().get("method") == "session/request_permission":
                    assert b"hello" in said
                    result = {"outcome": {"outcome": "selected", "optionId": "allow_once"}}
                    answer = {"jsonrpc": "2.0", "id": event.json()["id"], "result": result}
                    assert client.post(f"/v1/acp/{acp}", json=answer).is_success


@all_ways
def test_a_long_silence_cuts_no_stream(proxy: Proxy, acp: str, tmp_path: Path) -> None:
    """The agent is silent for longer than the proxy suffers a silent connection."""
    with proxy.client() as client:
        prompt(client, acp, tmp_path, f"[[sleep {SILENCE}]] awake")
        whole = sse.collect(client, f"/v1/acp/{acp}", is_end, heartbeats=True)
    assert b"awake" in b"".join(event.data for event in whole)
    assert "heartbeat" in [event.name for event in whole]


@ways_with_sockets
def test_a_terminal_echoes_through_it(proxy: Proxy) -> None:
    with proxy.client() as client:
        process = terminal.start(client, "cat")
        with proxy.viewer(process) as viewer:
            viewer.type("hello\r")
            viewer.until(lambda seen: seen.data.count(b"hello\r\n") == 2)
        assert client.post(f"/v1/processes/{process}/kill").is_success
