"""Package registries on a port of their own: npm's, PyPI's simple index, and plain files, with what a test puts there.

Agents in them are tiny programs that answer `initialize`. `Registries.hold` makes a download wait, to catch an install
in the middle.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWER = '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":1,"agentCapabilities":{}}}'
NODE_AGENT = """#!/usr/bin/env node
require("readline").createInterface({input: process.stdin}).on("line", (line) => {
  const id = JSON.stringify(JSON.parse(line).id);
  console.log('%s'.replace("%%s", id));
});
"""
PYTHON_AGENT = """
import json, sys
def main():
    for line in sys.stdin:
        print('%s' %% json.dumps(json.loads(line)["id"]), flush=True)
"""


class Registries(ThreadingHTTPServer):
    """``files`` by path; ``asked`` are the paths that were requested."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        self.go = threading.Event()
        self.go.set()
        self.holding = threading.Event()
        self._held = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def hold(self, part: str) -> None:
        """Let requests whose path has that part wait for ``go``; ``holding`` is set when one does."""
        self._held = part
        self.go.clear()

    def wait(self, path: str) -> None:
        self.asked.append(path)
        if self._held and self._held in path:
            self.holding.set()
            self.go.wait(60)

    def count(self, part: str) -> int:
        return sum(part in path for path in self.asked)

    def environ(self) -> dict[str, str]:
        """What sends npm, uv and pip here."""
        return {
            "npm_config_registry": f"{self.url}/npm/",
            "UV_DEFAULT_INDEX": f"{self.url}/simple/",
            "PIP_INDEX_URL": f"{self.url}/simple/",
            "UV_NO_CONFIG": "1",
        }

    def npm(self, name: str, version: str = "1.0.0", *, program: str = NODE_AGENT % ANSWER, **manifest: Any) -> str:
        """Publish a package with one program of its name; its integrity."""
        about = {"name": name, "version": version, "bin": {name: "agent.js"}, **manifest}
        data = tarball({"package/package.json": json.dumps(about), "package/agent.js": program})
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
        path = f"/npm/{name}/-/{name}-{version}.tgz"
        self.files[path] = ("application/octet-stream", data)
        document = json.loads(self.files.get(f"/npm/{name}", ("", b'{"versions": {}}'))[1])
        dist = {"tarball": self.url + path, "integrity": integrity}
        document |= {"name": name, "dist-tags": {"latest": version}}
        document["versions"][version] = about | {"dist": dist}
        self.files[f"/npm/{name}"] = ("application/json", json.dumps(document).encode())
        return integrity

    def pypi(self, name: str, version: str = "1.0.0") -> str:
        """Publish a wheel with one program of its name; its requirement with the digest."""
        module = name.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        parts = {
            f"{module}.py": PYTHON_AGENT % ANSWER,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {module}:main\n",
        }
        parts[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*parts, f"{info}/RECORD"])
        data = zipped(parts)
        wheel = f"{module}-{version}-py3-none-any.whl"
        digest = hashlib.sha256(data).hexdigest()
        self.files[f"/wheels/{wheel}"] = ("application/octet-stream", data)
        page = f'<a href="{self.url}/wheels/{wheel}#sha256={digest}">{wheel}</a>'
        self.files[f"/simple/{name}/"] = ("text/html", f"<!DOCTYPE html><html><body>{page}</body></html>".encode())
        return f"{name}=={version} --hash=sha256:{digest}\n"

    def file(self, path: str, data: bytes) -> str:
        """Serve a file; its address."""
        self.files[f"/files/{path}"] = ("application/octet-stream", data)
        return f"{self.url}/files/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Registries
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(self.path)
        self.server.wait(path)
        kind, data = self.server.files.get(path, ("", b""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except BrokenPipeError:
            return  # an install that was ended

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name in the base class
        """Quiet."""


def tarball(files: dict[str, str], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), 0o755
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def zipped(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def npm_lock(folder: Path, agent: str, package: str, integrity: str, version: str = "1.0.0") -> None:
    """A lock file of ours for an agent of one package."""
    entry = {"version": version, "integrity": integrity, "bin": {package: "agent.js"}}
    packages = {"": {"dependencies": {package: version}}, f"node_modules/{package}": entry}
    lock = {"name": agent, "lockfileVersion": 3, "requires": True, "packages": packages}
    folder.mkdir(exist_ok=True)
    (folder / f"{agent}.npm.json").write_text(json.dumps(lock))


@contextmanager
def serving() -> Iterator[Registries]:
    with Registries() as registries:
        thread = threading.Thread(target=registries.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield registries
        finally:
            registries.go.set()
            registries.shutdown()
            thread.join()
