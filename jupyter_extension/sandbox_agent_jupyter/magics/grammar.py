"""The grammar of ``%agent`` and ``%%agent``: pure, so that help, completion and parsing cannot disagree."""

from __future__ import annotations

import argparse
import re
import shlex
from dataclasses import dataclass, field
from typing import Any, NoReturn

from sandbox_agent.problems import SandboxAgentError
from sandbox_agent.wire.sessions import POLICY_MODES

FORMATS = ("text", "md", "html", "ipynb")


class MagicUsageError(SandboxAgentError):
    """The words after ``%agent`` make no sense; the message says which do."""


@dataclass(frozen=True, slots=True)
class Option:
    """One ``--flag``; ``complete`` names what its value is completed from (see `completion`)."""

    flag: str
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    complete: str | None = None
    type: type = str
    short: str | None = None

    @property
    def takes_value(self) -> bool:
        return self.metavar is not None or self.choices is not None


@dataclass(frozen=True, slots=True)
class Command:
    """One word after ``%agent``. ``text`` means that everything after the options is taken as it stands.

    One with ``actions`` is followed by one of them, which are commands below it; their ``argument`` may be several
    words, such as ``LOCAL [REMOTE]`` or ``PATH...``.
    """

    name: str
    help: str
    options: tuple[Option, ...] = ()
    argument: str | None = None
    required: bool = False
    text: bool = False
    complete: str | None = None
    actions: tuple[Command, ...] = ()
    parent: str = ""
    magic: str = "agent"

    @property
    def full_name(self) -> str:
        return f"{self.parent} {self.name}".lstrip()

    def action(self, name: str) -> Command | None:
        return next((action for action in self.actions if action.name == name), None)


@dataclass(frozen=True, slots=True)
class Invocation:
    """A parsed line: the command, its options by name (dashes as underscores) and its argument or text.

    Of a command with actions it is the action's, with its ``arguments``.
    """

    command: Command
    options: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    arguments: tuple[str, ...] = ()


AGENT = Option(
    "--agent", "agent to use; makes a new session when the current one runs another", "ID", complete="agents"
)
SESSION = Option("--session", "session to use, by id, for this call only", "ID", complete="sessions")
CWD = Option("--cwd", "working directory of a new session (default: the kernel's)", "DIR")
MODEL = Option("--model", "model of a new session", "ID", complete="models")
MODE = Option("--mode", "mode of a new session", "ID", complete="modes")
THOUGHT = Option("--thought-level", "thought level of a new session", "ID", complete="thought_levels")
PERMISSIONS = Option("--permissions", "what a new session answers by itself (default: ask)", choices=POLICY_MODES)
TITLE = Option("--title", "title of a new session", "TEXT")
DESKTOP_USE = Option("--desktop", "the agent of a new session can see and use the server's desktop")
WAIT = Option("--wait", "show the turn until it ends (the default)")
BACKGROUND = Option("--background", "return at once; %agent status and %agent transcript show how far it is")
INTO = Option("--into", "store the result in this variable", "NAME")

NEW_SESSION = (CWD, MODEL, MODE, THOUGHT, PERMISSIONS, TITLE, DESKTOP_USE)
PROMPT_OPTIONS = (AGENT, SESSION, WAIT, BACKGROUND, INTO, *NEW_SESSION)

RECURSIVE = Option("--recursive", "what is in its folders too", short="-r")
GLOB = Option("--glob", "only what matches, such as *.py or src/**/*.ts", "PATTERN")


def _file_action(name: str, told: str, argument: str, *options: Option, complete: str = "paths") -> Command:
    return Command(name, told, options, argument, required=True, complete=complete, parent="fs")


FILE_ACTIONS = (
    _file_action(
        "ls",
        "list a folder (default: the server's home)",
        "[PATH]",
        RECURSIVE,
        Option("--depth", "with --recursive, N levels down", "N", type=int),
        GLOB,
        INTO,
    ),
    _file_action("cat", "print files", "PATH...", INTO),
    _file_action("stat", "what a path leads to", "PATH", INTO),
    _file_action(
        "put",
        "copy a file or a folder of this kernel's machine to the server",
        "LOCAL [REMOTE]",
        complete="put",
    ),
    _file_action("get", "copy a file or a folder of the server to this kernel's machine", "REMOTE [LOCAL]"),
    _file_action(
        "rm",
        "remove files and empty folders",
        "PATH...",
        Option("--recursive", "folders with all that is in them", short="-r"),
    ),
    _file_action("mv", "rename or move", "PATH TO", Option("--overwrite", "replace what is there")),
    _file_action("mkdir", "make folders, and those above them", "PATH..."),
    _file_action(
        "search",
        "find text in files, or with --name names",
        "TEXT [PATH]",
        Option("--name", "look at names"),
        GLOB,
        Option("--regex", "TEXT is a regular expression"),
        Option("--limit", "at most N", "N", type=int),
        INTO,
        complete="search",
    ),
)

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command(
            "prompt", "send TEXT to the session and show the answer", PROMPT_OPTIONS, "TEXT", required=True, text=True
        ),
        Command("new", "make a session and use it", NEW_SESSION, "AGENT", complete="agents"),
        Command("use", "use another session, or the newest", (), "SESSION", complete="sessions"),
        Command("list", "list the sessions", (Option("--limit", "at most N (default 20)", "N", type=int),)),
        Command("status", "show the session, its turn and what waits", (SESSION,)),
        Command("cancel", "end the running turn and empty the queue; the session stays", (SESSION,)),
        Command(
            "events",
            "list raw events",
            (
                SESSION,
                Option("--after", "only those after sequence N", "N", type=int),
                Option("--limit", "at most N (default 50)", "N", type=int),
            ),
        ),
        Command(
            "transcript",
            "show or save the transcript",
            (
                SESSION,
                Option("--format", "form to print or save", choices=FORMATS),
                Option("--save", "write it to this file instead", "FILE"),
                INTO,
            ),
        ),
        Command(
            "approve",
            "allow what waits for permission and show the turn until it ends",
            (SESSION, BACKGROUND, Option("--always", "and all of its kind in this session")),
            "REQUEST",
            complete="permissions",
        ),
        Command(
            "reject",
            "refuse what waits for permission and show the turn until it ends",
            (SESSION, BACKGROUND),
            "REQUEST",
            complete="permissions",
        ),
        Command("mode", "show or set the mode", (SESSION,), "ID", complete="modes"),
        Command("model", "show or set the model", (SESSION,), "ID", complete="models"),
        Command("thought", "show or set the thought level", (SESSION,), "ID", complete="thought_levels"),
        Command(
            "fs",
            "the server's files: " + ", ".join(action.name for action in FILE_ACTIONS),
            (),
            "ACTION ...",
            required=True,
            text=True,
            actions=FILE_ACTIONS,
        ),
        Command(
            "run",
            "run LINE in the server's shell and show what it writes; an interrupt stops it",
            (
                Option(
                    "--cwd", "working directory on its machine (default: the server's own)", "DIR", complete="paths"
                ),
                Option("--check", "fail the cell unless it ends with 0"),
                Option("--background", "return at once; %agent logs shows what it writes"),
                Option("--into", "store the process in this variable", "NAME"),
            ),
            "LINE",
            required=True,
            text=True,
        ),
        Command("processes", "list the server's processes"),
        Command(
            "logs",
            "show what a process wrote",
            (
                Option("--follow", "and what it writes, until it ends; an interrupt leaves it running"),
                Option("--tail", "only the last N entries", "N", type=int),
            ),
            "ID",
            required=True,
            complete="processes",
        ),
        Command("stop", "end a process and all it started", (), "ID", required=True, complete="processes"),
        Command("end", "end the session and forget it", (), "SESSION", complete="sessions"),
        Command(
            "connect",
            "use the server at URL (default: the one around this kernel, else a local one)",
            (Option("--token", "variable that holds the token; the token itself would stay in the notebook", "NAME"),),
            "URL",
        ),
        Command(
            "install",
            "install an agent where the server runs",
            (Option("--reinstall", "also if it is installed"),),
            "AGENT",
            required=True,
            complete="agents",
        ),
        Command(
            "doctor",
            "check the server and the agents (or AGENT alone), and say what to run where something is amiss",
            (Option("--offline", "start no agent; without it each is greeted and ended"),),
            "AGENT",
            complete="agents",
        ),
        Command("help", "this text", (), "COMMAND", complete="commands"),
    )
}


class _Parser(argparse.ArgumentParser):
    def __init__(self, command: Command) -> None:
        super().__init__(prog=command.full_name, add_help=False, allow_abbrev=False)
        self._command = command

    def error(self, message: str) -> NoReturn:
        raise MagicUsageError(f"{message}. {usage(self._command)}")


def _parser(command: Command) -> _Parser:
    parser = _Parser(command)
    for option in command.options:
        flags = [option.short, option.flag] if option.short else [option.flag]
        if option.takes_value:
            parser.add_argument(*flags, metavar=option.metavar, choices=option.choices, type=option.type)
        else:
            parser.add_argument(*flags, action="store_true")
    return parser


_WORD = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|\S)+)""")


def _split_options(command: Command, line: str) -> tuple[list[str], str]:
    """The leading option words, unquoted, and the rest of the line untouched. ``--`` ends the options."""
    words: list[str] = []
    flags = {option.flag: option for option in command.options}
    rest = line
    expects_value = False
    while match := _WORD.match(rest):
        word = match[1]
        if not expects_value:
            if word == "--":
                return words, rest[match.end() :].strip()
            if not word.startswith("--"):
                break
        option = flags.get(word)
        words.append(word if not expects_value else _unquote(word))
        expects_value = not expects_value and option is not None and option.takes_value
        rest = rest[match.end() :]
    return words, rest.strip()


def _unquote(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'" else word


def _options(command: Command, words: list[str]) -> dict[str, Any]:
    parsed = vars(_parser(command).parse_args(words))
    if parsed.get("wait") and parsed.get("background"):
        raise MagicUsageError("--wait and --background exclude each other")
    return parsed


def parse_line(line: str) -> Invocation:
    """Parse what stands after ``%agent``; an empty line asks for the status.

    Raises `MagicUsageError` naming what would be right.
    """
    name, _, rest = line.strip().partition(" ")
    if not name:
        name = "status"
    command = COMMANDS.get(name)
    if command is None:
        known = ", ".join(COMMANDS)
        raise MagicUsageError(f"no command {name!r}; there are: {known}. To prompt: %agent prompt {line.strip()}")
    if command.actions:
        return parse_action(command, rest)
    words, text = _split_options(command, rest)
    if not command.text and text:
        first, _, more = text.partition(" ")
        trailing, text_after = _split_options(command, more)
        if command.argument is None or text_after:
            raise MagicUsageError(f"{text!r} is too much here. {usage(command)}")
        words, text = words + trailing, _unquote(first)
    options = _options(command, words)
    if command.required and not text:
        raise MagicUsageError(f"{command.argument} is missing. {usage(command)}")
    return Invocation(command, options, text)


def parse_text(command: Command, line: str) -> Invocation:
    """A command whose argument is the rest of the line, as it stands."""
    words, text = _split_options(command, line)
    options = _options(command, words)
    if command.required and not text:
        raise MagicUsageError(f"{command.argument} is missing. {usage(command)}")
    return Invocation(command, options, text)


def parse_action(command: Command, line: str) -> Invocation:
    """The action with its arguments, which are quoted as in a shell."""
    try:
        name, *words = shlex.split(line)
    except ValueError as error:
        told = f"{error}. {usage(command)}" if line.strip() else f"{command.argument} is missing. {usage(command)}"
        raise MagicUsageError(told) from None
    action = command.action(name)
    if action is None:
        known = ", ".join(action.name for action in command.actions)
        raise MagicUsageError(f"no action {name!r} of {command.name or f'%{command.magic}'}; there are: {known}")
    parser = _parser(action)
    parser.add_argument("arguments", nargs="*")
    options = vars(parser.parse_intermixed_args(words))
    arguments = tuple(options.pop("arguments"))
    _check_arguments(action, arguments)
    return Invocation(action, options, line, arguments)


def _check_arguments(action: Command, arguments: tuple[str, ...]) -> None:
    names = (action.argument or "").split()
    least = [name for name in names if not name.startswith("[")]
    if len(arguments) < len(least):
        raise MagicUsageError(f"{least[len(arguments)].rstrip('.')} is missing. {usage(action)}")
    if len(arguments) > len(names) and not (names and names[-1].endswith("...")):
        raise MagicUsageError(f"{arguments[len(names)]!r} is too much here. {usage(action)}")


def parse_cell(line: str, cell: str) -> Invocation:
    """Parse ``%%agent`` with its options; the cell's body is the prompt, as it stands."""
    command = COMMANDS["prompt"]
    words, rest = _split_options(command, line)
    if rest:
        raise MagicUsageError(f"{rest!r} is too much here: the cell's body is the prompt. {cell_usage()}")
    if not cell.strip():
        raise MagicUsageError("the cell's body is empty; it is the prompt")
    return Invocation(command, _options(command, words), cell.strip("\n"))


def usage(command: Command) -> str:
    """One line: how ``command`` is written."""
    argument = command.argument and (command.argument if command.required else f"[{command.argument}]")
    options = "[options]" if command.options else None
    return f"Usage: %{command.magic} " + " ".join(part for part in (command.full_name, options, argument) if part)


def cell_usage() -> str:
    return "Usage: %%agent [options], and the prompt below"


def help_text(topic: str = "") -> str:
    """Help on one command, or the list of all."""
    if topic:
        command = COMMANDS.get(topic)
        if command is None:
            raise MagicUsageError(f"no command {topic!r}; there are: {', '.join(COMMANDS)}")
        lines = [usage(command), f"  {command.help}", *_option_lines(command.options)]
        for action in command.actions:
            lines += ["", action_help(action)]
        return "\n".join(lines)
    width = max(len(usage(command)) for command in COMMANDS.values()) - len("Usage: ") + 2
    lines = ["Drive coding agents from cells.", "", "Line commands:"]
    lines += [f"  {usage(command).removeprefix('Usage: '):<{width}}{command.help}" for command in COMMANDS.values()]
    lines += [
        "",
        "A cell as prompt:",
        "  %%agent [options]",
        "  the prompt, over as many lines as it takes",
        "",
        "Options of a prompt:",
    ]
    lines += _option_lines(PROMPT_OPTIONS)
    return "\n".join(lines)


def action_help(action: Command) -> str:
    """How it is written, what it does, and its options."""
    return "\n".join([usage(action).removeprefix("Usage: "), f"  {action.help}", *_option_lines(action.options)])


def _option_lines(options: tuple[Option, ...]) -> list[str]:
    named = [
        (f"{_flag(o)} {o.metavar or 'CHOICE'}", f"{o.help}: {', '.join(o.choices)}" if o.choices else o.help)
        if o.takes_value
        else (_flag(o), o.help)
        for o in options
    ]
    width = max((len(name) for name, _ in named), default=0) + 2
    return [f"    {name:<{width}}{text}" for name, text in named]


def _flag(option: Option) -> str:
    return f"{option.short}, {option.flag}" if option.short else option.flag
