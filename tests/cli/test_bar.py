"""How an install is told."""

from __future__ import annotations

import io
import os
import pty
from typing import TYPE_CHECKING

from sandbox_agent.agents.install import Progress
from sandbox_agent.cli.bar import Bar, last_words
from sandbox_agent.wire.agents import InstallProgress

if TYPE_CHECKING:
    import pytest


def test_a_terminal_gets_a_bar() -> None:
    """One line, drawn over; with the stages' lines above it where all is wanted; cleared at the end."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        bar = Bar(stream, "tiny", verbose=False)
        bar.show(Progress("tiny", "packages", "installing", 0.5))
        bar.show(Progress("tiny", "packages", "a line"))
        bar.clear()
        drawn = ""
        while drawn.count("\r\x1b[K") < 3:  # a terminal hands over what there is, not all that was written
            drawn += os.read(ours, 10_000).decode()
    os.close(ours)
    assert "tiny [##########..........]  50% installing" in drawn
    assert " 50% a line" in drawn
    assert "\n" not in drawn
    assert drawn.endswith("\r\x1b[K")


def test_elsewhere_a_line_tells_each_stage_or_every_line_if_asked() -> None:
    """What the server tells over the wire is told alike."""
    steps = [InstallProgress(stage="packages", text=text, fraction=0.5) for text in ("installing", "a line")]
    for verbose, lines in ((False, 1), (True, 2)):
        stream = io.StringIO()
        bar = Bar(stream, "tiny", verbose=verbose)
        for step in steps:
            bar.show(step)
        bar.clear()
        assert stream.getvalue().splitlines() == ["tiny [packages] installing", "tiny [packages] a line"][:lines]


def test_the_last_words_of_a_failure_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    last_words({"command": "npm ci", "output": "\n".join(map(str, range(100)))})
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == "$ npm ci"
    assert rest[-1] == "  99"
    assert len(rest) < 20
