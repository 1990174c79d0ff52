"""A model for real agents to talk to: it does what a user message's last line says, over their providers' APIs.

``say WORDS``     answers with the words
``run COMMAND``   calls the agent's shell tool with the command; after the tool's result it answers ``done: RESULT``
``recall``        answers with the user messages it was sent before this one
``stream``        answers a word every tenth of a second until the agent hangs up
anything else     is answered with ``ok``
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator

SHELLS = ("bash", "Bash", "shell")


@dataclass(frozen=True)
class Say:
    pieces: tuple[str, ...]
    endless: bool = False


@dataclass(frozen=True)
class Call:
    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Heard:
    """A conversation as the model sees it: what users said, the newest tool result, and the tools on offer."""

    users: tuple[str, ...]
    result: str | None
    tools: tuple[str, ...]


def decide(heard: Heard) -> Say | Call:
    """The whole model."""
    if heard.result is not None:
        return Say((f"done: {heard.result.strip()[:200]}",))
    # Agents may put notes of their own before what the user said.
    order = heard.users[-1].splitlines()[-1] if heard.users else ""
    verb, _, rest = order.partition(" ")
    shell = next((tool for tool in SHELLS if tool in heard.tools), None)
    if verb == "run" and shell:
        return Call(shell, {"command": rest, "description": "what the test asked for"})
    if verb == "say":
        return Say(tuple(f"{word} " for word in rest.split()))
    if verb == "recall":
        return Say(("remembered: " + " | ".join(heard.users[:-1]),))
    if verb == "stream":
        return Say(("streaming ",), endless=True)
    return Say(("ok",))


def plain(content: Any) -> str:
    """The text of a message's content, without what agents wrap around it."""
    if isinstance(content, list):
        content = "\n".join(part.get("text", "") for part in content if part.get("type") == "text")
    text = re.sub(r"<system-reminder>.*?</system-reminder>", "", str(content or ""), flags=re.DOTALL)
    return text.strip().strip('"')


def heard_openai(body: dict[str, Any]) -> Heard:
    messages = body["messages"]
    last = messages[-1]
    return Heard(
        users=tuple(plain(m["content"]) for m in messages if m["role"] == "user"),
        result=plain(last["content"]) if last["role"] == "tool" else None,
        tools=tuple(tool["function"]["name"] for tool in body.get("tools", [])),
    )


def heard_anthropic(body: dict[str, Any]) -> Heard:
    sent = [message["content"] for message in body["messages"] if message["role"] == "user"]
    last = sent[-1] if isinstance(sent[-1], list) else []
    results = [plain(block.get("content")) for block in last if block.get("type") == "tool_result"]
    return Heard(
        users=tuple(text for content in sent if (text := plain(content))),
        result=results[-1] if results else None,
        tools=tuple(tool["name"] for tool in body.get("tools", [])),
    )


class Handler(BaseHTTPRequestHandler):
    """Streams one answer, in the dialect of the path."""

    protocol_version = "HTTP/1.1"
    server: Stub
    dialects: ClassVar = {"/v1/chat/completions": "openai", "/v1/messages": "anthropic"}

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        dialect = self.dialects.get(self.path.partition("?")[0])
        if dialect is None:
            self.answer({"input_tokens": 1} if "count_tokens" in self.path else {})
            return
        heard = heard_openai(body) if dialect == "openai" else heard_anthropic(body)
        action = decide(heard)
        self.server.requests.append(heard)
        number = len(self.server.requests)  # agents take answers with one id for parts of one
        write = openai if dialect == "openai" else anthropic
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for event, data in write(action, number, self.server.ended):
                name = f"event: {event}\n" if event else ""
                self.wfile.write(f"{name}data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode())
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.server.hung_up.set()

    def do_GET(self) -> None:
        self.answer({"object": "list", "data": []})

    def do_HEAD(self) -> None:
        self.answer({})

    def answer(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


def words(action: Say, ended: threading.Event) -> Iterator[str]:
    yield from action.pieces
    while action.endless and not ended.wait(0.1):
        yield "word "


def openai(action: Say | Call, number: int, ended: threading.Event) -> Iterator[tuple[str | None, Any]]:
    """A streamed chat completion."""

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> tuple[None, dict[str, Any]]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        head = {"id": f"chat-{number}", "object": "chat.completion.chunk", "created": 1, "model": "stub-model"}
        return None, {**head, "choices": [choice], **more}

    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    yield chunk({"role": "assistant", "content": ""})
    if isinstance(action, Call):
        function = {"name": action.tool, "arguments": json.dumps(action.arguments)}
        yield chunk({"tool_calls": [{"index": 0, "id": f"call_{number}", "type": "function", "function": function}]})
        yield chunk({}, "tool_calls", usage=usage)
    else:
        for word in words(action, ended):
            yield chunk({"content": word})
        yield chunk({}, "stop", usage=usage)
    yield None, "[DONE]"


def anthropic(action: Say | Call, number: int, ended: threading.Event) -> Iterator[tuple[str | None, Any]]:
    """A streamed message."""

    def event(kind: str, **members: Any) -> tuple[str, dict[str, Any]]:
        return kind, {"type": kind, **members}

    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "claude-stub", "content": []}
    usage = {"input_tokens": 10, "output_tokens": 5}
    yield event("message_start", message={**message, "stop_reason": None, "stop_sequence": None, "usage": usage})
    if isinstance(action, Call):
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": action.tool, "input": {}}
        yield event("content_block_start", index=0, content_block=block)
        delta = {"type": "input_json_delta", "partial_json": json.dumps(action.arguments)}
        yield event("content_block_delta", index=0, delta=delta)
    else:
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for word in words(action, ended):
            yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield event("content_block_stop", index=0)
    reason = "tool_use" if isinstance(action, Call) else "end_turn"
    yield event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage)
    yield event("message_stop")


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
