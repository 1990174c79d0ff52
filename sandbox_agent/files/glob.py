"""Name patterns of listings and searches. Pure."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from sandbox_agent.problems import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_LENGTH = 1024


@functools.lru_cache(maxsize=64)
def matcher(pattern: str) -> Callable[[str], bool]:
    """Tells whether a path relative to the folder listed matches. Raises ``InvalidRequest``.

    ``*`` and ``?`` stand for characters but ``/``, ``[abc]`` and ``[!abc]`` for one of some, and ``**`` between
    slashes for any folders or none. A pattern without ``/`` is held against the last name alone.
    """
    if not pattern or len(pattern) > MAX_LENGTH:
        raise InvalidRequest(f"a glob has 1 to {MAX_LENGTH} characters", code="invalid_glob")
    if "/" not in pattern:
        match = re.compile(_name(pattern)).fullmatch
        return lambda path: match(path.rpartition("/")[2]) is not None
    parts = [None if part is None else re.compile(_name(part)).fullmatch for part in _parts(pattern)]
    return lambda path: _matches(parts, path.split("/"))


def regular_expression(pattern: str) -> str:
    """The same as a regular expression, for programs of their own: of the whole path, or of its last name."""
    if "/" not in pattern:
        return _name(pattern)
    *folders, last = _parts(pattern) or [""]
    return "".join("(?:[^/]+/)*" if part is None else _name(part) + "/" for part in folders) + _name(last or "")


def _parts(pattern: str) -> list[str | None]:
    """The patterns of names, ``None`` for any folders."""
    parts = [None if part == "**" else part for part in pattern.split("/") if part not in {"", "."}]
    return [*parts, "*"] if parts and parts[-1] is None else parts


_PIECE = re.compile(r"(?P<stars>\*+)|(?P<one>\?)|(?P<set>\[!?\]?[^\]]*\])|(?P<text>.)", re.DOTALL)
_MEMBER = re.compile(r"(?P<low>.)-(?P<high>.)|(?P<single>.)", re.DOTALL)


def _name(pattern: str) -> str:
    """One name's pattern. All its stars but the last take what they need and no more: one pass over the name."""
    between = [""]
    for piece in _PIECE.finditer(pattern):
        if piece["stars"]:
            between.append("")
        else:
            between[-1] += _piece(piece)
    first, *others = between
    if not others:
        return first
    return first + "".join(f"(?>[^/]*?{fixed})" for fixed in others[:-1]) + f"[^/]*{others[-1]}"


def _piece(piece: re.Match[str]) -> str:
    if piece["one"]:
        return "[^/]"
    if piece["text"]:
        return re.escape(piece["text"])
    inner = piece["set"][1:-1]
    negated = inner.startswith("!")
    members = _MEMBER.sub(_member, inner[negated:])
    if not members:
        return "[^/]" if negated else "(?!)"  # a set of nothing
    return f"(?!/)[{'^' if negated else ''}{members}]"


def _member(member: re.Match[str]) -> str:
    if member["single"]:
        return re.escape(member["single"])
    if member["low"] > member["high"]:
        return ""  # from high to low there is nothing
    return f"{re.escape(member['low'])}-{re.escape(member['high'])}"


def _matches(pattern: Sequence[Callable[[str], re.Match[str] | None] | None], names: list[str]) -> bool:
    """Name by name, with all places in the pattern that may be reached so far: no pattern makes this take long."""
    reached = {0}
    for at, part in enumerate(pattern):  # folders that stand for none
        if at in reached and part is None:
            reached.add(at + 1)
    for name in names:
        following: set[int] = set()
        for at in reached:
            if at == len(pattern):
                continue
            part = pattern[at]
            if part is None:
                following.add(at)
            elif part(name) is not None:
                following.add(at + 1)
        for at, part in enumerate(pattern):
            if at in following and part is None:
                following.add(at + 1)
        reached = following
    return len(pattern) in reached
