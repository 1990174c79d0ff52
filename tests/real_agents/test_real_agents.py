"""Real agents, end to end: our server, the agent's own program, and a stub where its model would be."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from ..support.server import poll, serve
from .agents import AGENTS, BIN
from .model_stub import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from ..support.server import Server
    from .agents import RealAgent
    from .model_stub import Stub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@dataclass
class Lab:
    """A home with an agent installed in it, the stub it talks to, and servers to come and go."""

    agent: RealAgent
    home: Path
    stub: Stub

    @property
    def work(self) -> Path:
        return self.home / "work"

    @contextlib.contextmanager
    def server(self) -> Iterator[tuple[Server, httpx.Client]]:
        with serve(self.home) as server, server.client(timeout=90) as client:
            yield server, client


@pytest.fixture(params=AGENTS, ids=lambda agent: agent.name)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    agent: RealAgent = request.param
    with serving() as stub:
        agent.install(tmp_path / "data", tmp_path, stub.url)
        (tmp_path / "work").mkdir()
        yield Lab(agent, tmp_path, stub)


@dataclass(frozen=True)
class Session:
    client: httpx.Client
    id: str

    @classmethod
    def create(cls, client: httpx.Client, lab: Lab) -> Session:
        body = {"agent": lab.agent.name, "cwd": str(lab.work), "mode": lab.agent.mode}
        made = client.post("/v1/sessions", json={key: value for key, value in body.items() if value is not None})
        assert made.status_code == 201, made.text
        return cls(client, made.json()["id"])

    def get(self, path: str = "") -> Any:
        answer = self.client.get(f"/v1/sessions/{self.id}{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def prompt(self, text: str, wait: float = 60) -> dict[str, Any]:
        answer = self.client.post(
            f"/v1/sessions/{self.id}/prompts", json={"prompt": text}, headers={"Prefer": f"wait={wait:g}"}
        )
        assert answer.status_code in {200, 202}, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def ended(self, prompt: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.get(f"/v1/sessions/{self.id}/prompts/{prompt['id']}", headers={"Prefer": "wait=60"})
        told: dict[str, Any] = answer.json()
        return told

    def items(self, kind: str) -> list[dict[str, Any]]:
        return [item for item in self.get("/transcript")["items"] if item["type"] == kind]

    def said(self) -> str:
        """All the agent's messages, one a line."""
        messages = [item for item in self.items("message") if item["role"] == "agent"]
        return "\n".join("".join(part.get("text", "") for part in item["content"]) for item in messages)

    def answer(self, reply: str) -> dict[str, Any]:
        """Answers the one permission that is asked next."""
        pending = poll(lambda: [p for p in self.get("/permissions")["items"] if p["state"] == "pending"], 60)
        assert len(pending) == 1
        answer = self.client.post(f"/v1/sessions/{self.id}/permissions/{pending[0]['id']}", json={"reply": reply})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


def test_the_agents_are_installed() -> None:
    """`scripts/test` installs them; without them this folder would show nothing."""
    assert [agent.program for agent in AGENTS if not (BIN / agent.program).exists()] == []


def test_a_turn_with_text_and_tools(lab: Lab) -> None:
    """Text comes back; a command runs once it is allowed and not before; a refused one never runs."""
    with lab.server() as (_, client):
        session = Session.create(client, lab)

        told = session.prompt("say hello from the stub")
        assert (told["state"], told["stopReason"]) == ("completed", "end_turn")
        assert "hello from the stub" in session.said()

        running = session.prompt("run echo made > made.txt && cat made.txt", wait=0)
        asked = poll(lambda: session.get().get("pendingPermissions"), 60)
        assert asked == 1
        assert session.get()["state"] == "waiting"
        assert not (lab.work / "made.txt").exists()
        resolved = session.answer("once")
        assert (resolved["state"], resolved["reply"], resolved["resolvedBy"]) == ("selected", "once", "client")
        assert session.ended(running)["state"] == "completed"
        assert (lab.work / "made.txt").read_text() == "made\n"
        assert "done: made" in session.said()
        assert [call["status"] for call in session.items("tool_call")] == ["completed"]

        running = session.prompt("run echo no > refused.txt", wait=0)
        session.answer("reject")
        assert session.ended(running)["state"] in {"completed", "cancelled"}
        assert not (lab.work / "refused.txt").exists()
        assert session.items("tool_call")[-1]["status"] in {"failed", "cancelled"}


def test_cancel_ends_the_turn_and_keeps_the_session(lab: Lab) -> None:
    """While the model streams, cancel ends the turn at the model too; the next prompt is answered."""
    with lab.server() as (_, client):
        session = Session.create(client, lab)
        running = session.prompt("stream", wait=0)
        poll(lambda: "streaming" in session.said(), 60)
        assert client.post(f"/v1/sessions/{session.id}/cancel").is_success
        told = session.ended(running)
        assert (told["state"], told["stopReason"]) == ("cancelled", "cancelled")
        assert lab.stub.hung_up.wait(10)
        assert session.prompt("say still here")["state"] == "completed"
        assert "still here" in session.said()


def test_a_session_outlives_a_killed_server(lab: Lab) -> None:
    """SIGKILL takes the agent with the server; the next server has every event, and the agent its memory."""
    with lab.server() as (server, client):
        session = Session.create(client, lab)
        assert session.prompt("say the word is wombat")["state"] == "completed"
        before = session.get("/events?limit=1000")["items"]
        family = psutil.Process(server.process.pid).children(recursive=True)
        assert family
        server.process.kill()
        server.process.wait()
    with lab.server() as (_, client):
        session = Session(client, session.id)
        assert session.get("/events?limit=1000")["items"][: len(before)] == before
        assert session.prompt("recall")["state"] == "completed"
        assert "remembered: " in session.said()
        assert "wombat" in session.said().partition("remembered: ")[2]
        assert session.get()["continuity"] in {"native", "loaded"}
        alive = [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        assert alive == []
