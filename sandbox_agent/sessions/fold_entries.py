"""Reading journal entries for the fold: only as much of each as is needed, and leniently."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from sandbox_agent.wire.base import JsonObject


class ChunkText(msgspec.Struct):
    type: str
    text: str


class ChunkUpdate(msgspec.Struct):
    content: ChunkText
    session_update: str = msgspec.field(name="sessionUpdate")
    message_id: str | None = msgspec.field(name="messageId", default=None)
    meta: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="_meta", default=msgspec.UNSET)


class ChunkParams(msgspec.Struct):
    update: ChunkUpdate


class ChunkEnvelope(msgspec.Struct):
    method: str
    params: ChunkParams


decode_chunk = msgspec.json.Decoder(ChunkEnvelope).decode


def request_key(request_id: Any) -> str:
    """JSON-RPC ids as a key: ``1`` and ``"1"`` are two ids."""
    return msgspec.json.encode(request_id).decode()


def text_of(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def objects_of(value: Any) -> list[JsonObject]:
    return [element for element in value if isinstance(element, dict)] if isinstance(value, list) else []


def decode(payload: bytes) -> JsonObject | None:
    """The entry's object. JavaScript cuts text between the halves of a surrogate pair, which strict JSON refuses."""
    try:
        message = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        try:
            message = json.loads(payload.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None
        message = _without_surrogates(message)
    except RecursionError:
        return None
    return message if isinstance(message, dict) else None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(element) for element in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(element) for key, element in value.items()}
    return value
