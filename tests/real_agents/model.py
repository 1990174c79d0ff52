"""A model for real agents to talk to: it does what a user message orders it to, in a line ``stub: VERB ...``.

``say WORDS``        answers with the words
``slow WORDS``       does so after a second and a half in which nothing comes
``run COMMAND``      calls the agent's shell tool; after the tool's result it answers ``done: RESULT``, so for all tools
``write FILE TEXT``  calls the agent's tool that makes files, with an absolute path
``shout TEXT``       calls the tool of that name, which an MCP server brings; some agents want it searched for first
``point``            takes a screenshot with the desktop's tool, and clicks on the middle of what is red in it
``which``            answers with the name of the model it was asked for
``recall``           answers with all that users said before this order
``stream``           answers a word every tenth of a second until the agent hangs up
``fail STATUS``      is answered with that status of HTTP, however often it is asked
anything else        is answered with ``ok``
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image, ImageChops

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ORDER = re.compile(r"stub: (\w+) ?([^\n<\"]*)")


class Tool(NamedTuple):
    """A tool on offer. ``namespace`` is the group some put a server's tools in; a free one takes plain text.

    ``fields`` are the arguments it takes; ``search`` finds tools that are not on offer yet.
    """

    name: str
    fields: frozenset[str] = frozenset()
    namespace: str | None = None
    free: bool = False
    search: bool = False

    def call(self, arguments: Mapping[str, Any]) -> Call:
        """Some refuse arguments that they did not declare."""
        return Call(self, {key: value for key, value in arguments.items() if not self.fields or key in self.fields})


@dataclass(frozen=True)
class Say:
    pieces: tuple[str, ...]
    endless: bool = False
    delay: float = 0


@dataclass(frozen=True)
class Call:
    tool: Tool
    arguments: dict[str, Any]
    text: str = ""


@dataclass(frozen=True)
class Fail:
    status: int


@dataclass(frozen=True)
class Heard:
    """A conversation as the model sees it: what users said, the newest tool result, and the tools on offer.

    ``picture`` is a file's bytes that came with the result.
    """

    model: str
    users: tuple[str, ...]
    result: str | None
    tools: tuple[Tool, ...] = field(repr=False)
    picture: bytes | None = field(default=None, repr=False)

    @property
    def order(self) -> tuple[str, str]:
        """The newest order and what it is about. Agents put notes of their own around what the user said."""
        found = _ORDER.findall(self.users[-1]) if self.users else []
        return (found[-1][0], found[-1][1].strip()) if found else ("", "")


def _claude_file(path: str, text: str) -> dict[str, Any]:
    return {"file_path": path, "content": text}


def _plain_file(path: str, text: str) -> dict[str, Any]:
    return {"path": path, "content": text}


MAKERS: Mapping[str, Callable[[str, str], dict[str, Any]]] = {
    "Write": _claude_file,
    "WriteFile": _plain_file,
    "create": lambda path, text: {"path": path, "file_text": text},
    "write": lambda path, text: {"filePath": path, "path": path, "content": text},
    "write_file": lambda path, text: {"file_path": path, "path": path, "content": text},
}
"""The tools that make a file, and what they call the path and the text."""

SHELLS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "Bash": lambda command: {"command": command, "description": "what the test asked for"},
    "bash": lambda command: {"command": command, "description": "what the test asked for"},
    "Shell": lambda command: {"command": command},
    "exec_command": lambda command: {
        "cmd": command,
        "sandbox_permissions": "require_escalated",
        "justification": "the test asked for it",
    },
    "shell": lambda command: {"command": ["sh", "-c", command]},
    "shell_command": lambda command: {"command": command},
    "run_shell_command": lambda command: {"command": command, "description": "asked for", "is_background": False},
}


HIDDEN = Tool("mcp__tiny__shout")
"""What some call a server's tool, whom it need not be offered to be called."""


def decide(heard: Heard) -> Say | Call | Fail:
    """The whole model. Where no tools are on offer, an agent mostly wants a title or the like."""
    if heard.picture is not None and heard.order[0] == "point":
        x, y = _middle_of_red(heard.picture)
        return _tool(heard, "click", {"x": x, "y": y}) or Say(("no tool clicks",))
    if heard.result is not None:
        return Say((f"done: {heard.result.strip()[:300]}",))
    verb, rest = heard.order
    if verb != "which" and not heard.tools:
        return Say(("A title",))
    if verb == "fail":
        return Fail(int(rest))
    return _said(heard, verb, rest) or _called(heard, verb, rest) or Say(("ok",))


def _said(heard: Heard, verb: str, rest: str) -> Say | None:
    words = tuple(f"{word} " for word in rest.split())
    answers = {
        "say": Say(words),
        "slow": Say(words, delay=1.5),
        "which": Say((f"model: {heard.model}",)),
        "recall": Say(("remembered: " + " | ".join(heard.users).rpartition("stub: ")[0],)),
        "stream": Say(("streaming ",), endless=True),
    }
    return answers.get(verb)


def _called(heard: Heard, verb: str, rest: str) -> Call | None:
    if verb == "write":
        path, _, text = rest.partition(" ")
        return next((_made(tool, path, text) for tool in heard.tools if tool.free or tool.name in MAKERS), None)
    if verb == "run":
        return next((tool.call(SHELLS[tool.name](rest)) for tool in heard.tools if tool.name in SHELLS), None)
    if verb == "shout":
        offered = [tool.call({"text": rest}) for tool in heard.tools if verb in tool.name]
        searches = [Call(tool, {"query": verb}) for tool in heard.tools if tool.search]
        hidden = [Call(HIDDEN, {"text": rest}) for tool in heard.tools if tool.name == "tool_search"]
        return next(iter(offered + searches + hidden), None)
    return _tool(heard, "screenshot", {}) if verb == "point" else None


def _tool(heard: Heard, name: str, arguments: dict[str, Any]) -> Call | None:
    """A call of one of the desktop's tools, whatever the agent calls it; one that is to be searched for first is."""
    named = [tool for tool in heard.tools if tool.name == name or tool.name.endswith(f"desktop_{name}")]
    named += [tool for tool in heard.tools if tool.name.endswith(f"desktop__{name}")]
    offered = [tool.call(arguments) for tool in named]
    searches = [Call(tool, {"query": f"desktop {name}"}) for tool in heard.tools if tool.search]
    hidden = [Call(Tool(f"mcp__desktop__{name}"), arguments) for tool in heard.tools if tool.name == "tool_search"]
    return next(iter(offered + searches + hidden), None)


def _middle_of_red(picture: bytes) -> tuple[int, int]:
    """In the picture's own pixels."""
    with Image.open(io.BytesIO(picture)) as image:
        red, green, blue = image.convert("RGB").split()
    other = ImageChops.lighter(green, blue)
    box = ImageChops.subtract(red, other).point(lambda more: 255 * (more > 200)).getbbox()
    assert box is not None, "nothing is red"
    return (box[0] + box[2]) // 2, (box[1] + box[3]) // 2


def _made(tool: Tool, path: str, text: str) -> Call:
    if tool.free:
        return Call(tool, {}, f"*** Begin Patch\n*** Add File: {path}\n+{text}\n*** End Patch\n")
    return tool.call(MAKERS[tool.name](path, text))
