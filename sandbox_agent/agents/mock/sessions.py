"""The sessions of the mock agent: options, memory, and the file that lets a later process load them.

A session is a file of JSON lines: ``{"session": ...}`` first, then ``{"update": ...}`` for what a load replays and
``{"options": ...}`` for each choice. Lines are only appended, so a process killed in mid-turn loses nothing it told.
"""
# pathlib takes as long to import as all the rest of this agent.
# ruff: noqa: PTH103, PTH108, PTH111, PTH118, PTH123, PTH208

from __future__ import annotations

import os

from .quickjson import loads
from .stdio import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .mcp import Server

PAGE = 100

# id, name, category, values with their names; the first value is the default
OPTIONS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("model", "Model", (("mock", "Mock"), ("mock-fast", "Mock Fast"))),
    ("mode", "Mode", (("normal", "Normal"), ("plan", "Plan"))),
    ("thought_level", "Thought Level", (("low", "Low"), ("medium", "Medium"), ("high", "High"))),
)
COMMANDS = (
    {"name": "demo", "description": "Think, plan and answer, without touching anything"},
    {"name": "recall", "description": "Say what was asked in this session so far"},
    {"name": "say", "description": "Say something", "input": {"hint": "what to say"}},
)


class Session:
    """One conversation. ``history`` are the updates a load replays; ``allowed`` the standing answers by tool kind.

    ``servers`` are the MCP servers it was given. ``folder`` is where its file lies; None keeps it in memory.
    """

    def __init__(self, session_id: str, cwd: str, folder: str | None) -> None:
        self.id = session_id
        self.cwd = cwd
        self.title: str | None = None
        self.chosen = {option: values[0][0] for option, _, values in OPTIONS}
        self.history: list[dict[str, Any]] = []
        self.allowed: dict[str, bool] = {}
        self.servers: dict[str, Server] = {}
        self.tokens = 0
        self._folder = folder

    @classmethod
    def begin(cls, cwd: str, folder: str | None) -> Session:
        """A new session; its id is random, since a number would name another session once the folder is emptied."""
        session = cls(f"mock-{os.urandom(8).hex()}", cwd, folder)
        session.save({"session": {"sessionId": session.id, "cwd": cwd}})
        return session

    def fork(self, cwd: str) -> Session:
        """A new session that remembers what this one does."""
        twin = Session.begin(cwd, self._folder)
        twin.title, twin.chosen, twin.tokens = self.title, dict(self.chosen), self.tokens
        twin.save({"options": twin.chosen}, {"title": twin.title})
        twin.remember(*self.history)
        return twin

    def remember(self, *updates: dict[str, Any]) -> None:
        self.history.extend(updates)
        self.save(*({"update": update} for update in updates))

    def prompts(self) -> list[str]:
        """The texts the user sent so far, oldest first."""
        said = (update["content"] for update in self.history if update["sessionUpdate"] == "user_message_chunk")
        return [content["text"] for content in said if content.get("type") == "text"]

    def choose(self, option: Any, value: Any) -> list[dict[str, Any]]:
        """Set an option; the updates that tell the client. Raises `ValueError` for what is not offered."""
        offered = {option: [value for value, _ in values] for option, _, values in OPTIONS}
        if option not in offered:
            raise ValueError(f"unknown config option: {option}")
        if value not in offered[option]:
            raise ValueError(f"unknown {option}: {value} (one of {', '.join(offered[option])})")
        self.chosen[option] = value
        self.save({"options": {option: value}})
        updates: list[dict[str, Any]] = []
        if option == "mode":
            updates.append({"sessionUpdate": "current_mode_update", "currentModeId": value})
        updates.append({"sessionUpdate": "config_option_update", "configOptions": self.config_options()})
        return updates

    def rename(self, title: str) -> dict[str, Any]:
        self.title = title
        self.save({"title": title})
        return {"sessionUpdate": "session_info_update", "title": title}

    def options(self) -> dict[str, Any]:
        """What `session/new`, load, resume and fork answer about options, in the old and the new form."""
        names = {option: values for option, _, values in OPTIONS}
        return {
            "modes": {
                "currentModeId": self.chosen["mode"],
                "availableModes": [{"id": value, "name": name} for value, name in names["mode"]],
            },
            "models": {
                "currentModelId": self.chosen["model"],
                "availableModels": [{"modelId": value, "name": name} for value, name in names["model"]],
            },
            "configOptions": self.config_options(),
        }

    def config_options(self) -> list[dict[str, Any]]:
        return [
            {
                "id": option,
                "name": name,
                "category": option,
                "type": "select",
                "currentValue": self.chosen[option],
                "options": [{"value": value, "name": label} for value, label in values],
            }
            for option, name, values in OPTIONS
        ]

    def commands(self) -> dict[str, Any]:
        return {"sessionUpdate": "available_commands_update", "availableCommands": COMMANDS}

    def save(self, *lines: dict[str, Any]) -> None:
        """Append to the session's file; a session whose file cannot be written lives in memory only."""
        if self._folder is None:
            return
        try:
            descriptor = os.open(
                file_of(self._folder, self.id), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            try:
                os.write(descriptor, b"".join(encode(line) + b"\n" for line in lines))
            finally:
                os.close(descriptor)
        except OSError:
            self._folder = None

    def forget(self) -> None:
        """Remove the session's file; what runs on in this process writes no new one."""
        folder, self._folder = self._folder, None
        try:
            os.unlink(file_of(folder or "", self.id))
        except OSError:
            return

    def restore(self, line: dict[str, Any]) -> None:
        if "update" in line:
            self.history.append(line["update"])
        self.chosen.update(line.get("options", {}))
        self.title = line.get("title", self.title)


class Store:
    """The folder of session files: ``$SANDBOX_AGENT_MOCK_STATE``, else below ``$XDG_STATE_HOME``."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        base = environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
        self.folder = environ.get("SANDBOX_AGENT_MOCK_STATE") or os.path.join(base, "sandbox-agent", "mock")

    def create(self, cwd: str) -> Session:
        try:
            os.makedirs(self.folder, 0o700, exist_ok=True)
        except OSError:
            return Session.begin(cwd, None)
        return Session.begin(cwd, self.folder)

    def open(self, session_id: str) -> Session | None:
        """A session of an earlier process, or None."""
        if not session_id.replace("-", "").isalnum():
            return None
        lines = self._lines(session_id)
        if not lines:
            return None
        session = Session(session_id, lines[0]["session"]["cwd"], self.folder)
        for line in lines[1:]:
            session.restore(line)
        return session

    def page(self, cwd: Any, cursor: Any) -> dict[str, Any]:
        """A page of `session/list`; the cursor is the last id of the page before."""
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:
            names = []
        ids = [name.removesuffix(".jsonl") for name in names if name.endswith(".jsonl")]
        found: list[dict[str, Any]] = []
        for session_id in ids:
            session = self.open(session_id) if not isinstance(cursor, str) or session_id > cursor else None
            if session is None or (cwd is not None and session.cwd != cwd):
                continue
            if len(found) == PAGE:
                return {"sessions": found, "nextCursor": found[-1]["sessionId"]}
            title = {} if session.title is None else {"title": session.title}
            found.append({"sessionId": session.id, "cwd": session.cwd} | title)
        return {"sessions": found}

    def _lines(self, session_id: str) -> list[dict[str, Any]]:
        """The whole lines of a session's file; a line cut by a kill is left out."""
        try:
            with open(file_of(self.folder, session_id), "rb") as file:
                return [loads(line) for line in file if line.endswith(b"\n")]
        except OSError:
            return []


def file_of(folder: str, session_id: str) -> str:
    return os.path.join(folder, f"{session_id}.jsonl")
