"""A connection to an X server: what it refuses, and that nothing waits for ever when the server does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from Xlib.error import XError
from Xlib.protocol import request

from sandbox_agent.desktop import authority
from sandbox_agent.desktop.x11.connection import cookie_of
from sandbox_agent.desktop.x11.desktop import X11
from sandbox_agent.desktop.x11.display import Display
from sandbox_agent.problems import DesktopRuntimeFailed, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox_agent.desktop.x11.connection import Connection

    from .programs import Screen


@contextmanager
def server() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """An X server of one's own, to be ill-treated."""
    told, tell = os.pipe()
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(tell), "-nolisten", "tcp", "-noreset"], pass_fds=[tell], stderr=subprocess.DEVNULL
    )
    os.close(tell)
    with os.fdopen(told) as news:
        name = f":{int(news.readline())}"
    try:
        yield name, process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait()


async def test_calls_run_in_one_thread_and_answer(screen: Screen) -> None:
    """A hundred at once: each has its own answer, in the order in which they were made."""
    display = await Display.open(screen.name, screen.authority)
    order: list[int] = []

    def ask(number: int) -> int:
        order.append(number)
        return number

    assert await asyncio.gather(*(display.call(lambda _, n=n: ask(n)) for n in range(100))) == list(range(100))
    assert order == list(range(100))
    await display.close()


async def test_what_a_call_raises_is_raised_to_its_caller(screen: Screen) -> None:
    """An X error too; and the connection goes on."""
    display = await Display.open(screen.name, screen.authority)
    with pytest.raises(XError):
        await display.call(lambda c: request.GetGeometry(display=c, drawable=1))
    with pytest.raises(ZeroDivisionError):
        await display.call(lambda _: 1 // 0)
    assert await display.call(lambda c: request.GetGeometry(display=c, drawable=c.root).width) == display.size[0]
    await display.close()


async def test_a_wrong_cookie_is_refused(screen: Screen, tmp_path: Path) -> None:
    """Only who may read the authority file is let in."""
    other = tmp_path / "authority"
    authority.write(other, int(screen.name[1:]))
    with pytest.raises(DesktopRuntimeFailed, match="cannot connect"):
        await Display.open(screen.name, other)
    with pytest.raises(DesktopRuntimeFailed, match="cannot connect"):
        await Display.open(screen.name, tmp_path / "none")


def test_the_cookie_is_that_of_the_display(tmp_path: Path) -> None:
    """Others in the file are passed over."""
    one, other = tmp_path / "one", tmp_path / "other"
    authority.write(one, 7)
    authority.write(other, 8)
    both = tmp_path / "both"
    both.write_bytes(one.read_bytes() + other.read_bytes())
    assert cookie_of(both, 7) == one.read_bytes()[-16:]
    assert cookie_of(both, 8) == other.read_bytes()[-16:]
    assert cookie_of(both, 9) is None


async def test_no_display_is_a_problem() -> None:
    with pytest.raises(DesktopRuntimeFailed, match="cannot connect to display :987"):
        await Display.open(":987")


async def test_a_dead_server_fails_every_call_at_once() -> None:
    """Those that wait as well as those that come (R20)."""
    with server() as (name, process):
        display = await Display.open(name)
        process.send_signal(signal.SIGSTOP)
        waiting = [asyncio.ensure_future(display.call(lambda c: c.sync(), deadline=600)) for _ in range(5)]
        await asyncio.sleep(0)
        process.kill()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(answer) for answer in answers} == {DesktopRuntimeFailed}
        await display.ended.wait()
        assert isinstance(display.failure, DesktopRuntimeFailed)
        with pytest.raises(DesktopRuntimeFailed):
            await display.call(lambda c: c.sync())
        await display.close()


async def test_the_death_of_an_idle_server_is_noticed() -> None:
    """Without anybody calling."""
    with server() as (name, process):
        desktop = await X11.open(name)
        process.kill()
        async with asyncio.timeout(60):
            await desktop.ended.wait()
        with pytest.raises(DesktopRuntimeFailed):
            await desktop.screenshots.take()
        await desktop.close()


async def test_a_stopped_server_costs_a_call_its_deadline_and_no_more() -> None:
    """When it goes on, so do we; a call whose caller has gone is not made."""
    with server() as (name, process):
        display = await Display.open(name)
        made: list[str] = []

        def late(connection: Connection) -> None:
            made.append("late")
            connection.sync()

        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        answers = await asyncio.gather(
            display.call(lambda c: c.sync(), deadline=0.5), display.call(late, deadline=0.2), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [Timeout, Timeout]
        assert time.monotonic() - began < 30
        process.send_signal(signal.SIGCONT)
        await display.call(lambda c: c.sync(), deadline=60)
        assert made == []
        await display.close()


async def test_closing_ends_the_thread(screen: Screen) -> None:
    display = await Display.open(screen.name, screen.authority)
    thread = display._thread
    await display.close()
    thread.join(60)
    assert not thread.is_alive()
    with pytest.raises(DesktopRuntimeFailed):
        await display.call(lambda c: c.sync())
    await display.close()
