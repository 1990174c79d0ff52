"""The few things of an agent's stream that a session itself acts on. All else is left to the transcript fold.

Most lines are chunks of text and are not decoded: a search in their bytes tells that they are of no interest here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from sandbox_agent.wire.base import JsonObject

_INTERESTING = (b'"tool_call', b'"config_option_update"', b'"current_mode_update"', b'"session_info_update"')

_OPEN = frozenset({"pending", "in_progress", None})


class _Kind(msgspec.Struct):
    kind: str | None = msgspec.field(name="sessionUpdate", default=None)
    content: Any = None


class _KindParams(msgspec.Struct):
    update: _Kind | None = None


class _KindEnvelope(msgspec.Struct):
    params: _KindParams | None = None


_kind = msgspec.json.Decoder(_KindEnvelope).decode


def interesting(raw: bytes) -> JsonObject | None:
    """The update of a ``session/update`` that a session acts on, decoded; ``None`` for all others."""
    if not any(mark in raw for mark in _INTERESTING):
        return None
    try:
        params = msgspec.json.decode(raw).get("params")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
        return None
    update = params.get("update") if isinstance(params, dict) else None
    return update if isinstance(update, dict) else None


def kind_and_content(raw: bytes) -> tuple[str | None, Any]:
    """Kind and content of any ``session/update``."""
    try:
        params = _kind(raw).params
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, None
    update = params.update if params is not None else None
    return (update.kind, update.content) if update is not None else (None, None)


class ToolCalls:
    """What was told of tool calls that are not done yet: a permission request may only name one of them."""

    def __init__(self) -> None:
        self._open: dict[str, JsonObject] = {}

    def update(self, update: JsonObject) -> None:
        call_id = update.get("toolCallId")
        if update.get("sessionUpdate") not in {"tool_call", "tool_call_update"} or not isinstance(call_id, str):
            return
        told = {key: value for key, value in update.items() if key != "sessionUpdate" and value is not None}
        known = self._open.setdefault(call_id, {})
        known.update(told)
        if known.get("status") not in _OPEN:
            del self._open[call_id]

    def shown(self, asked: JsonObject) -> JsonObject:
        """The tool call of a permission request: what it says itself, over what was told before."""
        return {**self._known(asked), **_given(asked)}

    def judged(self, asked: JsonObject) -> JsonObject:
        """The same for a policy: every path that was ever named counts."""
        known, shown = self._known(asked), self.shown(asked)
        both = {key: _list(known.get(key)) + _list(asked.get(key)) for key in ("locations", "content")}
        return {**shown, **both}

    def clear(self) -> None:
        self._open.clear()

    def _known(self, asked: JsonObject) -> JsonObject:
        call_id = asked.get("toolCallId")
        return self._open.get(call_id, {}) if isinstance(call_id, str) else {}


def _given(asked: JsonObject) -> JsonObject:
    return {key: value for key, value in asked.items() if value not in (None, [], {}, "")}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
