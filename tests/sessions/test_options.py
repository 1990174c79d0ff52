"""Model, mode and thought level, over the ways real agents offer them (their recordings)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.problems import InvalidRequest, ModeNotSupported
from sandbox_agent.sessions.options import AgentOptions, plan

from ..support.shared import recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox_agent.sessions.options import Choice

OPTION = {"id": "m", "category": "model", "currentValue": "a", "options": [{"value": "a"}, {"value": "b"}]}
MODES = {"currentModeId": "ask", "availableModes": [{"id": "ask"}, {"id": "plan"}]}


def offered(**members: Any) -> AgentOptions:
    return AgentOptions.of(members)


def ask(state: AgentOptions, choice: Choice, value: str) -> Any:
    return plan(state, choice, value, agent="agent", session_id="s")


def test_a_config_option_is_found_by_category_whatever_its_id() -> None:
    change = ask(offered(configOptions=[OPTION]), "model", "b")
    assert change.method == "session/set_config_option"
    assert change.params == {"sessionId": "s", "configId": "m", "value": "b"}


def test_older_modes_and_models_are_set_by_their_own_methods() -> None:
    models = {"currentModelId": "x", "availableModels": [{"modelId": "x"}, {"modelId": "y"}]}
    state = offered(modes=MODES, models=models)
    assert ask(state, "mode", "plan").params == {"sessionId": "s", "modeId": "plan"}
    assert (ask(state, "model", "y").method, ask(state, "model", "y").params["modelId"]) == ("session/set_model", "y")


def test_what_is_set_already_needs_no_request() -> None:
    assert ask(offered(modes=MODES), "mode", "ask") is None


def test_an_unknown_value_is_refused_with_the_values_there_are() -> None:
    with pytest.raises(ModeNotSupported, match=r"offers no mode 'fly' .*available: ask, plan") as mode:
        ask(offered(modes=MODES), "mode", "fly")
    assert mode.value.extensions == {"agent": "agent", "available": ["ask", "plan"]}
    with pytest.raises(InvalidRequest, match="available: a, b"):
        ask(offered(configOptions=[OPTION]), "model", "c")
    with pytest.raises(InvalidRequest, match="agent lets no thought level be chosen"):
        ask(offered(), "thought_level", "high")


def test_values_in_groups_are_values_too() -> None:
    grouped = {**OPTION, "options": [{"group": "g", "options": [{"value": "deep"}]}, {"value": "b"}]}
    assert offered(configOptions=[grouped]).available("model") == ["deep", "b"]


def test_a_value_of_the_older_list_alone_is_set_the_older_way() -> None:
    models = {"currentModelId": "a[low]", "availableModels": [{"modelId": "a[low]"}, {"modelId": "a[high]"}]}
    state = offered(configOptions=[OPTION], models=models)
    change = ask(state, "model", "a[high]")
    settled = change.settled(state, state, {})
    assert change.method == "session/set_model"
    assert (change.effective(settled), settled.current("model")) == ("a[high]", "a")


def test_the_effective_value_is_the_answers_then_the_updates_then_the_one_asked_for() -> None:
    state = offered(configOptions=[OPTION])
    change = ask(state, "model", "b")
    refused = {"configOptions": [OPTION]}
    updated = state.after_update({"sessionUpdate": "config_option_update", **refused})
    assert change.effective(change.settled(state, state, refused)) == "a"
    assert change.effective(change.settled(state, updated, {})) == "a"
    assert change.effective(change.settled(state, state, {})) == "b"
    assert change.effective(change.settled(state, state, None)) == "b"


def test_a_mode_the_agent_announces_stands_in_both_of_its_lists() -> None:
    option = {"id": "mode", "currentValue": "ask", "options": [{"value": "ask"}, {"value": "plan"}]}
    state = offered(configOptions=[option], modes=MODES)
    after = state.after_update({"sessionUpdate": "current_mode_update", "currentModeId": "plan"})
    assert after.current("mode") == "plan"
    assert after.modes is not None
    assert after.modes["currentModeId"] == "plan"


LEVELS = {"currentModeId": "low", "availableModes": [{"id": "off"}, {"id": "low"}, {"id": "high"}]}


def test_modes_that_are_thought_levels_are_thought_levels() -> None:
    """Pi's older adapter has no other way to set them; its newer one has both."""
    state = offered(modes=LEVELS)
    assert (state.current("mode"), state.current("thought_level")) == (None, "low")
    change = ask(state, "thought_level", "high")
    assert (change.method, change.params) == ("session/set_mode", {"sessionId": "s", "modeId": "high"})
    assert change.effective(change.settled(state, state, {})) == "high"
    with pytest.raises(ModeNotSupported, match="lets no mode be chosen"):
        ask(state, "mode", "high")
    option = {"id": "x", "category": "thought_level", "currentValue": "low", "options": [{"value": "high"}]}
    both = offered(modes=LEVELS, configOptions=[option])
    assert ask(both, "thought_level", "high").method == "session/set_config_option"
    after = both.after_update({"sessionUpdate": "current_mode_update", "currentModeId": "high"})
    assert after.current("thought_level") == "high"


def test_an_update_about_something_else_leaves_the_state_as_it_is() -> None:
    state = offered(modes=MODES)
    for update in ({"sessionUpdate": "usage_update"}, {"sessionUpdate": "config_option_update", "configOptions": "x"}):
        assert state.after_update(update) is state


@pytest.mark.parametrize("result", [None, [], "x", {}, {"modes": 3, "models": [], "configOptions": {"id": "model"}}])
def test_a_malformed_offer_is_no_offer(result: Any) -> None:
    assert AgentOptions.of(result).available("mode") == []


# --- recordings of real agents


def recorded(agent: str, name: str = "modes") -> Iterator[tuple[str, dict[str, Any]]]:
    for line in recording(f"{agent}/{name}").read_text().splitlines():
        entry = json.loads(line)
        yield entry["dir"], entry["msg"]


@pytest.mark.parametrize(
    "agent", ["claude", "codex", "copilot", "gemini", "kimi", "opencode", "pi", "pi-ref", "qwen", "vibe"]
)
def test_every_change_in_a_recording_ends_at_the_value_the_agent_says(agent: str) -> None:
    """Each accepted request of the recording is planned by us with the same method, and settles at its value."""
    state = AgentOptions()
    before, asked = state, {}
    changes = 0
    for direction, message in recorded(agent):
        if direction == "client" and "id" in message:
            asked[message["id"]] = message
            before = state
        elif message.get("method") == "session/update":
            state = state.after_update(message["params"]["update"])
        elif message.get("id") in asked and "result" in message:
            request = asked[message["id"]]
            if request["method"] == "session/new":
                state = AgentOptions.of(message["result"])
            elif request["method"].startswith("session/set_"):
                state = _settle(before, state, request, message["result"])
                changes += 1
    assert changes > 0


def _settle(before: AgentOptions, state: AgentOptions, request: dict[str, Any], result: Any) -> AgentOptions:
    params = request["params"]
    find: dict[str, Callable[[], Choice | None]] = {
        "session/set_mode": lambda: "thought_level" if before.modes_are_levels else "mode",
        "session/set_model": lambda: "model",
        "session/set_config_option": lambda: next(
            (c for c in ("model", "mode", "thought_level") if (before.option(c) or {}).get("id") == params["configId"]),
            None,
        ),
    }
    choice = find[request["method"]]()
    value = params.get("value") or params.get("modeId") or params.get("modelId")
    if choice is None or value not in before.available(choice):  # we refuse those ourselves
        return state.echoed(result)
    change = plan(before, choice, value, agent="recorded", session_id=params["sessionId"])
    if change is None:
        return state.echoed(result)
    settled = change.settled(before, state, result)
    assert change.effective(settled) == value, (request, before.current(choice))
    return settled


@pytest.mark.parametrize(
    ("agent", "current"),
    [
        ("claude", ("default", "auto", "default")),
        ("codex", ("gpt-5.5", "agent", "medium")),
        ("gemini", ("gemini-2.5-pro", "default", None)),
        ("vibe", ("stub", "accept-edits", "off")),
        ("opencode", ("stub/stub-model", "build", "low")),
        ("qwen", ("$runtime|openai|stub-model(openai)", "auto", None)),
        ("kimi", ("stub", "default", None)),
        ("pi", ("stub/stub-model", None, "medium")),
        ("pi-ref", ("stub/stub-model", None, "medium")),
    ],
)
def test_the_three_choices_are_read_from_what_real_agents_offer(
    agent: str, current: tuple[str | None, str | None, str | None]
) -> None:
    for direction, message in recorded(agent):
        if direction == "agent" and isinstance(message.get("result"), dict) and "sessionId" in message["result"]:
            state = AgentOptions.of(message["result"])
            assert (state.current("model"), state.current("mode"), state.current("thought_level")) == current
            return
    pytest.fail("no session in the recording")
