"""Files, images and links in prompts: given to the agent in a form it takes, or refused before anything runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.journal import Sender
from sandbox_agent.problems import InvalidRequest
from sandbox_agent.wire.sessions import PromptRequest

if TYPE_CHECKING:
    from .conftest import World

TEXT = {"type": "text", "text": "[[say seen]]"}
FILE = {"type": "resource", "resource": {"uri": "file:///notes.txt", "text": "the notes"}}
LINK = {"type": "resource_link", "uri": "file:///big.bin", "name": "big.bin"}
IMAGE = {"type": "image", "mimeType": "image/png", "data": "AAAA"}


async def sent(world: World, session_id: str) -> list[Any]:
    """The content of the last prompt, as it went to the agent."""
    prompts = [
        json.loads(payload)
        for sender, payload in await world.events(session_id)
        if sender is Sender.CLIENT and b'"session/prompt"' in payload
    ]
    blocks: list[Any] = prompts[-1]["params"]["prompt"]
    return blocks


async def test_an_agent_that_takes_all_gets_all_as_it_is(world: World) -> None:
    session = await world.create()
    blocks = (FILE, LINK, IMAGE, TEXT)
    prompt = await world.sessions.prompt(session.id, PromptRequest(prompt=blocks), idempotency_key=None)
    assert (await world.ended(prompt)).state == "completed"
    assert await sent(world, session.id) == list(blocks)


async def test_a_file_becomes_text_for_an_agent_that_takes_text_alone(stopped: World) -> None:
    await stopped.start("only_text")
    session = await stopped.create()
    request = PromptRequest(prompt=(FILE, LINK, TEXT))
    prompt = await stopped.ended(await stopped.sessions.prompt(session.id, request, idempotency_key=None))
    assert prompt.state == "completed"
    text, link, last = await sent(stopped, session.id)
    assert text == {"type": "text", "text": '<resource uri="file:///notes.txt">\nthe notes\n</resource>'}
    assert (link, last) == (LINK, TEXT)
    assert prompt.prompt == request.prompt, "the prompt is told as it was given"


async def test_an_image_is_refused_before_it_is_a_prompt(stopped: World) -> None:
    await stopped.start("only_text")
    session = await stopped.create()
    with pytest.raises(InvalidRequest, match=r"mock takes no image content \(prompt\[0\]\).*link that"):
        await stopped.sessions.prompt(session.id, PromptRequest(prompt=(IMAGE, TEXT)), idempotency_key=None)
    assert (await stopped.sessions.prompts(session.id)).items == ()


async def test_a_prompt_accepted_for_another_version_of_the_agent_fails_by_itself(stopped: World) -> None:
    """It waited while the agent was replaced by one that takes no images."""
    await stopped.start()
    session = await stopped.create()
    await stopped.restart("only_text")
    prompt = await stopped.sessions.prompt(session.id, PromptRequest(prompt=(IMAGE, TEXT)), idempotency_key=None)
    ended = await stopped.ended(prompt)
    assert ended.state == "failed"
    assert ended.error is not None
    assert "takes no image" in ended.error["detail"]
    assert (await stopped.prompt(session.id, "[[say on]]")).state == "completed"
