"""The desktop over HTTP: a real Xvfb and real programs behind a real server."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import psutil
import pytest
from PIL import Image

from ..support.contract import check_response
from ..support.desktop import begin
from ..support.pids import alive
from ..support.server import DEADLINE, poll, serve, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..support.server import Server


@pytest.fixture(scope="module")
def client(module_server: Server) -> Iterator[httpx2.Client]:
    """A client of a server with an active desktop of 640x480 pixels."""
    with module_server.client() as client:
        begin(client)
        yield client


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[httpx2.Client]:
    """A client of a server whose desktop a test may start and break."""
    with serve(tmp_path / "server") as server, server.client() as client:
        yield client


def post(client: httpx2.Client, path: str, **body: Any) -> Any:
    response = client.post(f"/v1/desktop/{path}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def get(client: httpx2.Client, path: str, **query: Any) -> httpx2.Response:
    return client.get(f"/v1/desktop/{path}", params=query)


def launched(client: httpx2.Client, app: str, *args: str) -> dict[str, Any]:
    """A program whose window is there."""
    told: dict[str, Any] = post(client, "launch", app=app, args=args, wait=True)
    assert told["windowId"], told
    return told


def end(client: httpx2.Client, told: dict[str, Any]) -> None:
    client.post(f"/v1/processes/{told['processId']}/kill")
    client.delete(f"/v1/processes/{told['processId']}")
    poll(lambda: told["windowId"] not in ids(client), what="the end of the window")


def ids(client: httpx2.Client) -> list[str]:
    return [window["id"] for window in get(client, "windows").json()["windows"]]


def text(file: Path) -> str:
    """What a program has written so far."""
    return file.read_text() if file.exists() else ""


def pids(status: dict[str, Any]) -> list[int]:
    return [part["pid"] for part in status["processes"]]


# -- life cycle -------------------------------------------------------------------------------------------------------


def test_it_is_started_told_of_and_stopped(fresh: httpx2.Client) -> None:
    assert get(fresh, "status").json()["state"] == "inactive"
    status = begin(fresh, dpi=120)
    told = get(fresh, "status").json()
    assert told == status
    assert get(fresh, "display/info").json() == {
        "display": status["display"],
        "resolution": {"width": 640, "height": 480, "dpi": 120},
    }
    processes = fresh.get("/v1/processes", params={"owner": "desktop"}).json()["processes"]
    assert {part["processId"] for part in told["processes"]} == {process["id"] for process in processes}
    assert fresh.post("/v1/desktop/stop").json()["state"] == "inactive"
    assert not any(map(alive, pids(status)))
    assert get(fresh, "status").json()["state"] == "inactive"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_end_of_the_server_leaves_nothing_running(tmp_path: Path, number: int) -> None:
    """Neither when it is asked to end nor when it is killed; launched programs go, too."""
    server = start(tmp_path / "server")
    with server.client() as client:
        status = begin(client)
        xterm = launched(client, "xterm")
    before = [*pids(status), xterm["pid"]]
    assert all(map(alive, before))
    server.stop(number)
    poll(lambda: not any(map(alive, before)), what="the end of all processes")
    marker = str(tmp_path)
    left = [
        process for process in psutil.process_iter(["cmdline"]) if marker in " ".join(process.info["cmdline"] or [])
    ]
    assert left == []


def test_a_killed_window_manager_comes_back_while_requests_go_on(fresh: httpx2.Client) -> None:
    status = begin(fresh)
    before = next(part for part in status["processes"] if part["name"] == "openbox")
    os.kill(before["pid"], signal.SIGKILL)

    def again() -> bool:
        told = get(fresh, "status").json()
        part = next(part for part in told["processes"] if part["name"] == "openbox")
        return bool(told["state"] == "active" and part["running"] and part["pid"] != before["pid"])

    poll(again, what="a new openbox")
    end(fresh, launched(fresh, "xterm"))


def test_a_killed_x_server_comes_back(fresh: httpx2.Client) -> None:
    """Meanwhile every request is answered: by its result, or by the problem of a display that is not there."""
    status = begin(fresh)
    before = pids(status)[0]
    os.kill(before, signal.SIGKILL)

    def again() -> bool:
        answers = [get(fresh, "screenshot"), get(fresh, "windows"), fresh.post("/v1/desktop/mouse/move", json=POINT)]
        for answer in answers:
            assert answer.status_code in {200, 409, 502, 503, 504}, answer.text
        told = get(fresh, "status").json()
        xvfb = next(part for part in told["processes"] if part["name"] == "Xvfb")
        new = xvfb.get("pid") not in {None, before}
        return bool(told["state"] == "active" and new and answers[0].status_code == 200)

    poll(again, what="a new Xvfb")
    assert get(fresh, "status").json()["display"] == status["display"]


def test_without_an_x_server_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    with serve(tmp_path / "server", env={"PATH": str(tmp_path / "bin")}) as server, server.client() as client:
        status = get(client, "status").json()
        assert (status["state"], status["missingDependencies"]) == ("install_required", ["Xvfb", "openbox"])
        refused = client.post("/v1/desktop/start", json={})
        assert refused.status_code == 503
        document = refused.json()
        assert document["type"] == "urn:sandbox-agent:error:desktop_dependencies_missing"
        assert document["code"] == "desktop_dependencies_missing"
        assert document["missingDependencies"] == ["Xvfb", "openbox"]
        assert document["installCommand"] == "sandbox-agent install desktop --yes"
        assert document["processes"] == []


# -- seeing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "quality"), [("png", None), ("jpeg", 50), ("webp", 100)])
def test_a_screenshot_is_a_picture_with_its_place_on_the_screen(
    client: httpx2.Client, form: str, quality: int | None
) -> None:
    query = {"format": form, "quality": quality, "scale": 0.5, "showCursor": True}
    shot = get(client, "screenshot", **{name: value for name, value in query.items() if value is not None})
    assert shot.status_code == 200
    assert shot.headers["Content-Type"] == f"image/{form}"
    with Image.open(io.BytesIO(shot.content)) as image:
        assert (image.format, image.size) == (form.upper(), (320, 240))
    assert shot.headers["X-Screenshot-Size"] == "320x240"
    assert shot.headers["X-Screenshot-Region"] == "0,0,640,480"
    assert shot.headers["X-Screenshot-Scale"] == "0.5"
    assert shot.headers["X-Screenshot-Id"].startswith("shot_")
    head = client.head("/v1/desktop/screenshot", params={"format": form})
    assert (head.status_code, head.content) == (200, b"")


def test_a_region_is_a_part_of_the_whole(client: httpx2.Client) -> None:
    told = launched(client, "xterm", "-bg", "red", "-geometry", "60x20")
    get(client, "wait", until="idle", quietMs=100)
    whole = get(client, "screenshot")
    part = get(client, "screenshot/region", x=300, y=200, width=40, height=30)
    with Image.open(io.BytesIO(whole.content)) as all_, Image.open(io.BytesIO(part.content)) as image:
        assert image.size == (40, 30)
        assert image.convert("RGB").tobytes() == all_.convert("RGB").crop((300, 200, 340, 230)).tobytes()
    assert part.headers["X-Screenshot-Region"] == "300,200,40,30"
    end(client, told)


def test_an_unchanged_screen_is_not_sent_again(client: httpx2.Client) -> None:
    """Until something is drawn: then there is a new picture with a new tag."""
    get(client, "wait", until="idle", quietMs=200)
    first = get(client, "screenshot")
    tag = {"If-None-Match": first.headers["ETag"]}
    same = client.get("/v1/desktop/screenshot", headers=tag)
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", first.headers["ETag"])
    other = client.get("/v1/desktop/screenshot", params={"scale": 0.5}, headers=tag)
    assert other.status_code == 200
    told = launched(client, "xterm")
    changed = client.get("/v1/desktop/screenshot", headers=tag)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]
    end(client, told)


def test_coordinates_may_be_those_of_a_screenshot(client: httpx2.Client) -> None:
    """Pixels of a scaled region are mapped back to the screen's, in the middle of what each shows."""
    part = client.get(
        "/v1/desktop/screenshot/region", params={"x": 100, "y": 50, "width": 200, "height": 100, "scale": 0.5}
    )
    name = part.headers["X-Screenshot-Id"]
    moved = post(client, "mouse/move", x=10, y=20, screenshotId=name)
    assert (moved["x"], moved["y"]) == (121, 91)
    position = get(client, "mouse/position").json()
    assert (position["x"], position["y"]) == (121, 91)
    for wrong in ({"x": 100, "y": 0}, {"x": 0, "y": 50}):
        outside = client.post("/v1/desktop/mouse/move", json={"screenshotId": name} | wrong)
        assert (outside.status_code, outside.json()["code"]) == (400, "desktop_invalid_action")


# -- acting -----------------------------------------------------------------------------------------------------------

POINT = {"x": 10, "y": 10}


def test_what_is_typed_and_pasted_arrives_in_a_program(client: httpx2.Client, tmp_path: Path) -> None:
    """By keys, by chords, and by the clipboard with the middle button."""
    file = tmp_path / "typed"
    script = f"stty -echo; cat >{file}"
    told = launched(client, "xterm", "-u8", "-e", "sh", "-c", script)
    window = get(client, "windows/focused").json()
    assert window["id"] == told["windowId"]
    assert post(client, "keyboard/type", text="Grüße, 世界\n") == {"ok": True}
    post(client, "clipboard", text="pasted\n", selection="primary")
    middle = {"x": window["x"] + window["width"] // 2, "y": window["y"] + window["height"] // 2}
    post(client, "mouse/click", **middle, button="middle")
    poll(lambda: text(file).endswith("pasted\n"), what="what was pasted")
    for key in ("a", "Return"):
        post(client, "keyboard/press", key=key)
    post(client, "keyboard/press", key="b", modifiers={"shift": True})
    post(client, "keyboard/down", key="c")
    post(client, "keyboard/up", key="c")
    post(client, "keyboard/press", key="ctrl+j")
    post(client, "keyboard/press", key="ctrl+d")
    wanted = "Grüße, 世界\npasted\na\nBc\n"
    poll(lambda: text(file) == wanted, what=f"{wanted!r}")
    poll(lambda: told["windowId"] not in ids(client), what="the end of the program")


def test_mouse_routes_answer_where_the_pointer_is(client: httpx2.Client) -> None:
    for path, body in (
        ("move", {"x": 5, "y": 6}),
        ("click", {"x": 5, "y": 6, "clickCount": 2, "button": "left"}),
        ("down", {"x": 5, "y": 6}),
        ("up", {}),
        ("scroll", {"x": 5, "y": 6, "deltaY": -3}),
        ("drag", {"startX": 1, "startY": 2, "endX": 5, "endY": 6}),
    ):
        told = post(client, f"mouse/{path}", **body)
        assert (told["x"], told["y"], told["screen"]) == (5, 6, 0), path


def test_windows_are_listed_moved_resized_and_closed(client: httpx2.Client) -> None:
    told = launched(client, "xterm", "-title", "first")
    other = launched(client, "xterm", "-title", "second")
    path = f"windows/{told['windowId']}"
    titles = {window["title"]: window for window in get(client, "windows").json()["windows"]}
    assert titles["first"]["isActive"] is False
    assert titles["second"]["isActive"] is True
    assert post(client, f"{path}/focus")["isActive"] is True
    assert get(client, "windows/focused").json()["title"] == "first"
    moved = post(client, f"{path}/move", x=30, y=60)
    assert abs(moved["x"] - 30) <= 2
    assert abs(moved["y"] - 60) <= 25
    resized = post(client, f"{path}/resize", width=300, height=200)
    assert (resized["width"] // 30, resized["height"] // 30) == (9, 6) or abs(resized["width"] - 300) < 15
    assert post(client, f"{path}/maximize")["isMaximized"] is True
    assert post(client, f"{path}/maximize", on=False)["isMaximized"] is False
    assert post(client, f"{path}/fullscreen")["isFullscreen"] is True
    assert post(client, f"{path}/fullscreen", on=False)["isFullscreen"] is False
    assert post(client, f"{path}/minimize")["isMinimized"] is True
    assert post(client, f"{path}/close") == {"ok": True}
    poll(lambda: told["windowId"] not in ids(client), what="the end of the first window")
    end(client, other)


def test_the_clipboard_holds_what_was_written(client: httpx2.Client) -> None:
    for selection in ("clipboard", "primary"):
        post(client, "clipboard", text=f"for {selection} ✓", selection=selection)
    for selection in ("clipboard", "primary"):
        told = get(client, "clipboard", selection=selection).json()
        assert told == {"text": f"for {selection} ✓", "selection": selection}
    post(client, "clipboard", text="for both", selection="both")
    assert [get(client, "clipboard", selection=name).json()["text"] for name in ("clipboard", "primary")] == [
        "for both",
        "for both",
    ]
    large = "größer " * 400_000
    assert post(client, "clipboard", text=large) == {"ok": True}
    assert get(client, "clipboard").json()["text"] == large


# -- programs ---------------------------------------------------------------------------------------------------------


def test_a_launched_program_is_a_process_of_the_desktop(client: httpx2.Client, tmp_path: Path) -> None:
    """With the desktop's HOME and display."""
    script = tmp_path / "app"
    script.write_text(f'#!/bin/sh\necho "$HOME|$DISPLAY|$1|$PWD" >{tmp_path}/told\n')
    script.chmod(0o755)
    status = get(client, "status").json()
    told = post(client, "launch", app=str(script), args=["an argument"])
    process = client.get(f"/v1/processes/{told['processId']}").json()
    assert process["owner"] == "desktop"
    written = poll(lambda: (tmp_path / "told").exists() and (tmp_path / "told").read_text(), what="its word")
    home = str(Path(status["authority"]).parent / "home")
    assert written.strip().split("|") == [home, status["display"], "an argument", home]


def test_a_launched_program_that_shows_no_window_and_ends_has_none(client: httpx2.Client) -> None:
    told = post(client, "launch", app="true", wait=True)
    assert told.get("windowId") is None
    assert client.get(f"/v1/processes/{told['processId']}").json()["status"] == "exited"


def test_the_window_of_a_program_that_was_started_by_another_is_found(client: httpx2.Client) -> None:
    """Whether the one that started it has ended by then or not."""
    for script in ("xterm & wait", "setsid xterm &"):
        end(client, launched(client, "sh", "-c", script))


def test_a_file_and_an_address_are_opened_by_the_program_for_it(fresh: httpx2.Client, tmp_path: Path) -> None:
    """By `xdg-open`, which a program of that name in PATH may stand in for."""
    (tmp_path / "page.html").write_text("<p>hello")
    begin(fresh)
    for target in (str(tmp_path / "page.html"), "https://example.org/"):
        told = post(fresh, "open", target=target)
        process = fresh.get(f"/v1/processes/{told['processId']}").json()
        assert (process["owner"], process["args"]) == ("desktop", [target])
        assert process["command"].endswith("/xdg-open")
    missing = fresh.post("/v1/desktop/open", json={"target": str(tmp_path / "nothing")})
    assert (missing.status_code, missing.json()["code"]) == (400, "desktop_invalid_action")


# -- waiting, batches -------------------------------------------------------------------------------------------------


def test_a_wait_ends_with_what_it_waits_for(client: httpx2.Client, module_server: Server) -> None:
    """A window that opens, a screen that changes, a screen that is still; other requests go on meanwhile."""
    get(client, "wait", until="idle", quietMs=200)
    answers: dict[str, Any] = {}

    def wait(name: str, **query: Any) -> None:
        with module_server.client() as own:
            answers[name] = get(own, "wait", timeoutMs=60_000, **query).json()

    waits = [
        threading.Thread(target=wait, args=("window",), kwargs={"until": "window", "title": "AWAITED"}),
        threading.Thread(target=wait, args=("change",), kwargs={"until": "change", "threshold": 1000}),
    ]
    for thread in waits:
        thread.start()
    while any(thread.is_alive() for thread in waits):  # the change may come before its wait begins: so go on changing
        told = launched(client, "xterm", "-title", "awaited")
        end(client, told)
    for thread in waits:
        thread.join(DEADLINE)
    assert answers["window"]["met"] is True
    assert answers["window"]["window"]["title"] == "awaited"
    assert answers["change"]["met"] is True
    still = get(client, "wait", until="idle", quietMs=100).json()
    assert still["met"] is True
    assert still["elapsedMs"] >= 100


def test_what_does_not_come_is_told_at_the_deadline(client: httpx2.Client) -> None:
    told = get(client, "wait", until="window", title="never there", timeoutMs=50).json()
    assert (told["met"], told["window"]) == (False, None)
    assert told["elapsedMs"] >= 50
    assert get(client, "wait", until="idle", quietMs=5000, timeoutMs=10).json()["met"] is False


def test_changes_outside_of_the_region_do_not_count(client: httpx2.Client, tmp_path: Path) -> None:
    """A program that draws all the time in one corner leaves the rest idle."""
    told = launched(client, "xterm", "-geometry", "20x5+300+200", "-e", "sh", "-c", "while :; do date +%N; done")
    window = get(client, "windows/focused").json()
    assert window["id"] == told["windowId"]
    busy = {"x": window["x"], "y": window["y"], "width": window["width"], "height": window["height"]}
    assert get(client, "wait", until="change", timeoutMs=60_000, **busy).json()["met"] is True
    assert get(client, "wait", until="idle", quietMs=3000, timeoutMs=3200, **busy).json()["met"] is False
    corner = {"x": 0, "y": 0, "width": 20, "height": 20}
    assert get(client, "wait", until="idle", quietMs=300, timeoutMs=60_000, **corner).json()["met"] is True
    end(client, told)


def test_a_wait_ends_with_the_display(tmp_path: Path) -> None:
    """A dead X server leaves no request hanging."""
    with serve(tmp_path / "server") as server, server.client() as client:
        status = begin(client)
        answers: list[httpx2.Response] = []

        def wait() -> None:
            with server.client() as own:
                answers.append(get(own, "wait", until="window", title="never", timeoutMs=600_000))

        thread = threading.Thread(target=wait)
        thread.start()
        while thread.is_alive():  # whether it waits already cannot be seen from here
            for part in get(client, "status").json()["processes"]:
                if part["name"] == "Xvfb" and part["running"]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(part["pid"], signal.SIGKILL)
            thread.join(0.2)
        assert answers[0].status_code in {409, 503}
        assert status["state"] == "active"


def test_a_batch_does_all_in_one_request(client: httpx2.Client, tmp_path: Path) -> None:
    file = tmp_path / "typed"
    told = launched(client, "xterm", "-e", "sh", "-c", f"cat >{file}")
    window = get(client, "windows/focused").json()
    center = {"x": window["x"] + 50, "y": window["y"] + 50}
    answer = post(
        client,
        "actions",
        actions=[
            {"type": "move", "x": 1, "y": 1},
            {"type": "click", **center},
            {"type": "mouseDown", **center},
            {"type": "mouseUp"},
            {"type": "scroll", **center, "deltaY": 1},
            {"type": "drag", "startX": 1, "startY": 1, "endX": 2, "endY": 2},
            {"type": "type", "text": "typed"},
            {"type": "key", "key": "Return"},
            {"type": "keyDown", "key": "x"},
            {"type": "keyUp", "key": "x"},
            {"type": "key", "key": "ctrl+j"},
            {"type": "wait", "until": "idle", "quietMs": 50},
            {"type": "screenshot", "format": "jpeg", "scale": 0.25},
            {"type": "key", "key": "d", "modifiers": {"ctrl": True}},
        ],
    )
    assert answer["ok"] is True
    assert [result["ok"] for result in answer["results"]] == [True] * 14
    assert (answer["results"][1]["position"]["x"], answer["results"][1]["position"]["y"]) == tuple(center.values())
    shot = answer["results"][12]["screenshot"]
    with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as image:
        assert (image.format, image.size) == ("JPEG", (160, 120))
        assert (shot["width"], shot["height"], shot["scale"]) == (160, 120, 0.25)
    assert answer["results"][11]["wait"]["met"] is True
    poll(lambda: text(file) == "typed\nx\n", what="what was typed")
    moved = post(client, "mouse/move", x=10, y=10, screenshotId=shot["id"])
    assert (moved["x"], moved["y"]) == (42, 42)
    poll(lambda: told["windowId"] not in ids(client), what="the end of the program")


def test_a_batch_stops_at_the_first_that_fails(client: httpx2.Client) -> None:
    """What was done before stays done and is told, what comes after is not tried."""
    answer = post(
        client,
        "actions",
        actions=[
            {"type": "move", "x": 33, "y": 44},
            {"type": "key", "key": "NoSuchKey"},
            {"type": "move", "x": 1, "y": 1},
        ],
    )
    assert (answer["ok"], [result["ok"] for result in answer["results"]]) == (False, [True, False])
    assert answer["results"][1]["problem"]["code"] == "desktop_invalid_action"
    position = get(client, "mouse/position").json()
    assert (position["x"], position["y"]) == (33, 44)
    late = post(client, "actions", actions=[{"type": "wait", "until": "window", "title": "never", "timeoutMs": 10}])
    assert (late["ok"], late["results"][0]["problem"]["status"]) == (False, 504)


def test_nothing_of_all_this_was_a_fault_of_the_server(module_server: Server) -> None:
    assert "Traceback" not in (log := module_server.log()), log[-3000:]


def test_the_client_checks_every_answer() -> None:
    """The tests above would notice an answer that is not described."""
    request = httpx2.Request("GET", "http://localhost/v1/desktop/status")
    with pytest.raises(AssertionError, match="not described"):
        check_response(
            httpx2.Response(
                418,
                request=request,
                headers={"Content-Type": "application/problem+json"},
                json={
                    "type": "urn:sandbox-agent:error:x",
                    "title": "x",
                    "status": 418,
                },
            )
        )
