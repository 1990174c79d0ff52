"""The desktop's MCP server, asked by the `mcp` package's own client and by an agent, on a real server and display."""

from __future__ import annotations

import asyncio
import base64
import io
import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from sandbox_agent.desktop.tools import LONGEST_SIDE

from ..support.desktop import begin
from ..support.server import DEADLINE, poll, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ..support.server import Server

TOKEN = "t0ken-of-the-server"  # noqa: S105 - of a test
GTK_APP = Path(__file__).parents[1] / "support" / "gtk_app.py"
WIDTH, HEIGHT = 1600, 1000
TOOLS = {"screenshot", "click", "type", "key", "scroll", "wait", "windows", "tree", "actions"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with a token and an active desktop, wider than screenshots are."""
    with serve(tmp_path_factory.mktemp("mcp"), token=TOKEN) as server:
        with server.client() as client:
            begin(client, width=WIDTH, height=HEIGHT)
        yield server


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[ClientSession]:
    async with (
        httpx2.AsyncClient(headers=server.headers, timeout=DEADLINE) as http,
        streamable_http_client(f"{server.url}/v1/mcp/desktop", http_client=http) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


async def call(session: ClientSession, tool: str, **arguments: Any) -> tuple[str, list[Image.Image]]:
    """The text and the pictures of an answer."""
    result = await session.call_tool(tool, arguments)
    text = "\n".join(part.text for part in result.content if part.type == "text")
    assert not result.is_error, text
    shots = [part for part in result.content if part.type == "image"]
    return text, [Image.open(io.BytesIO(base64.b64decode(shot.data))) for shot in shots]


def pointer(server: Server) -> tuple[int, int]:
    with server.client() as client:
        at = client.get("/v1/desktop/mouse/position").json()
    return at["x"], at["y"]


async def test_the_tools_are_listed_with_schemas_and_without_what_is_only_ours(server: Server) -> None:
    async with connected(server) as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert tools.keys() == TOOLS
        assert set(tools["click"].input_schema["required"]) == {"x", "y"}
        assert "do" not in tools["click"].input_schema["properties"]
        assert all(tool.description for tool in tools.values())


async def test_a_click_is_on_the_pixel_of_the_scaled_screenshot_it_was_read_from(server: Server) -> None:
    async with connected(server) as session:
        text, (image,) = await call(session, "screenshot")
        assert image.size == (LONGEST_SIDE, HEIGHT * LONGEST_SIDE // WIDTH)
        name = text.split()[1].rstrip(":")
        await call(session, "click", x=640, y=400, screenshot_id=name)
        assert pointer(server) == pytest.approx((800, 500), abs=1)
        await call(session, "click", x=320, y=200)  # the last one is meant
        assert pointer(server) == pytest.approx((400, 250), abs=1)
        _, (part,) = await call(session, "screenshot", x=320, y=200, width=64, height=64, screenshot_id=name)
        assert part.size == pytest.approx((80, 80), abs=1)
        await call(session, "click", x=0, y=0)  # of the part
        assert pointer(server) == pytest.approx((400, 250), abs=2)


async def test_a_batch_does_one_thing_after_the_other_and_says_where_it_stopped(server: Server) -> None:
    async with connected(server) as session:
        steps = [{"do": "screenshot"}, {"do": "click", "x": 64, "y": 64}, {"do": "wait", "quiet_ms": 50}]
        text, images = await call(session, "actions", actions=[*steps, {"do": "screenshot"}])
        assert (len(images), text.count("screenshot"), text.count("done")) == (2, 2, 1)
        assert pointer(server) == pytest.approx((80, 80), abs=1)
        failed = await session.call_tool("actions", {"actions": [{"do": "key", "key": "Nonsense"}, *steps]})
        assert failed.is_error
        assert failed.content[0].type == "text"
        assert failed.content[0].text.startswith("action 1 (key): ")


async def test_every_tool_answers_and_bad_arguments_are_told_to_the_model(server: Server) -> None:
    async with connected(server) as session:
        await call(session, "screenshot")
        assert (await call(session, "type", text="ä"))[0] == "done"
        assert (await call(session, "key", key="ctrl+a"))[0] == "done"
        assert (await call(session, "scroll", x=5, y=5, down=2))[0] == "done"
        assert (await call(session, "wait", quiet_ms=50))[0].startswith("it has come")
        assert (await call(session, "wait", until="window", title="no such window", timeout_ms=50))[0].startswith(
            "it has not come"
        )
        assert (await call(session, "windows"))[0]
        for tool, arguments in (
            ("click", {"x": 1}),
            ("click", {"x": 100_000, "y": 1}),
            ("click", {"x": 1, "y": 1, "screenshot_id": "none"}),
            ("key", {"key": ""}),
            ("type", {"text": "x", "extra": 1}),
            ("windows", {"focus": "1"}),
        ):
            assert (await session.call_tool(tool, arguments)).is_error, (tool, arguments)


async def test_windows_and_nodes_are_placed_in_the_pixels_of_the_last_screenshot(
    server: Server, tmp_path: Path
) -> None:
    """So what is read there is clicked: the middle of a button that a program tells of, on a scaled screen."""
    out = tmp_path / "told"
    launch = {"app": "/usr/bin/python3", "args": [str(GTK_APP), "3.0", str(out), "Placed"], "wait": True}
    with server.client() as client:
        process = client.post("/v1/desktop/launch", json=launch).json()["processId"]
        window = next(w for w in client.get("/v1/desktop/windows").json()["windows"] if w["title"] == "Placed")
    try:
        async with connected(server) as session:
            await call(session, "screenshot")
            x, y = (round(window[side] * LONGEST_SIDE / WIDTH) for side in ("x", "y"))
            assert f" at {x}, {y} of the screenshot" in (await call(session, "windows"))[0]
            button = r"button 'Press me'.*\[(\d+)x(\d+) at (\d+), (\d+) of the screenshot\]"
            async with asyncio.timeout(DEADLINE):
                while (found := re.search(button, (await call(session, "tree"))[0])) is None:
                    await call(session, "wait", quiet_ms=50)
            width, height, x, y = map(int, found.groups())
            await call(session, "click", x=x + width // 2, y=y + height // 2)
            poll(lambda: out.exists() and '["pressed"]' in out.read_text(), what="the pressed button")
            await call(session, "screenshot", x=0, y=0, width=10, height=10)
            assert "not in the screenshot" in (await call(session, "windows"))[0]
    finally:
        with server.client() as client:
            client.post(f"/v1/processes/{process}/kill")


def test_what_is_no_request_of_the_protocol_is_told(server: Server) -> None:
    with server.client() as client:

        def post(body: Any, **headers: str) -> httpx2.Response:
            return client.post("/v1/mcp/desktop", json=body, headers=headers)

        assert post({"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202
        assert post({"jsonrpc": "2.0", "id": 1, "method": "nope"}).json()["error"]["code"] == -32601
        assert post({"jsonrpc": "1.0"}).json()["error"]["code"] == -32600
        assert post([]).status_code == 400, "one message at a time"
        assert post({"jsonrpc": "2.0", "id": 1, "method": {}}).json()["error"]["code"] == -32600
        unknown = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "nope"}}
        assert post(unknown).json()["error"]["code"] == -32602
        ping = {"jsonrpc": "2.0", "id": "a", "method": "ping"}
        assert post(ping).json() == {"jsonrpc": "2.0", "id": "a", "result": {}}
        assert post(ping, **{"Mcp-Protocol-Version": "1999-01-01"}).status_code == 400
        assert client.get("/v1/mcp/desktop").status_code == 405
        assert client.delete("/v1/mcp/desktop").status_code == 405


def test_a_session_gets_the_desktop_by_a_key_of_its_own_that_ends_with_it(server: Server, tmp_path: Path) -> None:
    asked = {"agent": "mock", "cwd": str(tmp_path), "desktop": True}
    with server.client() as client:
        session = client.post("/v1/sessions", json=asked)
        assert session.status_code == 201, session.text
        address = f"/v1/sessions/{session.json()['id']}"
        assert session.json()["mcp"] == [{"name": "desktop", "status": "offered", "origin": "session"}]
        steps = '[[mcp]] [[mcp name=desktop tool=windows]] [[mcp name=desktop tool=key args={"key":"F5"}]]'
        turn = client.post(f"{address}/prompts", json={"prompt": steps}, headers={"Prefer": "wait=60"}).json()
        assert turn["state"] == "completed", turn
        transcript = client.get(f"{address}/transcript").text
        assert "screenshot, click" in transcript
        assert "no windows" in transcript
        assert "done" in transcript
        assert "Bearer" not in client.get(f"{address}/events").text.replace("Bearer [redacted]", "")
