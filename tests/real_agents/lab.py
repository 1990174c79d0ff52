"""A home with an agent in it, the stub it talks to, and our server between them and the test."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..support.agents import installed
from ..support.server import poll, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

    from ..support.server import Server
    from .agents import RealAgent
    from .model_stub import Stub

MCP_SERVER = Path(__file__).parent.parent / "support" / "mcp_server.py"
PATIENCE = 90.0


@dataclass(frozen=True)
class Lab:
    """``env`` is what the agent's sessions are given."""

    agent: RealAgent
    home: Path
    stub: Stub
    env: Mapping[str, str]

    @classmethod
    def build(cls, agent: RealAgent, home: Path, stub: Stub) -> Lab:
        """Our own installer's agent, as if it were this user's, with the settings that point it at the stub."""
        root = home / "data" / "sandbox-agent" / "bin"
        root.parent.mkdir(parents=True)
        root.symlink_to(installed(agent.name))
        (home / "work").mkdir()
        return cls(agent, home, stub, agent.settings(home, stub.url))

    @property
    def work(self) -> Path:
        return self.home / "work"

    @contextlib.contextmanager
    def server(self, env: Mapping[str, str] | None = None) -> Iterator[tuple[Server, httpx.Client]]:
        with serve(self.home, env=env) as server, server.client(timeout=PATIENCE + 10) as client:
            yield server, client

    def session(self, client: httpx.Client, *, mcp: bool = False, desktop: bool = False) -> Session:
        body: dict[str, Any] = {"agent": self.agent.name, "cwd": str(self.work), "env": self.env, "desktop": desktop}
        if self.agent.mode:
            body["mode"] = self.agent.mode
        if mcp:
            tiny = {"name": "tiny", "command": sys.executable, "args": [str(MCP_SERVER)], "env": []}
            body["mcpServers"] = [tiny]
        made = client.post("/v1/sessions", json=body)
        assert made.status_code == 201, made.text
        return Session(client, made.json()["id"])


@dataclass(frozen=True)
class Session:
    client: httpx.Client
    id: str

    def get(self, path: str = "") -> Any:
        answer = self.client.get(f"/v1/sessions/{self.id}{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def prompt(self, text: str, wait: float = PATIENCE) -> dict[str, Any]:
        """Give the stub an order; the prompt as it is when it has ended, or after ``wait`` seconds."""
        body, prefer = {"prompt": f"stub: {text}"}, {"Prefer": f"wait={wait:g}"}
        answer = self.client.post(f"/v1/sessions/{self.id}/prompts", json=body, headers=prefer)
        assert answer.status_code in {200, 202}, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def ended(self, prompt: Mapping[str, Any]) -> dict[str, Any]:
        path = f"/v1/sessions/{self.id}/prompts/{prompt['id']}"
        told: dict[str, Any] = self.client.get(path, headers={"Prefer": f"wait={PATIENCE:g}"}).json()
        return told

    def answered(self, text: str) -> str:
        """What the agent says to an order that is to go well."""
        before = len(self.said())
        told = self.prompt(text)
        assert (told["state"], told["stopReason"]) == ("completed", "end_turn"), told
        return self.said()[before:]

    def items(self, kind: str) -> list[dict[str, Any]]:
        return [item for item in self.get("/transcript")["items"] if item["type"] == kind]

    def said(self) -> str:
        """All the agent's messages, one a line."""
        messages = [item for item in self.items("message") if item["role"] == "agent"]
        return "\n".join("".join(part.get("text", "") for part in item["content"]) for item in messages)

    def asked(self) -> dict[str, Any]:
        """The one permission that is asked next."""
        pending = poll(lambda: [p for p in self.get("/permissions")["items"] if p["state"] == "pending"], PATIENCE)
        assert len(pending) == 1
        told: dict[str, Any] = pending[0]
        return told

    def reply(self, permission: Mapping[str, Any], reply: str) -> dict[str, Any]:
        path = f"/v1/sessions/{self.id}/permissions/{permission['id']}"
        answer = self.client.post(path, json={"reply": reply})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def finish(self, prompt: Mapping[str, Any], reply: str) -> dict[str, Any]:
        """Give every permission of a running turn the same reply; the prompt when it has ended."""

        def step() -> dict[str, Any] | None:
            for permission in self.get("/permissions")["items"]:
                if permission["state"] == "pending":
                    self.reply(permission, reply)
            told: dict[str, Any] = self.get(f"/prompts/{prompt['id']}")
            return told if told["state"] not in {"queued", "running"} else None

        ended: dict[str, Any] = poll(step, PATIENCE)
        return ended

    def cancel(self) -> None:
        assert self.client.post(f"/v1/sessions/{self.id}/cancel").is_success
