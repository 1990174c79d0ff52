"""How far a transfer is, and to whom it is told."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from sandbox_agent.client import progress
from sandbox_agent.client.progress import Meter

if TYPE_CHECKING:
    import pytest


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def look(patch: pytest.MonkeyPatch) -> io.StringIO:
    """Somebody looks, at this. Not a fixture: between its phases the test runner takes standard error back."""
    screen = Terminal()
    patch.setattr(sys, "stderr", screen)
    return screen


def transfer(meter: Meter) -> None:
    with meter:
        for _ in range(4):
            meter.add(1024)


def test_a_short_transfer_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = look(monkeypatch)
    transfer(Meter(None, "x", 4096))
    assert stderr.getvalue() == ""


def test_a_long_one_shows_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = look(monkeypatch)
    monkeypatch.setattr(progress, "LATER", 0.0)
    transfer(Meter(None, "data.csv", 4096))
    assert "data.csv" in stderr.getvalue()
    assert stderr.getvalue().endswith("\r")


def test_it_can_be_forced_and_silenced(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = look(monkeypatch)
    transfer(Meter(True, "forced"))
    assert "forced" in stderr.getvalue()
    monkeypatch.setattr(progress, "LATER", 0.0)
    transfer(Meter(False, "silent"))
    assert "silent" not in stderr.getvalue()


def test_nobody_is_shown_anything_who_does_not_look(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard error is a file, or is not there at all."""
    monkeypatch.setattr(progress, "LATER", 0.0)
    transfer(Meter(None, "x"))
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr", None)
    assert not progress.watched()


def test_a_kernel_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shell:
        kernel = object()

    class IPython:
        @staticmethod
        def get_ipython() -> Shell:
            return Shell()

    monkeypatch.setitem(sys.modules, "IPython", IPython)  # type: ignore[arg-type]
    assert progress.watched()


def test_without_the_library_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = look(monkeypatch)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    meter = Meter(True, "x")
    transfer(meter)
    assert (meter.done, stderr.getvalue()) == (4096, "")


def test_a_second_try_counts_anew() -> None:
    told: list[tuple[int, int | None]] = []
    meter = Meter(lambda done, total: told.append((done, total)), "x", 2048)
    meter.add(1024)
    meter.restart()
    meter.add(2048)
    assert told == [(1024, 2048), (2048, 2048)]


def test_a_bar_starts_again_with_its_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    look(monkeypatch)
    with Meter(True, "x", 2048) as meter:
        meter.add(1024)
        meter.restart()
        meter.add(2048)
    assert meter.done == 2048
