"""What the magics remember between cells: the client, the session in use, the default agent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox_agent.client import SandboxAgent
from sandbox_agent.client.errors import NoServerFound
from sandbox_agent.problems import SandboxAgentError
from sandbox_agent_jupyter.magics.grammar import MagicUsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.client import Session
    from sandbox_agent.wire.base import JsonObject

SESSION_OPTIONS = ("model", "mode", "thought_level", "title", "desktop")


class MagicContext:
    """Connects when first asked, to the server around the kernel or else to a local one of its own."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.notes: list[str] = []
        self._client: SandboxAgent | None = None

    @property
    def client(self) -> SandboxAgent:
        """The client; the first use finds or starts a server.

        Raises `ServerStartFailed` where none is found and none can be started.
        """
        if self._client is None:
            try:
                self._client = SandboxAgent.connect()
            except NoServerFound:
                self._client = SandboxAgent.start()
                self.notes.append("Started a local Sandbox Agent server; it ends with this kernel.")
        return self._client

    def connect(self, url: str | None, token: str | None) -> SandboxAgent:
        """Use another server from now on; the session in use is left as it is, where it is."""
        client = SandboxAgent.connect(url, token)
        self.close()
        self._client = client
        return client

    def close(self) -> None:
        """Let go of the client; a local server it started ends, sessions stay on disk."""
        if self._client is not None:
            self._client.close()
        self._client, self.session = None, None

    def default_agent(self) -> str:
        """The first agent that is installed and has its credentials; the mock agent where none is."""
        usable = [a.id for a in self.client.agents() if a.installed and a.credentials_available]
        return next((agent for agent in usable if agent != "mock"), "mock")

    def new(self, agent: str | None, options: dict[str, Any]) -> Session:
        """Make a session and use it; without an agent, with the default one, and say which."""
        if agent is None:
            agent = self.default_agent()
            self.notes.append(f"Using the {agent} agent (another: %agent new AGENT).")
        given = {name: options[name] for name in SESSION_OPTIONS if options.get(name)}
        if options.get("permissions"):
            given["permission_policy"] = options["permissions"]
        cwd = Path(options.get("cwd") or ".").expanduser().resolve()
        self.session = self.client.create_session(agent, cwd=str(cwd), **given)
        return self.session

    def current(self, session_id: str | None = None) -> Session:
        """The session named, else the one in use.

        Raises `MagicUsageError` when there is none yet.
        """
        if session_id:
            return self.client.get_session(session_id)
        if self.session is None:
            raise MagicUsageError(self.none_in_use())
        return self.session

    def none_in_use(self) -> str:
        """What to do in a kernel that has no session, as after a restart."""
        newest = next(iter(self.client.list_sessions(limit=1)), None)
        again = f" Take up the newest ({newest.info.title or newest.id}): %agent use." if newest is not None else ""
        return f"no session in use here.{again} Make one: %agent new mock, or prompt: %agent prompt TEXT"

    def use(self, session_id: str) -> Session:
        """Take up the session named, or the newest. Raises `MagicUsageError` when there is none."""
        if session_id:
            self.session = self.client.get_session(session_id)
        elif newest := next(iter(self.client.list_sessions(limit=1)), None):
            self.session = newest
        else:
            raise MagicUsageError(self.none_in_use())
        return self.session

    def for_prompt(self, options: dict[str, Any]) -> Session:
        """The session a prompt goes to: the one named, the one in use if nothing asks for another, else a new one."""
        if options.get("session"):
            return self.current(options["session"])
        wants_new = any(options.get(name) for name in (*SESSION_OPTIONS, "permissions", "cwd"))
        agent = options.get("agent")
        if self.session is None or wants_new or (agent and agent != self.session.agent):
            return self.new(agent or (self.session.agent if self.session else None), options)
        return self.session

    def say_notes(self) -> None:
        """Print what was noted on the way."""
        for note in self.notes:
            print(note)  # noqa: T201
        self.notes.clear()

    def values(self, kind: str) -> Iterable[str]:
        """What completion offers; nothing before a server is in use, and nothing when it cannot be asked."""
        if self._client is None:
            return ()
        try:
            return self._values(self._client, kind)
        except SandboxAgentError:
            return ()

    def paths(self, start: str) -> Iterable[str]:
        """The server's paths that begin so, for completion; folders end with a slash."""
        if self._client is None:
            return ()
        folder, slash, _ = start.rpartition("/")
        try:
            entries = self._client.fs.list(folder + slash or ".")
        except SandboxAgentError:
            return ()
        return [f"{folder}{slash}{entry.name}{'/' if entry.is_dir else ''}" for entry in entries]

    def _values(self, client: SandboxAgent, kind: str) -> Iterable[str]:
        match kind:
            case "agents":
                return [agent.id for agent in client.agents()]
            case "sessions":
                return [session.id for session in client.list_sessions(limit=50).items]
            case "processes":
                return [process.id for process in client.processes.list()]
            case "windows":
                return [window.id for window in client.desktop.windows()]
        return self._of_session(kind)

    def _of_session(self, kind: str) -> Iterable[str]:
        if self.session is None:
            return ()
        if kind == "permissions":
            return [permission.id for permission in self.session.permissions().pending]
        return choices(self.session.info.config_options, self.session.info.modes, kind)


def choices(config_options: Iterable[JsonObject], modes: JsonObject | None, kind: str) -> list[str]:
    """The values an agent offers for ``models``, ``modes`` or ``thought_levels``."""
    category = kind.removesuffix("s")
    for option in config_options:
        if option.get("category") == category:
            entries = option.get("options") or ()
            flat = [inner for entry in entries for inner in (entry.get("options") or (entry,))]
            return [str(entry["value"]) for entry in flat if "value" in entry]
    available = (modes or {}).get("availableModes") or () if category == "mode" else ()
    return [str(mode["id"]) for mode in available]
