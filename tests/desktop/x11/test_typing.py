"""Text of any script arrives in real programs as it was typed, at full speed."""

from __future__ import annotations

import http.server
import random
import threading
from typing import TYPE_CHECKING

import pytest

from .programs import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox_agent.desktop.x11.desktop import X11

    from .programs import Screen

SCRIPTS = (
    [chr(point) for point in range(0x21, 0x7F)],
    [chr(point) for point in (*range(0xC0, 0xD7), *range(0xD8, 0xF7), *range(0x100, 0x180))],
    [chr(point) for point in (*range(0x391, 0x3A2), *range(0x3A3, 0x3CA))],
    [chr(point) for point in range(0x410, 0x450)],
    [chr(point) for point in range(0x4E00, 0x4E00 + 600)],
    [chr(point) for point in range(0x1F600, 0x1F650)],
)

PAGE = rb"""<!doctype html><meta charset=utf-8><title>typing test</title>
<body><textarea id=t style="width:600px;height:400px" autofocus autocomplete=off spellcheck=false></textarea>
<script>
t.focus()
t.addEventListener('keydown', event => {  // in a page Tab goes to the next field, unless it says otherwise
  if (event.key === 'Tab') { event.preventDefault(); document.execCommand('insertText', false, '\t') }
})
let last = null
setInterval(() => {
  if (document.hasFocus() && t.value !== last) { last = t.value; fetch('/', {method: 'POST', body: last}) }
}, 20)
</script>"""


def sample(count: int) -> str:
    """``count`` code points of all scripts in no order, with some spaces, tabs and line ends; no line begins blank."""
    order = random.Random(7)  # noqa: S311 -- the same each time is what is wanted
    text = [order.choice(order.choice(SCRIPTS)) for _ in range(count)]
    for at in range(20, count - 1, 40):
        text[at] = order.choice(" \t")
    for at in range(60, count - 1, 80):
        text[at + 1] = "\n"
    return "".join(text)


TEXT = sample(2000)


class Page:
    """A page with a text field that tells what it holds."""

    def __init__(self) -> None:
        self.value: str | None = None
        page = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(PAGE if self.path == "/" else b"")

            def do_POST(self) -> None:
                page.value = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing to be said."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"


@pytest.fixture
def page() -> Iterator[Page]:
    page = Page()
    thread = threading.Thread(target=page.server.serve_forever)
    thread.start()
    yield page
    page.server.shutdown()
    thread.join()
    page.server.server_close()


def difference(got: str, wanted: str) -> str:
    at = next((at for at, pair in enumerate(zip(got, wanted, strict=False)) if pair[0] != pair[1]), -1)
    return f"{len(got)} of {len(wanted)}, first unlike at {at}: {got[at : at + 10]!r} for {wanted[at : at + 10]!r}"


async def test_a_terminal_gets_2000_code_points_as_they_were_typed(x11: X11, screen: Screen, tmp_path: Path) -> None:
    out = tmp_path / "out"
    screen.start("xterm", "-u8", "-T", "typing", "-e", "sh", "-c", f"stty raw -echo; : > {out}; exec cat >> {out}")
    await screen.window(x11, title="typing")

    async def reads() -> bool:
        return out.exists()

    await eventually(reads, "the reader")
    await x11.keyboard.type(TEXT)
    wanted = TEXT.replace("\n", "\r")

    async def all_there() -> bool:
        return out.read_bytes() == wanted.encode()

    await eventually(all_there, lambda: difference(out.read_text(errors="replace"), wanted))


@pytest.mark.parametrize(("editor", "window_class"), [("mousepad", "Mousepad"), ("featherpad", "FeatherPad")])
async def test_an_editor_saves_2000_code_points_as_they_were_typed(
    x11: X11, screen: Screen, tmp_path: Path, editor: str, window_class: str
) -> None:
    """GTK and Qt, each with its own way to follow the keyboard's mapping."""
    file = tmp_path / "text.txt"
    file.write_text("")
    screen.start(editor, *{"mousepad": ["--disable-server"], "featherpad": ["--standalone"]}[editor], str(file))
    await screen.window(x11, title="text.txt", window_class=window_class)
    await x11.keyboard.type(TEXT)
    await x11.keyboard.press("ctrl+s")

    async def saved() -> bool:
        return file.read_text().rstrip("\n") == TEXT

    await eventually(saved, lambda: difference(file.read_text(), TEXT))


async def test_a_browser_gets_2000_code_points_as_they_were_typed(
    x11: X11, screen: Screen, tmp_path: Path, page: Page
) -> None:
    flags = ("--no-sandbox", "--no-first-run", "--disable-gpu", "--password-store=basic", f"--user-data-dir={tmp_path}")
    screen.start("chromium", *flags, f"--app={page.url}")
    await screen.window(x11, title="typing test")

    async def ready() -> bool:
        return page.value is not None

    await eventually(ready, "the page")
    await x11.keyboard.type(TEXT)

    async def all_there() -> bool:
        return page.value == TEXT

    await eventually(all_there, lambda: difference(page.value or "", TEXT))
