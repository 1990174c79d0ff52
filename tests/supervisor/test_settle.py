"""Children that ended by themselves: what they left running goes on, is watched, and is ended when it is time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sandbox_agent.supervisor import Exit, PipeReader, proctree

from ..support.pids import alive
from .conftest import eventually, line, shell

if TYPE_CHECKING:
    from sandbox_agent.supervisor import Supervisor


async def test_a_child_that_left_nothing_is_reaped(supervisor: Supervisor) -> None:
    """Many at once share a look, and none is known any more."""
    children = [await supervisor.spawn(shell("exit 3"), owner="test") for _ in range(20)]
    await asyncio.gather(*(child.settle() for child in children))
    assert {child.exit for child in children} == {Exit(3, None)}
    assert supervisor.children() == []
    assert [proctree.look(child.pid) for child in children] == [None] * 20
    assert await children[0].end() == Exit(3, None)


async def test_what_is_left_goes_on_until_it_ends_by_itself(supervisor: Supervisor) -> None:
    """A daemon in a session of its own is watched; the leader's number stays taken as long."""
    daemon = "read go; exec sleep 0.05"
    child = await supervisor.spawn(shell(f"setsid sh -c '{daemon}' <&0 & echo $!; exit 0"), owner="test")
    pid = int(await line(child))
    settling = asyncio.ensure_future(child.settle())
    await child.wait()
    assert alive(pid)
    assert supervisor.children() == [child]
    child.close_stdin()
    await asyncio.wait_for(settling, 60)
    assert not alive(pid)
    assert supervisor.children() == []


async def test_what_is_left_is_ended_when_it_is_asked_for(supervisor: Supervisor) -> None:
    """While it is being watched; the watch is over then."""
    child = await supervisor.spawn(shell("setsid sleep 1000 & echo $!; exit 0"), owner="test")
    pid = int(await line(child))
    settling = asyncio.ensure_future(child.settle())
    await child.wait()
    assert alive(pid)
    assert await child.end(0) == Exit(0, None)
    await eventually(lambda: not alive(pid), within=60)
    await asyncio.wait_for(settling, 60)


async def test_what_is_left_is_ended_with_the_supervisor(supervisor: Supervisor) -> None:
    child = await supervisor.spawn(shell("setsid sleep 1000 & echo $!; exit 0"), owner="test")
    pid = int(await line(child))
    settling = asyncio.ensure_future(child.settle())
    await child.wait()
    await supervisor.stop(0.1)
    assert not alive(pid)
    await asyncio.wait_for(settling, 60)


async def test_usage_is_of_the_whole_tree(supervisor: Supervisor) -> None:
    """Processor time that its ended children had counts on; a tree that is gone uses nothing."""
    busy = await supervisor.spawn(shell("sleep 1000 & sh -c 'while :; do :; done' & echo up; wait"), owner="test")
    idle = await supervisor.spawn(shell("echo up; exec sleep 1000"), owner="test")
    assert (await line(busy), await line(idle)) == ("up", "up")
    async with asyncio.timeout(60):
        while (used := await supervisor.usage([busy, idle]))[0].cpu_seconds < 0.05 or used[0].processes != 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert used[1].processes == 1
    assert used[1].cpu_seconds < 5
    assert 0 < used[1].memory_bytes < used[0].memory_bytes
    await busy.end(0)
    (gone,) = await supervisor.usage([busy])
    assert (gone.processes, gone.memory_bytes) == (0, 0)


async def test_a_drain_takes_no_more_than_it_is_told(supervisor: Supervisor) -> None:
    """Somebody who writes without end does not hold it up."""
    child = await supervisor.spawn(shell("yes"), owner="test")
    got = bytearray()
    reader = PipeReader(child.stdout_fd, got.extend)
    reader.pause()
    await eventually(lambda: reader.drain(1) or len(got) > 0, within=60)
    before = len(got)
    assert not reader.drain(1 << 16)
    assert len(got) - before <= 3 << 20
    reader.close()
    await child.end(0)
