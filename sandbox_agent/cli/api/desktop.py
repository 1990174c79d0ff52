"""`sandbox-agent api desktop`: the desktop; what the actions do is in `desktop_acts` and `desktop_looks`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.cli.api import desktop_acts as act
from sandbox_agent.cli.api import desktop_looks as look
from sandbox_agent.cli.api.desktop_nodes import add_nodes
from sandbox_agent.cli.api.desktop_record import add_record
from sandbox_agent.cli.completion import window_ids
from sandbox_agent.cli.connection import add_connection
from sandbox_agent.cli.output import add_json
from sandbox_agent.cli.parsers import completed_by

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import TypeAlias

    Actions: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no other name
    Run: TypeAlias = Callable[[argparse.Namespace], int]

BUTTONS = ("left", "middle", "right")
MODIFIERS = ("ctrl", "shift", "alt", "cmd")
FORMATS = ("png", "jpeg", "webp")


def add_parser(areas: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = areas.add_parser("desktop", help="see and control the desktop", description="The desktop of a server.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_life(actions)
    _add_screenshot(actions)
    _add_mouse(actions)
    _add_keyboard(actions)
    _add_windows(actions)
    _add_programs(actions)
    _add_wait(actions)
    _add_batch(actions)
    add_nodes(actions)
    add_record(actions)


def _action(actions: Actions, name: str, run: Run, told: str) -> argparse.ArgumentParser:
    first = told.split(".", 1)[0].split(":", 1)[0]
    parser = actions.add_parser(name, help=first[0].lower() + first[1:], description=told)
    add_connection(parser)
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def _add_life(actions: Actions) -> None:
    parser = _action(actions, "start", act.run_start, "Start the desktop, or tell about the one that runs.")
    for name, told in (("--width", "pixels (default: 1440)"), ("--height", "pixels (default: 900)")):
        parser.add_argument(name, type=int, metavar="N", help=told)
    parser.add_argument("--dpi", type=int, metavar="N", help="dots per inch (default: 96)")
    parser.add_argument("--display", type=int, metavar="N", help="the display's number (default: a free one from 99)")
    for name, told in (("--stream-fps", "of the stream"), ("--recording-fps", "of recordings")):
        parser.add_argument(name, type=int, metavar="N", help=f"pictures a second {told} (default: 30)")
    parser.add_argument("--webrtc-ports", metavar="FIRST,LAST", help="the ports WebRTC may use (default: any)")
    parser.add_argument("--state-dir", metavar="DIR", help="a folder of the server for its home and logs")
    _action(actions, "stop", act.run_stop, "End the desktop with all its programs.")
    _action(actions, "status", look.run_status, "Tell the state of the desktop, and what is missing for it.")


def _add_screenshot(actions: Actions) -> None:
    told = "Take a screenshot and print where it is. With --json what a click needs to be told in its pixels."
    parser = _action(actions, "screenshot", look.run_screenshot, told)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where to (default: screenshot.png here); - for standard output"
    )
    parser.add_argument("--format", choices=FORMATS, help="its format (default: by the file's name, else png)")
    parser.add_argument("--quality", type=int, metavar="N", help="of jpeg and webp, 1 to 100")
    parser.add_argument("--scale", type=float, metavar="S", help="0.1 to 1")
    parser.add_argument("--region", metavar="X,Y,W,H", help="a part of the screen, in pixels")
    parser.add_argument("--cursor", action="store_true", help="with the pointer")
    told = "with numbered boxes over what can be acted on; --json tells what they are"
    parser.add_argument("--marks", action="store_true", help=told)


def _place(parser: argparse.ArgumentParser, *names: str, optional: bool = False) -> None:
    for name in names:
        parser.add_argument(name.lower(), metavar=name, type=int, nargs="?" if optional else None, help="in pixels")
    parser.add_argument("--screenshot", metavar="ID", help="they are pixels of this screenshot (see screenshot --json)")


def _button(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--button", choices=BUTTONS, default="left", help="default: left")


def _add_mouse(actions: Actions) -> None:
    _action(actions, "position", look.run_position, "Tell where the pointer is, and over which window.")
    _place(_action(actions, "move", act.run_move, "Move the pointer."), "X", "Y")
    parser = _action(actions, "click", act.run_click, "Move the pointer and click.")
    _place(parser, "X", "Y", optional=True)
    parser.add_argument("--mark", type=int, metavar="N", help="on this number of the --screenshot, instead of X and Y")
    _button(parser)
    parser.add_argument("--count", type=int, default=1, metavar="N", help="so many times")
    told = "hold this key meanwhile; repeatable"
    parser.add_argument("--modifier", action="append", default=[], choices=MODIFIERS, help=told)
    parser = _action(actions, "drag", act.run_drag, "Press a button at one place, let it go at another.")
    _place(parser, "X1", "Y1", "X2", "Y2")
    _button(parser)
    parser = _action(actions, "scroll", act.run_scroll, "Move the pointer and turn the wheel.")
    _place(parser, "X", "Y")
    for name, told in (("--down", "so many notches; negative is up"), ("--right", "the same; negative is left")):
        parser.add_argument(name, type=int, default=0, metavar="N", help=told)


def _add_keyboard(actions: Actions) -> None:
    parser = _action(actions, "type", act.run_type, "Type text into what has the focus.")
    parser.add_argument("text", metavar="TEXT", help="any text; - reads it from stdin")
    parser.add_argument("--delay", type=float, metavar="S", help="seconds between two characters")
    parser = _action(actions, "press", act.run_press, "Press keys or chords, one after the other: Return, ctrl+a.")
    parser.add_argument("keys", metavar="KEY", nargs="+", help="a key by its X name, or a chord")


def _add_windows(actions: Actions) -> None:
    _action(actions, "windows", look.run_windows, "List the windows.")
    for name, run, told in (
        ("focus", act.run_focus, "Give a window the focus."),
        ("close", act.run_close, "Ask a window to close."),
        ("minimize", act.run_minimize, "Minimize a window: focus brings it back."),
        ("maximize", act.run_maximize, "Maximize a window."),
        ("fullscreen", act.run_fullscreen, "Have a window fill the screen."),
        ("place", act.run_place, "Move a window: or resize it."),
    ):
        parser = _action(actions, name, run, told)
        completed_by(parser.add_argument("window", metavar="WINDOW", help="the window's id"), window_ids)
        if name in {"maximize", "fullscreen"}:
            parser.add_argument("--undo", action="store_true", help="have it as it was")
        if name == "place":
            parser.add_argument("--at", metavar="X,Y", help="where to, in pixels")
            parser.add_argument("--size", metavar="W,H", help="how large, in pixels")


def _add_programs(actions: Actions) -> None:
    told = "Print the text of the clipboard: or put text into it."
    parser = _action(actions, "clipboard", act.run_clipboard, told)
    parser.add_argument("text", metavar="TEXT", nargs="?", help="what to put in; - reads it from stdin")
    told = "which of the two (default: clipboard); both for writing"
    parser.add_argument("--selection", choices=["clipboard", "primary", "both"], default="clipboard", help=told)
    parser = _action(actions, "launch", act.run_launch, "Start a program on the desktop and print its process's id.")
    parser.add_argument("--wait", action="store_true", help="until its window is there, 5 seconds at most")
    parser.add_argument("app", metavar="APP", help="a program on PATH, or its path")
    parser.add_argument("args", metavar="ARG", nargs="...", help="its arguments; options stand before APP")
    parser = _action(actions, "open", act.run_open, "Open a file or an address with the program for it.")
    parser.add_argument("target", metavar="TARGET", help="a file of the server, or an address")


def _add_wait(actions: Actions) -> None:
    told = "Wait until the screen is still, until it changes, or for a window. The status is 1 if that does not come."
    parser = _action(actions, "wait", look.run_wait, told)
    parser.add_argument("until", choices=["idle", "change", "window"], help="what for")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="for so many seconds (default: 10)")
    parser.add_argument("--quiet", type=float, default=0.5, metavar="S", help="how long it is still (default: 0.5)")
    parser.add_argument("--region", metavar="X,Y,W,H", help="a part of the screen")
    parser.add_argument("--threshold", type=int, default=0, metavar="N", help="changes of so many pixels do not count")
    parser.add_argument("--title", metavar="TEXT", help="a window whose title contains this")
    parser.add_argument("--class", dest="window_class", metavar="NAME", help="a window of this class")
    parser.add_argument("--pid", type=int, metavar="N", help="a window of this process")


def _add_batch(actions: Actions) -> None:
    told = "Do several things in one request, until the first that fails, and print what became of each as JSON."
    parser = _action(actions, "actions", act.run_actions, told)
    parser.add_argument("actions", metavar="JSON", help="an array of actions, or @FILE; - reads it from stdin")
