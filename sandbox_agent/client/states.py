"""What the client follows: each stream's cursor, and what its events mean (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from sandbox_agent.client import api
from sandbox_agent.client.results import RESET, AcpMessage, SessionEvent, Transcript, TranscriptChange
from sandbox_agent.wire.base import Wire
from sandbox_agent.wire.transcript import TranscriptUpsert, item_order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.client.effects import Request
    from sandbox_agent.client.sse import SseEvent
    from sandbox_agent.wire.transcript import TranscriptItem

ENDED: Final = frozenset({"completed", "cancelled", "failed"})

_event_decoder: Final = msgspec.json.Decoder(SessionEvent)
_transcript_decoder: Final = msgspec.json.Decoder(Transcript)


class _Reset(Wire, frozen=True, kw_only=True):
    """The server's word that the events after ``after`` and before ``first`` are gone."""

    after: int
    first: int


class _Peek(msgspec.Struct, frozen=True):
    """What the client looks at in the server's own notifications and in prompts."""

    method: str | None = None
    params: Any = None


_peek_decoder: Final = msgspec.json.Decoder(_Peek)
_reset_decoder: Final = msgspec.json.Decoder(_Reset)
_upsert_decoder: Final = msgspec.json.Decoder(TranscriptUpsert)


class EventsState:
    """A session's events after a cursor, each once and in order."""

    def __init__(self, session_id: str, after: int) -> None:
        self.session_id = session_id
        self.cursor = after
        self.done = False

    def request(self) -> Request:
        return api.events_stream(self.session_id, self.cursor)

    def accept(self, event: SseEvent) -> Iterable[SessionEvent]:
        if event.name == "message":
            return self._message(_event_decoder.decode(event.data))
        if event.name == "reset":
            return self._reset(_reset_decoder.decode(event.data))
        return ()

    def _message(self, event: SessionEvent) -> Iterable[SessionEvent]:
        if event.sequence <= self.cursor:
            return ()
        self.cursor = event.sequence
        return (event,)

    def _reset(self, reset: _Reset) -> Iterable[SessionEvent]:
        """A gap is shown as an event of its own, numbered as the last of those that are gone."""
        if reset.first - 1 <= self.cursor:
            return ()
        self.cursor = reset.first - 1
        return (reset_event(self.session_id, reset.after, reset.first),)


class TurnState(EventsState):
    """The events of one prompt's turn; done when the turn has ended.

    Whether it ended among events that are gone by retention cannot be seen here: the reset event is passed on for
    the caller to ask.
    """

    def __init__(self, session_id: str, after: int, prompt_id: str) -> None:
        super().__init__(session_id, after)
        self.prompt_id = prompt_id
        self._inside = False

    def _message(self, event: SessionEvent) -> Iterable[SessionEvent]:
        fresh = super()._message(event)
        if not fresh:
            return ()
        marks, state = self._mark(event)
        if marks and state in ENDED:
            self.done = True
            return fresh if self._inside else ()
        self._inside = self._inside or marks
        return fresh if self._inside else ()

    def _mark(self, event: SessionEvent) -> tuple[bool, str | None]:
        """Whether ``event`` names this turn, and the state it gives it."""
        if event.sender == "agent":
            return False, None
        peek = _peek_decoder.decode(event.payload)
        params = peek.params if isinstance(peek.params, dict) else {}
        if peek.method == "_session/turn":
            return params.get("promptId") == self.prompt_id, params.get("state")
        if peek.method == "session/prompt":
            return (params.get("_meta") or {}).get("promptId") == self.prompt_id, "running"
        return False, None


class PermissionsState(EventsState):
    """Passes on only what says that a permission is asked, and resets, after which one may have been."""

    def _message(self, event: SessionEvent) -> Iterable[SessionEvent]:
        fresh = super()._message(event)
        if not fresh or event.sender != "server":
            return ()
        peek = _peek_decoder.decode(event.payload)
        asked = peek.method == "_session/permission" and (peek.params or {}).get("state") == "pending"
        return fresh if asked else ()


class TranscriptState:
    """A session's transcript as it grows: a snapshot first, then what changed."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.done = False
        self._cursor: int | None = None
        self._base: Transcript | None = None
        self._items: dict[str, TranscriptItem] = {}

    def request(self) -> Request:
        return api.transcript_stream(self.session_id, self._cursor)

    def accept(self, event: SseEvent) -> Iterable[TranscriptChange]:
        if event.name == "snapshot":
            return self._snapshot(_transcript_decoder.decode(event.data))
        if event.name == "upsert":
            return self._upsert(_upsert_decoder.decode(event.data))
        return ()

    def _snapshot(self, snapshot: Transcript) -> Iterable[TranscriptChange]:
        if self._cursor is not None and snapshot.sequence < self._cursor:
            return ()
        self._base, self._cursor = snapshot, snapshot.sequence
        self._items = {item.id: item for item in snapshot.items}
        return self._change(snapshot.items)

    def _upsert(self, upsert: TranscriptUpsert) -> Iterable[TranscriptChange]:
        if self._base is None or self._cursor is None or upsert.sequence <= self._cursor:
            return ()
        self._cursor = upsert.sequence
        if upsert.header is not None:
            self._base = msgspec.convert(upsert.header, Transcript, from_attributes=True)
        self._items.update((item.id, item) for item in upsert.items)
        return self._change(upsert.items)

    def _change(self, changed: tuple[TranscriptItem, ...]) -> Iterable[TranscriptChange]:
        assert self._base is not None  # noqa: S101 - both callers set it
        assert self._cursor is not None  # noqa: S101
        items = tuple(sorted(self._items.values(), key=item_order))
        transcript = msgspec.structs.replace(self._base, sequence=self._cursor, items=items)
        return (TranscriptChange(transcript, changed),)


class AcpState:
    """A raw ACP server's messages after a cursor."""

    def __init__(self, server_id: str, after: int | None) -> None:
        self.server_id = server_id
        self.cursor = after
        self.done = False

    def request(self) -> Request:
        return api.acp_stream(self.server_id, self.cursor)

    def accept(self, event: SseEvent) -> Iterable[AcpMessage]:
        if event.name != "message" or event.id is None or not event.id.isdigit():
            return ()
        sequence = int(event.id)
        if self.cursor is not None and sequence <= self.cursor:
            return ()
        self.cursor = sequence
        return (AcpMessage(sequence, event.data),)


def reset_event(session_id: str, after: int, first: int) -> SessionEvent:
    """An event that stands for those removed by retention."""
    body = {"jsonrpc": "2.0", "method": RESET, "params": {"after": after, "first": first}}
    return SessionEvent(
        sequence=first - 1,
        session_id=session_id,
        created_at_ms=0,
        sender="server",
        payload=msgspec.Raw(msgspec.json.encode(body)),
    )
