"""Notices, permissions and the transcript's header while they are being folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sandbox_agent.wire.base import JsonObject
from sandbox_agent.wire.sessions import PermissionOption
from sandbox_agent.wire.transcript import NoticeItem, PermissionItem

if TYPE_CHECKING:
    from sandbox_agent.sessions.fold_items import Items, Moment
    from sandbox_agent.wire.transcript import TranscriptItem

DETAIL_LIMIT = 4000
"""Characters of a notice's detail; the events hold the rest."""

_LEVELS = frozenset({"info", "warning", "error"})

_RESTORED = {
    "native": ("info", "The agent resumed the session."),
    "loaded": ("info", "The agent was restarted and loaded the session's history."),
    "rebootstrapped": (
        "warning",
        "The agent was restarted and told this transcript. What it kept to itself before is gone.",
    ),
    "lost": ("warning", "The agent was restarted without its memory of the session."),
}


class Header(msgspec.Struct):
    """What a transcript says of the session as a whole."""

    title: str | None = None
    usage: JsonObject | None = None
    available_commands: list[JsonObject] = []
    config_options: list[JsonObject] = []
    mode: str | None = None
    model: str | None = None
    thought_level: str | None = None


class Notes:
    """Writes notices into ``items``. A notice does not cut the message that is growing."""

    def __init__(self, items: Items, banner: str | None) -> None:
        self._items = items
        self.banner = banner

    def add(self, at: Moment, level: Any, text: str, detail: str | None = None, *, key: str | None = None) -> None:
        item_id = f"notice:{key or at.sequence}"
        while key is None and self._items.get(item_id) is not None:
            item_id += "+"
        known = self._items.get(item_id)
        self._items.put(
            NoticeItem(
                id=item_id,
                created=known.created if known else at.sequence,
                updated=at.sequence,
                created_at_ms=known.created_at_ms if known else at.created_ms,
                turn=at.turn,
                level=level if level in _LEVELS else "info",
                text=text,
                detail=_cut(detail),
            )
        )
        self.banner = None

    def told(self, at: Moment, params: JsonObject) -> None:
        text, detail = params.get("text"), params.get("detail")
        if isinstance(text, str) and text:
            self.add(at, params.get("level"), text, detail if isinstance(detail, str) else None)

    def fault(self, at: Moment, prompt_id: str, text: str) -> None:
        """The one notice of a turn's failure; told again, it is replaced."""
        first, _, rest = text.partition("\n")
        self.add(at, "error", first, rest.strip() or None, key=f"fault:{prompt_id}")

    def informational(self, at: Moment, meta: Any, block: JsonObject) -> bool:
        """Whether a message chunk is the adapter's own remark, not the model's words; then it is a notice."""
        vendors = meta.values() if isinstance(meta, dict) else ()
        told = next((v for v in vendors if isinstance(v, dict) and v.get("kind") == "informational"), None)
        text = block.get("text")
        if told is None or not isinstance(text, str):
            return False
        self.add(at, told.get("level"), text.removeprefix("**Warning:**").strip())
        return True

    def invalid_line(self, at: Moment, params: JsonObject) -> None:
        """Lines outside the protocol; those that follow each other are one notice."""
        raw = params.get("raw")
        raw = raw if isinstance(raw, str) else str(params.get("error") or "")
        known = self._items.get(self.banner) if self.banner else None
        if isinstance(known, NoticeItem):
            detail = _cut(f"{known.detail or ''}\n{raw}")
            self._items.put(msgspec.structs.replace(known, updated=at.sequence, detail=detail))
            return
        self.add(at, "warning", "The agent wrote something outside its protocol.", raw)
        self.banner = f"notice:{at.sequence}"

    def exited(self, at: Moment, params: JsonObject, *, busy: bool) -> tuple[str, str | None]:
        """The agent's process ended: text and stderr of the notice."""
        signal, code, stderr = params.get("signal"), params.get("code"), params.get("stderr")
        how = f"was ended by signal {signal}" if signal is not None else f"exited with code {code}"
        text = f"The agent's process {how}."
        detail = stderr if isinstance(stderr, str) and stderr.strip() else None
        calm = (params.get("success") is True or params.get("expected") is True) and not busy
        self.add(at, "info" if calm else "error", text, detail)
        return text, detail


def restored_notice(params: JsonObject) -> tuple[str, str, str | None]:
    level, text = _RESTORED.get(str(params.get("continuity")), ("info", "The agent was restarted."))
    reason = params.get("reason")
    if not isinstance(reason, str) or reason.strip(" .").lower() in text.lower():
        return level, text, None
    return level, text, reason


def options_notice(header: Header, params: JsonObject) -> str | None:
    """What changed among model, mode and thought level; nothing the first time they are told."""
    names = (("model", "model", "Model"), ("mode", "mode", "Mode"), ("thoughtLevel", "thought_level", "Thought level"))
    changed = []
    for key, field, label in names:
        value, before = params.get(key), getattr(header, field)
        if isinstance(value, str) and value and before is not None and value != before:
            changed.append(f"{label}: {value}")
    return " · ".join(changed) or None


def permission_item(
    known: TranscriptItem | None, request_id: str, params: JsonObject, common: dict[str, Any]
) -> PermissionItem:
    """A permission as last told; what a resolution leaves out stays."""
    call = params.get("toolCall")
    call = call if isinstance(call, dict) else {}
    if not isinstance(known, PermissionItem):
        known = PermissionItem(
            id=f"permission:{request_id}",
            request_id=request_id,
            tool_call_id=None,
            title="Permission",
            options=(),
            state="pending",
            **common,
        )
    title, call_id, state = params.get("title") or call.get("title"), params.get("toolCallId"), params.get("state")
    call_id = call_id or call.get("toolCallId")
    return msgspec.structs.replace(
        known,
        updated=common["updated"],
        turn=known.turn or params.get("promptId"),
        title=title if isinstance(title, str) else known.title,
        tool_call_id=call_id if isinstance(call_id, str) else known.tool_call_id,
        options=_options(params.get("options")) or known.options,
        state=state if state in {"pending", "selected", "cancelled"} else known.state,
        option_id=params.get("optionId") or known.option_id,
        reply=params.get("reply") or known.reply,
        resolved_by=params.get("resolvedBy") or known.resolved_by,
        resolved_by_name=params.get("resolvedByName") or known.resolved_by_name,
        rule=params.get("rule") or known.rule,
    )


def _options(told: Any) -> tuple[PermissionOption, ...]:
    options = []
    for option in told if isinstance(told, list) else []:
        try:
            options.append(msgspec.convert(option, PermissionOption))
        except msgspec.ValidationError:
            continue
    return tuple(options)


def _cut(detail: str | None) -> str | None:
    if detail is None or len(detail) <= DETAIL_LIMIT:
        return detail
    return detail[: DETAIL_LIMIT - 1] + "…"
