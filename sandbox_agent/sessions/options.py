"""Model, mode and thought level over what agents really offer.

ACP v1 has three ways to offer a choice: ``configOptions`` (with a category), and the older ``modes`` and ``models``.
Agents use any combination, and the same choice may stand in two of them with different values. Here they are one
state and three names; pure values in, values out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from sandbox_agent.problems import InvalidRequest, ModeNotSupported
from sandbox_agent.wire.base import JsonObject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Choice: TypeAlias = Literal["model", "thought_level", "mode"]

CHOICES: tuple[Choice, ...] = ("model", "thought_level", "mode")
"""In the order they are set: a change of model may reset the thought level."""

# Ids of thought level options whose category is another word or missing.
_THOUGHT_IDS = frozenset({"thought_level", "thinking", "reasoning_effort", "effort", "reasoning"})

# choice -> (member of the state, its current value, its list, an entry's id, the method that sets it, its parameter)
_OLDER: dict[Choice, tuple[str, str, str, str, str, str]] = {
    "mode": ("modes", "currentModeId", "availableModes", "id", "session/set_mode", "modeId"),
    "model": ("models", "currentModelId", "availableModels", "modelId", "session/set_model", "modelId"),
}


class AgentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent offered for a session and what is chosen, in the agent's own words.

    ``echoes`` counts the full lists of config options it sent since.
    """

    config_options: tuple[JsonObject, ...] = ()
    modes: JsonObject | None = None
    models: JsonObject | None = None
    echoes: int = 0

    @classmethod
    def of(cls, result: Any) -> AgentOptions:
        """From the answer to ``session/new``, ``session/load`` or ``session/resume``."""
        members = result if isinstance(result, dict) else {}
        modes, models = members.get("modes"), members.get("models")
        return cls(
            config_options=_objects(members.get("configOptions")),
            modes=modes if isinstance(modes, dict) else None,
            models=models if isinstance(models, dict) else None,
        )

    def after_update(self, update: Mapping[str, Any]) -> AgentOptions:
        """With a ``session/update`` taken in; the same object when the update is about something else."""
        kind = update.get("sessionUpdate")
        if kind == "config_option_update" and isinstance(update.get("configOptions"), list):
            return self.echoed(update)
        if kind == "current_mode_update" and isinstance(update.get("currentModeId"), str):
            return self.with_value("mode", update["currentModeId"])
        return self

    def echoed(self, result: Any) -> AgentOptions:
        """With the full ``configOptions`` an answer or update may carry. The older lists follow where they can."""
        if not isinstance(result, dict) or not isinstance(result.get("configOptions"), list):
            return self
        listed = _objects(result["configOptions"])
        state = msgspec.structs.replace(self, config_options=listed, echoes=self.echoes + 1)
        for choice in _OLDER:
            option = state.option(choice)
            if option is not None:
                state = state.with_older(choice, str(option.get("currentValue")))
        return state

    def current(self, choice: Choice) -> str | None:
        """The effective value; that of the config option where both are offered."""
        option = self.option(choice)
        value = option.get("currentValue") if option is not None else self.older_current(choice)
        return value if isinstance(value, str) else None

    def available(self, choice: Choice) -> list[str]:
        """All values that can be asked for, each once."""
        option = self.option(choice)
        return list(dict.fromkeys([*(_values(option) if option else ()), *self.older_values(choice)]))

    def option(self, choice: Choice) -> JsonObject | None:
        for option in self.config_options:
            if option.get("category") == choice:
                return option
        for option in self.config_options:
            ids = _THOUGHT_IDS if choice == "thought_level" else {choice}
            if option.get("id") in ids and option.get("category") not in CHOICES:
                return option
        return None

    def older_current(self, choice: Choice) -> Any:
        if choice not in _OLDER:
            return None
        member, current, *_ = _OLDER[choice]
        return (getattr(self, member) or {}).get(current)

    def older_values(self, choice: Choice) -> list[str]:
        if choice not in _OLDER:
            return []
        member, _, entries, key, *_ = _OLDER[choice]
        listed = _objects((getattr(self, member) or {}).get(entries))
        return [entry[key] for entry in listed if isinstance(entry.get(key), str)]

    def with_older(self, choice: Choice, value: str) -> AgentOptions:
        if choice not in _OLDER or value not in self.older_values(choice):
            return self
        member, current, *_ = _OLDER[choice]
        return msgspec.structs.replace(self, **{member: {**getattr(self, member), current: value}})

    def with_value(self, choice: Choice, value: str) -> AgentOptions:
        option = self.option(choice)
        state = self.with_older(choice, value)
        if option is None or value not in set(_values(option)):
            return state
        changed = tuple({**o, "currentValue": value} if o is option else o for o in self.config_options)
        return msgspec.structs.replace(state, config_options=changed)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The request that sets a choice; ``through`` is where its effect is read back."""

    choice: Choice
    value: str
    method: str
    params: JsonObject
    through: Literal["option", "older"]

    def settled(self, before: AgentOptions, after: AgentOptions, result: Any) -> AgentOptions:
        """The state once the agent accepted.

        ``before`` is the state when the request was sent, ``after`` the one when the answer came (updates in between
        taken in). What the agent says holds: its answer, else its updates, else the value that was asked for.
        """
        state = after.echoed(result)
        if self.through == "option":
            return state if state.echoes != before.echoes else state.with_value(self.choice, self.value)
        if state.older_current(self.choice) != before.older_current(self.choice):
            return state
        if state.echoes != before.echoes:
            return state.with_older(self.choice, self.value)
        return state.with_value(self.choice, self.value)

    def effective(self, state: AgentOptions) -> str | None:
        """The value that now stands where the change was made."""
        if self.through == "option":
            return state.current(self.choice)
        value = state.older_current(self.choice)
        return value if isinstance(value, str) else None


def plan(state: AgentOptions, choice: Choice, value: str, *, agent: str, session_id: str) -> Change | None:
    """The request that sets ``choice`` to ``value``; ``None`` when it is set already.

    Raises ``ModeNotSupported`` or ``InvalidRequest``, with the values there are, when the agent does not offer it.
    """
    if state.current(choice) == value:
        return None
    option = state.option(choice)
    if option is not None and value in set(_values(option)):
        return Change(
            choice=choice,
            value=value,
            method="session/set_config_option",
            params={"sessionId": session_id, "configId": option.get("id"), "value": value},
            through="option",
        )
    if value in state.older_values(choice):
        *_, method, parameter = _OLDER[choice]
        params = {"sessionId": session_id, parameter: value}
        return Change(choice=choice, value=value, method=method, params=params, through="older")
    raise not_offered(state, choice, value, agent=agent)


def not_offered(state: AgentOptions, choice: Choice, value: str, *, agent: str) -> InvalidRequest | ModeNotSupported:
    """The problem of a value that cannot be chosen."""
    available = state.available(choice)
    word = choice.replace("_", " ")
    detail = f"{agent} offers no {word} {value!r}"
    hint = f"available: {', '.join(available)}" if available else f"{agent} lets no {word} be chosen"
    kind = ModeNotSupported if choice == "mode" else InvalidRequest
    return kind(detail, hint=hint, agent=agent, available=available)


def not_accepted(choice: Choice, value: str, stands: str | None, *, agent: str) -> InvalidRequest | ModeNotSupported:
    """The problem of a value that was asked for and is not what stands then."""
    word = choice.replace("_", " ")
    kind = ModeNotSupported if choice == "mode" else InvalidRequest
    return kind(f"{agent} did not accept the {word} {value!r}; it stands at {stands!r}", agent=agent, effective=stands)


def _objects(value: Any) -> tuple[JsonObject, ...]:
    return tuple(entry for entry in value if isinstance(entry, dict)) if isinstance(value, list) else ()


def _values(option: JsonObject) -> Iterator[str]:
    """Values of a select; they may stand in groups."""
    for entry in _objects(option.get("options")):
        if isinstance(entry.get("value"), str):
            yield entry["value"]
        else:
            yield from _values(entry)
