"""Tool calls while they are being folded: partial updates, terminals, and calls the agent never closed.

An update replaces the fields it names (ACP: "only the fields being updated"), creates the call when it is the first
to name it, and never lowers what is known. A terminal's output comes either from the client's own terminals
(``terminal/output``) or in an update's ``_meta`` (``terminal_output``, ``terminal_output_delta``, ``terminal_exit``);
it is shown inside the call's ``terminal`` content as ``output``, ``truncated`` and ``exitStatus``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import msgspec

from sandbox_agent.wire.base import JsonObject
from sandbox_agent.wire.transcript import ToolCallItem

if TYPE_CHECKING:
    from sandbox_agent.sessions.fold_items import Items, Moment

OUTPUT_LIMIT = 1 << 20
"""Characters of a terminal's output that are kept: its end, as ACP's own ``terminal/output`` truncates."""

ToolStatus: TypeAlias = Literal["pending", "in_progress", "completed", "failed", "cancelled"]

_STATUSES = frozenset({"pending", "in_progress", "completed", "failed", "cancelled"})
_OPEN = frozenset({"pending", "in_progress"})


class Terminal(msgspec.Struct):
    call: str | None = None
    pieces: list[str] = []
    size: int = 0
    truncated: bool = False
    exit_status: JsonObject | None = None

    def append(self, data: str) -> None:
        self.pieces.append(data)
        self.size += len(data)
        if self.size > 2 * OUTPUT_LIMIT:
            self.output()

    def replace(self, output: str, *, truncated: bool) -> None:
        self.pieces, self.size, self.truncated = [output], len(output), truncated

    def output(self) -> str:
        text = "".join(self.pieces)
        if len(text) > OUTPUT_LIMIT:
            text, self.truncated = text[-OUTPUT_LIMIT:], True
        self.pieces, self.size = [text] if text else [], len(text)
        return text


class ToolsState(msgspec.Struct):
    calls: dict[str, str] = {}
    open: list[str] = []
    closed: list[str] = []
    terminals: dict[str, Terminal] = {}


class Tools:
    """Tool calls by the agent's own id, kept in ``items``."""

    def __init__(self, items: Items, state: ToolsState | None = None) -> None:
        state = state or ToolsState()
        self._items = items
        self._calls = state.calls
        self._open = dict.fromkeys(state.open)
        self._closed = set(state.closed)
        self._terminals = state.terminals
        self._stale: set[str] = set()

    def state(self) -> ToolsState:
        self.settle()
        return ToolsState(
            calls=self._calls, open=list(self._open), closed=sorted(self._closed), terminals=self._terminals
        )

    def update(self, at: Moment, update: JsonObject) -> None:
        """A ``tool_call`` or ``tool_call_update``."""
        call_id = update.get("toolCallId")
        if not isinstance(call_id, str) or not call_id:
            return
        item = self._known(at, call_id, restarts=update.get("sessionUpdate") == "tool_call")
        changes = _changes(update)
        if item is None:
            item = self._create(at, call_id, changes, update)
        else:
            if changes.get("status") in _OPEN and item.id in self._closed:
                del changes["status"]
            item = msgspec.structs.replace(item, updated=at.sequence, **changes)
            self._items.put(item)
        self._track(item)
        self._take_meta(item, update.get("_meta"))

    def requested(self, at: Moment, call: JsonObject) -> None:
        """The call a permission request names: new when nothing else did; else it only fills what was empty."""
        call_id = call.get("toolCallId")
        if not isinstance(call_id, str) or not call_id:
            return
        item = self._known(at, call_id, restarts=False)
        if item is None:
            self.update(at, call)
            return
        changes = _changes(call)
        gaps = {key: value for key, value in changes.items() if value and not getattr(item, key)}
        if item.kind == "other" and "kind" in changes:
            gaps["kind"] = changes["kind"]
        if item.title.isalnum() and "title" in changes:  # no more than the tool's name ("Edit")
            gaps["title"] = changes["title"]
        if gaps:
            item = msgspec.structs.replace(item, updated=at.sequence, **gaps)
            self._items.put(item)
            self._track(item)

    def close(self, at: Moment, turn: str | None, status: ToolStatus) -> None:
        """Close the calls a turn left open (all open ones when ``turn`` is None)."""
        for item_id in list(self._open):
            item = cast("ToolCallItem", self._items.get(item_id))
            if turn is None or item.turn == turn:
                self._items.put(msgspec.structs.replace(item, updated=at.sequence, status=status))
                self._closed.add(item_id)
                del self._open[item_id]

    def replace_output(self, at: Moment, terminal_id: str, output: str, *, truncated: bool) -> None:
        self._terminal(terminal_id).replace(output, truncated=truncated)
        self._touch_terminal(at.sequence, terminal_id)

    def exited(self, at: Moment, terminal_id: str, status: JsonObject) -> None:
        self._terminal(terminal_id).exit_status = status
        self._touch_terminal(at.sequence, terminal_id)

    def settle(self) -> None:
        """Write the terminals' output into the items that show them."""
        for item_id in self._stale:
            item = cast("ToolCallItem", self._items.get(item_id))
            content = tuple(self._with_output(block) for block in item.content)
            self._items.refresh(msgspec.structs.replace(item, content=content))
        self._stale.clear()

    def _known(self, at: Moment, call_id: str, *, restarts: bool) -> ToolCallItem | None:
        item = cast("ToolCallItem | None", self._items.get(self._calls.get(call_id, "")))
        if item is not None and restarts and item.turn != at.turn and item.status not in _OPEN:
            return None  # the agent uses an id again in a later turn: another call
        return item

    def _create(self, at: Moment, call_id: str, changes: dict[str, Any], update: JsonObject) -> ToolCallItem:
        item_id = f"tool:{call_id}" if call_id not in self._calls else f"tool:{call_id}:{at.sequence}"
        self._calls[call_id] = item_id
        name = update.get("name")
        defaults: dict[str, Any] = {
            "title": name if isinstance(name, str) and name else "Tool call",
            "kind": "other",
            "status": "pending",
        }
        item = ToolCallItem(
            id=item_id,
            created=at.sequence,
            updated=at.sequence,
            created_at_ms=at.created_ms,
            turn=at.turn,
            tool_call_id=call_id,
            **defaults | changes,
        )
        self._items.close_stream()
        self._items.put(item)
        return item

    def _track(self, item: ToolCallItem) -> None:
        if item.status in _OPEN:
            self._open[item.id] = None
        else:
            self._open.pop(item.id, None)
        for block in item.content:
            if block.get("type") == "terminal" and isinstance(block.get("terminalId"), str):
                self._terminal(block["terminalId"]).call = item.id
                self._stale.add(item.id)

    def _take_meta(self, item: ToolCallItem, meta: Any) -> None:
        if not isinstance(meta, dict):
            return
        for key in ("terminal_output", "terminal_output_delta"):
            told = meta.get(key)
            if isinstance(told, dict) and isinstance(told.get("data"), str):
                self._shown_terminal(item, told).append(told["data"])
        told = meta.get("terminal_exit")
        if isinstance(told, dict):
            terminal = self._shown_terminal(item, told)
            terminal.exit_status = {"exitCode": told.get("exit_code"), "signal": told.get("signal")}

    def _shown_terminal(self, item: ToolCallItem, told: JsonObject) -> Terminal:
        """The terminal a ``_meta`` speaks of; the call shows it even where its content does not name it."""
        terminal_id = told.get("terminal_id")
        if not isinstance(terminal_id, str):
            terminal_id = item.tool_call_id
        terminal = self._terminal(terminal_id)
        current = cast("ToolCallItem", self._items.get(item.id))
        if not any(block.get("terminalId") == terminal_id for block in current.content):
            content = (*current.content, {"type": "terminal", "terminalId": terminal_id})
            self._items.put(msgspec.structs.replace(current, content=content))
        terminal.call = item.id
        self._stale.add(item.id)
        return terminal

    def _terminal(self, terminal_id: str) -> Terminal:
        return self._terminals.setdefault(terminal_id, Terminal())

    def _touch_terminal(self, sequence: int, terminal_id: str) -> None:
        call = self._terminals[terminal_id].call
        item = self._items.get(call) if call else None
        if item is not None:
            self._items.put(msgspec.structs.replace(item, updated=sequence))
            self._stale.add(item.id)

    def _with_output(self, block: JsonObject) -> JsonObject:
        terminal = self._terminals.get(block.get("terminalId", "")) if block.get("type") == "terminal" else None
        if terminal is None:
            return block
        shown = {**block, "output": terminal.output()}
        if terminal.truncated:
            shown["truncated"] = True
        if terminal.exit_status is not None:
            shown["exitStatus"] = terminal.exit_status
        return shown


def _changes(update: JsonObject) -> dict[str, Any]:
    """The fields of our item that an update sets; what is absent, null or of a wrong type sets nothing."""
    changes: dict[str, Any] = {}
    for key in ("title", "kind"):
        if isinstance(update.get(key), str) and update[key]:
            changes[key] = update[key]
    if update.get("status") in _STATUSES:
        changes["status"] = update["status"]
    for key in ("content", "locations"):
        if isinstance(update.get(key), list):
            changes[key] = tuple(block for block in update[key] if isinstance(block, dict))
    for key, name in (("rawInput", "raw_input"), ("rawOutput", "raw_output")):
        if update.get(key) is not None:
            changes[name] = update[key]
    return changes
