"""What the client's calls answer: the wire structs, dressed for a notebook, and a few values of the client's own.

`sandbox_agent.render` draws them; it is imported when something is first shown, so that nobody else pays for it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar, overload

import msgspec

from sandbox_agent.wire import agents, doctor, health, sessions
from sandbox_agent.wire import transcript as wire_transcript
from sandbox_agent.wire.base import Wire
from sandbox_agent.wire.transcript import MessageItem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.transcript import TranscriptItem

    class Printer(Protocol):
        """What IPython gives to write to."""

        def text(self, text: str, /) -> None: ...


T = TypeVar("T")

RESET: Final = "_session/reset"
"""Method of the event that stands for those removed by retention."""

SHOWN: Final = 60
"""Characters of a text that a ``repr`` shows."""


def pretty(shown: object, printer: Printer, _cycle: bool) -> None:
    """On a terminal, IPython shows as ``str()`` does what says so by ``_repr_pretty_``."""
    printer.text(str(shown))


class AgentInfo(agents.AgentInfo, frozen=True, kw_only=True):
    """An agent: whether it is installed and has credentials, and with ``config=True`` what it can be set to."""

    def __repr__(self) -> str:
        return f"<AgentInfo {self.id}{'' if self.installed else ' (not installed)'}>"

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.agents_html([self])


class DoctorReport(doctor.DoctorReport, omit_defaults=False, frozen=True, kw_only=True):
    """What works where the server runs, and the command that mends what does not."""

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.doctor_text(self)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.doctor_html(self)


class SessionInfo(sessions.SessionInfo, frozen=True, kw_only=True):
    """A session as it was when asked."""

    def __repr__(self) -> str:
        return f"<SessionInfo {self.id} {self.agent} {self.state}>"

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.session_text(self)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.session_html(self)


class PromptInfo(sessions.PromptInfo, frozen=True, kw_only=True):
    """A prompt as a job."""

    @property
    def done(self) -> bool:
        return self.state in {"completed", "cancelled", "failed"}

    def __repr__(self) -> str:
        return f"<PromptInfo {self.id} {self.state}>"

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.prompt_text(self)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.prompt_html(self)


class PermissionInfo(sessions.PermissionInfo, frozen=True, kw_only=True):
    """A permission request: ``title`` of the tool call, the agent's ``options``, and how it was resolved."""

    @property
    def title(self) -> str:
        return str(self.tool_call.get("title") or self.tool_call.get("toolCallId") or self.id)

    @property
    def kind(self) -> str:
        """The tool's kind in ACP's words (``edit``, ``execute``, ``read``, ...), ``other`` where it is not said."""
        return str(self.tool_call.get("kind") or "other")

    def __repr__(self) -> str:
        return f"<PermissionInfo {self.id} {self.state} {self.title!r}>"

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.permission_text(self)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.permission_html(self)


class HealthResponse(health.HealthResponse, frozen=True, kw_only=True):
    """``persisted`` is false while the server cannot write to its disk."""

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.card_html("Server", {"Status": self.status, "Persisted": self.persisted, "Problem": self.problem})


class Transcript(wire_transcript.Transcript, frozen=True, kw_only=True):
    """A session's folded view. In a notebook it shows itself; ``str()`` and :meth:`to_markdown` give text."""

    @property
    def text(self) -> str:
        """All that the agent said."""
        return messages_text(self.items)

    def turn(self, prompt_id: str) -> Transcript:
        """The part that belongs to one prompt."""
        return msgspec.structs.replace(self, items=tuple(item for item in self.items if item.turn == prompt_id))

    def to_markdown(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.to_markdown(self)

    def to_html(self) -> str:
        """Script-free HTML, readable in light and dark pages."""
        from sandbox_agent import render  # noqa: PLC0415

        return render.to_html(self)

    def to_notebook(self) -> JsonObject:
        """An nbformat 4 document."""
        from sandbox_agent import render  # noqa: PLC0415

        return render.to_notebook(self)

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.to_text(self)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        return self.to_html()


class SessionEvent(sessions.SessionEvent, frozen=True, kw_only=True):
    """One raw JSON-RPC envelope of a session, with accessors for what is most asked of it."""

    @property
    def message(self) -> JsonObject:
        """The envelope, decoded."""
        decoded: JsonObject = msgspec.json.decode(self.payload)
        return decoded

    @property
    def is_reset(self) -> bool:
        """Whether this stands for events that retention removed (made by the client; see ``Session.events``)."""
        return self.sender == "server" and self.method == RESET

    @property
    def method(self) -> str | None:
        """The envelope's method; ``None`` for responses."""
        return self.message.get("method")

    @property
    def update(self) -> JsonObject | None:
        """The ACP session update it carries, if it is one."""
        message = self.message
        if message.get("method") != "session/update":
            return None
        update: JsonObject | None = message.get("params", {}).get("update")
        return update

    def __repr__(self) -> str:
        update = self.update or {}
        what = self.method or "response"
        kind = f" {update['sessionUpdate']}" if "sessionUpdate" in update else ""
        return f"<SessionEvent {self.sequence} {self.sender} {what}{kind}>"

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.events_html([self])


class EventPage(Wire, frozen=True, kw_only=True):
    """Some events, and where the next page starts. ``reset``: events before the first were removed by retention."""

    items: tuple[SessionEvent, ...]
    next_after: int
    has_more: bool
    reset: bool = False

    def __iter__(self) -> Iterator[SessionEvent]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.events_html(self.items)


@dataclass(frozen=True, slots=True)
class AcpMessage:
    """One JSON-RPC message of a raw ACP server's stream; ``raw`` are its bytes as the agent wrote them."""

    sequence: int
    raw: bytes

    @property
    def message(self) -> JsonObject:
        decoded: JsonObject = msgspec.json.decode(self.raw)
        return decoded


@dataclass(frozen=True, slots=True)
class TranscriptChange:
    """The transcript after some events, and the items these changed.

    All of them on the first; none where only the title, the mode or the usage changed.
    """

    transcript: Transcript
    changed: tuple[TranscriptItem, ...]


@dataclass(frozen=True, slots=True, repr=False)
class PromptResult:
    """A finished turn: its ``info`` and the part of the transcript that belongs to it."""

    info: PromptInfo
    transcript: Transcript

    @property
    def text(self) -> str:
        """What the agent said in this turn; separate messages are separated by a blank line."""
        return messages_text(self.transcript.items)

    @property
    def stop_reason(self) -> str | None:
        """ACP's ``end_turn``, ``max_tokens``, ``max_turn_requests``, ``refusal`` or ``cancelled``."""
        return self.info.stop_reason

    @property
    def usage(self) -> JsonObject | None:
        """What the agent said that the turn used, in its own words."""
        return self.info.usage

    @property
    def state(self) -> sessions.PromptState:
        return self.info.state

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        text = textwrap.shorten(self.text, SHOWN, placeholder="…")
        return f"<PromptResult {self.info.state} {self.stop_reason or '-'} {text!r}>"

    def _repr_html_(self) -> str:
        return self.transcript.to_html()


class Listing(Sequence[T], Generic[T]):
    """A tuple with a display of its own."""

    __slots__ = ("items",)

    def __init__(self, items: Sequence[T]) -> None:
        self.items = tuple(items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.items)!r})"


class AgentList(Listing[AgentInfo]):
    """The agents the server knows, by position or by id."""

    __slots__ = ()

    def get(self, agent_id: str) -> AgentInfo | None:
        """The agent of that id."""
        return next((agent for agent in self.items if agent.id == agent_id), None)

    def __repr__(self) -> str:
        return f"AgentList({', '.join(agent.id + ('' if agent.installed else ' (not installed)') for agent in self)})"

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.agents_html(self.items)


class PermissionList(Listing[PermissionInfo]):
    """Permission requests, oldest first."""

    __slots__ = ()

    @property
    def pending(self) -> tuple[PermissionInfo, ...]:
        return tuple(permission for permission in self.items if permission.state == "pending")

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.table_html(
            ("Request", "Kind", "Title", "State", "Answer"),
            [(p.id, p.kind, p.title, p.state, p.reply or " | ".join(p.available_replies)) for p in self.items],
        )


class PromptList(Listing[PromptInfo]):
    """A session's prompts, in the order they were given."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.table_html(
            ("Prompt", "State", "Stop reason"), [(p.id, p.state, p.stop_reason or "") for p in self.items]
        )


def messages_text(items: Sequence[TranscriptItem]) -> str:
    """The text of the agent's messages among ``items``."""
    said = (
        "".join(str(block.get("text", "")) for block in item.content if block.get("type") == "text")
        for item in items
        if isinstance(item, MessageItem) and item.role == "agent"
    )
    return "\n\n".join(text for text in said if text)
