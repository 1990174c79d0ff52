"""Recordings of a real display, read back by PyAV."""

from __future__ import annotations

import asyncio
import itertools
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

import av
import pytest

from sandbox_agent.desktop.recording.marks import CLICK_COLOR
from sandbox_agent.desktop.recording.service import Recordings
from sandbox_agent.problems import Conflict, DesktopInvalidAction, DesktopRuntimeInactive, NotFound
from sandbox_agent.wire.desktop import (
    DesktopKeyboardPressRequest,
    DesktopMouseClickRequest,
    DesktopRecordingStartRequest,
)

from ...support.desktop import DEADLINE, eventually, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from PIL import Image

    from sandbox_agent.files.opened import OpenFile
    from sandbox_agent.wire.desktop import DesktopRecordingInfo

    from ...support.desktop import World

SECONDS = 3.0


@pytest.fixture
async def active(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        await made.start(width=320, height=240)
        yield made


def request(**options: Any) -> DesktopRecordingStartRequest:
    return DesktopRecordingStartRequest(**options)


def facts(path: Path | str) -> tuple[float, int, float]:
    """Seconds, pictures, and the longest distance between two pictures in seconds, as PyAV reads them."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        times = [float(frame.pts * frame.time_base) for frame in file.decode(stream)]  # type: ignore[operator]
        assert file.duration is not None
        steps = [after - before for before, after in itertools.pairwise(times)]
        return file.duration / av.time_base, len(times), max(steps, default=0.0)


def path_of(file: OpenFile) -> str:
    file.close()
    return file.path


async def moved(made: World, start: float, seconds: float) -> float:
    """Move the pointer about until ``seconds`` after ``start``; the seconds it took."""
    loop = asyncio.get_running_loop()
    for step in itertools.count():
        if loop.time() - start >= seconds:
            return loop.time() - start
        await made.desktop.x11.mouse.move(step * 7 % 300, step * 5 % 200)
    raise AssertionError


def told_seconds(info: DesktopRecordingInfo) -> float:
    """From its start to its end, as the server tells them."""
    assert info.ended_at is not None
    return (datetime.fromisoformat(info.ended_at) - datetime.fromisoformat(info.started_at)).total_seconds()


@pytest.mark.parametrize("fps", [20, 7])
async def test_a_recording_is_as_long_as_what_was_recorded_at_a_constant_rate(active: World, fps: int) -> None:
    """To half a picture as long as the server tells, and that is from when it was started to when it was stopped."""
    recordings, loop = active.desktop.recordings, asyncio.get_running_loop()
    asked_to_start = loop.time()
    began = await recordings.start(request(fps=fps))
    started = loop.time()
    assert began.status == "recording"
    assert (await recordings.get(began.id)).status == "recording"
    await moved(active, started, SECONDS)
    asked_to_stop = loop.time()
    done = await recordings.stop()
    stopped = loop.time()
    assert (done.status, done.started_at) == ("completed", began.started_at)
    assert done == await recordings.get(began.id)
    seconds, pictures, step = facts(path_of(await recordings.open(done.id)))
    assert abs(seconds - told_seconds(done)) <= 0.5 / fps + 0.002  # the file has milliseconds
    assert asked_to_stop - started - 0.001 <= told_seconds(done) <= stopped - asked_to_start + 0.001
    assert pictures == round(seconds * fps)
    assert step == pytest.approx(1 / fps, abs=0.001)


async def test_a_still_screen_is_recorded_for_as_long_as_it_is_still(active: World) -> None:
    recordings, loop = active.desktop.recordings, asyncio.get_running_loop()
    info = await recordings.start(request(fps=10))
    began = loop.time()
    video = active.state / "recordings" / info.file_name

    def growing() -> bool:
        """Whether there are fragments that a crash would leave, longer than a fragment is."""
        try:
            return loop.time() - began > 2.5 and facts(video)[1] >= 20
        except (av.error.FFmpegError, AssertionError):
            return False

    await eventually(growing, "pictures of a still screen")
    done = await recordings.stop()
    assert abs(facts(path_of(await recordings.open(done.id)))[0] - told_seconds(done)) <= 0.5 / 10 + 0.002


async def test_clicks_and_keys_are_drawn_where_and_when_they_were(active: World) -> None:
    recordings, acts = active.desktop.recordings, active.desktop.acts
    await recordings.start(request(fps=20, overlay=True))
    await acts.click(DesktopMouseClickRequest(x=100, y=80))
    await acts.press(DesktopKeyboardPressRequest(key="F5"))
    done = await recordings.stop()
    plain = await recordings.start(request(fps=20))
    await acts.click(DesktopMouseClickRequest(x=100, y=80))
    await recordings.stop()
    ring, text = 0, 0
    for red, white in drawn(path_of(await recordings.open(done.id))):
        ring, text = max(ring, red), max(text, white)
    assert ring > 40
    assert text > 20
    assert all(red == 0 for red, _ in drawn(path_of(await recordings.open(plain.id))))


def drawn(path: str) -> list[tuple[int, int]]:
    """For each picture: reddish pixels around 100, 80, and bright ones at the bottom."""
    found = []
    with av.open(path) as file:
        for frame in file.decode(video=0):
            image = frame.to_image()
            around = pixels(image.crop((80, 60, 120, 100)))
            below = pixels(image.crop((100, 180, 220, 235)))
            red = sum(1 for r, g, b in around if r > CLICK_COLOR[0] - 70 and g < 130 and b < 130)
            found.append((red, sum(1 for r, g, b in below if min(r, g, b) > 200)))
    return found


def pixels(image: Image.Image) -> list[tuple[int, ...]]:
    return list(zip(*[iter(image.convert("RGB").tobytes())] * 3, strict=True))


async def test_one_goes_on_at_a_time_and_what_goes_on_is_not_given_out(active: World) -> None:
    recordings = active.desktop.recordings
    with pytest.raises(Conflict):
        await recordings.stop()
    info = await recordings.start(request())
    for refused in (recordings.start(request()), recordings.open(info.id), recordings.delete(info.id)):
        with pytest.raises(Conflict):
            await refused
    await recordings.stop()
    with pytest.raises(Conflict):
        await recordings.stop()


async def test_what_makes_no_sense_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        recordings = made.desktop.recordings
        with pytest.raises(DesktopRuntimeInactive):
            await recordings.start(request())
        for fps in (0, -1, 61):
            with pytest.raises(DesktopInvalidAction):
                await recordings.start(request(fps=fps))
        for name in ("rec_1", "../x", "", "rec_" + "a" * 100):
            with pytest.raises(NotFound):
                await recordings.get(name)
        assert await recordings.list() == ()


async def test_a_deleted_recording_is_gone_in_all_formats(active: World) -> None:
    recordings = active.desktop.recordings
    info = await recordings.start(request())
    await recordings.stop()
    assert [one.id for one in await recordings.list()] == [info.id]
    path_of(await recordings.open(info.id, "gif"))
    await recordings.delete(info.id)
    assert await recordings.list() == ()
    assert list((active.state / "recordings").iterdir()) == []
    with pytest.raises(NotFound):
        await recordings.open(info.id)


@pytest.mark.parametrize("form", ["gif", "webm"])
async def test_other_formats_show_as_much_for_as_long(active: World, form: str) -> None:
    recordings, loop = active.desktop.recordings, asyncio.get_running_loop()
    info = await recordings.start(request(fps=20))
    await moved(active, loop.time(), 1.5)
    await recordings.stop()
    seconds = facts(path_of(await recordings.open(info.id)))[0]
    first, second = await asyncio.gather(recordings.open(info.id, form), recordings.open(info.id, form))
    assert first.etag == second.etag
    assert path_of(first) == path_of(second)
    with av.open(first.path) as file:
        times = [float(frame.pts * frame.time_base) for frame in file.decode(video=0)]  # type: ignore[operator]
        assert file.streams.video[0].width == 320
        assert times[-1] == pytest.approx(seconds, abs=0.25)
    with pytest.raises(DesktopInvalidAction):
        await recordings.open(info.id, "avi")


async def test_a_recording_ends_with_its_desktop(active: World) -> None:
    info = await active.desktop.recordings.start(request())
    await active.desktop.stop()
    done = await active.desktop.recordings.get(info.id)
    assert done.status == "completed"
    assert facts(path_of(await active.desktop.recordings.open(info.id)))[1] >= 1


async def test_a_recording_goes_on_when_its_display_died_and_came_back(active: World) -> None:
    recordings = active.desktop.recordings
    info = await recordings.start(request(fps=10))
    old = active.pid("Xvfb")
    os.kill(old, 9)
    await eventually(lambda: active.desktop.state == "active" and active.pid("Xvfb") != old, "another display")
    assert (await recordings.get(info.id)).status == "recording"
    done = await recordings.stop()
    assert done.status == "completed"


async def test_another_server_sees_what_goes_on_and_what_was_cut(active: World) -> None:
    recordings = active.desktop.recordings
    other = Recordings(active.desktop, lambda: active.state)
    info = await recordings.start(request())
    assert (await other.get(info.id)).status == "recording"
    with pytest.raises(Conflict):
        await other.delete(info.id)
    async with asyncio.timeout(DEADLINE):
        await recordings.stop()
    assert (await other.get(info.id)).status == "completed"
