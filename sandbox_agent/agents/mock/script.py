r"""The script in a prompt: ``[[verb arguments]]`` steps, run in order; text outside of them is said back.

Steps are taken from the prompt's last text block only: what stands before it (a transcript the client tells the agent,
say) is remembered and not run. A step ends at its ``]]``; quoted strings and nested brackets may hold one:
``[[bash if [[ -f x ]]; then echo "]]"; fi]]``.

Arguments are either one text (``[[say hello]]``; a JSON string in quotes is decoded, so ``"\n"`` is a line break) or
fields (``[[edit path=notes.txt old=two new="2\n"]]``), whose value reaches to the next field of that verb.
``[[something else]]`` that is no verb is ordinary text.
"""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Each verb with its fields; a verb without fields takes its arguments as one text.
VERBS: dict[str, tuple[str, ...]] = {
    # what an agent says
    "say": (),
    "think": (),
    "plan": (),
    "image": (),
    "usage": ("used", "size"),
    "mode": (),
    "title": (),
    "commands": (),
    "unknown": (),
    "demo": (),
    "recall": (),
    "env": (),
    # what an agent does
    "read": ("path",),
    "edit": ("path", "old", "new"),
    "write": ("path", "text"),
    "bash": (),
    "ask": (),
    "call": ("method", "params"),
    "mcp": ("name", "tool", "args"),
    # how a turn goes
    "sleep": (),
    "tick": ("count", "every"),
    "burst": ("count", "size"),
    "huge": ("bytes",),
    "stop": (),
    "error": ("code", "message"),
    # misbehaviour
    "banner": (),
    "raw": (),
    "stderr": (),
    "crash": ("code",),
    "kill": ("signal",),
    "hang": (),
    "ignore_cancel": (),
    "spawn": ("count", "daemon", "hold"),
}

_VERB = re.compile(r"\[\[(\w+)")


class Step:
    """A verb with its arguments; ``plain`` text is the verb ``say``."""

    __slots__ = ("plain", "rest", "verb")

    def __init__(self, verb: str, rest: str, *, plain: bool = False) -> None:
        self.verb = verb
        self.rest = rest
        self.plain = plain

    def text(self) -> str:
        """The arguments as one text."""
        return self.rest if self.plain else _decoded(self.rest)

    def fields(self) -> dict[str, str]:
        """The arguments by name. A first value without a name belongs to the verb's first field."""
        names = VERBS[self.verb]
        marks = list(re.finditer(rf"(?:^|\s)({'|'.join(names)})=", self.rest)) if names else []
        marks = [mark for mark in marks if not _quoted(self.rest, mark.start())]
        ends = [mark.start() for mark in marks[1:]] + [len(self.rest)]
        pairs = zip(marks, ends, strict=False)
        found = {mark[1]: _decoded(self.rest[mark.end() : end].strip()) for mark, end in pairs}
        lead = self.rest[: marks[0].start()] if marks else self.rest
        if lead.strip() and names:
            found.setdefault(names[0], _decoded(lead.strip()))
        return found


def parse(text: str) -> list[Step]:
    """The steps of a prompt's text, what is said between them included."""
    return [step for step in _steps(text) if step.rest or not step.plain]


def _steps(text: str) -> Iterator[Step]:
    said = position = 0
    while (mark := _VERB.search(text, position)) is not None:
        end = _end(text, mark.end())
        if mark[1] not in VERBS or end is None or text[mark.end()] not in " \n\t]":
            position = mark.end()
            continue
        yield Step("say", text[said : mark.start()].strip(), plain=True)
        yield Step(mark[1], text[mark.end() : end].strip())
        said = position = end + 2
    yield Step("say", text[said:].strip(), plain=True)


def _end(text: str, start: int) -> int | None:
    """Where the step's ``]]`` stands: outside of quotes and brackets if such a one is there, else the first."""
    depth, position = 0, start
    while position < len(text):
        character = text[position]
        if character == '"':
            closing = _closing_quote(text, position)
            if closing is None:
                break
            position = closing
        elif character == "[":
            depth += 1
        elif character == "]" and depth:
            depth -= 1
        elif text.startswith("]]", position):
            return position
        position += 1
    first = text.find("]]", start)
    return None if first < 0 else first


def _closing_quote(text: str, opening: int) -> int | None:
    match = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL).match(text, opening)
    return match.end() - 1 if match else None


def _quoted(text: str, position: int) -> bool:
    """Whether a position lies inside a quoted string."""
    return any(match.start() < position < match.end() for match in re.finditer(r'"(?:[^"\\]|\\.)*"', text, re.DOTALL))


def _decoded(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value, strict=False))
        except ValueError:
            return value
    return value
