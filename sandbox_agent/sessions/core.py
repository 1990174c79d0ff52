"""What the parts of one session share: its row, its journal, and telling of what happens."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox_agent.journal import Sender
from sandbox_agent.sessions import events
from sandbox_agent.sessions.private import Private, Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.journal import Journal, Retention
    from sandbox_agent.sessions.options import AgentOptions
    from sandbox_agent.sessions.records import SessionRecords, SessionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Seconds, and how much a new agent process is told of the past (characters)."""

    initialize_deadline: float = 60.0
    """For ``initialize``, which starts the agent's own program."""
    session_deadline: float = 60.0
    """For ``session/new``, ``session/load``, ``session/resume`` and for setting an option."""
    cancel_grace: float = 5.0
    """How long an agent may take to obey a cancel before it is ended."""
    end_grace: float = 2.0
    """How long an agent's processes get between SIGTERM and SIGKILL."""
    replay_quiet: float = 0.5
    """Silence after which a history that an agent replays late counts as told."""
    priming_characters: int = 48_000
    retention: Retention | None = None
    """Of the session journals; ``None`` keeps everything. What is not in a checkpoint is never removed."""


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Core:
    """``changed`` is called after the row changed. Rows are saved once the session is made (``persist``)."""

    def __init__(
        self,
        row: SessionRow,
        journal: Journal,
        records: SessionRecords,
        settings: SessionOptions,
        emit: Callable[[str, dict[str, Any]], None] | None,
        *,
        private: Private | None = None,
    ) -> None:
        self.row = row
        self.private = private or Private()
        self.redact = Redactor(())
        self.journal = journal
        self.records = records
        self.settings = settings
        self.persist = False
        self._emit = emit

    @property
    def id(self) -> str:
        return self.row.id

    def change(self, **fields: Any) -> None:
        """Change the row and save it."""
        self.row = msgspec.structs.replace(self.row, updated_at_ms=now_ms(), last_sequence=self.journal.head, **fields)
        self.save()

    def save(self) -> None:
        if self.persist:
            self.records.put_session(self.row)

    def note(self, payload: bytes) -> int:
        """An entry of the server's own in the journal; its sequence. Nothing is added once the journal is closed."""
        if self.journal.closed:
            return self.journal.head
        return self.journal.append(payload, Sender.SERVER)

    def set_options(self, options: AgentOptions) -> None:
        """Take over what the agent offers and has chosen; tell when the effective values changed."""
        if options == self.row.options:
            return
        before = effective(self.row.options)
        self.change(options=options)
        if effective(options) != before:
            self.note(events.options(*effective(options)))

    def tell(self, name: str, **data: Any) -> None:
        """An event for the server's event log: ids and states, never what anyone said."""
        if self._emit is not None:
            given = {key: value for key, value in data.items() if value is not None}
            self._emit(name, {"sessionId": self.id, "agent": self.row.agent, **given})


def effective(options: AgentOptions) -> tuple[str | None, str | None, str | None]:
    """Model, mode and thought level."""
    return options.current("model"), options.current("mode"), options.current("thought_level")
