"""Giving an agent its memory back: it resumes, else it loads, else a new session is told the transcript."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from sandbox_agent.sessions.updates import kind_and_content
from sandbox_agent.wire.transcript import MessageItem, ToolCallItem

if TYPE_CHECKING:
    from sandbox_agent.sessions.handshake import Greeting
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.sessions import Continuity
    from sandbox_agent.wire.transcript import Transcript, TranscriptItem

Way: TypeAlias = Literal["session/resume", "session/load", "session/fork", "session/new"]

CONTINUITY: dict[Way, Continuity] = {
    "session/resume": "native",
    "session/load": "loaded",
    "session/fork": "native",
    "session/new": "rebootstrapped",
}

# Updates that tell of the session as it is, which also come while a history is replayed.
_PRESENT = frozenset(
    {
        "available_commands_update",
        "config_option_update",
        "current_mode_update",
        "session_info_update",
        "usage_update",
    }
)
_HISTORY = frozenset(
    {
        "user_message_chunk",
        "agent_message_chunk",
        "agent_thought_chunk",
        "tool_call",
        "tool_call_update",
        "plan",
        "plan_update",
        "plan_removed",
    }
)

REPLAY_LIMIT_S = 10.0
"""Longest wait for an agent that replays after its answer."""


def ways(greeting: Greeting, agent_session_id: str | None, *, fork: bool = False) -> tuple[Way, ...]:
    """The ways back that this agent offers, best first; or to a ``fork``, which must not be the session itself."""
    if fork:
        able = agent_session_id is not None and greeting.can("fork")
        return ("session/fork", "session/new") if able else ("session/new",)
    offered: list[Way] = []
    if agent_session_id is not None and greeting.can_resume():
        offered.append("session/resume")
    if agent_session_id is not None and greeting.can_load():
        offered.append("session/load")
    return (*offered, "session/new")


class Replay:
    """Recognises the history an agent replays around ``session/load``; that is in the journal already.

    From the request to its answer, all is history but updates of the session's present state. Some agents (gemini)
    answer first and replay then; so what would be history counts as such until the next prompt, and ``settled``
    waits for silence: a short one once the last prompt has been heard again.
    """

    def __init__(self, last_prompt: str | None) -> None:
        self._expected = _squeezed(last_prompt or "")
        self._heard = ""
        self._loading = True
        self._activity = asyncio.Event()

    def accept(self, raw: bytes) -> bool:
        """Whether a ``session/update`` is news and belongs into the journal."""
        kind, content = kind_and_content(raw)
        if kind in _PRESENT or (kind not in _HISTORY and not self._loading):
            return True
        self._activity.set()
        if kind == "user_message_chunk" and isinstance(content, dict) and isinstance(content.get("text"), str):
            self._heard = (self._heard + _squeezed(content["text"]))[-4 * len(self._expected) - 65536 :]
        return False

    def answered(self) -> None:
        """The answer to ``session/load`` came."""
        self._loading = False

    async def settled(self, quiet: float) -> None:
        """Wait until the history has been told: nothing of it came for ``quiet`` seconds, or a fifth of them."""
        end = time.monotonic() + REPLAY_LIMIT_S
        while time.monotonic() < end:
            self._activity.clear()
            try:
                await asyncio.wait_for(self._activity.wait(), quiet / 5 if self._expected in self._heard else quiet)
            except TimeoutError:
                return


class Past(NamedTuple):
    """A transcript as text for an agent; ``left_out`` items did not fit."""

    text: str
    left_out: int


def last_prompt(transcript: Transcript) -> str | None:
    """The text of the last message of the user."""
    for item in reversed(transcript.items):
        if isinstance(item, MessageItem) and item.role == "user":
            return _text(item.content) or None
    return None


def priming(transcript: Transcript, limit: int) -> JsonObject | None:
    """A content block that tells a new agent session what was said before; ``None`` when nothing was.

    The newest items that fit into ``limit`` characters. The mark in ``_meta`` keeps it out of our own transcript.
    """
    past = _past(transcript.items, limit)
    if past is None:
        return None
    left_out = f"(The {past.left_out} oldest entries are left out.)\n" if past.left_out else ""
    text = (
        "Your process was restarted. Here is the conversation so far, for your memory only: do not repeat any of it, "
        f"nor act on it again.\n<conversation>\n{left_out}{past.text}\n</conversation>\nThe user goes on:"
    )
    return {"type": "text", "text": text, "_meta": {"sandboxAgentPriming": True}}


def _past(items: tuple[TranscriptItem, ...], limit: int) -> Past | None:
    told = [entry for entry in map(_entry, items) if entry]
    kept: list[str] = []
    room = limit
    for entry in reversed(told):
        if len(entry) > room:
            break
        kept.append(entry)
        room -= len(entry) + 1
    if told and not kept:
        kept = ["… " + told[-1][-limit:]]
    return Past("\n".join(reversed(kept)), len(told) - len(kept)) if told else None


def _entry(item: TranscriptItem) -> str:
    if isinstance(item, MessageItem):
        text = _text(item.content)
        return f"{'User' if item.role == 'user' else 'You'}: {text}" if text else ""
    if isinstance(item, ToolCallItem):
        paths = ", ".join(str(place.get("path")) for place in item.locations if place.get("path"))
        return f"You used a tool ({item.kind}, {item.status}): {item.title}" + (f" [{paths}]" if paths else "")
    return ""


def _text(content: tuple[JsonObject, ...]) -> str:
    return "\n".join(_block_text(block) for block in content).strip()


def _block_text(block: JsonObject) -> str:
    resource: Any = block.get("resource")
    if isinstance(block.get("text"), str):
        return str(block["text"])
    if isinstance(resource, dict) and isinstance(resource.get("text"), str):
        return f"<resource uri={resource.get('uri')!r}>\n{resource['text']}\n</resource>"
    return f"<{block.get('type')} {block.get('uri') or block.get('mimeType') or ''}>".replace(" >", ">")


def _squeezed(text: str) -> str:
    return "".join(text.split())
