"""`api desktop record` from a shell: a real Xvfb behind the real server, videos that are read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import pytest

from ...support.desktop import some_display

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ...support.command import Command

RECORD = ("api", "desktop", "record")


@pytest.fixture
def desktop(command: Command) -> Iterator[Command]:
    """The command, with a desktop, which is stopped in the end."""
    display = str(some_display())
    command("api", "desktop", "start", "--width", "320", "--height", "240", "--display", display)
    yield command
    command("api", "desktop", "stop")


def form(path: Path) -> tuple[str, int]:
    """The format of a video, and its width; it has a picture at least."""
    with av.open(str(path)) as file:
        assert next(file.decode(video=0)) is not None
        return file.format.name, file.streams.video[0].width


def test_a_recording_is_started_stopped_listed_saved_and_deleted(desktop: Command, tmp_path: Path) -> None:
    name = desktop(*RECORD, "start", "--fps", "10", "--overlay").stdout.strip()
    going = desktop(*RECORD, "list").stdout.split()
    assert (going[:3]) == [name, "recording", "-"]
    assert "goes on" in desktop(*RECORD, "start", status=1).stderr
    stopped = desktop(*RECORD, "stop").stdout.split()
    assert stopped[0] == name
    assert stopped[1].endswith("s")
    assert float(stopped[1][:-1]) >= 0
    (listed,) = desktop.json(*RECORD, "list", "--json")["recordings"]
    assert (listed["id"], listed["status"]) == (name, "completed")
    assert desktop(*RECORD, "get", name).stdout == f"{name}.mp4\n"
    assert "mp4" in form(desktop.home / f"{name}.mp4")[0]
    told = desktop.json(*RECORD, "get", name, "--json", "-o", str(tmp_path / "a.gif"))
    assert (told["file"], told["recording"]["id"]) == (str(tmp_path / "a.gif"), name)
    assert form(tmp_path / "a.gif") == ("gif", 320)
    desktop(*RECORD, "get", name, "--format", "webm", "-o", str(tmp_path / "video"))
    assert "webm" in form(tmp_path / "video")[0]
    desktop(*RECORD, "rm", name)
    assert desktop(*RECORD, "list").stdout == ""
    assert name in desktop(*RECORD, "rm", name, status=1).stderr


def test_the_end_of_a_recording_writes_its_video(desktop: Command, tmp_path: Path) -> None:
    started = desktop.json(*RECORD, "start", "--json", "--fps", "10")
    assert started["status"] == "recording"
    file = tmp_path / "demo.mp4"
    assert desktop(*RECORD, "stop", "-o", str(file)).stdout == f"{file}\n"
    assert form(file)[1] == 320
    assert desktop.json(*RECORD, "rm", "--json", started["id"]) == {"ok": True}
    told = desktop(*RECORD, "stop", status=1).stderr
    assert told == "error: no recording goes on\nhint: start one with sandbox-agent api desktop record start\n"


def test_a_desktop_that_is_not_there_is_told_with_the_command_that_starts_it(command: Command) -> None:
    told = command("api", "desktop", "screenshot", status=1).stderr
    assert told == "error: the desktop is not active\nhint: start it with sandbox-agent api desktop start\n"
