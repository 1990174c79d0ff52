"""`/v1/desktop/stream/ws` over a real connection: what a viewer sees and does on a real desktop."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ..support.desktop import begin, eventually
from ..support.server import poll, serve
from ..support.viewer import BLUE, RED, painted, viewer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

    from ..support.server import Server
    from ..support.viewer import Painted

SIZE = (640, 480)
BUSY = 'while :; do printf "%s " $RANDOM$RANDOM; sleep 0.01; done'


@pytest.fixture(scope="module")
def client(module_server: Server) -> Iterator[httpx2.Client]:
    with module_server.client() as client:
        begin(client, width=SIZE[0], height=SIZE[1])
        yield client


@pytest.fixture
def program(client: httpx2.Client, tmp_path: Path) -> Iterator[Painted]:
    with painted(client, tmp_path) as made:
        yield made


@pytest.fixture
def busy(client: httpx2.Client) -> Iterator[None]:
    """A terminal in which something changes all the time."""
    body = {"app": "xterm", "args": ["-e", "bash", "-c", BUSY], "wait": True}
    process = client.post("/v1/desktop/launch", json=body).json()["processId"]
    yield
    client.post(f"/v1/processes/{process}/kill")
    client.delete(f"/v1/processes/{process}")
    poll(lambda: not client.get("/v1/desktop/windows").json()["windows"], what="the end of the terminal")


# -- seeing -----------------------------------------------------------------------------------------------------------


async def test_a_viewer_is_greeted_and_sees_the_screen_from_a_keyframe_on(
    module_server: Server, program: Painted
) -> None:
    async with viewer(module_server) as eyes:
        hello = await eyes.receive()
        assert isinstance(hello, dict)
        assert re.fullmatch(r"avc1\.42C0[0-9A-F]{2}", hello.pop("codec"))
        assert hello == {"type": "hello", "width": 640, "height": 480, "fps": 30, "window": 4, "control": False}
        first = await eyes.picture()
        assert (first.number, first.keyframe) == (1, True)
        await eyes.shows(program.square, RED)


@pytest.mark.parametrize("codec", ["h264", "jpeg"])
async def test_what_changes_is_shown_without_another_keyframe(
    module_server: Server, client: httpx2.Client, program: Painted, codec: str
) -> None:
    async with viewer(module_server, codec=codec) as eyes:
        await eyes.shows(program.square, RED)
        client.post("/v1/desktop/keyboard/press", json={"key": "F2"})
        last = await eyes.shows(program.square, BLUE)
        assert not last.keyframe
        if isinstance(last.data, list):
            assert sum(width * height for (_, _, width, height), _ in last.data) < SIZE[0] * SIZE[1] / 2


@pytest.mark.parametrize("codec", ["h264", "jpeg"])
async def test_a_keyframe_comes_when_it_is_asked_for_though_nothing_changes(
    module_server: Server, program: Painted, codec: str
) -> None:
    async with viewer(module_server, codec=codec) as eyes:
        first = await eyes.shows(program.square, RED)
        assert first.keyframe or first.number > 1
        for _ in range(3):
            await eyes.say("keyframe")
            assert (await eyes.picture(lambda picture: picture.keyframe)).number > first.number


async def test_a_slow_viewer_gets_a_window_of_pictures_and_then_the_newest(module_server: Server, busy: None) -> None:
    """It holds up nobody, and nothing waits for it: after its acknowledgement comes what is newer than all of that."""
    async with viewer(module_server, window=2) as slow, viewer(module_server) as quick:
        numbers: list[int] = []
        while len(numbers) < 2:
            got = await slow.receive()
            if not isinstance(got, dict):
                numbers.append(got.number)
        assert numbers == [1, 2]
        last = await quick.picture(lambda picture: picture.number >= 20)
        await slow.say("ack", number=2)
        late = await slow.picture()
        assert late.number == 3
        assert late.time >= last.time


async def test_several_viewers_see_the_same_each_in_its_way(
    module_server: Server, client: httpx2.Client, program: Painted
) -> None:
    async with (
        viewer(module_server) as one,
        viewer(module_server) as two,
        viewer(module_server, codec="jpeg", fps=10) as three,
    ):
        viewers = (one, two, three)
        await asyncio.gather(*(eyes.shows(program.square, RED) for eyes in viewers))
        client.post("/v1/desktop/keyboard/press", json={"key": "F2"})
        await asyncio.gather(*(eyes.shows(program.square, BLUE) for eyes in viewers))
    async with viewer(module_server) as later:
        assert (await later.picture()).keyframe
        await later.shows(program.square, BLUE)


async def test_the_pointer_is_told_beside_the_pictures(module_server: Server, client: httpx2.Client) -> None:
    client.post("/v1/desktop/mouse/move", json={"x": 5, "y": 6})
    async with viewer(module_server) as eyes:
        first = await eyes.message("cursor")
        assert first["image"]
        client.post("/v1/desktop/mouse/move", json={"x": 321, "y": 123})
        while (told := await eyes.message("cursor"))["x"] != 321:
            pass
        assert told["y"] == 123


async def test_the_stream_ends_with_the_desktop_and_says_so(tmp_path: Path) -> None:
    with serve(tmp_path / "server") as server, server.client() as client:
        begin(client, width=SIZE[0], height=SIZE[1])
        async with viewer(server) as eyes:
            await eyes.picture()
            await asyncio.to_thread(client.post, "/v1/desktop/stop")
            assert (await eyes.message("error"))["code"] == "desktop_runtime_failed"
            with pytest.raises(ConnectionClosed) as closed:
                await eyes.message("nothing more")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        address = server.url.replace("http", "ws") + "/v1/desktop/stream/ws"
        with pytest.raises(InvalidStatus) as refused:
            await connect(address)
        assert refused.value.response.status_code == 409


# -- acting -----------------------------------------------------------------------------------------------------------


async def test_what_a_viewer_does_reaches_the_program_in_its_order(module_server: Server, program: Painted) -> None:
    x, y = program.button
    async with viewer(module_server, control="true") as hand:
        await hand.say("move", x=x, y=y)
        await hand.say("mouseDown", button="left")
        await hand.say("mouseUp", button="left")
        await hand.say("type", text="Grüße, ")
        for key in "you":
            await hand.say("keyDown", key=key)
            await hand.say("keyUp", key=key)
        await hand.say("scroll", x=x, y=y, deltaY=2)
        await eventually(lambda: program.told("pressed"), "the click")
        await eventually(lambda: program.typed() == "Grüße, you", "the text")
        wheel = lambda: [entry for entry in program.told("ButtonPress") if entry["button"] == 5]  # noqa: E731
        await eventually(lambda: len(wheel()) == 2, "the wheel")


async def test_who_only_looks_cannot_act(module_server: Server, client: httpx2.Client, program: Painted) -> None:
    """Each attempt is refused, and what is done afterwards by another way is all that the program gets."""
    x, y = program.button
    async with viewer(module_server) as eyes:
        for kind, values in (("click", {"x": x, "y": y}), ("type", {"text": "no"}), ("keyDown", {"key": "n"})):
            await eyes.say(kind, **values)
            assert (await eyes.message("error"))["code"] == "permission_denied"
        client.post("/v1/desktop/keyboard/type", json={"text": "yes"})
        await eventually(lambda: program.typed().endswith("yes"), "the text")
        assert program.typed() == "yes"
        assert program.told("pressed") == []


async def test_what_makes_no_sense_is_told_and_the_stream_goes_on(module_server: Server, program: Painted) -> None:
    wrong = ["", "[", "{}", '{"type":"fly"}', '{"type":"ack"}', '{"type":"move","x":1}', '{"type":"ack","number":"1"}']
    async with viewer(module_server, control="true") as hand:
        for message in [*wrong, b"\x00"]:
            await hand.socket.send(message)
            assert (await hand.message("error"))["code"] == "invalid_request"
        for kind, values in (
            ("move", {"x": -1, "y": 0}),
            ("keyDown", {"key": "nothing"}),
            ("mouseDown", {"button": "x"}),
        ):
            await hand.say(kind, **values)
            assert (await hand.message("error"))["code"] == "desktop_invalid_action"
        await hand.say("ack", number=10**9)
        await hand.say("keyframe")
        assert (await hand.picture(lambda picture: picture.keyframe)).keyframe


async def test_what_a_viewer_held_down_is_let_go_when_it_leaves(module_server: Server, program: Painted) -> None:
    x, y = program.square
    async with viewer(module_server, control="true") as hand:
        await hand.say("mouseDown", button="left", x=x, y=y)
        await hand.say("keyDown", key="h")
        await eventually(lambda: program.typed().startswith("h") and program.told("ButtonPress"), "what is held")
        assert program.told("ButtonRelease") == []
    await eventually(lambda: program.told("ButtonRelease"), "the button's release")
    await eventually(lambda: [e for e in program.told("KeyRelease") if e["key"] == "h"], "the key's release")


# -- what it needs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["codec=gif", "fps=0", "fps=1000", "window=0", "control=perhaps"])
async def test_a_senseless_query_is_refused(module_server: Server, client: httpx2.Client, query: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(module_server.url.replace("http", "ws") + f"/v1/desktop/stream/ws?{query}")
    assert refused.value.response.status_code == 400


async def test_without_the_libraries_there_is_the_command_that_installs_them_and_jpeg_goes_on(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text('import sys\nsys.modules["av"] = sys.modules["aiortc"] = None\n')
    with serve(tmp_path / "server", env={"PYTHONPATH": str(tmp_path)}) as server, server.client() as client:
        begin(client, width=SIZE[0], height=SIZE[1])
        answer = client.post("/v1/desktop/stream/start")
        assert answer.status_code == 503
        assert answer.json()["missingDependencies"] == ["aiortc"]
        assert answer.json()["hint"] == 'pip install "sandbox-agent-jupyter[webrtc]"'
        with pytest.raises(InvalidStatus) as refused:
            async with viewer(server):
                pass
        assert refused.value.response.status_code == 503
        assert b"sandbox-agent-jupyter[desktop]" in refused.value.response.body
        async with viewer(server, codec="jpeg") as eyes:
            assert (await eyes.picture()).keyframe


def test_the_page_runs_nothing_but_its_own_script(client: httpx2.Client) -> None:
    answer = client.get("/v1/desktop/stream/view")
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
