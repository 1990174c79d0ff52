"""Turns while they are being folded: begun, answered, ended; and the prompt's echo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.sessions.fold_faults import ends_in_retries, error_text, inferred_error
from sandbox_agent.sessions.fold_items import common
from sandbox_agent.wire.base import JsonObject
from sandbox_agent.wire.transcript import TurnItem

if TYPE_CHECKING:
    from sandbox_agent.sessions.fold_items import Items, Moment
    from sandbox_agent.sessions.fold_notes import Notes
    from sandbox_agent.sessions.fold_tools import Tools
    from sandbox_agent.wire.sessions import PromptState


class Turn(msgspec.Struct):
    """A turn that runs.

    ``echo`` is what of the prompt the agent has not repeated yet. ``alone`` is false once another turn ran beside it
    (a raw connection with two sessions): then nothing is inferred from what it has brought.
    """

    id: str
    echo: list[JsonObject] = []
    prompted: bool = False
    alone: bool = True
    command: bool = False
    answered: bool = False
    acted: bool = False
    fault: str | None = None
    exited: bool = False
    usage: JsonObject | None = None

    def prompt(self, blocks: list[JsonObject]) -> None:
        self.prompted = True
        self.echo = list(blocks)
        first = blocks[0].get("text") if blocks else None
        self.command = isinstance(first, str) and first.lstrip().startswith("/")

    def swallow(self, block: JsonObject) -> bool:
        """Whether a ``user_message_chunk`` only repeats our own prompt, whole or piece by piece."""
        for index, expected in enumerate(self.echo):
            if expected.get("type") != block.get("type"):
                continue
            if block.get("type") != "text":
                del self.echo[index]
                return True
            told, rest = block.get("text"), expected.get("text")
            if not isinstance(told, str) or not isinstance(rest, str):
                continue
            if rest.startswith(told) or rest.strip() == told.strip():
                self.echo[index] = {"type": "text", "text": rest[len(told) :]}
                return True
        return False


class TurnsState(msgspec.Struct):
    running: dict[str, Turn] = {}
    current: str | None = None
    spent: JsonObject | None = None


class Turns:
    """The turns that run, and the items of all. ``current`` is the id of the one that began last."""

    def __init__(self, items: Items, tools: Tools, notes: Notes, state: TurnsState | None = None) -> None:
        state = state or TurnsState()
        self._items = items
        self._tools = tools
        self._notes = notes
        self._running = state.running
        self.current = state.current
        self._spent = state.spent

    def state(self) -> TurnsState:
        return TurnsState(running=self._running, current=self.current, spent=self._spent)

    def now(self) -> Turn | None:
        """The turn that runs."""
        return self._running.get(self.current) if self.current is not None else None

    def item(self, prompt_id: str) -> TurnItem | None:
        item = self._items.get(f"turn:{prompt_id}")
        return item if isinstance(item, TurnItem) else None

    def answered(self) -> None:
        """The turn has brought something to see."""
        if (turn := self.now()) is not None:
            turn.answered = True

    def acted(self) -> None:
        """The turn has brought more than words."""
        if (turn := self.now()) is not None:
            turn.answered = turn.acted = True

    def begin(self, at: Moment, prompt_id: str) -> Turn | None:
        """The turn, begun if need be; None when it has ended already."""
        if prompt_id in self._running:
            return self._running[prompt_id]
        if self.item(prompt_id) is not None:
            return None
        for other in self._running.values():
            other.alone = False
        turn = self._running[prompt_id] = Turn(id=prompt_id, alone=not self._running)
        self.current = prompt_id
        told = common(at._replace(turn=prompt_id))
        self._items.put(TurnItem(id=f"turn:{prompt_id}", state="running", started_at_ms=at.created_ms, **told))
        return turn

    def end(
        self,
        at: Moment,
        prompt_id: str,
        state: PromptState,
        *,
        stop_reason: str | None = None,
        usage: JsonObject | None = None,
        error: JsonObject | None = None,
    ) -> None:
        """End a turn, or learn more of how it ended. A failure once known is not taken back."""
        at = at._replace(turn=prompt_id)
        turn = self._running.pop(prompt_id, None)
        item = self.item(prompt_id) or TurnItem(id=f"turn:{prompt_id}", state=state, **common(at))
        usage = usage or item.usage or (turn.usage if turn else None)
        if turn is not None and error is None and state == "completed":
            # Copilot accounts for the whole session: nothing was used when the sum has stayed as it was.
            used = usage if usage != self._spent else None
            error = inferred_error(turn, stop_reason, used, self._last_piece(prompt_id))
            self._spent = usage or self._spent
        if error is not None or item.state == "failed":
            state = "failed"
        exited = turn.exited if turn else item.stop_reason == "agent_exited"
        if error is not None and error.get("inferred") != "message" and not exited:
            self._notes.fault(at, prompt_id, error_text(error))
        ended = msgspec.structs.replace(
            item,
            updated=at.sequence,
            state=state,
            stop_reason=stop_reason or item.stop_reason,
            usage=usage,
            error=error or item.error,
            ended_at_ms=item.ended_at_ms or at.created_ms,
        )
        if turn is None and item.state != "running":
            self._items.put(ended)
            return
        self._tools.close(at, prompt_id, "failed" if state == "failed" else "cancelled")
        if self.current == prompt_id:
            self._items.close_stream()
            self.current = next(reversed(self._running), None)
        self._items.put_last(msgspec.structs.replace(ended, created=at.sequence))

    def _last_piece(self, prompt_id: str) -> str | None:
        stream = self._items.stream
        if stream is None or stream.turn != prompt_id or stream.speaker != "agent":
            return None
        text = stream.joined()
        return text if stream.chunks == 1 or ends_in_retries(text) else None
