"""A `with` block that is recorded, by both SDKs, on a real display."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import pytest

from sandbox_agent import AsyncSandboxAgent, SandboxAgent
from sandbox_agent.problems import Conflict, NotFound

from ..support.desktop import some_display
from ..support.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..support.server import Server


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an active desktop."""
    with serve(tmp_path_factory.mktemp("recording")) as server:
        with SandboxAgent.connect(server.url) as agent:
            agent.desktop.start(width=320, height=240, display_num=some_display())
        yield server


def width(path: Path | None) -> int:
    assert path is not None
    with av.open(str(path)) as file:
        assert next(file.decode(video=0)) is not None
        return file.streams.video[0].width


def test_a_block_is_recorded_and_its_video_is_here_in_the_form_its_name_says(recorded: Server, tmp_path: Path) -> None:
    with SandboxAgent.connect(recorded.url) as agent:
        for name in ("a.mp4", "b.gif"):
            with agent.desktop.record(tmp_path / name, fps=10) as recording:
                agent.desktop.click(10, 20)
                with pytest.raises(Conflict), agent.desktop.record():
                    pass
            assert recording.path == tmp_path / name
            assert width(recording.path) == 320
        with pytest.raises(ValueError, match=r"\.mp4"):
            agent.desktop.record("c.avi")
        with pytest.raises(KeyError), agent.desktop.record() as kept:
            raise KeyError
        assert kept.info is not None
        assert (kept.info.status, kept.path) == ("completed", None)


async def test_a_block_of_awaited_code_is_recorded_too(recorded: Server, tmp_path: Path) -> None:
    async with await AsyncSandboxAgent.connect(recorded.url) as agent:
        async with agent.desktop.record(tmp_path / "a.mp4", fps=10, overlay=True) as recording:
            await agent.desktop.click(10, 20)
        assert width(recording.path) == 320


def test_a_recording_is_started_stopped_told_of_saved_and_deleted(recorded: Server, tmp_path: Path) -> None:
    with SandboxAgent.connect(recorded.url) as agent:
        recordings = agent.desktop.recordings
        started = recordings.start(fps=10)
        assert started.status == "recording"
        assert recordings.list()[-1].id == started.id
        with pytest.raises(Conflict):
            recordings.delete(started.id)
        stopped = recordings.stop()
        assert (stopped.id, stopped.status) == (started.id, "completed")
        assert recordings.get(started.id) == stopped
        assert width(recordings.save(started.id, tmp_path / "a.webm")) == 320
        assert recordings.save(started.id, tmp_path / "video", "mp4").stat().st_size == stopped.bytes
        with pytest.raises(ValueError, match=r"\.mp4"):
            recordings.save(started.id, tmp_path / "video")
        recordings.delete(started.id)
        with pytest.raises(NotFound):
            recordings.get(started.id)


async def test_awaited_code_has_the_same(recorded: Server, tmp_path: Path) -> None:
    async with await AsyncSandboxAgent.connect(recorded.url) as agent:
        recordings = agent.desktop.recordings
        started = await recordings.start(fps=10, overlay=True)
        stopped = await recordings.stop()
        assert await recordings.get(started.id) == stopped
        assert stopped in await recordings.list()
        assert width(await recordings.save(started.id, tmp_path / "a.mp4")) == 320
        await recordings.delete(started.id)
        assert stopped not in await recordings.list()
