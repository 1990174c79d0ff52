"""Tab completion of ``%agent`` lines, from the grammar and from what the server has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sandbox_agent_jupyter.magics.desktop_grammar import DESKTOP
from sandbox_agent_jupyter.magics.grammar import COMMANDS, PROMPT_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandbox_agent_jupyter.magics.grammar import Command, Option


class Source(Protocol):
    """Where values come from: ``values("agents")`` and the like; empty when the server cannot be asked."""

    def values(self, kind: str) -> Iterable[str]: ...

    def paths(self, start: str) -> Iterable[str]:
        """Paths of the server that begin so; folders end with a slash."""
        ...


class CompletionEvent(Protocol):
    """What IPython hands to a completer."""

    line: str
    symbol: str
    text_until_cursor: str


def completions(before_cursor: str, source: Source) -> list[str]:
    """What can stand where the cursor is; ``before_cursor`` starts with ``%agent``, ``%%agent`` or ``%desktop``."""
    head, *words = before_cursor.split(" ")
    current = words.pop() if words else ""
    words = [word for word in words if word]
    if head.startswith("%%"):
        return _options(PROMPT_OPTIONS, words, current, source)
    if head == "%desktop":
        return _desktop(words, current, source)
    if not words:
        return _matching(COMMANDS, current)
    command = COMMANDS.get(words[0])
    if command is None:
        return []
    if command.actions:
        return _action(command, words[1:], current, source)
    found = _options(command.options, words[1:], current, source)
    if not found and not current.startswith("-") and command.complete:
        values = COMMANDS if command.complete == "commands" else source.values(command.complete)
        found = _matching(values, current)
    return found


def _desktop(words: list[str], current: str, source: Source) -> list[str]:
    """What can follow ``%desktop``: an action, then its options and what it is done to."""
    names = [action.name for action in DESKTOP.actions]
    if not words:
        return _matching(names, current)
    action = DESKTOP.action(words[0])
    if action is None:
        return []
    found = _options(action.options, words[1:], current, source)
    if found or current.startswith("-") or action.complete is None:
        return found
    if action.complete == "record":
        return _matching(("start", "stop"), current) if len(words) == 1 else []
    return _matching(names if action.complete == "actions" else source.values(action.complete), current)


def _action(command: Command, words: list[str], current: str, source: Source) -> list[str]:
    """What can follow a command with actions: one of them, then its options and paths."""
    if not words:
        return _matching((action.name for action in command.actions), current)
    action = command.action(words[0])
    if action is None:
        return []
    found = _options(action.options, words[1:], current, source)
    given = sum(not word.startswith("-") for word in words[1:])
    if found or current.startswith("-") or (action.complete != "paths" and given == 0):
        return found
    return _matching(source.paths(current), current)


def _options(options: tuple[Option, ...], words: list[str], current: str, source: Source) -> list[str]:
    last = next((o for o in options if words and o.flag == words[-1] and o.takes_value), None)
    if last is not None:
        if last.complete == "paths":
            return _matching(source.paths(current), current)
        return _matching(last.choices or (source.values(last.complete) if last.complete else ()), current)
    return _matching((o.flag for o in options if o.flag not in words), current) if current.startswith("-") else []


def _matching(values: Iterable[str], start: str) -> list[str]:
    return [value for value in values if value.startswith(start)]


def completer(source: Source) -> Callable[[object, CompletionEvent], list[str]]:
    """A completer in the form of IPython's ``complete_command`` hook."""

    def complete(_shell: object, event: CompletionEvent) -> list[str]:
        return completions(event.text_until_cursor.lstrip(), source)

    return complete
