"""Recorded conversations of real agents as journal entries, raw and as a session would have written them."""

from __future__ import annotations

import itertools
import json
from typing import Any, NamedTuple

from sandbox_agent.acp.roles import RpcError
from sandbox_agent.sessions.handshake import refusal

from .shared import recording

AGENT, CLIENT, SERVER = 0, 1, 2


class Entry(NamedTuple):
    sequence: int
    created_ms: int
    sender: int
    payload: bytes


def raw(name: str) -> list[Entry]:
    """The recording as the raw bridge's journal: what crossed the agent's stdio, nothing of ours."""
    lines = [json.loads(line) for line in recording(name).read_text().splitlines()]
    return [
        Entry(number, int(line["t"] * 1000), AGENT if line["dir"] == "agent" else CLIENT, _bytes(line["msg"]))
        for number, line in enumerate(lines, 1)
    ]


def session(name: str) -> list[Entry]:
    """The recording as a session's journal: with the server's notes of turns and permissions."""
    told: list[tuple[int, int, bytes]] = []
    prompts: dict[Any, str] = {}
    numbers = itertools.count(1)
    permissions: dict[Any, dict[str, Any]] = {}
    for _, ms, sender, payload in raw(name):
        message = json.loads(payload)
        method, request = message.get("method"), message.get("id")
        if sender == CLIENT and method == "session/prompt":
            prompts[request] = f"p{next(numbers)}"
            message["params"]["_meta"] = {"promptId": prompts[request]}
            told.append((ms, SERVER, _note("turn", promptId=prompts[request], state="running")))
        elif sender == AGENT and method == "session/request_permission":
            params = message["params"]
            permissions[request] = {
                "requestId": f"r{next(numbers)}",
                "toolCallId": params["toolCall"]["toolCallId"],
                "title": params["toolCall"].get("title", ""),
                "toolCall": params["toolCall"],
                "options": params["options"],
                "promptId": list(prompts.values())[-1],
            }
        told.append((ms, sender, _bytes(message)))
        if sender == AGENT and method == "session/request_permission":
            told.append((ms, SERVER, _note("permission", **permissions[request], state="pending")))
        elif sender == CLIENT and method is None and request in permissions:
            told.append((ms, SERVER, _note("permission", **_resolution(permissions.pop(request), message))))
        elif sender == AGENT and method is None and request in prompts:
            told.append((ms, SERVER, _note("turn", promptId=prompts.pop(request), **_end(message))))
    return [Entry(number, *entry) for number, entry in enumerate(told, 1)]


def note(sequence: int, name: str, **params: Any) -> Entry:
    """One entry of the server's own."""
    return Entry(sequence, sequence * 1000, SERVER, _note(name, **params))


def update(sequence: int, **fields: Any) -> Entry:
    """One ``session/update`` of the agent."""
    message = {"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s", "update": fields}}
    return Entry(sequence, sequence * 1000, AGENT, _bytes(message))


def agent(sequence: int, **message: Any) -> Entry:
    return Entry(sequence, sequence * 1000, AGENT, _bytes({"jsonrpc": "2.0", **message}))


def client(sequence: int, **message: Any) -> Entry:
    return Entry(sequence, sequence * 1000, CLIENT, _bytes({"jsonrpc": "2.0", **message}))


def prompt(sequence: int, text: str, prompt_id: str = "p1", request: Any = 1) -> Entry:
    params = {"sessionId": "s", "prompt": [{"type": "text", "text": text}], "_meta": {"promptId": prompt_id}}
    return client(sequence, id=request, method="session/prompt", params=params)


def _resolution(permission: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    outcome = answer["result"]["outcome"]
    if outcome["outcome"] == "cancelled":
        return permission | {"state": "cancelled", "resolvedBy": "cancel"}
    kind = next(o["kind"] for o in permission["options"] if o["optionId"] == outcome["optionId"])
    reply = {"allow_once": "once", "allow_always": "always"}.get(kind, "reject")
    by = {"resolvedBy": "client", "resolvedByName": "ada"}
    return permission | {"state": "selected", "optionId": outcome["optionId"], "reply": reply} | by


def _end(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        told = answer["error"]
        problem = refusal(RpcError(told["code"], told["message"], told.get("data")), "session/prompt", agent="it")
        return {"state": "failed", "error": problem.document()}
    result = answer["result"]
    state = "cancelled" if result["stopReason"] == "cancelled" else "completed"
    return {"state": state, "stopReason": result["stopReason"], "usage": result.get("usage")}


def _note(name: str, **params: Any) -> bytes:
    method = name if name.startswith("_") else f"_session/{name}"
    return _bytes({"jsonrpc": "2.0", "method": method, "params": params})


def _bytes(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
