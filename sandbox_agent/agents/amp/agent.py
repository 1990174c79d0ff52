"""An ACP agent that drives the ``amp`` program: a prompt is one ``amp --execute --stream-json`` on a thread of Amp's.

Amp speaks no ACP itself, and works only with its maker's server. Tried with the locked release and without that
server: its options, that it reads rules from a settings file, and that it delegates to a program and obeys its exit
status (``amp permissions test``). NOT tried, for want of an account: a turn. The stream's form, ``threads continue``
and the names and inputs of tools are those its maker documents, and the tests drive a program that speaks them; what a
missing login prints is guessed.

The program is ``amp`` on PATH; ``SANDBOX_AGENT_AMP`` names another.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

from sandbox_agent.agents.mock.stdio import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    RESOURCE_NOT_FOUND,
    Peer,
    RpcFault,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.agents.amp.turn import Turn

VERSION = "1.0.0"
OPTIONS: dict[str, tuple[str, str, tuple[tuple[str, str], ...]]] = {
    "mode": ("Permissions", "mode", (("ask", "Ask before tools run"), ("bypass", "Allow all tools"))),
    "agent_mode": (
        "Agent mode",
        "model",
        (("default", "Default"), ("low", "Low"), ("medium", "Medium"), ("high", "High"), ("ultra", "Ultra")),
    ),
}
_SESSION_ID = re.compile(r"amp-[0-9a-f]{16}")


class Session:
    """What a session is made of; kept on disk once it has a thread, so that it can be resumed."""

    def __init__(self, session_id: str, cwd: str, servers: list[Any]) -> None:
        self.id = session_id
        self.cwd = cwd
        self.servers = servers
        self.thread: str | None = None
        self.chosen = {option: values[0][0] for option, (_, _, values) in OPTIONS.items()}

    def config_options(self) -> list[dict[str, Any]]:
        return [
            {
                "id": option,
                "name": name,
                "category": category,
                "type": "select",
                "currentValue": self.chosen[option],
                "options": [{"value": value, "name": shown} for value, shown in values],
            }
            for option, (name, category, values) in OPTIONS.items()
        ]

    def modes(self) -> dict[str, Any]:
        values = OPTIONS["mode"][2]
        return {
            "currentModeId": self.chosen["mode"],
            "availableModes": [{"id": value, "name": shown} for value, shown in values],
        }

    def options(self) -> dict[str, Any]:
        return {"modes": self.modes(), "configOptions": self.config_options()}

    def save(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = folder / f"{self.id}.new"
        fresh.write_text(json.dumps({"thread": self.thread, "cwd": self.cwd, "chosen": self.chosen}))
        fresh.replace(folder / f"{self.id}.json")


class Agent:
    """The methods of the agent's side of ACP v1."""

    def __init__(self, peer: Peer, state: Path) -> None:
        self.peer = peer
        self.state = state
        self._sessions: dict[str, Session] = {}
        self._turns: dict[str, Turn] = {}
        self._methods: dict[str, Callable[[dict[str, Any], Any], Any]] = {
            "initialize": self._initialize,
            "session/new": self._new,
            "session/resume": self._resume,
            "session/close": self._close,
            "session/prompt": self._prompt,
            "session/set_mode": self._set_mode,
            "session/set_config_option": self._set_config_option,
        }

    def serve(self) -> None:
        """Handle what the client sends until it closes our stdin; then end what runs."""
        for message in self.peer.messages():
            if "method" not in message:
                self.peer.settle(message)
            elif "id" in message:
                self._request(message)
            elif message["method"] == "session/cancel":
                self._cancel(message.get("params") or {})
        for turn in list(self._turns.values()):
            turn.kill()

    def _request(self, message: dict[str, Any]) -> None:
        request_id, method, params = message["id"], message["method"], message.get("params") or {}
        try:
            result = self._handler(method, params)(params, request_id)
        except RpcFault as fault:
            self.peer.error(request_id, fault.code, fault.message, fault.data)
        else:
            if result is not None:
                self.peer.result(request_id, result)

    def _handler(self, method: str, params: Any) -> Callable[[dict[str, Any], Any], Any]:
        if method not in self._methods:
            raise RpcFault(METHOD_NOT_FOUND, f"Method not found: {method}", {"method": method})
        if not isinstance(params, dict):
            raise RpcFault(INVALID_PARAMS, "params must be an object")
        return self._methods[method]

    def _initialize(self, _params: dict[str, Any], _id: Any) -> dict[str, Any]:
        return {
            "protocolVersion": 1,
            "agentCapabilities": {
                "loadSession": False,
                "promptCapabilities": {"image": False, "audio": False, "embeddedContext": True},
                "mcpCapabilities": {"http": True, "sse": True},
                "sessionCapabilities": {"close": {}, "resume": {}},
            },
            "agentInfo": {"name": "amp", "title": "Amp", "version": VERSION},
            "authMethods": [
                {
                    "id": "amp-login",
                    "name": "Log in to Amp",
                    "description": "Run `amp login` in a terminal, or set AMP_API_KEY",
                    "type": "terminal",
                    "args": ["login"],
                }
            ],
        }

    def _new(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        session = Session(f"amp-{secrets.token_hex(8)}", _cwd(params), _servers(params))
        self._sessions[session.id] = session
        return {"sessionId": session.id, **session.options()}

    def _resume(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        session_id = params.get("sessionId")
        if not isinstance(session_id, str) or _SESSION_ID.fullmatch(session_id) is None:
            raise RpcFault(RESOURCE_NOT_FOUND, f"Resource not found: {session_id}", {"uri": session_id})
        try:
            kept = json.loads((self.state / f"{session_id}.json").read_text())
        except (OSError, ValueError):
            raise RpcFault(RESOURCE_NOT_FOUND, f"Resource not found: {session_id}", {"uri": session_id}) from None
        session = Session(session_id, _cwd(params), _servers(params))
        session.thread = kept["thread"]
        session.chosen |= {key: value for key, value in kept["chosen"].items() if key in OPTIONS}
        self._sessions[session_id] = session
        return session.options()

    def _close(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        session = self._find(params)
        self._cancel(params)
        del self._sessions[session.id]
        return {}

    def _prompt(self, params: dict[str, Any], request_id: Any) -> None:
        from sandbox_agent.agents.amp.turn import Turn, text_of  # noqa: PLC0415 -- keeps the answer to initialize fast

        session = self._find(params)
        if session.id in self._turns:
            raise RpcFault(INVALID_REQUEST, f"a turn of session {session.id} is running")
        blocks = params.get("prompt")
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise RpcFault(INVALID_PARAMS, "prompt must be a list of content blocks")
        turn = Turn(self.peer, session, on_thread=lambda: session.save(self.state))
        self._turns[session.id] = turn
        turn.start(text_of(blocks), lambda answer: self._finish(session.id, request_id, answer))

    def _finish(self, session_id: str, request_id: Any, answer: dict[str, Any]) -> None:
        del self._turns[session_id]
        self.peer.send({"jsonrpc": "2.0", "id": request_id, **answer})

    def _cancel(self, params: dict[str, Any]) -> None:
        turn = self._turns.get(params.get("sessionId", ""))
        if turn is not None:
            turn.cancel()

    def _set_mode(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        session = self._choose(params, "mode", params.get("modeId"))
        self.peer.update(session.id, {"sessionUpdate": "current_mode_update", "currentModeId": session.chosen["mode"]})
        return {}

    def _set_config_option(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        return {"configOptions": self._choose(params, params.get("configId"), params.get("value")).config_options()}

    def _choose(self, params: dict[str, Any], option: Any, value: Any) -> Session:
        session = self._find(params)
        if option not in OPTIONS or value not in {known for known, _ in OPTIONS[option][2]}:
            raise RpcFault(INVALID_PARAMS, f"no option {option} with the value {value}")
        session.chosen[option] = value
        if session.thread is not None:
            session.save(self.state)
        return session

    def _find(self, params: dict[str, Any]) -> Session:
        session = self._sessions.get(str(params.get("sessionId")))
        if session is None:
            uri = params.get("sessionId")
            raise RpcFault(RESOURCE_NOT_FOUND, f"Resource not found: {uri}", {"uri": uri})
        return session


def _cwd(params: dict[str, Any]) -> str:
    cwd = params.get("cwd")
    if not isinstance(cwd, str) or not cwd.startswith("/"):
        raise RpcFault(INVALID_PARAMS, "cwd must be an absolute path")
    return cwd


def _servers(params: dict[str, Any]) -> list[Any]:
    servers = params.get("mcpServers") or []
    if not isinstance(servers, list) or not all(isinstance(server, dict) and "name" in server for server in servers):
        raise RpcFault(INVALID_PARAMS, "mcpServers must be a list of servers with names")
    return servers


def state_folder() -> Path:
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "state") / "sandbox-agent" / "amp"


def main() -> None:
    """Serve the client on stdin and stdout; the process ends here."""
    Agent(Peer(), state_folder()).serve()
    os._exit(0)
