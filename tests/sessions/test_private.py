"""A session's own environment: its agent gets it, also after a restart, and nobody else does."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox_agent.agents.catalogue import load
from sandbox_agent.problems import InvalidRequest, StreamError
from sandbox_agent.sessions.handshake import Greeting, key_method
from sandbox_agent.sessions.private import MASK, Private, Redactor, pairs, private_of
from sandbox_agent.wire.sessions import SessionCreateRequest
from sandbox_agent.wire.transcript import Transcript

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.wire.sessions import PromptInfo

    from .conftest import World

SECRET = "sk-mine-0123456789-abcdef"  # noqa: S105 - of nobody


async def said(world: World, session: str, text: str) -> str:
    """What the agent answers, as it said it: from its own events."""
    prompt: PromptInfo = await world.ended(await world.send(session, text))
    assert prompt.state == "completed", prompt
    return await raw(world, session)


async def raw(world: World, session: str) -> str:
    journal = await world.sessions.journal(session)
    batch: Any = await journal.read(0)
    payloads = [msgspec.json.decode(payload) for segment in batch for payload in segment.payloads]
    chunks = [entry.get("params", {}).get("update", {}).get("content", {}) for entry in payloads]
    return "".join(chunk["text"] for chunk in chunks if isinstance(chunk, dict) and "text" in chunk)


async def test_the_agent_gets_it_also_after_a_restart(world: World) -> None:
    """Kept with the session as far as that needs it; other sessions have none of it."""
    await world.create(id="keyed", env={"MY_KEY": "first", "DEBUG": "1"})
    await world.create(id="other")
    assert "first" in await said(world, "keyed", "[[env MY_KEY]]")
    assert "first" not in await said(world, "other", "[[env MY_KEY]]")
    await world.restart()
    await world.ended(await world.send("keyed", "[[env MY_KEY]]"))
    assert (await raw(world, "keyed")).count("first") == 2


async def test_it_is_in_no_answer_event_or_record_but_one(world: World) -> None:
    """Session, list, transcript, events: what the agent does not say itself is nowhere; deleted, it is gone."""
    info = await world.create(id="keyed", env={"MY_KEY": SECRET})
    await world.ended(await world.send("keyed", "hello"))
    listed = await world.sessions.list()
    journal = await world.sessions.journal("keyed")
    batch: Any = await journal.read(0)
    shown = [info, listed, await world.sessions.transcript("keyed"), await world.sessions.prompts("keyed"), world.told]
    shown += [payload.decode() for segment in batch for payload in segment.payloads]
    assert not [value for value in shown if SECRET in repr(value) or SECRET.encode() in msgspec.json.encode(value)]
    records = world.journals.records
    assert await records.get("session-private", "keyed") is not None
    await world.sessions.delete("keyed")
    assert await records.get("session-private", "keyed") is None


async def test_what_the_agent_prints_of_it_is_taken_out_of_transcripts(world: World) -> None:
    """S10: of the snapshot that exports are made from, and of what followers are told; a setting stays readable."""
    await world.create(id="keyed", env={"MY_KEY": SECRET, "MODEL": "some-model-name"})
    assert SECRET in await said(world, "keyed", "[[env MY_KEY]][[env MODEL]]")
    whole = msgspec.json.encode(await world.sessions.transcript("keyed")).decode()
    assert SECRET not in whole
    assert MASK in whole
    assert "some-model-name" in whole
    async for told in world.sessions.follow_transcript("keyed", 1):
        assert SECRET not in msgspec.json.encode(told).decode()
        break
    assert SECRET in world.sessions.secrets()


async def test_the_store_is_its_owners_alone(world: World) -> None:
    """Secrets at rest are protected by the rights of the file."""
    await world.create(env={"MY_KEY": SECRET})
    files = [path for path in world.folder.iterdir() if path.name.startswith("sessions.db")]
    assert files
    assert {stat.S_IMODE(os.stat(path).st_mode) for path in files} == {0o600}  # noqa: PTH116


async def test_a_base_url_reaches_the_agent(world: World, tmp_path: Path) -> None:
    """By the variable of its catalogue entry; one that takes none refuses it before anything is made."""
    assert load()[0]["claude"].gateway
    with pytest.raises(InvalidRequest, match="mock takes no base URL"):
        await world.create(id="wanted", base_url="http://127.0.0.1:1")
    assert (await world.sessions.list()).items == ()


@pytest.mark.parametrize(
    "env", [{"": "x"}, {"A B": "x"}, {"1A": "x"}, {"A=B": "x"}, {"A": "x\0y"}, {"A": "x" * 200_000}]
)
def test_what_cannot_be_an_environment_is_refused(env: dict[str, str]) -> None:
    """With the name, never with the value."""
    with pytest.raises(InvalidRequest) as refused:
        private_of(SessionCreateRequest(agent="mock", env=env))
    assert "xx" not in str(refused.value)


def test_its_values_are_in_no_representation() -> None:
    assert repr(Private(env={"B": SECRET, "A": "x"})) == "Private(A, B)"
    assert not Private()


def test_redaction_is_of_whole_values_wherever_they_are() -> None:
    """Also with characters that JSON escapes, and where one secret begins like another."""
    transcript = Transcript(session_id='a"b-secret and a"b-secret-longer', agent="mock", sequence=1, items=())
    redacted = Redactor(['a"b-secret', 'a"b-secret-longer', ""])(transcript)
    assert redacted.session_id == f"{MASK} and {MASK}"
    assert Redactor(["nothing of it"])(transcript) is transcript
    assert Redactor([])(transcript) is transcript


def test_the_keys_of_mcp_servers_are_secrets_too() -> None:
    """Their variables and headers."""
    servers = [
        {"name": "a", "command": "x", "env": [{"name": "A_TOKEN", "value": "1"}]},
        {"name": "b", "url": "x", "headers": [{"name": "Authorization", "value": "2"}]},
    ]
    assert set(pairs(servers).values()) == {"1", "2"}


# authenticating


async def test_an_auth_method_is_used_before_the_session_is_made(stopped: World) -> None:
    """And again when the agent is started anew."""
    await stopped.start("auth_required")
    await stopped.create(id="mine", auth_method="mock-login")
    await stopped.restart("auth_required")
    prompt = await stopped.ended(await stopped.send("mine", "[[say hello]]"))
    assert prompt.state == "completed"


async def test_an_auth_method_the_agent_does_not_have_is_refused(stopped: World) -> None:
    """With those that it has."""
    await stopped.start("auth_required")
    with pytest.raises(InvalidRequest, match="by 'other'") as refused:
        await stopped.create(auth_method="other")
    assert refused.value.hint == "it offers mock-login"


async def test_an_agent_that_wants_to_be_told_to_use_its_key_is_told(stopped: World) -> None:
    """The key was given for it; without one the refusal stands, with the ways there are."""
    await stopped.start("key_required")
    await stopped.create(env={"ANTHROPIC_API_KEY": SECRET})
    with pytest.raises(StreamError) as refused:
        await stopped.create()
    assert refused.value.extensions["authMethods"][0]["id"] == "mock-key"


def test_only_a_refusal_for_want_of_authentication_is_answered_with_a_key() -> None:
    """And only by a method for a provider whose key is there."""
    method = {"id": "k", "_meta": {"api-key": {"provider": "openai"}}}
    greeting = Greeting(auth_methods=({"id": "x"}, {"id": "y", "_meta": None}, method))
    refused = StreamError("no", error={"code": -32000})
    assert key_method(refused, greeting, {"openai"}) == "k"
    assert key_method(refused, greeting, {"google"}) is None
    assert key_method(StreamError("no", error={"code": -32603}), greeting, {"openai"}) is None
    assert key_method(StreamError("no"), greeting, {"openai"}) is None
