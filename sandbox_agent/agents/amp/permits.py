"""Amp's questions before a tool runs, brought to the client.

In execute mode Amp can ask nobody, but it can delegate: a rule ``{"action": "delegate", "to": PROGRAM}`` has it run
that program with the tool's name in AGENT_TOOL_NAME and its arguments as JSON on standard input; exit status 0 allows,
2 refuses. Ours (``ask.py``) passes both on through a socket, and waits as long as the client does.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from sandbox_agent.agents.amp.stream import described

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox_agent.agents.amp.stream import Translator
    from sandbox_agent.agents.mock.stdio import Peer

OPTIONS = (
    ("allow_once", "Allow"),
    ("allow_always", "Always allow this tool"),
    ("reject_once", "Reject"),
)


def private_file(path: Path, value: Any) -> Path:
    """JSON for this user's eyes only."""
    path.touch(0o600)
    path.write_text(json.dumps(value))
    return path


class Desk:
    """Takes questions while a turn runs. Closed, it refuses."""

    def __init__(self, peer: Peer, session_id: str, folder: Path, translator: Translator) -> None:
        self._peer = peer
        self._session_id = session_id
        self._folder = folder
        self._translator = translator
        self._asked = 0
        self._always: set[str] = set()
        self._waiting: set[threading.Event] = set()
        self._closed = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        near = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:  # the folder's own path may be longer than an address can be (unix(7): 108 bytes)
            self._listener.bind(f"/proc/self/fd/{near}/ask")
        finally:
            os.close(near)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def settings_file(self, settings: dict[str, Any]) -> Path:
        """The user's settings with all that is not decided by the user's own rules delegated to us."""
        program = self._folder / "delegate"
        ask = Path(__file__).with_name("ask.py")
        argv = [sys.executable, "-I", "-S", "-E", str(ask), str(self._folder / "ask")]
        program.write_text(f"#!/bin/sh\nexec {shlex.join(argv)}\n")
        program.chmod(0o700)
        rules = settings.get("amp.permissions")
        own = [dict(rule) for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
        for rule in own:
            if rule.get("action") == "ask":
                rule |= {"action": "delegate", "to": str(program)}
        everything = {"tool": "*", "action": "delegate", "to": str(program)}
        return private_file(self._folder / "settings.json", {**settings, "amp.permissions": [*own, everything]})

    def close(self) -> None:
        self._closed.set()
        self._listener.close()
        for event in list(self._waiting):
            event.set()

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            try:
                question = json.loads(stream.readline())
                decision = self._ask(str(question["tool"]), question["arguments"])
            except (ValueError, KeyError, TypeError):
                decision = "reject"
            try:
                stream.write(decision.encode() + b"\n")
                stream.flush()
            except OSError:
                return  # amp gave up

    def _ask(self, tool: str, arguments: Any) -> str:
        """``allow`` or ``reject``."""
        if tool in self._always:
            return "allow"
        self._asked += 1
        call = self._translator.call_for(tool, arguments) or f"amp-permission-{self._asked}"
        answered = threading.Event()
        replies: list[dict[str, Any]] = []

        def reply(message: dict[str, Any]) -> None:
            replies.append(message)
            answered.set()

        self._waiting.add(answered)
        options = [{"optionId": kind, "kind": kind, "name": name} for kind, name in OPTIONS]
        asked = {"sessionId": self._session_id, "toolCall": described(call, tool, arguments), "options": options}
        self._peer.request("session/request_permission", asked, reply)
        if self._closed.is_set():
            answered.set()
        answered.wait()
        self._waiting.discard(answered)
        outcome = (replies[0].get("result") or {}).get("outcome", {}) if replies else {}
        chosen = outcome.get("optionId") if outcome.get("outcome") == "selected" else None
        if chosen == "allow_always":
            self._always.add(tool)
        return "allow" if chosen in {"allow_once", "allow_always"} else "reject"
