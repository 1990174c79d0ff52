"""The short forms of the client's objects, in HTML and text."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sandbox_agent import render
from sandbox_agent.wire.agents import AgentCapabilities, AgentInfo
from sandbox_agent.wire.sessions import (
    PermissionInfo,
    PermissionOption,
    PermissionPolicy,
    PromptInfo,
    SessionEvent,
    SessionInfo,
)

from ..support.safe_html import faults, text_in
from .test_html import ATTACKS


def objects(text: str) -> dict[str, Any]:
    """One of each, with a text in every field that takes one."""
    prompt = PromptInfo(
        id=text, session_id=text, state="failed", created_at_ms=0, prompt=({"type": "text", "text": text},),
        stop_reason=text, error={"detail": text, "hint": text}, started_at_ms=0, ended_at_ms=1500,
    )  # fmt: skip
    session = SessionInfo(
        id=text, agent=text, cwd=text, state="waiting", created_at_ms=0, updated_at_ms=0, last_sequence=7, title=text,
        permission_policy=PermissionPolicy(default="allow_edits"), model=text, mode=text, persisted=False,
        continuity="lost", pending_permissions=1,
    )  # fmt: skip
    permission = PermissionInfo(
        id=text, session_id=text, state="pending", created_at_ms=0, available_replies=("once",),
        options=(PermissionOption(option_id=text, name=text, kind=text),),
        tool_call={"title": text, "kind": text, "rawInput": {"command": text}},
    )  # fmt: skip
    agent = AgentInfo(
        id=text, installed=False, credentials_available=True, capabilities=AgentCapabilities(), problem=text, hint=text
    )
    payload = msgspec.Raw(msgspec.json.encode({"method": text.encode(errors="replace").decode()}))
    event = SessionEvent(sequence=3, session_id="s", created_at_ms=0, sender="agent", payload=payload)
    return {
        "prompt": prompt,
        "session": session,
        "permission": permission,
        "agents": [agent],
        "sessions": [session],
        "events": [event],
    }


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("name", ["prompt", "session", "permission", "agents", "sessions", "events"])
def test_no_text_of_an_object_becomes_markup(name: str, attack: str) -> None:
    """HTML is well formed and allowed; the text twin holds no control characters."""
    value = objects(attack)[name]
    assert faults(getattr(render, f"{name}_html")(value)) == []
    text = getattr(render, f"{name}_text")(value)
    assert not [c for c in text if c < " " and c != "\n"]


@pytest.mark.parametrize("name", ["prompt", "session", "permission", "agents", "sessions", "events"])
def test_both_forms_tell_the_same(name: str) -> None:
    """What a card says, its text twin says."""
    value = objects("unique-word")[name]
    for form in (text_in(getattr(render, f"{name}_html")(value)), getattr(render, f"{name}_text")(value)):
        assert "unique-word" in form


def test_a_session_card_tells_what_is_unusual() -> None:
    """Another policy than asking, a lost memory, a store that cannot write, someone waiting."""
    shown = render.session_text(objects("x")["session"])
    for word in ("allow_edits", "lost", "Not on disk", "Waiting for you"):
        assert word in shown


def test_empty_tables_say_so() -> None:
    """No rows, no empty frame."""
    assert "None." in render.agents_html([])
    assert render.events_text([]) == "None."


def test_a_generic_card_leaves_out_what_is_not_there() -> None:
    """None, empty and false are no facts."""
    shown = render.card_text("Title", {"a": None, "b": "", "c": 0, "d": "yes", "e": {"k": 1}, "f": True}, state="ready")
    assert shown == 'Title (ready)\n  d  yes\n  e  {"k": 1}\n  f  yes'
    assert text_in(render.card_html("Title", {"a": None, "d": "yes"})) == "Titledyes"


def test_every_name_is_there() -> None:
    """What the package names, it has; nothing else is public."""
    assert all(callable(getattr(render, name)) for name in render.__all__)
    public = {name for name, value in vars(render).items() if callable(value) and not name.startswith("_")}
    assert public == set(render.__all__)
