"""The model of `model` behind a port of its own, in all dialects at once."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from .dialects import DIALECTS
from .model import Fail, decide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .dialects import Answer
    from .model import Heard

REASONS = {401: "authentication_error", 429: "rate_limit_error", 500: "api_error"}
EMPTY_GEMINI = {"candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP"}]}


class Handler(BaseHTTPRequestHandler):
    """Streams one answer, in the dialect of the path."""

    protocol_version = "HTTP/1.1"
    server: Stub

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.partition("?")[0]
        dialect = next((DIALECTS[end] for end in DIALECTS if path.endswith(end)), None)
        if dialect is None:
            self.answer({"input_tokens": 1, "totalTokens": 1, **EMPTY_GEMINI})
            return
        body.setdefault("model", path.rpartition("/")[2].partition(":")[0])
        heard = dialect.hear(body)
        action = decide(heard)
        self.server.requests.append(heard)
        if isinstance(action, Fail):
            told = f"the stub says {action.status} as it was asked to"
            error = {"type": REASONS[action.status], "code": action.status, "message": told}
            self.answer({"type": "error", "error": error}, action.status)
        else:
            self.stream(dialect.write(action, len(self.server.requests), self.server.ended))

    def stream(self, events: Answer) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for event, data in events:
                name = f"event: {event}\n" if event else ""
                self.wfile.write(f"{name}data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode())
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.server.hung_up.set()

    def do_GET(self) -> None:
        self.answer({"object": "list", "data": []})

    def do_HEAD(self) -> None:
        self.answer({})

    def answer(self, body: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Retry-After", "1")
        self.send_header("Retry-After-Ms", "50")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


class Stub(ThreadingHTTPServer):
    """The model's API on a port of its own. ``hung_up`` is set when an agent breaks an answer off."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[Heard] = []
        self.hung_up = threading.Event()
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving() -> Iterator[Stub]:
    with Stub() as stub:
        thread = threading.Thread(target=stub.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield stub
        finally:
            stub.ended.set()
            stub.shutdown()
            thread.join()
