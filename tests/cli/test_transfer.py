"""The line that shows how far a transfer is."""

from __future__ import annotations

import io

from sandbox_agent.cli.transfer import TransferBar


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_it_is_and_nothing_stays_of_it() -> None:
    screen = Screen()
    with TransferBar(screen, "/some/where/data.bin") as bar:
        bar(512, 1024)
        bar(1024, 1024)
    shown = screen.getvalue()
    assert "data.bin [##########..........]  50% 512 B of 1.0 KiB" in shown
    assert "100%" in shown, "the end is drawn however soon it comes"
    assert shown.endswith("\r\x1b[K")


def test_without_a_known_size_bytes_are_counted() -> None:
    screen = Screen()
    with TransferBar(screen, "folder") as bar:
        bar(2048, None)
    assert "folder 2.0 KiB" in screen.getvalue()


def test_nobody_who_looks_and_quiet_show_nothing() -> None:
    pipe, quiet = io.StringIO(), Screen()
    for bar in (TransferBar(pipe, "x"), TransferBar(quiet, "x", quiet=True)):
        with bar:
            bar(1, 2)
    assert pipe.getvalue() == quiet.getvalue() == ""


def test_a_bar_that_was_never_drawn_clears_nothing() -> None:
    screen = Screen()
    with TransferBar(screen, "x"):
        pass
    assert screen.getvalue() == ""
