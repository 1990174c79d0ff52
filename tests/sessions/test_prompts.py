"""A prompt's states, and what of its content is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox_agent.problems import InvalidRequest
from sandbox_agent.sessions.options import AgentOptions
from sandbox_agent.sessions.prompts import CANCELLED, blocks_of, ended, for_agent, outcome_of, started
from sandbox_agent.wire.sessions import PromptInfo

QUEUED = PromptInfo(id="p", session_id="s", state="queued", created_at_ms=1, prompt=({"type": "text", "text": "hi"},))


def test_a_text_is_one_text_block() -> None:
    assert blocks_of("hi") == ({"type": "text", "text": "hi"},)


def test_blocks_stay_as_they_are_with_members_unknown_to_us() -> None:
    block = {"type": "resource_link", "uri": "file:///a", "name": "a", "annotations": {"priority": 1}, "_meta": {}}
    assert blocks_of((block,)) == (block,)


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ((), "empty"),
        (({"type": "text", "text": ""},), "empty"),
        (({"type": "video"},), r"prompt\[0\] has type 'video'"),
        (({"text": "hi"},), r"prompt\[0\] has type None"),
        (
            ({"type": "text", "text": "hi"}, {"type": "image", "data": "x"}),
            r"prompt\[1\], of type image, has no mimeType",
        ),
        (({"type": "resource", "resource": "x"},), "has no resource"),
        (({"type": "text", "text": 3},), "has no text"),
    ],
)
def test_what_is_no_content_is_refused_by_place_and_name(prompt: Any, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        blocks_of(prompt)


def test_content_the_agent_cannot_take_is_refused_with_what_it_takes() -> None:
    image = {"type": "image", "data": "", "mimeType": "image/png"}
    audio = {"type": "audio", "data": "", "mimeType": "audio/wav"}
    blocks: tuple[dict[str, Any], ...] = (*blocks_of("look"), image)
    for_agent(blocks, {"promptCapabilities": {"image": True}}, agent="agent")
    with pytest.raises(InvalidRequest, match=r"takes no audio content \(prompt\[1\]\) .*text, resource_link, image"):
        for_agent((image, audio), {"promptCapabilities": {"image": True, "audio": False}}, agent="agent")
    for capabilities in (None, {}, {"promptCapabilities": None}):
        with pytest.raises(InvalidRequest, match="it takes text, resource_link"):
            for_agent(blocks, capabilities, agent="agent")
        for_agent(blocks_of("text"), capabilities, agent="agent")


def test_an_answer_keeps_its_stop_reason_usage_and_meta() -> None:
    outcome = outcome_of({"stopReason": "max_tokens", "usage": {"totalTokens": 3}, "_meta": {"quota": {}}})
    info = ended(QUEUED, outcome, now_ms=9)
    assert (info.state, info.stop_reason, info.usage, info.meta) == (
        "completed",
        "max_tokens",
        {"totalTokens": 3},
        {"quota": {}},
    )
    assert info.ended_at_ms == 9


def test_usage_is_found_where_agents_put_it() -> None:
    quota = {"quota": {"token_count": {"input_tokens": 5, "output_tokens": 2}}}
    outcome = outcome_of({"stopReason": "end_turn", "_meta": quota})
    assert (outcome.usage, outcome.meta) == ({"inputTokens": 5, "outputTokens": 2}, quota)


def test_a_cancelled_stop_reason_is_a_cancelled_prompt() -> None:
    assert outcome_of({"stopReason": "cancelled"}) == CANCELLED


@pytest.mark.parametrize("result", [None, [], "x", {}, {"stopReason": 3, "usage": [], "_meta": 1}])
def test_a_malformed_answer_still_ends_the_turn(result: Any) -> None:
    assert outcome_of(result).state == "completed"


def test_a_started_prompt_says_which_options_it_ran_with() -> None:
    options = AgentOptions.of({"modes": {"currentModeId": "plan", "availableModes": []}})
    info = started(QUEUED, now_ms=5, first_sequence=7, options=options)
    assert (info.state, info.started_at_ms, info.first_sequence, info.mode, info.model) == (
        "running",
        5,
        7,
        "plan",
        None,
    )
