"""Text of any size and script between us and other programs, by the selections."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from Xlib import X
from Xlib.protocol import request

from sandbox_agent.desktop.x11 import clipboard
from sandbox_agent.desktop.x11.display import Display
from sandbox_agent.desktop.x11.selections import new_window
from sandbox_agent.problems import ClipboardFailed, DesktopInvalidAction

from .programs import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.desktop import X11

    from .programs import Screen

LARGE = "é日😀 text\n" * 350_000  # 5 MB and more of UTF-8
TEXTS = ["", "plain", "línea\nжшю\t日本語 😀\r\n", "x" * 300_000, LARGE]


async def xclip(screen: Screen, *arguments: str) -> bytes:
    """What xclip writes out."""
    process = await asyncio.create_subprocess_exec(
        "xclip", "-o", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=screen.environment
    )
    out, _ = await process.communicate()
    return out


async def own(x11: X11, screen: Screen, folder: Path, text: str, selection: str) -> subprocess.Popen[bytes]:
    """Have xclip own a text; its process."""
    file = folder / "text"
    file.write_bytes(text.encode())
    program = screen.start("xclip", "-i", "-quiet", "-selection", selection, str(file))

    async def taken() -> bool:
        def owner(connection: Connection) -> int:
            atom = connection.atom(clipboard.SELECTIONS[selection])
            found: int = request.GetSelectionOwner(display=connection, selection=atom).owner
            return found

        return bool(await x11.control.call(owner))

    await eventually(taken, "xclip's ownership")
    return program


@pytest.mark.parametrize("text", TEXTS, ids=len)
async def test_other_programs_get_what_was_written(x11: X11, screen: Screen, text: str) -> None:
    """5 MB too, in pieces (R35)."""
    await x11.clipboard.write(text)
    assert (await xclip(screen, "-selection", "clipboard", "-t", "UTF8_STRING")).decode() == text


@pytest.mark.parametrize("text", TEXTS[1:], ids=len)
async def test_what_other_programs_own_is_read(x11: X11, screen: Screen, tmp_path: Path, text: str) -> None:
    await own(x11, screen, tmp_path, text, "clipboard")
    assert await x11.clipboard.read() == text


async def test_other_calls_go_on_while_much_is_read(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """R35: the pointer moves while the other program takes its time, and between the pieces."""
    owner = await own(x11, screen, tmp_path, LARGE, "clipboard")
    owner.send_signal(signal.SIGSTOP)
    reading = asyncio.ensure_future(x11.clipboard.read())
    for place in range(5):
        await x11.mouse.move(place, 5)
    assert not reading.done()
    owner.send_signal(signal.SIGCONT)
    while not reading.done():
        await x11.mouse.move(7, 5)
    assert await reading == LARGE


async def test_several_programs_are_served_at_once(x11: X11, screen: Screen) -> None:
    await x11.clipboard.write(LARGE)
    got = await asyncio.gather(*(xclip(screen, "-selection", "clipboard", "-t", "UTF8_STRING") for _ in range(4)))
    assert [len(one) for one in got] == [len(LARGE.encode())] * 4


async def test_the_selections_are_two(x11: X11, screen: Screen) -> None:
    await x11.clipboard.write("one", "clipboard")
    await x11.clipboard.write("two", "primary")
    assert (await xclip(screen, "-selection", "clipboard"), await xclip(screen)) == (b"one", b"two")
    assert (await x11.clipboard.read("clipboard"), await x11.clipboard.read("primary")) == ("one", "two")
    await x11.clipboard.write("both", "both")
    assert (await xclip(screen, "-selection", "clipboard"), await xclip(screen)) == (b"both", b"both")


async def test_a_program_is_told_in_which_forms_there_is_text(x11: X11, screen: Screen) -> None:
    await x11.clipboard.write("é日")
    targets = (await xclip(screen, "-selection", "clipboard", "-t", "TARGETS")).decode().split()
    assert {"TARGETS", "TIMESTAMP", "UTF8_STRING", "STRING", "text/plain", "text/plain;charset=utf-8"} <= set(targets)
    assert await xclip(screen, "-selection", "clipboard", "-t", "STRING") == b"\xe9?"
    assert (await xclip(screen, "-selection", "clipboard", "-t", "text/plain")).decode() == "é日"
    assert await xclip(screen, "-selection", "clipboard", "-t", "image/png") == b""


async def test_another_program_takes_the_clipboard_from_us(x11: X11, screen: Screen, tmp_path: Path) -> None:
    await x11.clipboard.write("ours")
    await own(x11, screen, tmp_path, "theirs", "clipboard")

    async def theirs() -> bool:
        return await x11.clipboard.read() == "theirs"

    await eventually(theirs, "the other's text")
    await x11.clipboard.write("ours again")
    assert await xclip(screen, "-selection", "clipboard") == b"ours again"


async def test_nobodys_selection_is_empty(screen: Screen, x11: X11) -> None:
    def disown(connection: Connection) -> None:
        for name in ("CLIPBOARD", "PRIMARY"):
            request.SetSelectionOwner(display=connection, window=X.NONE, selection=connection.atom(name), time=0)
        connection.sync()

    await x11.control.call(disown)
    assert (await x11.clipboard.read("clipboard"), await x11.clipboard.read("primary")) == ("", "")


async def test_an_owner_that_does_not_answer_is_a_problem(
    x11: X11, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the deadline, and the next calls go on."""
    monkeypatch.setattr(clipboard, "READ_SECONDS", 0.3)
    silent = await Display.open(screen.name, screen.authority)

    def take(connection: Connection) -> None:
        atom = connection.atom("CLIPBOARD")
        request.SetSelectionOwner(display=connection, window=new_window(connection), selection=atom, time=0)
        connection.sync()

    await silent.call(take)
    with pytest.raises(ClipboardFailed, match="does not hand it over"):
        await x11.clipboard.read()
    assert (await x11.mouse.move(3, 4)).x == 3
    await silent.close()


async def test_an_unknown_selection_is_refused(x11: X11) -> None:
    for act in (x11.clipboard.read("both"), x11.clipboard.read("second"), x11.clipboard.write("x", "third")):
        with pytest.raises(DesktopInvalidAction, match="no selection"):
            await act
