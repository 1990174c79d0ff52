"""A minimal ACP client over pipes, to drive an agent program as a real process."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from sandbox_agent.agents.launch import BUILTIN, PYTHON_FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

DEADLINE = 60.0
"""Seconds to wait for a message; a test that gets there has failed."""


@dataclass
class Turn:
    """What a prompt brought: every message up to its response, and that response."""

    response: dict[str, Any]
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def updates(self) -> list[dict[str, Any]]:
        return [m["params"]["update"] for m in self.messages if m.get("method") == "session/update"]

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [m for m in self.messages if "method" in m and "id" in m]

    @property
    def stop(self) -> str:
        return str(self.response["result"]["stopReason"])

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The updates of one kind."""
        return [update for update in self.updates if update["sessionUpdate"] == kind]

    def text(self, kind: str = "agent_message_chunk") -> str:
        return "".join(update["content"].get("text", "") for update in self.of(kind))

    @property
    def statuses(self) -> list[str]:
        calls = (update for update in self.updates if update["sessionUpdate"].startswith("tool_call"))
        return [update["status"] for update in calls if "status" in update]


class Agent:
    """The process and both ends of its conversation. ``lines`` are raw lines that were not JSON."""

    def __init__(self, *argv: str | Path, env: Mapping[str, str] | None = None) -> None:
        self.lines: list[bytes] = []
        self.process = subprocess.Popen(
            [sys.executable, *PYTHON_FLAGS, *map(str, argv)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={"PATH": os.environ["PATH"], **(env or {})},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin = self.process.stdin
        self.stdout = self.process.stdout
        self.session = ""
        self._ids = 100
        self._inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stdin.close()
        self.process.kill()
        self.process.wait()
        self._reader.join(DEADLINE)
        self.stdout.close()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        with open(self.stdout.fileno(), "rb", closefd=False) as reader:
            for line in reader:
                try:
                    self._inbox.put(json.loads(line))
                except ValueError:
                    self.lines.append(line)
        self._inbox.put(None)

    def send(self, message: dict[str, Any]) -> None:
        self.stdin.write(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n")

    def receive(self, seconds: float = DEADLINE) -> dict[str, Any] | None:
        """The next message; None when the agent has closed its stdout. Raises `queue.Empty`."""
        return self._inbox.get(timeout=seconds)

    def expect(self) -> dict[str, Any]:
        message = self.receive()
        assert message is not None, "the agent closed its stdout"
        return message

    def ask(self, method: str, **params: Any) -> int:
        """Send a request; its id."""
        self._ids += 1
        self.send({"id": self._ids, "method": method, "params": params})
        return self._ids

    def turn(self, request: int, answer: Callable[[dict[str, Any]], Any] | None = None) -> Turn:
        """Everything up to the response of a request; ``answer`` gives the results of the agent's own requests."""
        messages = []
        while True:
            message = self.expect()
            if "method" not in message and message["id"] == request:
                return Turn(message, messages)
            messages.append(message)
            if "method" in message and "id" in message and answer is not None:
                self.send({"id": message["id"], "result": answer(message)})

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The response of a request."""
        return self.turn(self.ask(method, **params)).response

    def start(self, cwd: Path | str, **capabilities: Any) -> Agent:
        """Initialize, and make the session that prompts go to."""
        self.call("initialize", protocolVersion=1, clientCapabilities=capabilities)
        self.session = self.call("session/new", cwd=str(cwd), mcpServers=[])["result"]["sessionId"]
        self.until("available_commands_update")
        return self

    def until(self, kind: str) -> dict[str, Any]:
        """Read up to an update of that kind."""
        while True:
            update = self.expect().get("params", {}).get("update", {})
            if update.get("sessionUpdate") == kind:
                return dict(update)

    def ask_prompt(self, text: str, session: str | None = None) -> int:
        blocks = [{"type": "text", "text": text}]
        return self.ask("session/prompt", sessionId=session or self.session, prompt=blocks)

    def prompt(self, text: str, choose: str = "allow_once") -> Turn:
        """A whole turn; permissions are answered with the option of that kind."""
        return self.turn(self.ask_prompt(text), lambda request: chosen(request, choose))

    def cancel(self, session: str | None = None) -> None:
        self.send({"method": "session/cancel", "params": {"sessionId": session or self.session}})


def chosen(request: dict[str, Any], kind: str) -> dict[str, Any]:
    """The answer to a permission request that selects the option of a kind."""
    options = {option["kind"]: option["optionId"] for option in request["params"]["options"]}
    return {"outcome": {"outcome": "selected", "optionId": options[kind]}}


def mock(*faults: str, env: Mapping[str, str] | None = None) -> Agent:
    return Agent(BUILTIN["mock"], *faults, env=env)


def replay(file: Path | str, *options: str) -> Agent:
    return Agent(BUILTIN["replay"], file, *options)
