"""Text and notes on one terminal, and apart."""

from __future__ import annotations

import os
import pty
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.cli.live.console import ASCII_FRAMES, Console
from sandbox_agent.render.story import Piece

if TYPE_CHECKING:
    from pathlib import Path

PIECES = [
    Piece("message", "one"),
    Piece("text", " more"),
    Piece("note", "a note"),
    Piece("message", "two\n"),
    Piece("message", "three"),
]


def test_in_one_file_everything_has_lines_of_its_own(tmp_path: Path) -> None:
    """As with `2>&1`."""
    path = tmp_path / "out"
    with path.open("w") as out, open(os.dup(out.fileno()), "w") as err:  # noqa: PTH123 - a descriptor
        console = Console(out=out, err=err)
        for piece in PIECES:
            console.show(piece)
        console.finish()
    assert path.read_text() == "one more\na note\ntwo\n\nthree\n"


def test_apart_stdout_is_what_the_agent_says(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        console = Console(out=out, err=err)
        for piece in PIECES:
            console.show(piece)
        console.spin("working")
        console.finish()
    assert (tmp_path / "out").read_text() == "one more\n\ntwo\n\nthree\n"
    assert (tmp_path / "err").read_text() == "a note\n"


def test_quiet_tells_only_what_is_needed(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        console = Console(quiet=True, out=out, err=err)
        console.show(Piece("note", "a note"))
        console.need("a question")
    assert (tmp_path / "err").read_text() == "a question\n"


@pytest.mark.parametrize(("term", "spins"), [("xterm", True), ("dumb", False)])
def test_the_spinner_is_for_terminals_that_can(monkeypatch: pytest.MonkeyPatch, term: str, spins: bool) -> None:
    monkeypatch.setenv("TERM", term)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="ascii") as screen:
        console = Console(out=screen, err=screen)
        assert console.spins is spins
        console.spin("working")
        console.show(Piece("message", "half a line"))
        console.spin("working")
        console.finish()
        shown = ""
        while not shown.endswith("\n"):
            shown += os.read(ours, 10_000).decode()
    os.close(ours)
    assert shown.count("working") == int(spins), "not in the middle of what the agent says"
    assert shown.endswith("half a line\r\n")
    if spins:
        assert shown.startswith(tuple(f"\r\x1b[K{frame} working" for frame in ASCII_FRAMES))
        assert "\r\x1b[Khalf" in shown
