"""Files and processes, in HTML and text."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox_agent import render
from sandbox_agent.wire.files import FsEntry, FsMatchRange, FsSearchMatch, FsStat
from sandbox_agent.wire.processes import ProcessInfo, ProcessRunResponse, ProcessUsage

from ..support.safe_html import faults, text_in
from .test_html import ATTACKS

NAMES = ("entries", "file", "matches", "process", "processes", "run")


def values(text: str) -> dict[str, Any]:
    """One of each, with a text in every field that takes one."""
    path = f"/folder/{text}"
    entry = FsEntry(
        name=text, path=path, entry_type="file", size=3, modified=text, mode=0o644, link_target=text, kind=text
    )
    match = FsSearchMatch(path=path, entry_type="file", text=text, ranges=(FsMatchRange(start=0, end=1),), line=2)
    process = ProcessInfo(
        id=text, command=text, args=(text,), tty=True, interactive=True, owner="session", status="exited",
        created_at_ms=0, cwd=text, exit_code=3, exited_at_ms=1500, session_id=text, cols=80, rows=24, restarts=2,
        usage=ProcessUsage(cpu_seconds=1.25, memory_bytes=3 << 20, processes=2),
    )  # fmt: skip
    run = ProcessRunResponse(
        timed_out=False, stdout=text, stderr=text, stdout_truncated=True, stderr_truncated=False, duration_ms=7,
        exit_code=3,
    )  # fmt: skip
    stat = FsStat(path=path, entry_type="file", size=3, modified=text, kind=text)
    return {
        "entries": [entry],
        "file": stat,
        "matches": [match],
        "process": process,
        "processes": [process],
        "run": run,
    }


@pytest.mark.parametrize("attack", [*ATTACKS, "odd\udcff name"])
@pytest.mark.parametrize("name", NAMES)
def test_no_text_becomes_markup(name: str, attack: str) -> None:
    """HTML is well formed, allowed, and can be written as UTF-8; the text twin holds no control characters."""
    value = values(attack)[name]
    html = getattr(render, f"{name}_html")(value)
    assert faults(html) == []
    html.encode()
    text = getattr(render, f"{name}_text")(value)
    assert not [c for c in text if c < " " and c != "\n"]


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_tell_it(name: str) -> None:
    value = values("unique-word")[name]
    for form in (text_in(getattr(render, f"{name}_html")(value)), getattr(render, f"{name}_text")(value)):
        assert "unique-word" in form


@pytest.mark.parametrize("name", ["entries", "matches", "processes"])
def test_nothing_is_told_as_nothing(name: str) -> None:
    assert "None." in text_in(getattr(render, f"{name}_html")([]))
    assert getattr(render, f"{name}_text")([]) == "None."


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (20_000, "20 KiB"),
        (1024 * 1024 - 1, "1.0 MiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_sizes_are_told_in_a_unit_that_suits(count: int, told: str) -> None:
    assert render.size_text(count) == told


def test_very_many_entries_are_counted_rather_than_shown() -> None:
    entry = FsEntry(name="x", path="/x", entry_type="file", size=1)
    for form in (render.entries_text([entry] * 5000), text_in(render.entries_html([entry] * 5000))):
        assert "4,000 more entries" in form
        assert len(form) < 100_000


def test_of_a_long_output_the_end_is_shown() -> None:
    run = ProcessRunResponse(
        timed_out=True, stdout="x" * 100_000 + "\nthe end", stderr="", stdout_truncated=False, stderr_truncated=False,
        duration_ms=2500, exit_code=None,
    )  # fmt: skip
    for form in (render.run_text(run), text_in(render.run_html(run))):
        assert "the end" in form
        assert "more characters left out" in form
        assert "timed out after 2.5 s" in form
        assert len(form) < 30_000


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"status": "running", "pid": 7}, "running"),
        ({"status": "running"}, "restarting"),
        ({"status": "exited", "signal": 9}, "ended by signal 9"),
        ({"status": "exited", "exit_code": 0}, "exited"),
        ({"status": "exited", "exit_code": 3}, "exited with 3"),
    ],
)
def test_a_process_says_how_it_is(state: dict[str, Any], told: str) -> None:
    process = ProcessInfo(
        id="p",
        command="sh",
        args=("-c", "a |\n  b"),
        tty=False,
        interactive=False,
        owner="user",
        created_at_ms=0,
        **state,
    )
    assert told in render.process_text(process)
    assert "a | b" in render.process_text(process)
