"""A permission request's life: pending, then selected or cancelled, once. Pure values in, values out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from sandbox_agent.problems import Conflict, InvalidRequest
from sandbox_agent.sessions.policy import option_for, replies_for, reply_of
from sandbox_agent.wire.sessions import PermissionInfo, PermissionOption

if TYPE_CHECKING:
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.sessions import CancelReason, PermissionAnswer


_CANCELLED: dict[CancelReason, str] = {
    "turn_cancelled": "by a cancel of its turn",
    "turn_ended": "by the end of its turn",
    "agent_exited": "since the agent that asked is gone",
    "server_restarted": "since the server was restarted and the agent that asked is gone",
}


def asked(
    permission_id: str,
    session_id: str,
    *,
    options: Any,
    tool_call: JsonObject,
    prompt_id: str | None,
    now_ms: int,
) -> PermissionInfo:
    """A request as it comes from the agent; entries of ``options`` that are no options are left out."""
    offered = tuple(_options(options))
    return PermissionInfo(
        id=permission_id,
        session_id=session_id,
        state="pending",
        created_at_ms=now_ms,
        options=offered,
        tool_call=tool_call,
        available_replies=replies_for(offered),
        prompt_id=prompt_id,
    )


def chosen(info: PermissionInfo, answer: PermissionAnswer) -> PermissionOption | None:
    """The option a person's answer stands for; ``None``: rejected, and the agent offered no option for that.

    Raises ``Conflict`` with the resolution when it is resolved already, ``InvalidRequest`` for an answer it cannot
    be given.
    """
    if info.state != "pending":
        raise already_resolved(info)
    if (answer.reply is None) == (answer.option_id is None):
        raise InvalidRequest(
            "exactly one of reply and optionId is wanted", hint="reply is once, always or reject", **_choices(info)
        )
    if answer.reply is not None:
        if answer.reply not in info.available_replies:
            raise InvalidRequest(f"this request cannot be answered with {answer.reply!r}", **_choices(info))
        return option_for(answer.reply, info.options)
    for option in info.options:
        if option.option_id == answer.option_id:
            return option
    raise InvalidRequest(f"this request has no option {answer.option_id!r}", **_choices(info))


def resolved(
    info: PermissionInfo,
    option: PermissionOption | None,
    *,
    by: Literal["client", "policy", "cancel"],
    now_ms: int,
    name: str | None = None,
    rule: str | None = None,
    reason: CancelReason | None = None,
) -> PermissionInfo:
    """The request with its resolution; without an option it is cancelled."""
    rejected = option is None and by != "cancel"
    return msgspec.structs.replace(
        info,
        state="cancelled" if option is None else "selected",
        option_id=option.option_id if option else None,
        reply="reject" if rejected else reply_of(option) if option else None,
        resolved_at_ms=now_ms,
        resolved_by=by,
        resolved_by_name=name,
        rule=rule,
        reason=reason,
    )


def outcome(info: PermissionInfo) -> JsonObject:
    """What the agent is answered."""
    if info.state == "selected":
        return {"outcome": {"outcome": "selected", "optionId": info.option_id}}
    return {"outcome": {"outcome": "cancelled"}}


def already_resolved(info: PermissionInfo) -> Conflict:
    """The problem of a late answer: it names who was first, and what they said."""
    how = {
        "client": f"by {info.resolved_by_name or 'another client'}",
        "policy": "by the session's policy",
        "cancel": _CANCELLED.get(info.reason or "turn_cancelled"),
    }
    return Conflict(
        f"permission {info.id} is resolved already, {how[info.resolved_by or 'client']}",
        sessionId=info.session_id,
        permission=msgspec.to_builtins(info),
    )


def _choices(info: PermissionInfo) -> dict[str, Any]:
    return {
        "availableReplies": list(info.available_replies),
        "availableOptions": [option.option_id for option in info.options],
    }


def _options(offered: Any) -> list[PermissionOption]:
    options = []
    for entry in offered if isinstance(offered, list) else []:
        try:
            options.append(msgspec.convert(entry, PermissionOption))
        except msgspec.ValidationError:
            continue
    return options
