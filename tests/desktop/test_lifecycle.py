"""The desktop's life: how it starts, what it consists of, how it ends, on a real Xvfb with a real openbox."""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from Xlib import X
from Xlib.protocol import request

from sandbox_agent.desktop.displays import lock_path, socket_path
from sandbox_agent.desktop.parts import Program, launch
from sandbox_agent.desktop.x11.display import Display
from sandbox_agent.problems import (
    DesktopDependenciesMissing,
    DesktopInvalidAction,
    DesktopRuntimeFailed,
    DesktopRuntimeInactive,
)
from sandbox_agent.wire.desktop import DesktopResolution
from sandbox_agent.wire.processes import ProcessCreateRequest

from ..support.desktop import eventually, world
from ..support.pids import alive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox_agent.desktop.x11.connection import Connection

    from ..support.desktop import World


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def program(path: Path, script: str) -> None:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def spoil(authority: Path, other: Path) -> None:
    """The same authority file with another cookie."""
    right = authority.read_bytes()
    other.write_bytes(right.replace(right[-16:], bytes(16)))


async def test_a_start_answers_once_the_desktop_can_be_used(made: World) -> None:
    """The screen is as large as asked for, windows are managed, and the status names all parts."""
    status = await made.start(width=800, height=600, dpi=120)
    assert status.state == "active"
    assert status.resolution == DesktopResolution(width=800, height=600, dpi=120)
    assert status.display == made.desktop.runtime.name
    assert status.started_at is not None
    assert {part.name: part.running for part in status.processes} == dict.fromkeys(
        ("Xvfb", "openbox", "dbus-daemon"), True
    )
    assert {process.owner for process in made.processes.list()} == {"desktop"}
    assert made.desktop.x11.size == (800, 600)
    millimetres = await made.desktop.x11.control.call(lambda connection: connection.screen.width_in_mms)
    assert millimetres == pytest.approx(800 / 120 * 25.4, abs=1)
    assert await made.desktop.display_info() is not None


async def test_starting_what_runs_tells_about_it(made: World) -> None:
    """Also when it is asked for in another size, as clients of the public API expect."""
    first, second = await asyncio.gather(made.start(), made.start(width=800))
    third = await made.start(width=640)
    assert first == second == third
    assert len(made.processes.list("desktop")) == 3


async def test_before_a_start_and_after_a_stop_it_is_inactive(made: World) -> None:
    for _ in range(2):
        assert (await made.desktop.status()).state == "inactive"
        with pytest.raises(DesktopRuntimeInactive) as raised:
            _ = made.desktop.x11
        assert raised.value.extensions["code"] == "desktop_runtime_inactive"
        await made.start()
        assert (await made.desktop.stop()).state == "inactive"
    assert (await made.desktop.stop()).state == "inactive"


async def test_a_stop_leaves_nothing_behind(made: World) -> None:
    """No process, also none that a launched program left in the background; no lock, no socket, no cookie."""
    status = await made.start()
    number = made.desktop.runtime.number
    env = made.desktop.runtime.environment()
    script = "(setsid sleep 1000 & echo $!); (sleep 1000 & echo $!)"
    launched = await launch(made.processes, Program(("/bin/sh", "-c", script), env))
    await launched.wait()
    excerpt = await launched.log.excerpt(after=0)
    left = [int(pid) for pid in b"".join(p for segment in excerpt.segments for p in segment.payloads).split()]
    xterm = await launch(made.processes, Program(("xterm",), env))
    pids = [*(part.pid for part in status.processes), *left, xterm.info().pid]
    assert len(pids) == 6
    assert all(pid and alive(pid) for pid in pids)
    await made.desktop.stop()
    assert not any(pid and alive(pid) for pid in pids)
    assert not lock_path(number).exists()
    assert not socket_path(number).exists()
    assert sorted(path.name for path in made.state.iterdir()) == ["home"]


async def test_only_who_has_the_cookie_reaches_the_display(made: World, tmp_path: Path) -> None:
    """The cookie is in a file for this user alone, in a folder for this user alone."""
    status = await made.start()
    assert status.display is not None
    assert status.authority is not None
    authority = Path(status.authority)
    assert mode(authority) == 0o600
    assert mode(made.state) == 0o700
    other = tmp_path / "other"
    spoil(authority, other)
    for refused in (None, other):
        with pytest.raises(DesktopRuntimeFailed):
            await Display.open(status.display, refused)
    await (await Display.open(status.display, authority)).close()
    for cookie, may in ((other, False), (authority, True)):
        env = {"DISPLAY": status.display, "XAUTHORITY": str(cookie)}
        asked = await made.processes.start(ProcessCreateRequest(command="xprop", args=("-root",), env=env))
        assert (await asked.wait()).success is may


async def test_nothing_but_programs_of_this_machine_can_connect(made: World) -> None:
    """The server listens on no network socket."""
    await made.start()
    connections = psutil.Process(made.pid("Xvfb")).net_connections("all")
    assert connections
    assert {connection.family for connection in connections} == {socket.AF_UNIX}


async def test_the_screen_stays_on_the_bell_is_off_and_the_keymap_is_us(made: World) -> None:
    await made.start()

    def ask(connection: Connection) -> dict[str, Any]:
        saver = request.GetScreenSaver(display=connection)
        keyboard = request.GetKeyboardControl(display=connection)
        keys = request.GetKeyboardMapping(display=connection, first_keycode=24, count=6)
        return {
            "saver": saver.timeout,
            "bell": keyboard.bell_percent,
            "keys": "".join(chr(key[0]) for key in keys.keysyms),
        }

    assert await made.desktop.x11.control.call(ask) == {"saver": 0, "bell": 0, "keys": "qwerty"}


async def test_the_state_folder_has_a_home_with_settings_that_a_user_may_change(made: World) -> None:
    """`rc.xml` is written once and then left alone; `autostart` runs on the desktop, in its home."""
    settings = made.state / "home" / ".config" / "openbox"
    await made.start()
    changed = (settings / "rc.xml").read_text().replace("<number>1</number>", "<number>3</number>")
    await made.desktop.stop()
    (settings / "rc.xml").write_text(changed)
    (settings / "autostart").write_text('echo "$HOME $DISPLAY $XAUTHORITY" > started\n')
    status = await made.start()
    home = made.state / "home"
    told = await eventually(lambda: (home / "started").exists() and (home / "started").read_text())
    assert told.split() == [str(home), status.display, status.authority]
    assert (settings / "rc.xml").read_text() == changed

    def desktops(connection: Connection) -> int:
        number = connection.atom("_NET_NUMBER_OF_DESKTOPS")
        answer = request.GetProperty(
            display=connection,
            delete=False,
            window=connection.root,
            property=number,
            type=X.AnyPropertyType,
            long_offset=0,
            long_length=1,
        )
        return int(answer.value[1][0])

    assert await made.desktop.x11.control.call(desktops) == 3


async def test_programs_have_a_message_bus_of_their_own(made: World) -> None:
    await made.start()
    command = (
        "dbus-send",
        "--session",
        "--print-reply",
        "--dest=org.freedesktop.DBus",
        "/",
        "org.freedesktop.DBus.GetId",
    )
    asked = await launch(made.processes, Program(command, made.desktop.runtime.environment()))
    assert (await asked.wait()).success


async def test_a_state_folder_with_a_long_name_is_no_hindrance(made: World, tmp_path: Path) -> None:
    """Paths of sockets are short; the folder may be given as absolute path only."""
    state = tmp_path / ("long" * 40)
    status = await made.start(state_dir=str(state))
    assert status.authority is not None
    assert Path(status.authority).is_relative_to(state)
    runtime = made.desktop.runtime.place.runtime
    assert runtime.is_dir()
    await made.desktop.stop()
    assert not runtime.exists()
    with pytest.raises(DesktopInvalidAction, match="stateDir"):
        await made.start(state_dir="relative/folder")


async def test_a_state_folder_that_cannot_be_is_told(made: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DesktopRuntimeFailed, match="state folder") as raised:
        await made.start(state_dir=str(tmp_path / "file" / "below"))
    assert raised.value.hint
    status = await made.desktop.status()
    assert (status.state, status.last_error and status.last_error.code) == ("failed", "desktop_runtime_failed")
    assert not lock_path(made.display).exists()
    assert (await made.start()).state == "active"


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"height": -1},
        {"width": 8193},
        {"dpi": 0},
        {"dpi": 10_000},
        {"display_num": -1},
        {"display_num": 1 << 40},
        {"recording_fps": 0},
        {"stream_frame_rate": 1000},
        {"webrtc_port_range": "many"},
        {"webrtc_port_range": "2000-1000"},
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused_and_starts_nothing(made: World, wrong: dict[str, Any]) -> None:
    with pytest.raises(DesktopInvalidAction):
        await made.start(**wrong)
    assert (await made.desktop.status()).state == "inactive"
    assert made.processes.list() == []


async def test_what_is_missing_is_told_with_the_command_that_installs_it(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "openbox", "exit 0")
    async with world(tmp_path, {"PATH": str(tmp_path / "bin")}) as made:
        status = await made.desktop.status()
        assert (status.state, status.missing_dependencies) == ("install_required", ("Xvfb",))
        with pytest.raises(DesktopDependenciesMissing) as raised:
            await made.start()
    document = raised.value.document()
    assert document["status"] == 503
    assert document["missingDependencies"] == ["Xvfb"]
    assert document["installCommand"] == status.install_command == "sandbox-agent install desktop --yes"
    assert document["processes"] == []


@pytest.mark.parametrize(("part", "left"), [("Xvfb", []), ("openbox", ["Xvfb"])])
async def test_a_part_that_ends_at_its_start_is_told_with_its_last_words(
    made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, left: list[str]
) -> None:
    """And nothing is left running; the next start is a new one."""
    program(tmp_path / "bin" / part, "echo 'out of luck' >&2; exit 1")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
        with pytest.raises(DesktopRuntimeFailed, match="out of luck"):
            await made.start()
    assert not [process for process in made.processes.list() if process.running]
    assert not lock_path(made.display).exists()
    status = await made.desktop.status()
    assert status.state == "failed"
    assert status.last_error is not None
    assert "out of luck" in status.last_error.message
    with pytest.raises(DesktopRuntimeFailed, match="out of luck"):
        _ = made.desktop.x11
    assert (await made.start()).state == "active"
    assert (await made.desktop.status()).last_error is None
