"""One prompt: the ``amp`` program that runs it, the questions it has, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from pathlib import Path
from typing import Any

from sandbox_agent.agents.amp.permits import Desk, private_file
from sandbox_agent.agents.amp.stream import Translator
from sandbox_agent.agents.mock.stdio import AUTH_REQUIRED, INTERNAL_ERROR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.agents.amp.agent import Session
    from sandbox_agent.agents.mock.stdio import Peer

GRACE = 2.0
"""Seconds between the signals that end a cancelled turn."""

_TAIL = 40
_LOGIN = ("amp login", "api key", "unauthorized", "not logged in", "log in")


class Turn:
    """Runs in threads of its own; ``on_thread`` is called when Amp's thread becomes known."""

    def __init__(self, peer: Peer, session: Session, on_thread: Callable[[], None]) -> None:
        self._peer = peer
        self._session = session
        self._on_thread = on_thread
        self._translator = Translator()
        self._stderr: deque[str] = deque(maxlen=_TAIL)
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = threading.Event()
        self._desk: Desk | None = None
        self._folder: Path | None = None

    def start(self, text: str, finish: Callable[[dict[str, Any]], None]) -> None:
        threading.Thread(target=self._run, args=(text, finish), daemon=True).start()

    def cancel(self) -> None:
        """Refuse what is being asked, and have the program stop; it gets a moment to save its thread."""
        self._cancelled.set()
        if self._desk is not None:
            self._desk.close()
        for delay, signum in ((0.0, signal.SIGINT), (GRACE, signal.SIGTERM), (2 * GRACE, signal.SIGKILL)):
            timer = threading.Timer(delay, self._signal, (signum,))
            timer.daemon = True
            timer.start()

    def kill(self) -> None:
        """For when the adapter ends itself: nothing waits for the turn's own end then."""
        self._signal(signal.SIGKILL)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, signum: int) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            try:
                os.killpg(process.pid, signum)
            except ProcessLookupError:
                return

    def _run(self, text: str, finish: Callable[[dict[str, Any]], None]) -> None:
        folder = self._folder = Path(tempfile.mkdtemp(prefix="sandbox-agent-amp-"))
        try:
            answer = self._execute(text, folder)
        except OSError as error:
            answer = fault(INTERNAL_ERROR, f"amp cannot be run: {error}")
        finally:
            if self._desk is not None:
                self._desk.close()
            shutil.rmtree(folder, ignore_errors=True)
        finish(answer)

    def _execute(self, text: str, folder: Path) -> dict[str, Any]:
        settings = None
        if self._session.chosen["mode"] == "ask":
            self._desk = Desk(self._peer, self._session.id, folder, self._translator)
            settings = self._desk.settings_file(user_settings())
        process = self._process = subprocess.Popen(  # noqa: S603 -- the program that this adapter is for
            command(self._session, folder, settings),
            cwd=self._session.cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None  # noqa: S101 -- for the type checker
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        errors = threading.Thread(target=self._listen, args=(process.stderr,), daemon=True)
        errors.start()
        if self._cancelled.is_set():
            self._signal(signal.SIGINT)
        try:
            with process.stdin as stdin:
                stdin.write(text.encode("utf-8", "surrogatepass") + b"\n")
        except BrokenPipeError:
            self._stderr.append("amp closed its input")
        for line in process.stdout:
            self._take(line)
        process.stdout.close()
        code = process.wait()
        errors.join(GRACE)
        return self._answer(code)

    def _listen(self, stream: Any) -> None:
        with stream:
            for line in stream:
                self._stderr.append(line.decode(errors="replace").rstrip())

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            if line.strip():
                self._stderr.append(line.decode(errors="replace").strip())
            return
        for update in self._translator.take(message):
            self._peer.update(self._session.id, update)
        thread = self._translator.thread
        if thread is not None and thread != self._session.thread:
            self._session.thread = thread
            self._on_thread()

    def _answer(self, code: int) -> dict[str, Any]:
        for call in self._translator.open_calls():
            update = {"sessionUpdate": "tool_call_update", "toolCallId": call, "status": "failed"}
            self._peer.update(self._session.id, update)
        if self._cancelled.is_set():
            return {"result": {"stopReason": "cancelled"}}
        result = self._translator.result
        if result is None:
            said = "\n".join(self._stderr)
            if any(word in said.lower() for word in _LOGIN):
                return fault(AUTH_REQUIRED, "Authentication required", {"details": said})
            return fault(INTERNAL_ERROR, f"amp ended with {code} and no result", {"details": said})
        if result.get("subtype") == "error_max_turns":
            return {"result": {"stopReason": "max_turn_requests"}}
        if result.get("is_error"):
            return fault(INTERNAL_ERROR, str(result.get("error") or "amp failed"))
        answer: dict[str, Any] = {"stopReason": "end_turn"}
        if self._translator.usage:
            answer["usage"] = usage(self._translator.usage)
        return {"result": answer}


def usage(counted: dict[str, int]) -> dict[str, int]:
    """Amp's counts under the names of ACP."""
    read, written = counted.get("cache_read_input_tokens", 0), counted.get("cache_creation_input_tokens", 0)
    told = {"inputTokens": counted.get("input_tokens", 0), "outputTokens": counted.get("output_tokens", 0)}
    total = sum(told.values()) + read + written
    return told | {"cachedReadTokens": read, "cachedWriteTokens": written, "totalTokens": total}


def fault(code: int, message: str, data: Any = None) -> dict[str, Any]:
    return {"error": {"code": code, "message": message} | ({} if data is None else {"data": data})}


def command(session: Session, folder: Path, settings: Path | None) -> list[str]:
    """The command line of a turn; the prompt goes to its standard input."""
    argv = [os.environ.get("SANDBOX_AGENT_AMP") or "amp"]
    if session.thread is not None:
        argv += ["threads", "continue", session.thread]
    argv += ["--execute", "--stream-json", "--no-ide", "--no-notifications"]
    argv += ["--dangerously-allow-all"] if settings is None else ["--settings-file", str(settings)]
    if session.chosen["agent_mode"] != "default":
        argv += ["--mode", session.chosen["agent_mode"]]
    if session.servers:
        # a file, since the command line is for everyone to read
        argv += ["--mcp-config", str(private_file(folder / "mcp.json", mcp_config(session.servers)))]
    return argv


def mcp_config(servers: list[Any]) -> dict[str, Any]:
    """ACP's servers in the form of Amp's settings."""
    told: dict[str, Any] = {}
    for server in servers:
        if "command" in server:
            env = {entry["name"]: entry["value"] for entry in server.get("env") or ()}
            told[server["name"]] = {"command": server["command"], "args": server.get("args") or [], "env": env}
        else:
            headers = {entry["name"]: entry["value"] for entry in server.get("headers") or ()}
            told[server["name"]] = {"url": server.get("url"), "headers": headers}
    return told


def user_settings() -> dict[str, Any]:
    """The user's own settings of Amp, as far as they are plain JSON."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    try:
        settings = json.loads((base / "amp" / "settings.json").read_text())
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def text_of(blocks: list[dict[str, Any]]) -> str:
    """A prompt as the one text that execute mode takes; files are named the way Amp mentions them."""
    parts = []
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            parts.append(str(block.get("text", "")))
        elif kind == "resource_link":
            uri = str(block.get("uri", ""))
            parts.append(f"@{uri.removeprefix('file://')}" if uri.startswith("file://") else uri)
        elif kind == "resource" and isinstance(block.get("resource"), dict):
            resource = block["resource"]
            parts.append(f"<file uri={json.dumps(resource.get('uri'))}>\n{resource.get('text', '')}\n</file>")
    return "\n\n".join(part for part in parts if part)
