"""The folded view of a session: items upserted by id.

Every view (widget, HTML, Markdown, notebook, command line) renders these; none interprets ACP. ``updated`` is the
sequence of the event that last changed an item, so "what changed after N" is a filter.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from sandbox_agent.wire.base import Json, JsonObject, Wire
from sandbox_agent.wire.sessions import PermissionOption, PermissionState, PromptState, Reply


class _Item(Wire, tag_field="type", frozen=True, kw_only=True):
    """``turn`` is the id of the prompt the item belongs to; absent outside turns."""

    id: str
    created: int
    updated: int
    created_at_ms: int
    turn: str | None = None


class MessageItem(_Item, tag="message", frozen=True, kw_only=True):
    """Consecutive chunks of one speaker, adjacent text joined; ``content`` are ACP content blocks."""

    role: Literal["user", "agent"]
    content: tuple[JsonObject, ...]


class ThoughtItem(_Item, tag="thought", frozen=True, kw_only=True):
    content: tuple[JsonObject, ...]


class ToolCallItem(_Item, tag="tool_call", frozen=True, kw_only=True):
    """``content`` are ACP tool call contents: ``content``, ``diff``, ``terminal``.

    A ``terminal`` has ``output``, ``truncated`` and ``exitStatus`` when known. Status ``cancelled`` is ours: the turn
    ended and the agent never told the call's outcome.
    """

    tool_call_id: str
    title: str
    kind: str
    status: Literal["pending", "in_progress", "completed", "failed", "cancelled"]
    content: tuple[JsonObject, ...] = ()
    locations: tuple[JsonObject, ...] = ()
    raw_input: Json = None
    raw_output: Json = None


class PlanItem(_Item, tag="plan", frozen=True, kw_only=True):
    """A plan is a list of ``entries``, or (newer agents) a ``markdown`` text or a file (``uri``)."""

    entries: tuple[JsonObject, ...]
    markdown: str | None = None
    uri: str | None = None
    removed: bool = False


class PermissionItem(_Item, tag="permission", frozen=True, kw_only=True):
    """``resolved_by``: ``client``, ``policy`` or ``cancel``."""

    request_id: str
    tool_call_id: str | None
    title: str
    options: tuple[PermissionOption, ...]
    state: PermissionState
    option_id: str | None = None
    reply: Reply | None = None
    resolved_by: str | None = None
    resolved_by_name: str | None = None
    rule: str | None = None


class NoticeItem(_Item, tag="notice", frozen=True, kw_only=True):
    """What is neither agent's nor user's word: exits, restarts, mode changes, lines that were not JSON."""

    level: Literal["info", "warning", "error"]
    text: str
    detail: str | None = None


class TurnItem(_Item, tag="turn", frozen=True, kw_only=True):
    """How a turn stands.

    While ``running`` it is the last item; when the turn ends, ``created`` becomes the sequence of its end (see
    ``item_order``).

    ``error`` is the agent's JSON-RPC error, a problem document, or ``{"message", "inferred"}`` where the agent failed
    without saying so; the state is ``failed`` for each.
    """

    state: PromptState
    stop_reason: str | None = None
    usage: JsonObject | None = None
    error: JsonObject | None = None
    started_at_ms: int | None = None
    ended_at_ms: int | None = None


class UnknownItem(_Item, tag="unknown", frozen=True, kw_only=True):
    """An update of a kind unknown to this version, untouched."""

    update: JsonObject


TranscriptItem: TypeAlias = (
    MessageItem | ThoughtItem | ToolCallItem | PlanItem | PermissionItem | NoticeItem | TurnItem | UnknownItem
)


_RANKS = {PermissionItem: 1, NoticeItem: 2, TurnItem: 3}


def item_order(item: TranscriptItem) -> tuple[bool, int, int, str]:
    """The key that puts items in their order, for those who join upserts to what they have.

    By ``created``, a running turn last; of one event a permission comes after its call, a turn after its notices.
    """
    return (isinstance(item, TurnItem) and item.state == "running", item.created, _RANKS.get(type(item), 0), item.id)


class Transcript(Wire, frozen=True, kw_only=True):
    """A snapshot: everything folded up to event ``sequence``.

    ``usage`` is the last ``usage_update`` (context tokens ``used`` of ``size``, ``cost``).
    """

    session_id: str
    sequence: int
    items: tuple[TranscriptItem, ...]
    agent: str | None = None
    title: str | None = None
    usage: JsonObject | None = None
    available_commands: tuple[JsonObject, ...] = ()
    config_options: tuple[JsonObject, ...] = ()
    mode: str | None = None
    model: str | None = None
    thought_level: str | None = None


class TranscriptUpsert(Wire, frozen=True, kw_only=True):
    """What changed up to event ``sequence``: items by id, and the ``header`` (a transcript without items) if it did."""

    sequence: int
    items: tuple[TranscriptItem, ...]
    header: Transcript | None = None
