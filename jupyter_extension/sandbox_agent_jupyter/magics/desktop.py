"""What each ``%desktop`` action does; the words are in `desktop_grammar`."""

from __future__ import annotations

import contextlib
import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from IPython.display import display

from sandbox_agent.client import DesktopTimeout, Screenshot
from sandbox_agent_jupyter.magics.desktop_grammar import desktop_help
from sandbox_agent_jupyter.magics.grammar import MagicUsageError, usage

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from sandbox_agent.client import Desktop
    from sandbox_agent.wire.desktop import DesktopRecordingInfo
    from sandbox_agent_jupyter.magics.context import MagicContext
    from sandbox_agent_jupyter.magics.grammar import Invocation

VIDEOS: Final = (".mp4", ".gif", ".webm")
STILL: Final = 0.3
SETTLE: Final = 3.0
"""Seconds for which the screen does not change before it is shown, and for which that is waited for at most."""


class DesktopCommands:
    """Runs invocations; ``namespace`` is the user's, for ``--into``."""

    def __init__(self, context: MagicContext, namespace: MutableMapping[str, Any]) -> None:
        self._context = context
        self._namespace = namespace

    def run(self, call: Invocation) -> None:
        """Run one action. Its method is the action's name with a ``do_`` before it."""
        handler: Callable[[Invocation], None] = getattr(self, f"do_{call.command.name}")
        handler(call)
        if call.options.get("show"):
            with contextlib.suppress(DesktopTimeout):
                self._desktop.wait_idle(quiet=STILL, timeout=SETTLE)
            display(self._desktop.screenshot(show_cursor=True))
        self._context.say_notes()

    @property
    def _desktop(self) -> Desktop:
        return self._context.client.desktop

    def do_start(self, call: Invocation) -> None:
        display(self._desktop.start(**call.options))

    def do_stop(self, _call: Invocation) -> None:
        display(self._desktop.stop())

    def do_status(self, _call: Invocation) -> None:
        display(self._desktop.status())

    def do_screenshot(self, call: Invocation) -> None:
        shot = self._desktop.screenshot(
            format=call.options["format"] or "png",
            scale=call.options["scale"],
            region=_region(call),
            show_cursor=call.options["cursor"],
        )
        self._store(call, shot)
        display(shot)
        if call.options["save"]:
            print(f"Saved to {shot.save(Path(call.options['save']).expanduser())}")  # noqa: T201

    def do_click(self, call: Invocation) -> None:
        try:
            x, y = map(int, call.arguments)
        except ValueError:
            raise MagicUsageError(f"X and Y are whole numbers. {usage(call.command)}") from None
        self._desktop.click(
            x,
            y,
            button=call.options["button"] or "left",
            count=1 if call.options["count"] is None else call.options["count"],
            screenshot=self._shot(call.options["screenshot"]),
        )

    def _shot(self, name: str | None) -> Screenshot | None:
        if name is None:
            return None
        shot = self._namespace.get(name)
        if not isinstance(shot, Screenshot):
            raise MagicUsageError(f"--screenshot names a variable that holds one; {name!r} does not")
        return shot

    def do_type(self, call: Invocation) -> None:
        self._desktop.type(call.text)

    def do_press(self, call: Invocation) -> None:
        for key in call.arguments:
            self._desktop.press(key)

    def do_windows(self, call: Invocation) -> None:
        windows = self._desktop.windows()
        self._store(call, windows)
        display(windows)

    def do_tree(self, call: Invocation) -> None:
        tree = self._desktop.tree()
        self._store(call, tree)
        display(tree)

    def do_focus(self, call: Invocation) -> None:
        self._desktop.window(*call.arguments).focus()

    def do_launch(self, call: Invocation) -> None:
        try:
            app, *arguments = shlex.split(call.text)
        except ValueError as error:
            raise MagicUsageError(f"{error}. {usage(call.command)}") from None
        told = self._desktop.launch(app, arguments, wait=True)
        window = f", window {told.window_id}" if told.window_id else ", no window yet"
        print(f"{told.process_id}{window}")  # noqa: T201

    def do_clipboard(self, call: Invocation) -> None:
        if call.text:
            self._desktop.set_clipboard(call.text)
        else:
            print(self._desktop.clipboard())  # noqa: T201

    def do_record(self, call: Invocation) -> None:
        verb, *file = call.arguments
        recordings = self._desktop.recordings
        if verb == "start" and not file:
            print(f"Recording {recordings.start(fps=call.options['fps'], overlay=call.options['overlay']).id}")  # noqa: T201
        elif verb == "stop":
            target = Path(file[0]).expanduser().absolute() if file else None
            if target is not None:
                _check_video(target)
            info = recordings.stop()
            self._store(call, info)
            print(f"Recorded {info.id}, {_seconds(info):.1f} s, {info.bytes} bytes")  # noqa: T201
            if target is not None:
                print(f"Saved to {recordings.save(info.id, target)}")  # noqa: T201
        else:
            raise MagicUsageError(f"record is followed by start, or by stop and a file. {usage(call.command)}")

    def do_help(self, call: Invocation) -> None:
        print(desktop_help(*call.arguments))  # noqa: T201

    def _store(self, call: Invocation, value: object) -> None:
        name = call.options["into"]
        if name is None:
            return
        if not name.isidentifier():
            raise MagicUsageError(f"--into wants the name of a variable, not {name!r}")
        self._namespace[name] = value


def _region(call: Invocation) -> tuple[int, int, int, int] | None:
    given = call.options["region"]
    if given is None:
        return None
    try:
        x, y, width, height = map(int, given.split(","))
    except ValueError:
        raise MagicUsageError(f"--region is X,Y,W,H in pixels, not {given!r}") from None
    return x, y, width, height


def _check_video(target: Path) -> None:
    """Before anything is stopped. Raises `MagicUsageError`."""
    if target.suffix.lower() not in VIDEOS:
        raise MagicUsageError(f"the name of a video ends in {', '.join(VIDEOS)}, not {target.suffix!r}")


def _seconds(info: DesktopRecordingInfo) -> float:
    ended = datetime.fromisoformat(info.ended_at or info.started_at)
    return (ended - datetime.fromisoformat(info.started_at)).total_seconds()
