"""The stream in a real Chromium: our page with WebCodecs and with JPEG, and the official client over WebRTC."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from ..support.browser import chromium, until, with_client
from ..support.desktop import begin, eventually
from ..support.server import serve
from ..support.viewer import BLUE, RED, near, painted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from playwright.async_api import Browser, Page

    from ..support.server import Server
    from ..support.viewer import Painted

CONNECT = """async (token) => {
  const { SandboxAgent } = await import("sandbox-agent");
  const client = await SandboxAgent.connect({ baseUrl: location.origin, token });
  await client.startDesktopStream();
  const session = client.connectDesktopStream();
  const state = { session, ready: null, connected: false, left: false, errors: [], video: null };
  window.stream = state;
  session.onReady((status) => { state.ready = status; });
  session.onConnect(() => { state.connected = true; });
  session.onDisconnect(() => { state.left = true; });
  session.onError((error) => { state.errors.push(String(error.message)); });
  session.onTrack((media) => {
    state.video = document.createElement("video");
    state.video.muted = true;
    state.video.srcObject = media;
    document.body.append(state.video);
    state.video.play();
  });
  state.pixel = (x, y) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [state.video.videoWidth, state.video.videoHeight];
    const context = canvas.getContext("2d");
    context.drawImage(state.video, 0, 0);
    return [...context.getImageData(x, y, 1, 1).data].slice(0, 3);
  };
}"""
OPEN = "stream.session.dataChannel?.readyState === 'open' && stream.video?.videoWidth > 0"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("server"), token=secrets.token_hex(8)) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx2.Client]:
    with server.client() as client:
        begin(client)
        yield client


@pytest.fixture
def program(client: httpx2.Client, tmp_path: Path) -> Iterator[Painted]:
    with painted(client, tmp_path) as made:
        yield made


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made


async def shows(page: Page, pixel: str, colour: tuple[int, int, int]) -> None:
    """Until a pixel has a colour."""

    async def found() -> bool:
        return near(tuple(await page.evaluate(f"() => {pixel}")), colour)

    await until_true(page, found)


async def until_true(page: Page, condition: Any) -> None:
    for _ in range(1200):
        if await condition():
            return
        await page.wait_for_timeout(50)
    raise AssertionError(await page.evaluate("() => JSON.stringify(window.stream, (k, v) => k === 'session' ? 0 : v)"))


def canvas(place: tuple[int, int]) -> str:
    picture = "document.getElementById('canvas').getContext('2d')"
    return f"[...{picture}.getImageData({place[0]}, {place[1]}, 1, 1).data].slice(0, 3)"


async def watching(browser: Browser, server: Server, query: str) -> Page:
    """Our page, with its first picture, opened by nothing but its address."""
    page = await browser.new_page()
    answer = await page.goto(f"{server.url}/v1/desktop/stream/view?access_token={server.token}&{query}")
    assert answer is not None
    assert answer.status == 200, await answer.text()
    await until(page, "window.stream?.pictures > 0")
    return page


@pytest.mark.parametrize("codec", ["h264", "jpeg"])
async def test_the_page_shows_the_screen_and_what_is_done_in_it_reaches_the_program(
    server: Server, client: httpx2.Client, program: Painted, browser: Browser, codec: str
) -> None:
    page = await watching(browser, server, f"codec={codec}&control=true")
    hello = await page.evaluate("() => stream.hello")
    assert hello["codec"].startswith("avc1." if codec == "h264" else "jpeg")
    await shows(page, canvas(program.square), RED)
    await page.keyboard.press("z")
    await eventually(lambda: program.typed() == "z", "a key before any click")
    await page.mouse.click(*program.button)
    await eventually(lambda: program.told("pressed"), "the click")
    await page.keyboard.type("aB c")
    await eventually(lambda: program.typed() == "zaB c", "the keys")
    await page.mouse.wheel(0, 200)
    await eventually(lambda: [e["button"] for e in program.told("ButtonPress")].count(5) == 2, "the wheel")
    await page.keyboard.press("F2")
    await shows(page, canvas(program.square), BLUE)
    assert await page.evaluate("() => stream.errors") == []


async def test_the_page_takes_video_where_it_can_and_looks_only_unless_told(
    server: Server, client: httpx2.Client, program: Painted, browser: Browser
) -> None:
    page = await watching(browser, server, "")
    assert (await page.evaluate("() => stream.hello"))["codec"].startswith("avc1.")
    await shows(page, canvas(program.square), RED)
    await page.mouse.click(*program.button)
    await page.evaluate("() => stream.say({ type: 'click', x: 1, y: 1 })")
    await until(page, "stream.errors.length === 1")
    client.post("/v1/desktop/keyboard/press", json={"key": "F2"})
    await shows(page, canvas(program.square), BLUE)
    assert program.told("ButtonPress") == []
    assert await page.evaluate("() => stream.keyframes") == 1


async def test_the_pages_address_keeps_its_token(server: Server, client: httpx2.Client, browser: Browser) -> None:
    """No page that is gone to from it, and no log of the server, learns of it; a wrong one opens nothing."""
    await watching(browser, server, "")
    answer = client.get("/v1/desktop/stream/view", params={"access_token": server.token})
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert server.token not in server.stderr.read_text()
    for query in ({}, {"access_token": "wrong"}):
        refused = httpx2.get(f"{server.url}/v1/desktop/stream/view", params=query)
        assert (refused.status_code, refused.json()["type"]) == (401, "urn:sandbox-agent:error:token_invalid")
    elsewhere = httpx2.get(f"{server.url}/v1/desktop/status", params={"access_token": server.token})
    assert elsewhere.status_code == 401


async def test_the_official_client_watches_and_acts_over_webrtc(
    server: Server, client: httpx2.Client, program: Painted, browser: Browser
) -> None:
    page = await browser.new_page()
    await with_client(page, server.url)
    await page.evaluate(CONNECT, server.token)
    await until(page, OPEN)
    assert await page.evaluate("() => stream.ready") == {"type": "ready", "width": 640, "height": 480}
    assert client.get("/v1/desktop/stream/status").json() == {"active": True}
    square = f"stream.pixel({program.square[0]}, {program.square[1]})"
    await shows(page, square, RED)
    x, y = program.button
    await page.evaluate(f"() => {{ const s = stream.session; s.mouseDown('left', {x}, {y}); s.mouseUp('left'); }}")
    await eventually(lambda: program.told("pressed"), "the click")
    await page.evaluate("() => { for (const key of 'hé') { stream.session.keyDown(key); stream.session.keyUp(key); } }")
    await eventually(lambda: program.typed() == "hé", "the keys")
    await page.evaluate(f"() => stream.session.scroll({x}, {y}, 0, -3)")
    await eventually(lambda: [e["button"] for e in program.told("ButtonPress")].count(4) == 3, "the wheel")
    await page.evaluate("() => { stream.session.keyDown('F2'); stream.session.keyUp('F2'); }")
    await shows(page, square, BLUE)
    assert await page.evaluate("() => stream.errors") == []


async def test_a_stopped_stream_tells_the_official_client_and_takes_no_other(
    server: Server, client: httpx2.Client, browser: Browser
) -> None:
    page = await browser.new_page()
    await with_client(page, server.url)
    await page.evaluate(CONNECT, server.token)
    await until(page, OPEN)
    assert client.post("/v1/desktop/stream/stop").json() == {"active": False}
    await until(page, "stream.left")
    assert await page.evaluate("() => stream.errors") == ["the stream was stopped"]
    headers = server.headers | {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    refused = client.get("/v1/desktop/stream/signaling", headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:sandbox-agent:error:stream_not_active")
