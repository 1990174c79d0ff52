"""Content in the form an agent takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox_agent.wire.content import suited, taken

from ..support.shared import recording

IMAGE = {"type": "image", "mimeType": "image/png", "data": "AAAA"}
TEXT_FILE = {"type": "resource", "resource": {"uri": 'file:///a"b.py', "mimeType": "text/x-python", "text": "x < 1"}}
IMAGE_FILE = {"type": "resource", "resource": {"uri": "file:///a.png", "mimeType": "image/png", "blob": "AAAA"}}
BLOB = {"type": "resource", "resource": {"uri": "file:///a.bin", "blob": "AAAA"}}
LINK = {"type": "resource_link", "uri": "file:///a.py", "name": "a.py"}


def able(**capabilities: bool) -> dict[str, Any]:
    return {"promptCapabilities": capabilities}


@pytest.mark.parametrize("block", [{"type": "text", "text": "x"}, LINK])
@pytest.mark.parametrize("capabilities", [None, {}, {"promptCapabilities": None}, able(image=False)])
def test_text_and_links_are_taken_by_every_agent(block: Any, capabilities: Any) -> None:
    assert suited(block, capabilities) is block


def test_what_an_agent_says_it_takes_goes_as_it_is() -> None:
    capabilities = able(image=True, audio=True, embeddedContext=True)
    assert taken(capabilities) == ["text", "resource_link", "image", "audio", "resource"]
    for block in (IMAGE, TEXT_FILE, IMAGE_FILE, BLOB, {"type": "audio", "mimeType": "audio/wav", "data": "AAAA"}):
        assert suited(block, capabilities) is block


def test_an_embedded_text_becomes_text_that_names_its_file() -> None:
    form = suited(TEXT_FILE, able())
    assert form == {"type": "text", "text": '<resource uri="file:///a&quot;b.py">\nx < 1\n</resource>'}


def test_an_embedded_image_becomes_an_image_where_those_are_taken() -> None:
    assert suited(IMAGE_FILE, able(image=True)) == IMAGE
    assert suited(IMAGE_FILE, able()) is None


def test_an_image_of_a_file_becomes_a_link_to_it() -> None:
    form = suited({**IMAGE, "uri": "file:///shots/one.png"}, able())
    assert form == {
        "type": "resource_link",
        "uri": "file:///shots/one.png",
        "name": "one.png",
        "mimeType": "image/png",
    }


@pytest.mark.parametrize("block", [IMAGE, BLOB, {**IMAGE, "uri": "https://x/y.png"}, {"type": "resource"}])
def test_what_has_no_form_the_agent_takes_has_none(block: Any) -> None:
    assert suited(block, able()) is None


@pytest.mark.parametrize(
    "agent", ["claude", "codex", "copilot", "gemini", "kimi", "opencode", "pi", "pi-ref", "qwen", "vibe"]
)
def test_real_agents_were_sent_blocks_in_forms_they_take(agent: str) -> None:
    """`blocks` holds prompts of all types: what a real agent took stays as it was sent."""
    messages = [json.loads(line)["msg"] for line in recording(f"{agent}/blocks").read_text().splitlines()]
    results = [message["result"] for message in messages if isinstance(message.get("result"), dict)]
    capabilities = next(result["agentCapabilities"] for result in results if "agentCapabilities" in result)
    failed = {message["id"] for message in messages if "error" in message}
    sent = [
        message for message in messages if message.get("method") == "session/prompt" and message["id"] not in failed
    ]
    kinds = {block["type"] for message in sent for block in message["params"]["prompt"]}
    assert kinds <= set(taken(capabilities)), "an agent took what it did not say it takes"
    for message in sent:
        assert [suited(block, capabilities) for block in message["params"]["prompt"]] == message["params"]["prompt"]
