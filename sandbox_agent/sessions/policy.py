"""What may be answered without asking a person: pure decisions over a tool call.

A rule that allows must be certain, so it matches only what it fully understands: a command must be one plain simple
command, and every path must lie where the rule says. A rule that denies (or asks) must not be slipped past: any
part that matches is enough, and where it cannot be told whether it matches, nobody is spared the question. So each
condition is true, false or unknown (``None``), and unknown never allows.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from sandbox_agent.wire.sessions import PermissionPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sandbox_agent.wire.sessions import Decision, PermissionOption, PermissionRule, PolicyMode, Reply

PATH_KEYS = (
    "path",
    "paths",
    "file",
    "files",
    "file_path",
    "filePath",
    "filepath",
    "file_name",
    "fileName",
    "filename",
    "notebook_path",
    "destination",
    "source",
)
"""Members of a tool's raw input that name files, over the agents we have recordings of."""

COMMAND_KEYS = ("command", "commands", "cmd")

# The file headers inside a patch given as text (apply_patch and Index: forms).
_PATCH_FILE = re.compile(r"^(?:\*\*\* (?:Add|Update|Delete) File|\*\*\* Move to|Index): (.+)$", re.MULTILINE)

# Programs that run what their arguments say: their first word tells nothing about what happens.
_WRAPPERS = frozenset(
    """ash bash command dash doas env eval exec fish find ksh nice node nohup parallel perl python python3 setsid sh
    ssh stdbuf sudo time timeout watch xargs zsh""".split()  # noqa: SIM905 - a column of forty words reads worse
)


class Verdict(NamedTuple):
    """``label`` says what decided: ``rule N`` (its index), or ``default MODE``."""

    decision: Decision
    label: str


class _Call(NamedTuple):
    kind: str | None
    commands: tuple[str, ...]
    opaque_command: bool
    paths: tuple[str, ...]
    opaque_path: bool


def as_policy(value: PolicyMode | PermissionPolicy) -> PermissionPolicy:
    """A bare mode is short for a policy of that default without rules."""
    return value if isinstance(value, PermissionPolicy) else PermissionPolicy(default=value)


def decide(
    policy: PermissionPolicy,
    tool_call: Mapping[str, Any],
    cwd: str,
    resolve: Callable[[str], str] = os.path.realpath,
) -> Verdict:
    """The first rule that matches decides, else the policy's default.

    ``resolve`` makes a path real (symbolic links and ``..`` gone); it reads the file system, so call this off the loop.
    """
    call = _read(tool_call, cwd, resolve)
    for index, rule in enumerate(policy.rules):
        matched = _matches(rule, call, cwd, resolve)
        if matched:
            return Verdict(rule.decision, f"rule {index}")
        if matched is None and rule.decision != "allow":
            return Verdict("ask", f"rule {index}")
    decision: Decision = "ask"
    if policy.default == "deny":
        decision = "deny"
    elif policy.default == "allow_all" or (policy.default == "allow_edits" and _edits_within(call, resolve(cwd))):
        decision = "allow"
    return Verdict(decision, f"default {policy.default}")


def _edits_within(call: _Call, root: str) -> bool:
    """An edit of named files below ``root``. Not of git's own: a hook or setting in there runs commands later."""
    if call.kind != "edit" or not call.paths or call.opaque_path or _runs_commands(call):
        return False
    return all(_within(path, root) and ".git" not in path[len(root) :].split("/") for path in call.paths)


def _runs_commands(call: _Call) -> bool:
    return call.kind == "execute" or bool(call.commands) or call.opaque_command


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _matches(rule: PermissionRule, call: _Call, cwd: str, resolve: Callable[[str], str]) -> bool | None:
    strict = rule.decision == "allow"
    found: list[bool | None] = []
    if rule.kinds is not None:
        found.append(call.kind in rule.kinds if call.kind else (None if not strict else "other" in rule.kinds))
    if rule.command is not None:
        found.append(_command_matches(rule.command, call, strict=strict))
    if rule.path is not None and rule.command is None and strict and _runs_commands(call):
        found.append(False)  # the paths an agent names for a command are guesses: they do not bound what it does
    elif rule.path is not None:
        found.append(_path_matches(rule.path, call, cwd, resolve, strict=strict))
    if False in found:
        return False
    return None if None in found else True


# --- commands


def plain_words(command: str) -> list[str] | None:
    """The words of one simple command as a POSIX shell would split it, or ``None`` when it is anything more.

    More is: several commands, a pipe, a redirection, a substitution or expansion, a sub-shell, a line break, an
    assignment in front, an unclosed quote.
    """
    if any(char in command for char in "\n\r\0$`\\") or command.lstrip().startswith("#"):
        return None
    words = _split(command)
    if not words or "=" in words[0] or any(_is_operator(word) for word in words):
        return None
    return words


def _split(command: str) -> list[str] | None:
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        return None


def _is_operator(word: str) -> bool:
    return bool(word) and all(char in "();<>|&" for char in word)


def _starts_with(words: list[str], prefix: list[str]) -> bool:
    return bool(prefix) and words[: len(prefix)] == prefix


def _command_matches(prefix: str, call: _Call, *, strict: bool) -> bool | None:
    wanted = plain_words(prefix)
    if wanted is None:
        return False if strict else None
    if strict:
        lines = [plain_words(command) for command in call.commands]
        return bool(lines) and not call.opaque_command and all(w is not None and _starts_with(w, wanted) for w in lines)
    if not call.commands:
        return None if call.opaque_command or call.kind in {"execute", None} else False
    verdicts = [_mentions(command, wanted) for command in call.commands]
    if True in verdicts:
        return True
    return None if None in verdicts or call.opaque_command else False


def _mentions(command: str, prefix: list[str]) -> bool | None:
    """Whether any simple command in the line starts with ``prefix``; unknown where the line hides what it runs."""
    words = _split(command.replace("\n", " ; ").replace("\r", " ; "))
    if words is None:
        return None
    segments: list[list[str]] = [[]]
    for word in words:
        if _is_operator(word):
            segments.append([])
        elif segments[-1] or "=" not in word:
            segments[-1].append(word)
    run = [segment for segment in segments if segment]
    named = [[segment[0].rsplit("/", 1)[-1], *segment[1:]] for segment in run]
    if any(_starts_with(segment, prefix) for segment in (*run, *named)):
        return True
    hidden = any(segment[0] in _WRAPPERS for segment in named)
    return None if hidden or plain_words(command) is None else False


# --- paths


def _path_matches(pattern: str, call: _Call, cwd: str, resolve: Callable[[str], str], *, strict: bool) -> bool | None:
    test = _path_test(pattern, cwd, resolve)
    hits = [test(path) for path in call.paths]
    if strict:
        return bool(hits) and not call.opaque_path and all(hits)
    if any(hits):
        return True
    return None if call.opaque_path or not hits else False


def _path_test(pattern: str, cwd: str, resolve: Callable[[str], str]) -> Callable[[str], bool]:
    whole = os.path.join(cwd, os.path.expanduser(pattern))  # noqa: PTH111, PTH118 - text in, text out: no file is meant yet
    fixed, glob = _cut_at_glob(whole)
    base = resolve(fixed)
    if not glob:
        return lambda path: _within(path, base)
    expression = re.compile(re.escape(base.rstrip("/")) + "/" + _glob_expression(glob))
    return lambda path: expression.fullmatch(path) is not None


def _cut_at_glob(path: str) -> tuple[str, str]:
    parts = path.split("/")
    first = next((index for index, part in enumerate(parts) if any(char in part for char in "*?[")), None)
    if first is None:
        return path, ""
    return "/".join(parts[:first]) or "/", "/".join(parts[first:])


def _glob_expression(glob: str) -> str:
    """``*`` and ``?`` stay within a folder, ``**`` crosses folders, ``[...]`` is a set of characters."""
    out, index = [], 0
    while index < len(glob):
        char = glob[index]
        if glob.startswith("**/", index):
            out.append("(?:[^/]+/)*")
            index += 3
            continue
        if glob.startswith("**", index):
            out.append(".*")
            index += 2
            continue
        close = glob.find("]", index + 2) if char == "[" else -1
        if close > 0:
            body = glob[index + 1 : close].replace("\\", "\\\\").replace("[", "\\[")
            out.append("[" + ("^/" + body[1:] if body[0] == "!" else body) + "]")
            index = close + 1
            continue
        out.append("[^/]*" if char == "*" else "[^/]" if char == "?" else re.escape(char))
        index += 1
    return "".join(out)


# --- what a tool call names


def _read(tool_call: Mapping[str, Any], cwd: str, resolve: Callable[[str], str]) -> _Call:
    kind = tool_call.get("kind")
    raw_input = tool_call.get("rawInput")
    commands, opaque_command = _commands(raw_input if isinstance(raw_input, dict) else {})
    paths, opaque_path = set(), False
    for named in _named_paths(tool_call, raw_input):
        path = _local_path(named)
        if path is None:
            opaque_path = True
        else:
            paths.add(resolve(os.path.join(cwd, path)))  # noqa: PTH118 - pathlib would not keep text as it is
    return _Call(
        kind=kind if isinstance(kind, str) and kind else None,
        commands=commands,
        opaque_command=opaque_command,
        paths=tuple(sorted(paths)),
        opaque_path=opaque_path,
    )


def _commands(raw_input: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """Command lines of the raw input. Never those of a title: it may be shortened or decorated for the reader.

    A list in ``commands`` holds lines; a list elsewhere is one argument vector.
    """
    lines: list[str] = []
    opaque = False
    for key in COMMAND_KEYS:
        value = raw_input.get(key)
        if value is None:
            continue
        if isinstance(value, str):
            lines.append(value)
        elif isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            lines.extend(value if key == "commands" else [shlex.join(value)])
        else:
            opaque = True
    return tuple(lines), opaque


def _named_paths(tool_call: Mapping[str, Any], raw_input: Any) -> Iterable[Any]:
    for location in _listed(tool_call.get("locations")):
        yield location.get("path") if isinstance(location, dict) else None
    for content in _listed(tool_call.get("content")):
        if isinstance(content, dict) and content.get("type") == "diff":
            yield content.get("path")
    if not isinstance(raw_input, dict):
        return
    for key in PATH_KEYS:
        value = raw_input.get(key)
        yield from value if isinstance(value, list) else () if value is None else (value,)
    changes = raw_input.get("changes")
    yield from changes if isinstance(changes, dict) else ()
    for text in raw_input.values():
        if isinstance(text, str):
            yield from _PATCH_FILE.findall(text)


def _listed(value: Any) -> list[Any]:
    """The list, or one unreadable entry for what is none."""
    return value if isinstance(value, list) else [] if value is None else [None]


def _local_path(named: Any) -> str | None:
    """A file-system path, or ``None`` for what cannot be one."""
    if not isinstance(named, str) or not named or "\0" in named:
        return None
    if "://" in named:
        parts = urlsplit(named)
        return unquote(parts.path) if parts.scheme == "file" and parts.path else None
    return os.path.expanduser(named)  # noqa: PTH111 - an agent may expand it, so it must not count as inside cwd


# --- options of a permission request


_KINDS: dict[Reply, tuple[str, ...]] = {
    "once": ("allow_once",),
    "always": ("allow_always",),
    "reject": ("reject_once", "reject_always"),
}


def option_for(reply: Reply, options: Iterable[PermissionOption]) -> PermissionOption | None:
    """The option a reply stands for, by ``kind`` alone; ids are the agent's own and mean nothing to us."""
    offered = list(options)
    for kind in _KINDS[reply]:
        for option in offered:
            if option.kind == kind:
                return option
    return None


def replies_for(options: Iterable[PermissionOption]) -> tuple[Reply, ...]:
    """The replies a request can be given. It can always be rejected: without such an option, as cancelled."""
    offered = list(options)
    allowing: tuple[Literal["once", "always"], ...] = ("once", "always")
    return (*(reply for reply in allowing if option_for(reply, offered)), "reject")


def reply_of(option: PermissionOption) -> Reply | None:
    """The reply an option stands for; ``None`` for a kind this version does not know."""
    return next((reply for reply, kinds in _KINDS.items() if option.kind in kinds), None)
