"""Model, mode and thought level over what agents really offer.

ACP v1 has three ways to offer a choice: ``configOptions`` (with a category), and the older ``modes`` and ``models``.
Agents use any combination, and the same choice may stand in two of them with different values. Here they are one
state and three names; pure values in, values out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

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

# Modes of these names alone are no modes: Pi offers its thought levels so.
_LEVELS = frozenset({"none", "off", "minimal", "low", "medium", "high", "xhigh", "max"})


class Older(NamedTuple):
    """One of the older lists: its member of the state, and how a value of it is set."""

    member: str
    current: str
    entries: str
    key: str
    method: str
    parameter: str


_MODES = Older("modes", "currentModeId", "availableModes", "id", "session/set_mode", "modeId")
_MODELS = Older("models", "currentModelId", "availableModels", "modelId", "session/set_model", "modelId")


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
            return self.with_value("thought_level" if self.modes_are_levels else "mode", update["currentModeId"])
        return self

    def echoed(self, result: Any) -> AgentOptions:
        """With the full ``configOptions`` an answer or update may carry. The older lists follow where they can."""
        if not isinstance(result, dict) or not isinstance(result.get("configOptions"), list):
            return self
        listed = _objects(result["configOptions"])
        state = msgspec.structs.replace(self, config_options=listed, echoes=self.echoes + 1)
        for choice in CHOICES:
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

    @property
    def modes_are_levels(self) -> bool:
        """Whether the modes are thought levels by another name."""
        names = {mode.get("id") for mode in _objects((self.modes or {}).get("availableModes"))}
        return bool(names) and names <= _LEVELS

    def older(self, choice: Choice) -> Older | None:
        """Where the choice stands in the older lists."""
        if choice == "model":
            return _MODELS
        return _MODES if (choice == "thought_level") == self.modes_are_levels else None

    def older_current(self, choice: Choice) -> Any:
        older = self.older(choice)
        return (getattr(self, older.member) or {}).get(older.current) if older else None

    def older_values(self, choice: Choice) -> list[str]:
        older = self.older(choice)
        listed = _objects((getattr(self, older.member) or {}).get(older.entries)) if older else ()
        return [entry[older.key] for entry in listed if isinstance(entry.get(older.key), str)] if older else []

    def with_older(self, choice: Choice, value: str) -> AgentOptions:
        older = self.older(choice)
        if older is None or value not in self.older_values(choice):
            return self
        member, current = older.member, older.current
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
    older = state.older(choice)
    if older is not None and value in state.older_values(choice):
        params = {"sessionId": session_id, older.parameter: value}
        return Change(choice=choice, value=value, method=older.method, params=params, through="older")
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
