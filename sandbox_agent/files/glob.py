"""Name patterns of listings and searches. Pure."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from sandbox_agent.problems import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LENGTH = 1024


@functools.lru_cache(maxsize=64)
def matcher(pattern: str) -> Callable[[str], bool]:
    """Tells whether a path relative to the folder listed matches. Raises ``InvalidRequest``.

    ``*`` and ``?`` stand for characters but ``/``, ``**`` for any, ``**/`` for any folders or none, ``[abc]`` and
    ``[!abc]`` for one of some. A pattern without ``/`` is held against the last name alone.
    """
    if not pattern or len(pattern) > MAX_LENGTH:
        raise InvalidRequest(f"a glob has 1 to {MAX_LENGTH} characters", code="invalid_glob")
    try:
        compiled = re.compile(_translate(pattern.removeprefix("./")), re.DOTALL)
    except re.error as error:
        raise InvalidRequest(f"the glob {pattern!r} is malformed: {error}", code="invalid_glob") from error
    if "/" in pattern:
        return lambda path: compiled.fullmatch(path) is not None
    return lambda path: compiled.fullmatch(path.rpartition("/")[2]) is not None


_PART = re.compile(
    r"(?P<folders>\*\*+/)|(?P<any>\*\*+)|(?P<some>\*)|(?P<one>\?)|(?P<set>\[!?\]?[^\]/]*\])|(?P<text>.)", re.DOTALL
)


def _translate(pattern: str) -> str:
    """A glob as a regular expression, in which no two repetitions stand side by side: it takes linear steps each."""
    parts: list[str] = []
    for match in _PART.finditer(pattern):
        if match["folders"]:
            part = "(?:[^/]+/)*+" if parts else "(?:.*/)?"
        elif match["any"]:
            part = ".*"
        elif match["some"]:
            part = "[^/]*"
        elif match["one"]:
            part = "[^/]"
        elif match["set"]:
            part = _set(match["set"])
        else:
            part = re.escape(match["text"])
        if not (parts and part == parts[-1] and part.endswith("*")):
            parts.append(part)
    return "".join(parts)


def _set(text: str) -> str:
    inner = text[1:-1]
    negated = inner.startswith("!")
    inner = inner[negated:].replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace("^", "\\^")
    inner = inner.replace("&&", "&\\&").replace("||", "|\\|").replace("~~", "~\\~").replace("--", "-\\-")
    return f"(?!/)[{'^' if negated else ''}{inner}]"


def regular_expression(pattern: str) -> str:
    """The same as a regular expression, for programs of their own: of the whole path, or of its last name."""
    return _translate(pattern.removeprefix("./"))
