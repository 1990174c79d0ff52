"""The mock agent against the protocol's own models: what it says is ACP, with no member that ACP does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from acp import schema

from .driver import mock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import BaseModel

    from .driver import Agent

EVERYTHING = """[[say a]] [[think b]] [[plan x a|> b|c]] [[image]] [[usage used=1 size=2]] [[mode plan]] [[title t]]
[[commands]] [[write path=f text=x]] [[edit path=f old=x new=y]] [[read f]] [[read none]] [[bash echo a; exit 1]]
[[ask Really?]] [[burst count=2]] [[huge bytes=500]] [[tick count=1 every=0]]"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with mock("auth_required", env={"SANDBOX_AGENT_MOCK_STATE": str(tmp_path / "state")}) as agent:
        yield agent


def is_a(model: type[BaseModel], value: Any) -> None:
    model.model_validate(value, extra="forbid")


def check(message: dict[str, Any]) -> str:
    """Hold a message of a turn against its model; the kind of the update, or the method."""
    if message.get("method") == "session/update":
        is_a(schema.SessionNotification, message["params"])
        return str(message["params"]["update"]["sessionUpdate"])
    if "method" in message:
        is_a(schema.RequestPermissionRequest, message["params"])
        return str(message["method"])
    is_a(schema.PromptResponse, message["result"])
    return "response"


def without_models(result: dict[str, Any]) -> dict[str, Any]:
    """Models as a member of their own were never stable ACP; some agents tell them still, and so does the mock."""
    return {name: value for name, value in result.items() if name != "models"}


def test_all_it_says_is_acp(agent: Agent, tmp_path: Path) -> None:
    """Handshake, a turn with every verb that speaks, a load, a fork, a list and a change of options."""
    is_a(schema.InitializeResponse, agent.call("initialize", protocolVersion=1)["result"])
    is_a(schema.AuthenticateResponse, agent.call("authenticate", methodId="mock-login")["result"])
    new = agent.call("session/new", cwd=str(tmp_path), mcpServers=[])["result"]
    is_a(schema.NewSessionResponse, without_models(new))
    agent.session = new["sessionId"]
    kinds = {check(agent.expect())}
    turn = agent.prompt(EVERYTHING)
    kinds |= {check(message) for message in [*turn.messages, turn.response]}
    session: dict[str, Any] = {"sessionId": agent.session, "cwd": str(tmp_path), "mcpServers": []}
    loaded = agent.turn(agent.ask("session/load", **session))
    kinds |= {check(message) for message in loaded.messages}
    assert kinds == {
        "user_message_chunk",
        "agent_message_chunk",
        "agent_thought_chunk",
        "tool_call",
        "tool_call_update",
        "plan",
        "available_commands_update",
        "current_mode_update",
        "config_option_update",
        "session_info_update",
        "usage_update",
        "session/request_permission",
        "response",
    }
    is_a(schema.LoadSessionResponse, without_models(loaded.response["result"]))
    is_a(schema.ForkSessionResponse, without_models(agent.call("session/fork", **session)["result"]))
    is_a(schema.ListSessionsResponse, agent.call("session/list")["result"])
    choice = {"sessionId": agent.session, "configId": "mode", "value": "normal"}
    is_a(schema.SetSessionConfigOptionResponse, agent.call("session/set_config_option", **choice)["result"])
