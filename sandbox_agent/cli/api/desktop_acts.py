"""What the actions of `sandbox-agent api desktop` do that change something."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox_agent.cli.api.desktop_looks import STANDARD, pair_of, told
from sandbox_agent.cli.connection import connect
from sandbox_agent.cli.exits import UsageError
from sandbox_agent.cli.output import print_json, write_bytes
from sandbox_agent.cli.parsers import typed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sandbox_agent.client import Desktop, LaunchResult, Position, Window


def run_start(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        status = client.desktop.start(
            width=arguments.width,
            height=arguments.height,
            dpi=arguments.dpi,
            display_num=arguments.display,
            state_dir=arguments.state_dir,
            stream_fps=arguments.stream_fps,
            recording_fps=arguments.recording_fps,
            webrtc_ports=pair_of("--webrtc-ports", arguments.webrtc_ports),
        )
    return told(status, as_json=arguments.json)


def run_stop(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        return told(client.desktop.stop(), as_json=arguments.json)


# -- mouse and keyboard -----------------------------------------------------------------------------------------------


def run_move(arguments: argparse.Namespace) -> int:
    return _moved(arguments, lambda desktop: desktop.move(arguments.x, arguments.y, screenshot=arguments.screenshot))


def run_click(arguments: argparse.Namespace) -> int:
    return _moved(
        arguments,
        lambda desktop: desktop.click(
            arguments.x,
            arguments.y,
            button=arguments.button,
            count=arguments.count,
            modifiers=arguments.modifier,
            screenshot=arguments.screenshot,
            mark=arguments.mark,
        ),
    )


def run_drag(arguments: argparse.Namespace) -> int:
    places = (arguments.x1, arguments.y1, arguments.x2, arguments.y2)
    return _moved(
        arguments, lambda desktop: desktop.drag(*places, button=arguments.button, screenshot=arguments.screenshot)
    )


def run_scroll(arguments: argparse.Namespace) -> int:
    if not arguments.down and not arguments.right:
        raise UsageError("how far? give --down or --right")
    return _moved(
        arguments,
        lambda desktop: desktop.scroll(
            arguments.x, arguments.y, arguments.right, arguments.down, screenshot=arguments.screenshot
        ),
    )


def _moved(arguments: argparse.Namespace, act: Callable[[Desktop], Position]) -> int:
    """Where the pointer is then is told with --json only."""
    with connect(arguments) as client:
        where = act(client.desktop)
    if arguments.json:
        print_json(where)
    return 0


def run_type(arguments: argparse.Namespace) -> int:
    text = _text(arguments.text)
    with connect(arguments) as client:
        client.desktop.type(text, delay=arguments.delay)
    return _done(arguments)


def run_press(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        for key in arguments.keys:
            client.desktop.press(typed(key) or key)
    return _done(arguments)


def _done(arguments: argparse.Namespace) -> int:
    if arguments.json:
        print_json({"ok": True})
    return 0


def _text(given: str) -> str:
    """What was typed, or all of standard input, as UTF-8."""
    return sys.stdin.buffer.read().decode("utf-8", "replace") if given == STANDARD else typed(given) or given


# -- windows ----------------------------------------------------------------------------------------------------------


def run_focus(arguments: argparse.Namespace) -> int:
    return _changed(arguments, lambda window: window.focus())


def run_minimize(arguments: argparse.Namespace) -> int:
    return _changed(arguments, lambda window: window.minimize())


def run_maximize(arguments: argparse.Namespace) -> int:
    return _changed(arguments, lambda window: window.maximize(on=not arguments.undo))


def run_fullscreen(arguments: argparse.Namespace) -> int:
    return _changed(arguments, lambda window: window.fullscreen(on=not arguments.undo))


def run_place(arguments: argparse.Namespace) -> int:
    """Moved before it is resized, so that a large one has room."""
    at, size = pair_of("--at", arguments.at), pair_of("--size", arguments.size)
    if at is None and size is None:
        raise UsageError("where to? give --at, --size or both")

    def place(window: Window) -> None:
        if at is not None:
            window.move(*at)
        if size is not None:
            window.resize(*size)

    return _changed(arguments, place)


def run_close(arguments: argparse.Namespace) -> int:
    return _changed(arguments, lambda window: window.close())


def _changed(arguments: argparse.Namespace, change: Callable[[Window], object]) -> int:
    with connect(arguments) as client:
        window = client.desktop.window(arguments.window)
        change(window)
    if arguments.json:
        print_json(window.info)
    return 0


# -- clipboard, programs, batches -------------------------------------------------------------------------------------


def run_clipboard(arguments: argparse.Namespace) -> int:
    if arguments.text is not None:
        text = _text(arguments.text)
        with connect(arguments) as client:
            client.desktop.set_clipboard(text, arguments.selection)
        return _done(arguments)
    if arguments.selection == "both":
        raise UsageError("--selection both is for writing")
    with connect(arguments) as client:
        text = client.desktop.clipboard(arguments.selection)
    if arguments.json:
        print_json({"text": text, "selection": arguments.selection})
    else:
        write_bytes(text.encode("utf-8", "surrogateescape"))
    return 0


def run_launch(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        return _launched(client.desktop.launch(arguments.app, arguments.args, wait=arguments.wait), arguments)


def run_open(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        return _launched(client.desktop.open(arguments.target), arguments)


def _launched(result: LaunchResult, arguments: argparse.Namespace) -> int:
    if arguments.json:
        print_json(result)
    else:
        print(result.process_id)
    return 0


def run_actions(arguments: argparse.Namespace) -> int:
    """Ends with 1 where one failed."""
    given = _actions(arguments.actions)
    with connect(arguments) as client:
        result = client.desktop.actions(given, check=False)
    print_json({"ok": result.ok, "results": [_result(one) for one in result]})
    return 0 if result.ok else 1


def _actions(given: str) -> list[dict[str, Any]]:
    """An array of objects. Raises ``UsageError``."""
    import msgspec

    try:
        text = Path(given[1:]).read_bytes() if given.startswith("@") else _text(given).encode()
        return msgspec.json.decode(text, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise UsageError(f"the actions must be a JSON array of objects: {error}") from None


def _result(result: Any) -> dict[str, Any]:
    """As on the wire, a screenshot without its data where it would only fill the terminal."""
    shown = {"type": result.type, "ok": result.ok}
    for name in ("position", "wait", "problem"):
        if (value := getattr(result, name)) is not None:
            shown[name] = value
    if result.screenshot is not None:
        shot = result.screenshot
        shown["screenshot"] = {"id": shot.id, "format": shot.format, "width": shot.width, "height": shot.height}
    return shown
