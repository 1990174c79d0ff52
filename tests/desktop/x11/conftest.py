"""A real X server with a real window manager for the tests of a module, and our connections to it for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.desktop import authority
from sandbox_agent.desktop.x11.desktop import X11

from .programs import Screen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    """An Xvfb of 1280x800 pixels on a display of its own choice, with openbox."""
    folder = tmp_path_factory.mktemp("screen")
    cookies = folder / "authority"
    authority.write(cookies, 0)
    cookies.write_bytes(cookies.read_bytes().replace(b"\x00\x010", b"\x00\x00"))  # for whatever display it will be
    told, tell = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(tell), "-screen", "0", "1280x800x24", "-noreset", "-auth", str(cookies)],
        pass_fds=[tell],
        stderr=subprocess.DEVNULL,
    )
    os.close(tell)
    with os.fdopen(told) as news:
        made = Screen(f":{int(news.readline())}", cookies, folder)
    openbox = made.start("openbox")
    yield made
    made.end()
    openbox.wait()
    server.terminate()
    server.wait()
    shutil.rmtree(folder)


@pytest.fixture
async def x11(screen: Screen) -> AsyncIterator[X11]:
    """Our connections to the screen; what the test started on it has ended afterwards."""
    desktop = await X11.open(screen.name, screen.authority)
    await screen.managed(desktop)
    yield desktop
    await screen.clear(desktop)
    await desktop.close()
