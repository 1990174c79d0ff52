"""`api desktop` from a shell: a real Xvfb behind the real server, with a Tk program on it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from sandbox_agent.cli.api.desktop_looks import region_of
from sandbox_agent.cli.completion import window_ids
from sandbox_agent.cli.exits import UsageError

from ...support import desktop_app
from ...support.command import PROGRAM
from ...support.desktop import some_display
from ...support.server import poll

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ...support.command import Command
    from ...support.server import Server

DESKTOP = ("api", "desktop")


@pytest.fixture
def desktop(command: Command) -> Iterator[Command]:
    """The command, with a desktop; it is stopped in the end, with all that runs on it."""
    display = str(some_display())
    command(*DESKTOP, "start", "--width", "640", "--height", "480", "--display", display)
    yield command
    command(*DESKTOP, "stop")


def app(command: Command, file: Path) -> tuple[dict[str, Any], Any]:
    """The Tk program once it has the keyboard, as its window, and what tells what was done to it."""
    command(*DESKTOP, "launch", "--wait", sys.executable, desktop_app.__file__, str(file), "An app")

    def told() -> list[list[Any]]:
        text = file.read_text() if file.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    poll(lambda: ["ready"] in told(), what="a program that is ready")
    (window,) = command.json(*DESKTOP, "windows", "--json")["windows"]
    return window, told


def test_a_region_is_four_numbers() -> None:
    assert region_of("1,2,3,4") == (1, 2, 3, 4)
    assert region_of(None) is None
    for wrong in ("1,2,3", "a,b,c,d", ""):
        with pytest.raises(UsageError, match="X,Y,W,H"):
            region_of(wrong)


def test_it_is_started_told_of_and_stopped(command: Command) -> None:
    refused = command(*DESKTOP, "start", "--webrtc-ports", "9,1", status=1).stderr
    assert "webrtcPortRange" in refused
    assert "streamFrameRate" in command(*DESKTOP, "start", "--stream-fps", "0", status=1).stderr
    options = ("--stream-fps", "10", "--recording-fps", "5", "--webrtc-ports", "50000,50010")
    started = command.json(*DESKTOP, "start", "--json", "--width", "320", "--height", "240", *options)
    assert (started["state"], started["resolution"]["width"]) == ("active", 320)
    assert started["display"] in command(*DESKTOP, "status").stdout
    assert command.json(*DESKTOP, "stop", "--json")["state"] == "inactive"
    refused = command(*DESKTOP, "screenshot", status=1).stderr
    assert "sandbox-agent" in refused or "desktop" in refused


def test_a_screenshot_is_a_file_or_goes_to_standard_output(desktop: Command, tmp_path: Path) -> None:
    assert desktop(*DESKTOP, "screenshot").stdout == "screenshot.png\n"
    file = tmp_path / "half.jpg"
    told = desktop.json(*DESKTOP, "screenshot", "--json", "--scale", "0.5", "--cursor", "-o", str(file))
    assert (told["file"], told["format"], told["width"], told["height"]) == (str(file), "jpeg", 320, 240)
    part = tmp_path / "part"
    desktop(*DESKTOP, "screenshot", "--format", "webp", "--region", "10,20,30,40", "--output", str(part))
    for path, form, size in (
        (desktop.home / "screenshot.png", "PNG", (640, 480)),
        (file, "JPEG", (320, 240)),
        (part, "WEBP", (30, 40)),
    ):
        with Image.open(path) as image:
            assert (image.format, image.size) == (form, size)
    argv = [*PROGRAM, *DESKTOP, "screenshot", "-o", "-"]
    piped = subprocess.run(argv, env=desktop.environ(), cwd=desktop.home, capture_output=True, check=True, timeout=60)
    assert piped.stdout.startswith(b"\x89PNG")
    assert "X,Y,W,H" in desktop(*DESKTOP, "screenshot", "--region", "1", status=2).stderr


def test_mouse_and_keyboard_reach_a_program(desktop: Command, tmp_path: Path) -> None:
    window, told = app(desktop, tmp_path / "told")
    shot = desktop.json(*DESKTOP, "screenshot", "--json", "--scale", "0.5")
    x, y = window["x"] + desktop_app.BUTTON[0] + 60, window["y"] + desktop_app.BUTTON[1] + 20
    desktop(*DESKTOP, "click", str(x // 2), str(y // 2), "--screenshot", shot["id"])
    poll(lambda: ["pressed"] in told(), what="a pressed button")
    desktop(*DESKTOP, "type", "Grüße ")
    desktop(*DESKTOP, "type", "-", stdin="世界")
    poll(lambda: ["field", "Grüße 世界"] in told(), what="what was typed")
    desktop(*DESKTOP, "press", "ctrl+a", "ctrl+k", "x")
    poll(lambda: ["field", "x"] in told(), what="what was pressed")
    left, top = window["x"] + desktop_app.AREA[0], window["y"] + desktop_app.AREA[1]
    place = (str(left + 5), str(top + 6))
    desktop(*DESKTOP, "click", *place, "--button", "right", "--count", "2", "--modifier", "ctrl")
    poll(lambda: told().count(["down", 3, 5, 6, True]) == 2, what="two clicks")
    desktop(*DESKTOP, "scroll", *place, "--down", "1")
    poll(lambda: ["down", 5, 5, 6, False] in told(), what="a turned wheel")
    desktop(*DESKTOP, "drag", *place, str(left + 50), str(top + 60))
    poll(lambda: ["up", 1, 50, 60] in told(), what="a drag")
    assert desktop.json(*DESKTOP, "move", "3", "4", "--json")["x"] == 3
    assert desktop(*DESKTOP, "position").stdout == "3 4\n"
    assert "--down" in desktop(*DESKTOP, "scroll", "1", "1", status=2).stderr
    assert "NoSuchKey" in desktop(*DESKTOP, "press", "NoSuchKey", status=1).stderr


def test_windows_are_listed_completed_and_changed(desktop: Command, module_server: Server, tmp_path: Path) -> None:
    window, _ = app(desktop, tmp_path / "told")
    assert "An app" in desktop(*DESKTOP, "windows").stdout
    connection = argparse.Namespace(endpoint=module_server.url, no_token=True)
    assert window_ids(connection) == [window["id"]]
    found = desktop(*DESKTOP, "wait", "window", "--title", "An app", "--timeout", "60").stdout
    assert found == f"{window['id']}\n"
    assert desktop.json(*DESKTOP, "maximize", window["id"], "--json")["id"] == window["id"]
    desktop(*DESKTOP, "maximize", window["id"], "--undo")
    filling = desktop.json(*DESKTOP, "fullscreen", window["id"], "--json")
    assert (filling["x"], filling["y"], filling["width"], filling["height"]) == (0, 0, 640, 480)
    desktop(*DESKTOP, "fullscreen", window["id"], "--undo")
    placed = desktop.json(*DESKTOP, "place", window["id"], "--at", "20,40", "--size", "300,200", "--json")
    assert (placed["width"], placed["height"]) == (300, 200)
    assert abs(placed["x"] - 20) + abs(placed["y"] - 40) < 40  # the frame is there, the window within it
    assert "--at" in desktop(*DESKTOP, "place", window["id"], status=2).stderr
    assert "--size" in desktop(*DESKTOP, "place", window["id"], "--size", "3", status=2).stderr
    desktop(*DESKTOP, "minimize", window["id"])
    desktop(*DESKTOP, "focus", window["id"])
    desktop(*DESKTOP, "close", window["id"])
    poll(lambda: not window_ids(connection), what="the end of the window")
    assert "window" in desktop(*DESKTOP, "focus", window["id"], status=1).stderr
    assert window_ids(argparse.Namespace(endpoint="http://127.0.0.1:1", no_token=True)) == []


def test_waits_end_with_1_where_nothing_comes(desktop: Command) -> None:
    desktop(*DESKTOP, "wait", "idle", "--quiet", "0.1", "--timeout", "60", "--region", "600,400,40,80")
    told = desktop(*DESKTOP, "wait", "window", "--title", "nothing", "--timeout", "0.1", status=1).stderr
    assert "no window came" in told
    desktop(*DESKTOP, "wait", "change", "--timeout", "0", "--threshold", "1000000", status=1)


def test_the_clipboard_is_written_and_read(desktop: Command) -> None:
    desktop(*DESKTOP, "clipboard", "größer\n")
    assert desktop(*DESKTOP, "clipboard").stdout == "größer\n"
    desktop(*DESKTOP, "clipboard", "-", "--selection", "both", stdin="from a pipe")
    assert desktop.json(*DESKTOP, "clipboard", "--json", "--selection", "primary")["text"] == "from a pipe"
    assert "for writing" in desktop(*DESKTOP, "clipboard", "--selection", "both", status=2).stderr


def test_programs_that_are_not_there_are_told(desktop: Command) -> None:
    assert "no-such-program" in desktop(*DESKTOP, "launch", "no-such-program", status=1).stderr
    assert "/no/such" in desktop(*DESKTOP, "open", "/no/such", status=1).stderr


def test_several_things_are_done_at_once(desktop: Command, tmp_path: Path) -> None:
    given = [{"type": "move", "x": 1, "y": 2}, {"type": "screenshot", "scale": 0.1}]
    done = desktop.json(*DESKTOP, "actions", json.dumps(given))
    assert (done["ok"], done["results"][0]["position"]["y"]) == (True, 2)
    assert done["results"][1]["screenshot"]["width"] == 64
    file = tmp_path / "actions.json"
    file.write_text(json.dumps([{"type": "key", "key": "NoSuchKey"}]))
    failed = desktop(*DESKTOP, "actions", f"@{file}", status=1)
    assert json.loads(failed.stdout)["results"][0]["problem"]["code"] == "desktop_invalid_action"
    assert "JSON array" in desktop(*DESKTOP, "actions", "{}", status=2).stderr
