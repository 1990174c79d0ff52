"""A real agent of the Agent Client Protocol (ACP) whose model is a script in the prompt.

It is what the tests drive, what a first notebook runs without a key, and a readable example of an ACP agent in the
standard library alone. The thread that starts reads stdin and answers; each turn runs in a thread of its own, so
cancel, answers to permission requests and other sessions are heard while it runs.

Faults, as arguments or words of ``SANDBOX_AGENT_MOCK`` (separated by spaces or commas):

================  =====================================================================
hang=METHOD       that request is never answered
fail=METHOD       that request is answered with an error
exit=METHOD       that request ends the process with code 1 and words on stderr
banner            a line that is not JSON comes first on stdout
slow_start=S      nothing is read for S seconds
auth_required     ``session/new`` wants ``authenticate`` first
key_required      the same, and it wants to be told to use ANTHROPIC_API_KEY
no_load           sessions cannot be loaded
no_resume         sessions cannot be resumed
no_config         sessions have no config options, modes nor models
no_fork           sessions cannot be forked
no_close          sessions cannot be closed nor deleted
no_remote_mcp     MCP servers over http and sse are not taken
only_text         prompts hold text and resource links alone
ignore_eof        goes on living when stdin is closed
ignore_term       SIGTERM does nothing
================  =====================================================================
"""

from __future__ import annotations

import os
import sys

from .stdio import (
    AUTH_REQUIRED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    RESOURCE_NOT_FOUND,
    Peer,
    RpcFault,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .sessions import Session, Store
    from .turn import Turn

VERSION = "1.0.0"
LACKING = {
    "no_load": ("session/load",),
    "no_resume": ("session/resume",),
    "no_fork": ("session/fork",),
    "no_close": ("session/close", "session/delete"),
}
PROTOCOL_VERSION = 1


def faults_of(words: str) -> dict[str, str]:
    """``hang=initialize,banner`` as a mapping; a fault without a value maps to an empty text."""
    pairs = (word.partition("=") for word in words.replace(",", " ").split())
    return {name: value for name, _, value in pairs}


class Agent:
    """The methods of the agent's side of ACP v1, and its sessions."""

    def __init__(self, peer: Peer, faults: Mapping[str, str]) -> None:
        self.peer = peer
        self.faults = faults
        self.client_capabilities: dict[str, Any] = {}
        self._authenticated = not self._auth_methods()
        self._sessions: dict[str, Session] = {}
        self._turns: dict[str, Turn] = {}
        self._opened: Store | None = None
        self._methods: dict[str, Callable[[dict[str, Any], Any], Any]] = {
            "initialize": self._initialize,
            "authenticate": self._authenticate,
            "logout": self._logout,
            "session/new": self._new,
            "session/load": self._load,
            "session/resume": self._resume,
            "session/fork": self._fork,
            "session/list": self._list,
            "session/close": self._close,
            "session/delete": self._delete,
            "session/prompt": self._prompt,
            "session/set_mode": self._set_mode,
            "session/set_model": self._set_model,
            "session/set_config_option": self._set_config_option,
            "_mock/echo": self._echo,
        }
        for fault, methods in LACKING.items():
            for method in methods if fault in faults else ():
                del self._methods[method]

    def serve(self) -> None:
        """Handle what the client sends until it closes our stdin; then stop what runs."""
        for message in self.peer.messages():
            if "method" not in message:
                self.peer.settle(message)
            elif "id" in message:
                self._request(message)
            elif message["method"] == "session/cancel":
                self._cancel(message.get("params") or {})
        for turn in list(self._turns.values()):
            turn.abandon()

    def _request(self, message: dict[str, Any]) -> None:
        request_id, method, params = message["id"], message["method"], message.get("params")
        if self.faults.get("hang") == method:
            return
        if self.faults.get("exit") == method:
            os.write(2, f"mock: told to exit at {method}\n".encode())
            os._exit(1)
        try:
            result = self._handler(method, params)(params or {}, request_id)
        except RpcFault as fault:
            self.peer.error(request_id, fault.code, fault.message, fault.data)
        else:
            if result is not None:
                self.peer.result(request_id, result)

    def _handler(self, method: str, params: Any) -> Callable[[dict[str, Any], Any], Any]:
        if self.faults.get("fail") == method:
            raise RpcFault(INTERNAL_ERROR, f"told to fail at {method}")
        if method not in self._methods:
            raise RpcFault(METHOD_NOT_FOUND, f'"Method not found": {method}', {"method": method})
        if not isinstance(params, dict | None):
            raise RpcFault(INVALID_PARAMS, "params must be an object")
        return self._methods[method]

    # The handlers answer with their result, or with None when they have answered or a turn will.

    def _initialize(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        self.client_capabilities = params.get("clientCapabilities") or {}
        verbs = ("close", "delete", "fork", "list", "resume")
        session: dict[str, Any] = {verb: {} for verb in verbs if f"session/{verb}" in self._methods}
        rich, remote = "only_text" not in self.faults, "no_remote_mcp" not in self.faults
        return {
            "protocolVersion": PROTOCOL_VERSION,
            "agentCapabilities": {
                "loadSession": "no_load" not in self.faults,
                "promptCapabilities": {"image": rich, "audio": rich, "embeddedContext": rich},
                "mcpCapabilities": {"http": remote, "sse": remote},
                "sessionCapabilities": session,
                "auth": {"logout": {}},
            },
            "agentInfo": {"name": "mock", "title": "Mock Agent", "version": VERSION},
            "authMethods": self._auth_methods(),
        }

    def _auth_methods(self) -> list[dict[str, Any]]:
        if "key_required" in self.faults:
            return [{"id": "mock-key", "name": "Mock key", "_meta": {"api-key": {"provider": "anthropic"}}}]
        if "auth_required" in self.faults:
            return [{"id": "mock-login", "name": "Mock login", "description": "Always lets you in"}]
        return []

    def _authenticate(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        methods = [method["id"] for method in self._auth_methods()]
        if methods and params.get("methodId") not in methods:
            raise RpcFault(INVALID_PARAMS, "no such way to authenticate")
        if "key_required" in self.faults and not os.environ.get("ANTHROPIC_API_KEY"):
            raise RpcFault(AUTH_REQUIRED, "ANTHROPIC_API_KEY is not set")
        self._authenticated = True
        return {}

    def _logout(self, _params: dict[str, Any], _id: Any) -> dict[str, Any]:
        self._authenticated = not self._auth_methods()
        return {}

    def _new(self, params: dict[str, Any], request_id: Any) -> None:
        if not self._authenticated:
            raise RpcFault(AUTH_REQUIRED, "Authentication required")
        self._begin(self._store().create(_cwd(params)), params, request_id)

    def _fork(self, params: dict[str, Any], request_id: Any) -> None:
        self._begin(self._find(params).fork(_cwd(params)), params, request_id)

    def _begin(self, session: Session, params: dict[str, Any], request_id: Any) -> None:
        self._sessions[session.id] = session
        _equip(session, params)
        self.peer.result(request_id, {"sessionId": session.id, **self._options(session)})
        self.peer.update(session.id, session.commands())

    def _load(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        """The history comes first, as updates; the response says that it is complete."""
        session = self._find(params)
        _equip(session, params)
        for update in session.history:
            self.peer.update(session.id, update)
        return self._options(session)

    def _resume(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        session = self._find(params)
        _equip(session, params)
        return self._options(session)

    def _list(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        return self._store().page(params.get("cwd"), params.get("cursor"))

    def _close(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        session = self._find(params)
        self._cancel(params)
        self._sessions.pop(session.id, None)
        return {}

    def _delete(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        session = self._find(params)
        self._close(params, None)
        session.forget()
        return {}

    def _prompt(self, params: dict[str, Any], request_id: Any) -> None:
        from .turn import Turn  # noqa: PLC0415 -- not needed before the first prompt; keeps the start fast

        session = self._find(params)
        if session.id in self._turns:
            raise RpcFault(INVALID_REQUEST, f"a turn of session {session.id} is running")
        blocks = params.get("prompt")
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise RpcFault(INVALID_PARAMS, "prompt must be a list of content blocks")
        turn = Turn(self.peer, session, blocks, self.client_capabilities)
        self._turns[session.id] = turn
        turn.start(lambda answer: self._finish(session.id, request_id, answer))

    def _finish(self, session_id: str, request_id: Any, answer: dict[str, Any]) -> None:
        del self._turns[session_id]
        self.peer.send({"jsonrpc": "2.0", "id": request_id, **answer})

    def _cancel(self, params: dict[str, Any]) -> None:
        turn = self._turns.get(params.get("sessionId", ""))
        if turn is not None:
            turn.cancel()

    def _set_mode(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        self._choose(params, "mode", params.get("modeId"))
        return {}

    def _set_model(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        self._choose(params, "model", params.get("modelId"))
        return {}

    def _set_config_option(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        session = self._choose(params, params.get("configId"), params.get("value"))
        return {"configOptions": session.config_options()}

    def _choose(self, params: dict[str, Any], option: Any, value: Any) -> Session:
        session = self._find(params)
        try:
            updates = session.choose(option, value)
        except ValueError as error:
            raise RpcFault(INVALID_PARAMS, str(error)) from None
        for update in updates:
            self.peer.update(session.id, update)
        return session

    def _echo(self, params: dict[str, Any], _id: Any) -> dict[str, Any]:
        return {"echo": params}

    def _store(self) -> Store:
        if self._opened is None:
            from .sessions import Store  # noqa: PLC0415 -- not needed for initialize; keeps the start fast

            self._opened = Store(os.environ)
        return self._opened

    def _find(self, params: dict[str, Any]) -> Session:
        session_id = params.get("sessionId")
        if not isinstance(session_id, str):
            raise RpcFault(INVALID_PARAMS, "sessionId is missing")
        session = self._sessions.get(session_id) or self._store().open(session_id)
        if session is None:
            raise RpcFault(RESOURCE_NOT_FOUND, f"Resource not found: {session_id}", {"uri": session_id})
        self._sessions[session_id] = session
        return session

    def _options(self, session: Session) -> dict[str, Any]:
        return {} if "no_config" in self.faults else session.options()


def _cwd(params: dict[str, Any]) -> str:
    cwd = params.get("cwd")
    if not isinstance(cwd, str) or not cwd.startswith("/"):
        raise RpcFault(INVALID_PARAMS, "cwd must be an absolute path")
    return cwd


def _equip(session: Session, params: dict[str, Any]) -> None:
    """Start the session's MCP servers."""
    if params.get("mcpServers"):
        from .mcp import started  # noqa: PLC0415 -- most sessions have none

        session.servers = started(params["mcpServers"])


def main() -> None:
    """Serve the client on stdin and stdout; the process ends here."""
    faults = faults_of(" ".join([os.environ.get("SANDBOX_AGENT_MOCK", ""), *sys.argv[1:]]))
    if "ignore_term" in faults:
        import signal  # noqa: PLC0415 -- only for this fault

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "banner" in faults:
        os.write(1, b"Welcome to the mock agent!\n")
    if "slow_start" in faults:
        _sleep(float(faults["slow_start"]))
    Agent(Peer(), faults).serve()
    while "ignore_eof" in faults:
        _sleep(3600)
    # A turn's thread may hold locks the interpreter would wait for; nothing here is buffered.
    os._exit(0)


def _sleep(seconds: float) -> None:
    import time  # noqa: PLC0415 -- only for some faults

    time.sleep(seconds)
