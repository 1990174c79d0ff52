"""What becomes of the desktop when a part of it dies, and when displays are taken (R20, R34)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from Xlib.protocol import request

from sandbox_agent.desktop import runtime as runtime_module
from sandbox_agent.desktop import xserver
from sandbox_agent.desktop.displays import claim, hand_over, lock_path, release, socket_path
from sandbox_agent.desktop.manager import managed
from sandbox_agent.desktop.parts import Program, launch
from sandbox_agent.desktop.x11.display import Display
from sandbox_agent.problems import DesktopRuntimeFailed, DesktopRuntimeStarting, Problem, Timeout

from ..support.desktop import DEADLINE, eventually, some_display, world
from ..support.pids import alive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from sandbox_agent.desktop.x11.connection import Connection

    from ..support.desktop import World


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


@pytest.fixture
def number() -> Iterator[int]:
    """A display of which nothing is left afterwards."""
    number = some_display()
    yield number
    for display in range(number, number + 10):
        lock_path(display).unlink(missing_ok=True)
        socket_path(display).unlink(missing_ok=True)


@pytest.fixture
def dead() -> int:
    """A process number that was somebody's, and is nobody's now."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def focus(connection: Connection) -> int:
    return int(request.GetInputFocus(display=connection).revert_to)


def window(connection: Connection) -> int:
    """A window of this connection."""
    number = connection.allocate()
    request.CreateWindow(
        display=connection,
        wid=number,
        parent=connection.root,
        x=0,
        y=0,
        width=1,
        height=1,
        border_width=0,
        depth=0,
        window_class=0,
        visual=0,
        attrs={},
    )
    focus(connection)
    return number


def again(made: World, part: str, before: int) -> bool:
    """Whether the desktop is active with another process as this part."""
    desktop = made.desktop
    if desktop.state != "active":
        return False
    return any(info.running and info.pid != before for info in desktop.runtime.parts() if info.name == part)


async def usable(made: World) -> None:
    """Requests are answered, and windows are managed."""
    await made.desktop.x11.control.call(focus, deadline=DEADLINE)
    runtime = made.desktop.runtime
    await managed(runtime.name, runtime.place.authority, DEADLINE)


@pytest.mark.parametrize("part", ["Xvfb", "openbox", "dbus-daemon"])
async def test_a_part_that_is_killed_is_started_again(made: World, part: str) -> None:
    """On the same display, with the same cookie file: what programs were told stays right."""
    first = await made.start()
    for _ in range(2):
        before = made.pid(part)
        os.kill(before, signal.SIGKILL)
        await eventually(lambda before=before: again(made, part, before), f"a new {part}")
        await usable(made)
    status = await made.desktop.status()
    assert (status.display, status.authority) == (first.display, first.authority)
    assert {info.name: info.restarts for info in status.processes}[part] == 2
    assert len([process for process in made.processes.list("desktop") if process.running]) == 3


async def test_a_connection_that_is_cut_is_made_again(made: World) -> None:
    """The display and its programs go on."""
    await made.start()
    server, display = made.pid("Xvfb"), made.desktop.x11.control
    xterm = await launch(made.processes, Program(("xterm",), made.desktop.runtime.environment()))
    mine = await display.call(window)

    other = await Display.open(display.name, made.desktop.runtime.place.authority)
    await other.call(lambda connection: request.KillClient(display=connection, resource=mine))
    await other.call(focus)
    await other.close()
    await display.ended.wait()
    await eventually(
        lambda: made.desktop.state == "active" and made.desktop.x11.control is not display, "a new connection"
    )
    await usable(made)
    assert made.pid("Xvfb") == server
    assert xterm.running


async def test_programs_of_a_dead_display_end_and_new_ones_start(made: World) -> None:
    await made.start()
    env = made.desktop.runtime.environment()
    xterm = await launch(made.processes, Program(("xterm",), env))
    before = made.pid("Xvfb")
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: again(made, "Xvfb", before), "a new Xvfb")
    assert made.desktop.runtime.environment() == env
    asked = await launch(made.processes, Program(("xprop", "-root"), env))
    assert (await asked.wait()).success
    await xterm.end()


async def test_what_dies_again_and_again_is_reported_as_failed(made: World) -> None:
    """Nothing is left running then; a new start is possible."""
    await made.start()
    for _ in range(runtime_module._MOST_MENDS + 1):
        before = made.pid("openbox")
        os.kill(before, signal.SIGKILL)
        await eventually(
            lambda before=before: made.desktop.state == "failed" or again(made, "openbox", before),
            "a new openbox or the end",
        )
    status = await made.desktop.status()
    assert status.state == "failed"
    assert status.last_error is not None
    assert "openbox" in status.last_error.message
    with pytest.raises(DesktopRuntimeFailed, match="openbox"):
        _ = made.desktop.runtime
    await eventually(lambda: not any(process.running for process in made.processes.list()), "the end of all parts")
    assert (await made.start()).state == "active"


async def test_while_it_is_mended_calls_are_told_so(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that it is inactive, and not nothing at all."""
    await made.start()
    gate = asyncio.Event()
    start = xserver.start

    async def held(*args: object) -> object:
        await gate.wait()
        return await start(*args)

    monkeypatch.setattr(xserver, "start", held)
    before = made.pid("Xvfb")
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: made.desktop.state == "starting", "the mending")
    with pytest.raises(DesktopRuntimeStarting):
        _ = made.desktop.x11
    assert (await made.desktop.status()).state == "starting"
    gate.set()
    await eventually(lambda: again(made, "Xvfb", before), "a new Xvfb")


async def test_a_stop_in_the_middle_of_mending_ends_all(made: World) -> None:
    await made.start()
    server = made.pid("Xvfb")
    os.kill(server, signal.SIGKILL)
    await eventually(lambda: made.desktop.state == "starting", "the mending")
    assert (await made.desktop.stop()).state == "inactive"
    assert not any(process.running for process in made.processes.list())
    assert not lock_path(made.display).exists()


async def test_a_server_that_hangs_costs_a_call_its_deadline_only(made: World) -> None:
    """Calls answer by their deadlines, the status at once; when it goes on, so do they."""
    await made.start()
    pid = made.pid("Xvfb")
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Timeout):
            await made.desktop.x11.control.call(focus, deadline=0.2)
        assert (await made.desktop.status()).state == "active"
    finally:
        os.kill(pid, signal.SIGCONT)
    await usable(made)


async def test_a_hanging_server_does_not_hinder_a_stop(made: World) -> None:
    await made.start()
    pid = made.pid("Xvfb")
    os.kill(pid, signal.SIGSTOP)
    assert (await made.desktop.stop()).state == "inactive"
    assert not alive(pid)
    assert not lock_path(made.display).exists()
    assert not socket_path(made.display).exists()


# -- displays ---------------------------------------------------------------------------------------------------------


async def test_a_stale_lock_and_a_stale_socket_are_no_hindrance(made: World, number: int, dead: int) -> None:
    lock_path(number).write_text(f"{dead:10}\n")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(socket_path(number)))
    status = await made.start(display_num=number)
    assert status.display == f":{number}"
    assert int(lock_path(number).read_text()) == made.pid("Xvfb")


async def test_a_damaged_lock_is_no_hindrance(made: World, number: int) -> None:
    lock_path(number).write_bytes(b"\xff\xfe nonsense")
    assert (await made.start(display_num=number)).display == f":{number}"


@pytest.mark.parametrize("how", ["locked", "listening", "listening without a file"])
async def test_a_taken_display_is_left_alone(made: World, number: int, how: str) -> None:
    """Whoever has it keeps lock and socket, and the next one is used."""
    path = str(socket_path(number))
    with socket.socket(socket.AF_UNIX) as theirs:
        if how == "locked":
            lock_path(number).write_text(f"{os.getpid():10}\n")
        else:
            theirs.bind(path if how == "listening" else f"\0{path}")
            theirs.listen(8)
        status = await made.start(display_num=number)
        assert status.display == f":{number + 1}"
        await made.desktop.stop()
        assert lock_path(number).exists() is (how == "locked")
        assert socket_path(number).exists() is (how == "listening")


async def test_when_all_displays_are_taken_it_says_which(made: World, number: int) -> None:
    for display in range(number, number + 10):
        assert claim(display) is None
    with pytest.raises(DesktopRuntimeFailed) as raised:
        await made.start(display_num=number)
    for display in range(number, number + 10):
        assert f":{display} (process {os.getpid()} holds its lock)" in raised.value.detail
    for display in range(number, number + 10):
        release(display)
    assert (await made.start(display_num=number)).display == f":{number}"


async def test_desktops_that_start_at_once_get_a_display_each(tmp_path: Path, number: int) -> None:
    """Locks are made whole or not at all, so none is given twice."""
    async with world(tmp_path / "a") as a, world(tmp_path / "b") as b, world(tmp_path / "c") as c:
        statuses = await asyncio.gather(*(made.start(display_num=number) for made in (a, b, c)))
        assert sorted(str(status.display) for status in statuses) == [f":{number + i}" for i in range(3)]


def test_a_claim_is_refused_to_others_until_it_is_released(number: int, dead: int) -> None:
    assert claim(number) is None
    assert claim(number) == f"process {os.getpid()} holds its lock"
    hand_over(number, dead)
    assert claim(number) is None
    hand_over(number, 1)
    release(number)
    assert int(lock_path(number).read_text()) == 1
    release(number, 1)
    assert not lock_path(number).exists()
    assert not list(lock_path(number).parent.glob(f".X{number}-lock*"))


async def test_waiting_for_a_window_manager_ends_by_its_deadline(made: World) -> None:
    """Also when the one before has left its traces on the display."""
    await made.start()
    runtime = made.desktop.runtime
    os.kill(made.pid("openbox"), signal.SIGSTOP)
    try:
        with pytest.raises(Problem):
            await managed(runtime.name, runtime.place.authority, 0.2)
    finally:
        os.kill(made.pid("openbox"), signal.SIGCONT)
    await managed(runtime.name, runtime.place.authority, DEADLINE)
