"""Bad input to the desktop: the problem of wire.md each time, on an active desktop and on one that is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ..support.desktop import begin
from ..support.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

    from ..support.server import Server

INVALID = (400, "desktop_invalid_action")
POINT = {"x": 1, "y": 1}

# Method, path and body or query; what makes no sense in itself is told in every state of the desktop.
SENSELESS: list[tuple[str, str, dict[str, Any]]] = [
    *[
        ("POST", f"mouse/{path}", {**given, **wrong})
        for path, given in (
            ("move", POINT),
            ("click", POINT),
            ("down", POINT),
            ("up", POINT),
            ("scroll", {**POINT, "deltaY": 1}),
        )
        for wrong in ({"x": -1}, {"y": -1}, {"x": -(2**31)})
    ],
    ("POST", "mouse/click", {**POINT, "clickCount": 0}),
    ("POST", "mouse/click", {**POINT, "clickCount": -3}),
    ("POST", "mouse/down", {"x": 1}),
    ("POST", "mouse/up", {"y": 1}),
    ("POST", "mouse/scroll", POINT),
    ("POST", "mouse/scroll", {**POINT, "deltaX": 0, "deltaY": 0}),
    ("POST", "mouse/drag", {"startX": -1, "startY": 0, "endX": 1, "endY": 1}),
    ("POST", "mouse/drag", {"startX": 1, "startY": 0, "endX": 1, "endY": -1}),
    ("POST", "keyboard/press", {"key": ""}),
    ("POST", "keyboard/down", {"key": ""}),
    ("POST", "keyboard/up", {"key": ""}),
    ("POST", "keyboard/type", {"text": "x", "delayMs": -1}),
    ("GET", "screenshot", {"format": "gif"}),
    ("GET", "screenshot", {"quality": 0}),
    ("GET", "screenshot", {"quality": 101}),
    ("GET", "screenshot", {"scale": 0.01}),
    ("GET", "screenshot", {"scale": 1.5}),
    ("GET", "screenshot", {"scale": "nan"}),
    ("GET", "screenshot/region", {"x": 0, "y": 0, "width": 0, "height": 10}),
    ("GET", "screenshot/region", {"x": 0, "y": 0, "width": 10, "height": -1}),
    ("GET", "screenshot/region", {"x": -1, "y": 0, "width": 10, "height": 10}),
    ("POST", "launch", {"app": " "}),
    ("POST", "launch", {"app": "a\0b"}),
    ("POST", "actions", {"actions": []}),
    ("POST", "actions", {"actions": [{"type": "mouseUp"}] * 101}),
    ("GET", "wait", {"timeoutMs": -1}),
    ("GET", "wait", {"timeoutMs": 600_001}),
    ("GET", "wait", {"quietMs": 0}),
    ("GET", "wait", {"threshold": -1}),
    ("GET", "wait", {"until": "window"}),
    ("GET", "wait", {"x": 1, "y": 1}),
    ("POST", "start", {"width": 0}),
    ("POST", "start", {"height": 100_000}),
    ("POST", "start", {"dpi": 1}),
    ("POST", "start", {"displayNum": -1}),
    ("POST", "start", {"stateDir": "relative"}),
]

# What only the desktop itself can tell: the screen has 640x480 pixels, and no window.
OUTSIDE: list[tuple[str, str, dict[str, Any], tuple[int, str]]] = [
    ("POST", "mouse/move", {"x": 640, "y": 1}, INVALID),
    ("POST", "mouse/move", {"x": 1, "y": 480}, INVALID),
    ("POST", "mouse/click", {"x": 2**31 - 1, "y": 1}, INVALID),
    ("POST", "mouse/click", {"x": 2**63, "y": 1}, INVALID),
    ("POST", "mouse/click", {**POINT, "button": "side"}, INVALID),
    ("POST", "mouse/click", {**POINT, "button": ""}, INVALID),
    ("POST", "mouse/click", {**POINT, "clickCount": 1_000_000}, INVALID),
    ("POST", "mouse/down", {"button": "nose"}, INVALID),
    ("POST", "mouse/up", {"button": "nose"}, INVALID),
    ("POST", "mouse/drag", {"startX": 1, "startY": 1, "endX": 9999, "endY": 1}, INVALID),
    ("POST", "mouse/drag", {"startX": 1, "startY": 1, "endX": 2, "endY": 2, "button": "tail"}, INVALID),
    ("POST", "mouse/scroll", {**POINT, "deltaY": 2**31}, INVALID),
    ("POST", "mouse/move", {**POINT, "screenshotId": "shot_nobody_1"}, INVALID),
    ("POST", "keyboard/press", {"key": "NoSuchKey"}, INVALID),
    ("POST", "keyboard/press", {"key": "ctrl+"}, INVALID),
    ("POST", "keyboard/press", {"key": "hyper+a+NoSuchKey"}, INVALID),
    ("POST", "keyboard/down", {"key": "NoSuchKey"}, INVALID),
    ("POST", "keyboard/up", {"key": "NoSuchKey"}, INVALID),
    ("POST", "keyboard/type", {"text": "x", "delayMs": 10**9}, INVALID),
    ("POST", "keyboard/type", {"text": "a\x07b"}, INVALID),
    ("GET", "screenshot/region", {"x": 630, "y": 0, "width": 11, "height": 10}, INVALID),
    ("GET", "screenshot/region", {"x": 2**40, "y": 0, "width": 1, "height": 1}, INVALID),
    ("GET", "wait", {"x": 630, "y": 0, "width": 11, "height": 10}, INVALID),
    ("GET", "windows/focused", {}, (404, "no_focused_window")),
    ("POST", "windows/1/focus", {}, (404, "window_not_found")),
    ("POST", "windows/99999999999999999999/focus", {}, (404, "window_not_found")),
    ("POST", "windows/nobody/focus", {}, (404, "window_not_found")),
    ("POST", "windows/0x10/move", {"x": 1, "y": 1}, (404, "window_not_found")),
    ("POST", "windows/1/resize", {"width": 100, "height": 100}, (404, "window_not_found")),
    ("POST", "windows/1/resize", {"width": 0, "height": 100}, INVALID),
    ("POST", "windows/1/move", {"x": -1, "y": 0}, INVALID),
    ("POST", "windows/1/close", {}, (404, "window_not_found")),
    ("POST", "windows/1/minimize", {}, (404, "window_not_found")),
    ("POST", "windows/1/maximize", {}, (404, "window_not_found")),
    ("POST", "windows/1/fullscreen", {}, (404, "window_not_found")),
    ("GET", "clipboard", {"selection": "secondary"}, INVALID),
    ("GET", "clipboard", {"selection": "both"}, INVALID),
    ("POST", "clipboard", {"text": "x", "selection": "secondary"}, INVALID),
    ("POST", "launch", {"app": "no-such-program"}, (404, "app_not_found")),
    ("POST", "launch", {"app": "/no/such/program"}, (404, "app_not_found")),
    ("POST", "open", {"target": ""}, INVALID),
    ("POST", "open", {"target": "/no/such/file"}, INVALID),
]

# What is right, for a desktop that is active.
RIGHT: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "display/info", {}),
    ("GET", "screenshot", {}),
    ("GET", "screenshot/region", {"x": 0, "y": 0, "width": 1, "height": 1}),
    ("GET", "wait", {"quietMs": 1}),
    ("GET", "mouse/position", {}),
    ("POST", "mouse/move", POINT),
    ("POST", "mouse/click", POINT),
    ("POST", "mouse/down", {}),
    ("POST", "mouse/up", {}),
    ("POST", "mouse/drag", {"startX": 1, "startY": 1, "endX": 2, "endY": 2}),
    ("POST", "mouse/scroll", {**POINT, "deltaX": 1}),
    ("POST", "keyboard/type", {"text": "x"}),
    ("POST", "keyboard/press", {"key": "x"}),
    ("POST", "keyboard/down", {"key": "x"}),
    ("POST", "keyboard/up", {"key": "x"}),
    ("POST", "actions", {"actions": [{"type": "mouseUp"}]}),
    ("GET", "windows", {}),
    ("GET", "clipboard", {}),
    ("POST", "clipboard", {"text": "x"}),
    ("POST", "launch", {"app": "true"}),
    ("POST", "open", {"target": "https://example.org/"}),
]


@pytest.fixture(scope="module")
def active(module_server: Server) -> Iterator[httpx2.Client]:
    with module_server.client() as client:
        begin(client)
        yield client


@pytest.fixture(scope="module")
def inactive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    with serve(tmp_path_factory.mktemp("inactive")) as server, server.client() as client:
        yield client


def ask(client: httpx2.Client, method: str, path: str, given: dict[str, Any]) -> httpx2.Response:
    if method == "GET":
        return client.get(f"/v1/desktop/{path}", params=given)
    bodiless = path.endswith(("/focus", "/close", "/minimize"))
    return client.post(f"/v1/desktop/{path}", json=None if bodiless else given)


def is_problem(response: httpx2.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    document = response.json()
    assert document["type"] == f"urn:sandbox-agent:error:{code}"
    assert document["code"] == code
    assert document["detail"]


@pytest.mark.parametrize(("method", "path", "given"), SENSELESS, ids=str)
def test_what_makes_no_sense_is_refused_in_every_state(
    active: httpx2.Client, inactive: httpx2.Client, method: str, path: str, given: dict[str, Any]
) -> None:
    for client in (active, inactive):
        is_problem(ask(client, method, path, given), *INVALID)


@pytest.mark.parametrize("case", OUTSIDE, ids=str)
def test_what_is_not_there_is_told_by_the_desktop(
    active: httpx2.Client, inactive: httpx2.Client, case: tuple[str, str, dict[str, Any], tuple[int, str]]
) -> None:
    """An inactive one tells that it is inactive, which mends the more."""
    *request, problem = case
    is_problem(ask(active, *request), *problem)
    is_problem(ask(inactive, *request), 409, "desktop_runtime_inactive")


@pytest.mark.parametrize(("method", "path", "given"), RIGHT, ids=str)
def test_what_is_right_is_done_on_an_active_desktop_only(
    active: httpx2.Client, inactive: httpx2.Client, method: str, path: str, given: dict[str, Any]
) -> None:
    answer = ask(active, method, path, given)
    assert answer.status_code == 200, answer.text
    is_problem(ask(inactive, method, path, given), 409, "desktop_runtime_inactive")


@pytest.mark.parametrize(
    "action",
    [
        {"type": "fly"},
        {"type": "click"},
        {"type": "click", "x": 1, "y": "1"},
        {"type": "click", "x": 1, "y": 1, "colour": "red"},
        {"x": 1, "y": 1},
        {"type": "wait", "until": "doomsday"},
    ],
    ids=str,
)
def test_an_action_of_the_wrong_form_is_refused_before_any_is_done(
    active: httpx2.Client, action: dict[str, Any]
) -> None:
    """By its place in the batch."""
    moved = active.post("/v1/desktop/mouse/move", json={"x": 200, "y": 200})
    assert moved.status_code == 200
    batch = {"actions": [{"type": "move", "x": 1, "y": 1}, action]}
    refused = active.post("/v1/desktop/actions", json=batch)
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:sandbox-agent:error:invalid_request")
    assert "$.actions[" in refused.json()["detail"]
    position = active.get("/v1/desktop/mouse/position").json()
    assert (position["x"], position["y"]) == (200, 200)


def test_nothing_of_all_this_was_a_fault_of_the_server(module_server: Server) -> None:
    assert "Traceback" not in (log := module_server.log()), log[-3000:]
