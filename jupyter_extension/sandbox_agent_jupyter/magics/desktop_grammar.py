"""The grammar of ``%desktop``: pure, as that of ``%agent`` is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandbox_agent_jupyter.magics.grammar import (
    Command,
    MagicUsageError,
    Option,
    action_help,
    parse_action,
    parse_text,
)

if TYPE_CHECKING:
    from sandbox_agent_jupyter.magics.grammar import Invocation

SHOW: Final = Option("--show", "show the screen afterwards, once it is still")
INTO: Final = Option("--into", "store it in this variable", "NAME")
REGION: Final = Option("--region", "a part of the screen, in pixels", "X,Y,W,H")
FORMATS: Final = ("png", "jpeg", "webp")
BUTTONS: Final = ("left", "middle", "right")


def _pixels(flag: str, told: str) -> Option:
    return Option(flag, told, "N", type=int)


def _action(
    name: str, told: str, argument: str | None = None, *options: Option, text: bool = False, complete: str | None = None
) -> Command:
    required = argument is not None and not argument.startswith("[")
    return Command(
        name, told, options, argument, required=required or not text, text=text, complete=complete, magic="desktop"
    )


DESKTOP: Final = Command(
    "",
    "see and control the desktop of the server",
    (),
    "ACTION ...",
    required=True,
    magic="desktop",
    actions=(
        _action(
            "start",
            "start the desktop, or tell about the one that runs",
            None,
            _pixels("--width", "pixels (default: 1440)"),
            _pixels("--height", "pixels (default: 900)"),
            _pixels("--dpi", "dots per inch (default: 96)"),
        ),
        _action("stop", "end the desktop with all its programs"),
        _action("status", "tell its state, and what is missing for it"),
        _action(
            "screenshot",
            "show the screen",
            None,
            Option("--scale", "0.1 to 1", "S", type=float),
            REGION,
            Option("--format", "its format (default: png)", choices=FORMATS),
            Option("--cursor", "with the pointer"),
            Option("--save", "write it to this file too", "FILE"),
            INTO,
        ),
        _action(
            "click",
            "click at a place of the screen",
            "X Y",
            Option("--button", "default: left", choices=BUTTONS),
            Option("--count", "so many times", "N", type=int),
            Option("--screenshot", "variable of the screenshot whose pixels these are", "NAME"),
            SHOW,
        ),
        _action("type", "type TEXT, as it stands, into what has the focus", "TEXT", SHOW, text=True),
        _action("press", "press keys or chords, one after the other: Return, ctrl+a", "KEY...", SHOW),
        _action("windows", "list the windows", None, INTO),
        _action("tree", "tell what programs tell of their windows: buttons, fields, menus", None, INTO),
        _action("focus", "give a window the focus", "WINDOW", SHOW, complete="windows"),
        _action("launch", "start a program and wait for its window", "APP [ARG...]", SHOW, text=True),
        _action("clipboard", "print the text of the clipboard, or put TEXT into it", "[TEXT]", text=True),
        _action(
            "record",
            "record the screen until stop, which tells its id and length, or writes FILE (.mp4, .gif, .webm)",
            "start|stop [FILE]",
            Option("--fps", "pictures a second (default: 30)", "N", type=int),
            Option("--overlay", "draw clicks and keys in, passwords among them"),
            Option("--into", "store what stop tells in this variable: the recording", "NAME"),
            complete="record",
        ),
        _action("help", "this text", "[ACTION]", complete="actions"),
    ),
)


def parse_desktop(line: str) -> Invocation:
    """Parse what stands after ``%desktop``; an empty line asks for the status. Raises `MagicUsageError`."""
    name, _, rest = line.strip().partition(" ")
    action = DESKTOP.action(name)
    if action is not None and action.text:
        return parse_text(action, rest)
    return parse_action(DESKTOP, line.strip() or "status")


def desktop_help(topic: str = "") -> str:
    """Help on one action, or on all."""
    if not topic:
        shown = [action_help(action) for action in DESKTOP.actions]
        return "\n\n".join(["See and control the desktop of the server from cells.", *shown])
    action = DESKTOP.action(topic)
    if action is None:
        known = ", ".join(action.name for action in DESKTOP.actions)
        raise MagicUsageError(f"no action {topic!r} of %desktop; there are: {known}")
    return action_help(action)
