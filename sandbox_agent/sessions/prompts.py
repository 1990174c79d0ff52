"""A prompt's life as a job: queued, running, then completed, cancelled or failed. Pure values in, values out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from sandbox_agent.problems import InvalidRequest
from sandbox_agent.sessions.fold_faults import usage_of
from sandbox_agent.wire.base import JsonObject
from sandbox_agent.wire.content import suited, taken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox_agent.sessions.options import AgentOptions
    from sandbox_agent.wire.sessions import PromptInfo

FINAL = frozenset({"completed", "cancelled", "failed"})

AGENT_EXITED = "agent_exited"

_MEMBERS = {
    "text": ("text",),
    "image": ("data", "mimeType"),
    "audio": ("data", "mimeType"),
    "resource_link": ("uri", "name"),
    "resource": ("resource",),
}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn ended."""

    state: Literal["completed", "cancelled", "failed"]
    stop_reason: str | None = None
    usage: JsonObject | None = None
    meta: JsonObject | None = None
    error: JsonObject | None = None


CANCELLED = Outcome(state="cancelled", stop_reason="cancelled")


def blocks_of(prompt: str | tuple[JsonObject, ...]) -> tuple[JsonObject, ...]:
    """The content blocks of a prompt; raises ``InvalidRequest`` for what is none."""
    if isinstance(prompt, str):
        prompt = ({"type": "text", "text": prompt},)
    if not prompt:
        raise InvalidRequest("the prompt is empty")
    for index, block in enumerate(prompt):
        kind = block.get("type")
        if kind not in _MEMBERS:
            known = ", ".join(_MEMBERS)
            raise InvalidRequest(f"prompt[{index}] has type {kind!r}", hint=f"content blocks are {known}")
        for member in _MEMBERS[kind]:
            if not isinstance(block.get(member), dict if member == "resource" else str):
                raise InvalidRequest(f"prompt[{index}], of type {kind}, has no {member}")
    if all(block["type"] == "text" and not block["text"].strip() for block in prompt):
        raise InvalidRequest("the prompt is empty")
    return prompt


def for_agent(
    blocks: tuple[JsonObject, ...], capabilities: Mapping[str, Any] | None, *, agent: str
) -> tuple[JsonObject, ...]:
    """The blocks in forms the agent takes; raises ``InvalidRequest`` for one that has none."""
    return tuple(_for_agent(index, block, capabilities, agent) for index, block in enumerate(blocks))


def _for_agent(index: int, block: JsonObject, capabilities: Mapping[str, Any] | None, agent: str) -> JsonObject:
    form = suited(block, capabilities)
    if form is None:
        known = taken(capabilities)
        raise InvalidRequest(
            f"{agent} takes no {block['type']} content (prompt[{index}])",
            hint=f"it takes {', '.join(known)}: save it to a file it can read, and link that",
            agent=agent,
            available=known,
        )
    return form


def started(prompt: PromptInfo, *, now_ms: int, first_sequence: int, options: AgentOptions) -> PromptInfo:
    """The prompt's turn begins, with the options that stand."""
    running = msgspec.structs.replace(prompt, state="running", started_at_ms=now_ms, first_sequence=first_sequence)
    return with_options(running, options)


def with_options(prompt: PromptInfo, options: AgentOptions) -> PromptInfo:
    """The prompt with the options it runs under."""
    return msgspec.structs.replace(
        prompt,
        model=options.current("model"),
        mode=options.current("mode"),
        thought_level=options.current("thought_level"),
    )


def with_last(prompt: PromptInfo, sequence: int) -> PromptInfo:
    """The prompt with its last event; one that never ran has no events but that."""
    if prompt.first_sequence is None:
        return prompt
    return msgspec.structs.replace(prompt, last_sequence=sequence)


def ended(prompt: PromptInfo, outcome: Outcome, *, now_ms: int) -> PromptInfo:
    """The prompt with the outcome of its turn."""
    return msgspec.structs.replace(
        prompt,
        state=outcome.state,
        ended_at_ms=now_ms,
        stop_reason=outcome.stop_reason,
        usage=outcome.usage,
        meta=outcome.meta,
        error=outcome.error,
    )


def outcome_of(result: Any) -> Outcome:
    """The outcome an agent's answer to ``session/prompt`` stands for."""
    members = result if isinstance(result, dict) else {}
    stop_reason = members.get("stopReason")
    stop_reason = stop_reason if isinstance(stop_reason, str) else None
    meta = members.get("_meta")
    return Outcome(
        state="cancelled" if stop_reason == "cancelled" else "completed",
        stop_reason=stop_reason,
        usage=usage_of(members),
        meta=meta if isinstance(meta, dict) else None,
    )
