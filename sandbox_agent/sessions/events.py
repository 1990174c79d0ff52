"""The server's own entries in a session's journal: JSON-RPC notifications whose method starts with ``_session/``.

The transcript fold reads them; clients see them among the events, with sender ``server``. Members that are ``None``
are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from sandbox_agent.wire.sessions import Continuity, PermissionInfo, PromptInfo


def notification(method: str, **params: Any) -> bytes:
    """One entry."""
    given = {key: value for key, value in params.items() if value is not None}
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": given})


def turn(prompt: PromptInfo) -> bytes:
    """A turn began or ended."""
    return notification(
        "_session/turn",
        promptId=prompt.id,
        state=prompt.state,
        stopReason=prompt.stop_reason,
        usage=prompt.usage,
        error=prompt.error,
    )


def permission(asked: PermissionInfo) -> bytes:
    """A permission was asked for or resolved."""
    return notification(
        "_session/permission",
        requestId=asked.id,
        toolCallId=asked.tool_call.get("toolCallId"),
        title=asked.tool_call.get("title"),
        options=msgspec.to_builtins(asked.options),
        toolCall=asked.tool_call,
        promptId=asked.prompt_id,
        state=asked.state,
        optionId=asked.option_id,
        reply=asked.reply,
        resolvedBy=asked.resolved_by,
        resolvedByName=asked.resolved_by_name,
        rule=asked.rule,
        reason=asked.reason,
    )


def restored(continuity: Continuity, reason: str) -> bytes:
    """A new agent process took the session over."""
    return notification("_session/restored", continuity=continuity, reason=reason)


def options(model: str | None, mode: str | None, thought_level: str | None) -> bytes:
    """The effective model, mode and thought level."""
    return notification("_session/options", model=model, mode=mode, thoughtLevel=thought_level)


def notice(level: str, text: str, detail: str | None = None) -> bytes:
    """Something a reader should know that nobody said."""
    return notification("_session/notice", level=level, text=text, detail=detail)
