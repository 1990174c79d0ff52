"""``%desktop``: its grammar, and what it does in a real kernel with a real Xvfb behind a real server."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from sandbox_agent_jupyter.magics.completion import completions
from sandbox_agent_jupyter.magics.desktop import DesktopCommands
from sandbox_agent_jupyter.magics.desktop_grammar import DESKTOP, desktop_help, parse_desktop
from sandbox_agent_jupyter.magics.grammar import MagicUsageError, help_text

from ..support import desktop_app
from ..support.server import poll, serve
from .kernels import kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .kernels import Kernel, Outcome


class TestGrammar:
    def test_an_empty_line_asks_for_the_status(self) -> None:
        assert parse_desktop(" ").command.name == "status"

    def test_text_is_taken_as_it_stands(self) -> None:
        for text in ("it's 5 o'clock", 'a "b"  c', "--", "50% off"):
            assert parse_desktop(f"type -- {text}").text == text
        call = parse_desktop("type --show  two  words ")
        assert (call.text, call.options["show"]) == ("two  words", True)
        assert parse_desktop("clipboard").text == ""
        assert parse_desktop("launch xterm -e 'a b'").text == "xterm -e 'a b'"

    def test_places_and_options_may_stand_in_any_order(self) -> None:
        call = parse_desktop("click 10 --count 2 20 --button right")
        assert (call.arguments, call.options["count"], call.options["button"]) == (("10", "20"), 2, "right")
        assert parse_desktop("start --width 800").options == {"width": 800, "height": None, "dpi": None}

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("click 10", "Y is missing. Usage: %desktop click [options] X Y"),
            ("click 1 2 3", "'3' is too much here"),
            ("stop now", "'now' is too much here"),
            ("type", "TEXT is missing"),
            ("press", "KEY is missing"),
            ("start --width wide", "invalid int value"),
            ("click 1 2 --button fourth", "invalid choice"),
            ("dance", "no action 'dance' of %desktop; there are: start, stop"),
            ("press 'open", "No closing quotation"),
        ],
    )
    def test_a_wrong_line_says_what_is_wrong(self, line: str, says: str) -> None:
        with pytest.raises(MagicUsageError) as raised:
            parse_desktop(line)
        assert says in str(raised.value)

    def test_every_action_is_in_the_help_and_is_done(self) -> None:
        told = desktop_help()
        for action in DESKTOP.actions:
            assert f"%desktop {action.name}" in told
            assert desktop_help(action.name) in told
            assert callable(getattr(DesktopCommands, f"do_{action.name}"))
        with pytest.raises(MagicUsageError, match="no action 'dance'"):
            desktop_help("dance")
        assert "%agent fs ls" in help_text("fs")

    @pytest.mark.parametrize(
        ("before", "expected"),
        [
            ("%desktop sta", ["start", "status"]),
            ("%desktop click --b", ["--button"]),
            ("%desktop click --button m", ["middle"]),
            ("%desktop focus ", ["of windows"]),
            ("%desktop help scr", ["screenshot"]),
            ("%desktop type h", []),
            ("%desktop record s", ["start", "stop"]),
            ("%desktop record stop ", []),
            ("%desktop dance ", []),
        ],
    )
    def test_completion_knows_actions_options_and_windows(self, before: str, expected: list[str]) -> None:
        class Known:
            def values(self, kind: str) -> list[str]:
                return [f"of {kind}"]

            def paths(self, start: str) -> list[str]:
                return [start]

        assert completions(before, Known()) == expected


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with the magics loaded, and a server with a desktop."""
    home = tmp_path_factory.mktemp("desktop")
    with serve(home / "server") as server, kernel(home, SANDBOX_AGENT_URL=server.url) as running:
        assert running.run("%load_ext sandbox_agent_jupyter").error is None
        assert "active" in ran(running.run("%desktop start --width 640 --height 480")).text
        yield running


def ran(outcome: Outcome) -> Outcome:
    assert outcome.error is None, outcome.error
    return outcome


def test_a_screenshot_is_shown_stored_and_saved(shell: Kernel, tmp_path: Path) -> None:
    outcome = ran(shell.run(f"%desktop screenshot --scale 0.5 --into shot --save {tmp_path}/shot.png"))
    assert "Saved to" in outcome.text
    assert "<Screenshot shot_" in outcome.text
    assert "640x480" not in outcome.text
    assert ran(shell.run("shot.width, shot.height, shot.format")).text.strip() == "(320, 240, 'png')"
    assert (tmp_path / "shot.png").read_bytes().startswith(b"\x89PNG")


def test_a_program_is_launched_clicked_and_typed_into(shell: Kernel, tmp_path: Path) -> None:
    file = tmp_path / "told"

    def told() -> list[object]:
        text = file.read_text() if file.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    ran(shell.run(f"%desktop launch {sys.executable} {desktop_app.__file__} {file} 'An app'"))
    poll(lambda: ["ready"] in told(), what="a program that is ready")
    assert "An app" in ran(shell.run("%desktop windows --into windows")).text
    ran(shell.run("%desktop type it's 5 o'clock"))
    poll(lambda: ["field", "it's 5 o'clock"] in told(), what="what was typed")
    ran(shell.run("%desktop press ctrl+a ctrl+k x"))
    poll(lambda: ["field", "x"] in told(), what="what was pressed")
    x, y = desktop_app.BUTTON[0] + 60, desktop_app.BUTTON[1] + 20
    ran(shell.run("from sandbox_agent import SandboxAgent"))
    ran(shell.run("part = SandboxAgent.connect().desktop.screenshot(region=windows[0].region)"))
    outcome = ran(shell.run(f"%desktop click {x} {y} --screenshot part --show"))
    poll(lambda: ["pressed"] in told(), what="a pressed button")
    assert "<Screenshot shot_" in outcome.text
    ran(shell.run("%desktop focus {windows[0].id}"))
    ran(shell.run("windows[0].close()"))


def test_the_clipboard_is_written_and_printed(shell: Kernel) -> None:
    ran(shell.run("%desktop clipboard größer ✓"))
    assert ran(shell.run("%desktop clipboard")).text.strip() == "größer ✓"


def test_the_screen_is_recorded_until_it_is_told_to_stop(shell: Kernel, tmp_path: Path) -> None:
    assert "Recording rec_" in ran(shell.run("%desktop record start --fps 10 --overlay")).text
    refused = shell.run(f"%desktop record stop {tmp_path}/demo.avi").error
    assert refused is not None
    assert ".mp4" in refused["evalue"]
    told = ran(shell.run(f"%desktop record stop {tmp_path}/demo.gif --into recording")).text
    assert "Recorded rec_" in told
    assert f"Saved to {tmp_path}/demo.gif" in told
    assert (tmp_path / "demo.gif").read_bytes().startswith(b"GIF8")
    assert "completed" in ran(shell.run("recording.status")).text
    refused = shell.run("%desktop record stop").error
    assert refused is not None
    assert refused["evalue"] == "no recording goes on (hint: start one with %desktop record start)"


def test_a_fault_is_told_in_a_line(shell: Kernel) -> None:
    for line, says in (
        ("click 640 1", "not on the screen"),
        ("click a b", "whole numbers"),
        ("click 1 1 --screenshot nothing", "names a variable"),
        ("screenshot --region 1,2", "X,Y,W,H"),
        ("screenshot --into 1x", "name of a variable"),
        ("press NoSuchKey", "NoSuchKey"),
        ("launch no-such-program", "no-such-program"),
        ("launch 'open", "No closing quotation"),
        ("record pause", "start, or by stop"),
        ("record start x.mp4", "start, or by stop"),
    ):
        error = shell.run(f"%desktop {line}").error
        assert error is not None
        assert says in error["evalue"]


def test_a_session_is_made_whose_agent_has_the_desktop(shell: Kernel) -> None:
    ran(shell.run("%agent new mock --desktop --title shown"))
    ran(shell.run("from sandbox_agent import SandboxAgent; newest = SandboxAgent.connect().list_sessions()[0]"))
    told = ran(shell.run("newest.info.title, [server.name for server in newest.refresh().mcp]")).text
    assert told.strip() == "('shown', ['desktop'])"


def test_it_is_stopped(shell: Kernel) -> None:
    assert "Xvfb" in ran(shell.run("%desktop")).text
    assert "%desktop click" in ran(shell.run("%desktop help click")).text
    assert "inactive" in ran(shell.run("%desktop stop")).text
    assert "active" in ran(shell.run("%desktop start --width 640 --height 480")).text
