"""How turns fail, and what they used: the shapes in which agents tell it.

Real agents fail in four shapes: a JSON-RPC error; an ordinary message ("Error: ...") and then ``end_turn``; a private
notification; nothing at all and then ``end_turn``. Each becomes the same: a turn in state ``failed`` with an
``error``, and a notice of it where the transcript does not say it already. The last three are inferred, so the rules
are narrow and say so in ``error.inferred``:

- ``message``: the turn made no tool call, and its last message came in one piece (a model's words stream), opens like
  an error, and the agent accounted no tokens for the turn;
- ``notice``: the turn is empty, or ends with word of vain retries, and the agent had told of a fault in its own way;
- ``empty``: the turn is empty. A prompt that is a slash command may rightly have no answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from sandbox_agent.sessions.fold_turns import Turn
    from sandbox_agent.wire.base import JsonObject

_ERROR_OPENING = re.compile(
    r"\s*\**(?:(?:api |fatal |internal |request |unexpected )?error\b\**\s*[:(\d]"
    r"|failed to authenticate|authentication (?:failed|required)|unable to process your request|invalid api key"
    r"|exceeded retry limit, last status|we.re currently experiencing high demand|stream disconnected before completion"
    r"|you.ve hit your usage limit|quota exceeded|unexpected status \d{3}\b)",
    re.IGNORECASE,
)

_RETRIES = re.compile(r"Retrying \(attempt \d+/\d+, waiting \d+s\)\.\.\.\s*(?:Retry finished, resuming\.\s*)?\Z")
"""What Pi says while it tries again; nothing more when it gives up, while a good retry has its answer in between."""

RETRIED_IN_VAIN = (
    "The agent asked its provider again, in vain, and ended the turn. It gave no reason; its log may tell."
)
EMPTY_TURN = "The agent ended the turn without an answer. It gave no reason; its credentials or its log may tell."


def inferred_error(
    turn: Turn, stop_reason: str | None, usage: JsonObject | None, last_piece: str | None
) -> JsonObject | None:
    """The error of a turn that ended as if all were well; see the module's rules.

    ``last_piece`` is the text of its last message, when that came in one piece or ends with word of retries.
    """
    if stop_reason != "end_turn" or turn.command or turn.acted or not (turn.prompted and turn.alone):
        return None
    if not turn.answered:
        inferred = "notice" if turn.fault else "empty"
        return {"message": turn.fault or EMPTY_TURN, "inferred": inferred}
    if last_piece and ends_in_retries(last_piece):
        return {"message": turn.fault or RETRIED_IN_VAIN, "inferred": "notice"}
    accounted = any(value for key, value in (usage or {}).items() if key.endswith("Tokens"))
    if last_piece and not accounted and _ERROR_OPENING.match(last_piece):
        return {"message": last_piece.strip(), "inferred": "message"}
    return None


def ends_in_retries(text: str) -> bool:
    return _RETRIES.search(text) is not None


def usage_of(result: JsonObject) -> JsonObject | None:
    """What the agent accounted for the turn: ``usage``, else the token count some keep under ``_meta.quota``."""
    usage = result.get("usage")
    if isinstance(usage, dict):
        return usage
    count: Any = result
    for key in ("_meta", "quota", "token_count"):
        count = count.get(key) if isinstance(count, dict) else None
    if not isinstance(count, dict):
        return None
    names = {"input_tokens": "inputTokens", "output_tokens": "outputTokens"}
    return {names.get(str(key), str(key)): value for key, value in count.items()}


def error_text(error: JsonObject) -> str:
    """One readable line (or few) of a JSON-RPC error or a problem document.

    Some agents put their provider's JSON into ``message``, others the reason into ``data``.
    """
    message = error.get("detail") or error.get("message") or error.get("title") or "The agent reported an error."
    text = _unwrapped(message) if isinstance(message, str) else str(message)
    data = error.get("data")
    for key in ("details", "detail", "message", "reason", "error"):
        told = data.get(key) if isinstance(data, dict) else None
        if isinstance(told, str) and told and told not in text:
            text = f"{text}: {told}"
            break
    if isinstance(data, str) and data and data not in text:
        text = f"{text}: {data}"
    hint = error.get("hint")
    return f"{text}\nHint: {hint}" if isinstance(hint, str) and hint else text


def _unwrapped(message: str) -> str:
    if not message.lstrip().startswith("{"):
        return message
    try:
        told: Any = msgspec.json.decode(message)
    except msgspec.DecodeError:
        return message
    inner = told.get("error", told) if isinstance(told, dict) else None
    if isinstance(inner, dict) and isinstance(inner.get("message"), str):
        return str(inner["message"])
    return inner if isinstance(inner, str) else message


def private_notice(method: str, params: Any) -> str | None:
    """The text of an agent's private notification that tells of trouble; None for all others."""
    if not re.search(r"retry|error|fail|limit|warn|quota", method, re.IGNORECASE) or not isinstance(params, dict):
        return None
    verb = method.rsplit("/", 1)[-1].replace("_", " ").replace("-", " ").strip().capitalize()
    told = [params[key] for key in ("message", "category", "reason", "detail", "error") if params.get(key)]
    texts = [
        value.replace("_", " ") if i == 0 and " " not in value else value
        for i, value in enumerate(told)
        if isinstance(value, str)
    ]
    return f"{verb}: {' · '.join(texts)}" if texts else verb
