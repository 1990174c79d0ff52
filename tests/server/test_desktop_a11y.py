"""The accessibility tree over HTTP: real GTK and Qt programs and Chromium on a real Xvfb, behind a real server."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from ..support.desktop import begin
from ..support.pids import alive
from ..support.server import poll, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

    from ..support.server import Server

GTK_APP = Path(__file__).parents[1] / "support" / "gtk_app.py"
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that Debian's bindings of GTK are for


@pytest.fixture(scope="module")
def client(module_server: Server) -> Iterator[httpx2.Client]:
    """A client of a server with an active desktop."""
    with module_server.client() as client:
        begin(client, width=1000, height=800)
        yield client


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[httpx2.Client]:
    """A client of a server whose desktop a test may break."""
    with serve(tmp_path / "server") as server, server.client() as client:
        begin(client, width=1000, height=800)
        yield client


class App:
    """A program that was launched, and what it writes of what is done to it."""

    def __init__(self, client: httpx2.Client, command: list[str], file: Path) -> None:
        self.client = client
        self.file = file
        body = {"app": command[0], "args": command[1:], "wait": True}
        answer = client.post("/v1/desktop/launch", json=body)
        assert answer.status_code == 200, answer.text
        self.launched: dict[str, Any] = answer.json()

    @classmethod
    def gtk(cls, client: httpx2.Client, folder: Path, version: str = "3.0", title: str = "Under test") -> App:
        file = folder / f"told-{title}"
        return cls(client, [SYSTEM_PYTHON, str(GTK_APP), version, str(file), title], file)

    @property
    def pid(self) -> int:
        return int(self.launched["pid"])

    def told(self) -> list[Any]:
        lines = self.file.read_text().splitlines(keepends=True) if self.file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def tells(self, *what: Any) -> None:
        poll(lambda: list(what) in self.told(), what=f"{what}")

    def window(self) -> dict[str, Any]:
        """Its one window, once it is there."""

        def found() -> Any:
            windows = get(self.client, "windows")["windows"]
            return next((one for one in windows if one.get("pid") == self.pid), None)

        window: dict[str, Any] = poll(found, what="the window")
        return window

    def node(self, **wanted: Any) -> dict[str, Any]:
        """The one node that is as wanted, once it is there and has its place."""

        def found() -> Any:
            nodes = get(self.client, "a11y/find", window=self.window()["id"], **wanted)["nodes"]
            return nodes[0] if len(nodes) == 1 and nodes[0].get("box") else None

        node: dict[str, Any] = poll(found, what=f"one node {wanted}")
        return node

    def act(self, node: dict[str, Any], verb: str, **body: Any) -> None:
        answer = self.client.post(f"/v1/desktop/a11y/nodes/{node['id']}/{verb}", json=body or None)
        assert (answer.status_code, answer.json()) == (200, {"ok": True}), answer.text

    def end(self) -> None:
        self.client.post(f"/v1/processes/{self.launched['processId']}/kill")
        poll(lambda: all(app.get("pid") != self.pid for app in get(self.client, "a11y/tree")["apps"]), what="its end")


def get(client: httpx2.Client, path: str, **query: Any) -> Any:
    response = client.get(f"/v1/desktop/{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture
def app(client: httpx2.Client, tmp_path: Path) -> Iterator[App]:
    """The GTK 3 program of these tests."""
    app = App.gtk(client, tmp_path)
    yield app
    app.end()


def middle(node: dict[str, Any]) -> tuple[int, int]:
    box = node["box"]
    return box["x"] + box["width"] // 2, box["y"] + box["height"] // 2


def nodes(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """All nodes of a tree, from top to bottom."""
    found = list(tree["apps"])
    for node in found:
        found.extend(node.get("children", ()))
    return found


# -- the tree ---------------------------------------------------------------------------------------------------------


def test_the_tree_tells_roles_names_states_values_and_places(app: App) -> None:
    button = app.node(role="button", name="press me")
    tree = get(app.client, "a11y/tree", window=app.window()["id"])
    assert (tree["partial"], tree["truncated"], tree["silent"]) == (False, False, [])
    found = {(node["role"], node["name"]): node for node in nodes(tree)}
    frame, window = found["frame", "Under test"], app.window()
    assert ("application", "gtk_app.py") in found or ("application", "python3") in found
    assert frame["box"]["width"] >= window["width"]
    assert found["button", "Press me"] == button
    assert button["actions"] == ["press", "focus"]
    x, y = middle(button)
    assert window["x"] < x < window["x"] + window["width"]
    assert window["y"] < y < window["y"] + window["height"]
    assert found["slider", ""]["number"] == {"now": 0, "least": 0, "most": 100}
    assert found["text", ""]["actions"] == ["focus", "set-value"]
    assert "disabled" in found["button", "Off"]["states"]
    assert "actions" not in found["button", "Off"]


def test_a_tree_is_cut_where_it_was_told_to_be(app: App) -> None:
    """By depth and by number, and says so; whole, it has what is not interesting, too."""
    app.node(role="button", name="victim")
    window = app.window()["id"]
    assert {node["role"] for node in nodes(get(app.client, "a11y/tree", window=window, depth=2))} == {
        "application",
        "frame",
    }
    few = get(app.client, "a11y/tree", window=window, limit=3)
    assert (few["truncated"], len(nodes(few))) == (True, 3)
    assert sum(node.get("more", 0) for node in nodes(few)) > 0
    everything = nodes(get(app.client, "a11y/tree", window=window, interestingOnly="false"))
    assert len(everything) > len(nodes(get(app.client, "a11y/tree", window=window)))
    assert "filler" in {node["role"] for node in everything}


def test_nodes_are_found_by_what_they_are(app: App) -> None:
    check = app.node(role="Check-Box")
    assert check["name"] == "Check me"
    assert app.node(text="CHECK ME", states="focusable, showing")["id"] == check["id"]
    assert get(app.client, "a11y/find", name="no such name")["nodes"] == []
    limited = get(app.client, "a11y/find", role="button", limit=1)
    assert (len(limited["nodes"]), limited["truncated"]) == (1, True)


def test_windows_and_programs_are_told_apart(client: httpx2.Client, tmp_path: Path) -> None:
    """One tree has all; that of a window or a program has its own nodes only."""
    one, other = App.gtk(client, tmp_path, title="One"), App.gtk(client, tmp_path, title="Other")
    first, second = one.node(name="press me"), other.node(name="press me")
    assert first["id"] != second["id"]
    tops = {child["name"] for app in get(client, "a11y/tree")["apps"] for child in app.get("children", ())}
    assert {"One", "Other"} <= tops
    assert get(client, "a11y/tree", app="no such program")["apps"] == []
    one.end()
    other.end()


def test_an_id_stays_with_its_node_and_is_no_others_after_that(app: App) -> None:
    """It is the same in every answer, and unknown once the node has gone, or its whole program."""
    victim, remove = app.node(name="victim"), app.node(name="remove")
    assert app.node(name="victim")["id"] == victim["id"]
    path = f"/v1/desktop/a11y/nodes/{victim['id']}"
    assert app.client.get(path).json()["name"] == "Victim"
    app.act(remove, "press")
    gone = poll(lambda: (one := app.client.get(path)).status_code == 404 and one, what="the end of the node")
    assert gone.json()["code"] == "node_not_found"
    assert app.client.post(f"{path}/press").json()["code"] == "node_not_found"
    for unknown in ("n0", "n999999", "x"):
        answer = app.client.get(f"/v1/desktop/a11y/nodes/{unknown}")
        assert (answer.status_code, answer.json()["code"]) == (404, "node_not_found")


# -- acting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.0", "4.0"])
@pytest.mark.parametrize("way", ["pixels", "mark", "batch", "node", "press"])
def test_a_button_is_clicked(client: httpx2.Client, tmp_path: Path, version: str, way: str) -> None:
    """By the pixel in its middle, by its mark, by its node, and by itself, without a pointer."""
    app = App.gtk(client, tmp_path, version)
    node = app.node(role="button", name="press me")
    if way == "press":
        app.act(node, "press")
    else:
        click = _click(client, node, way)
        response = (
            client.post("/v1/desktop/actions", json={"actions": [{"type": "click", **click}]})
            if way == "batch"
            else client.post("/v1/desktop/mouse/click", json=click)
        )
        assert response.status_code == 200, response.text
        assert response.json().get("ok", True), response.text
    app.tells("pressed")
    app.end()


def _click(client: httpx2.Client, node: dict[str, Any], way: str) -> dict[str, Any]:
    match way:
        case "pixels":
            x, y = middle(node)
            return {"x": x, "y": y}
        case "node":
            return {"nodeId": node["id"]}
    shot = client.get("/v1/desktop/screenshot", params={"marks": "true", "scale": 0.5})
    legend = get(client, "a11y/marks", screenshotId=shot.headers["X-Screenshot-Id"])["marks"]
    mark = next(one["mark"] for one in legend if one["node"]["id"] == node["id"])
    return {"mark": mark, "screenshotId": shot.headers["X-Screenshot-Id"]}


def test_fields_and_sliders_are_set_and_focused(app: App) -> None:
    entry, slider, check = app.node(role="text"), app.node(role="slider"), app.node(role="check box")
    app.act(entry, "set-value", value="größer 世界 🎉")
    app.tells("entry", "größer 世界 🎉")
    app.act(slider, "set-value", value=42)
    app.tells("slider", 42.0)
    app.act(check, "press")
    app.tells("check", True)
    app.act(check, "focus")
    app.act(entry, "focus")
    poll(lambda: "focused" in app.node(role="text")["states"], what="the focus of the field")
    assert app.node(role="text")["text"] == "größer 世界 🎉"


def test_what_a_node_cannot_do_is_refused(app: App) -> None:
    entry, slider, off = app.node(role="text"), app.node(role="slider"), app.node(name="off")
    for node, verb, body in (
        (slider, "press", None),
        (off, "set-value", {"value": "x"}),
        (slider, "set-value", {"value": 1000}),
        (slider, "set-value", {"value": "much"}),
    ):
        answer = app.client.post(f"/v1/desktop/a11y/nodes/{node['id']}/{verb}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "desktop_invalid_action"), (verb, answer.text)
    answer = app.client.post(f"/v1/desktop/a11y/nodes/{entry['id']}/set-value", json={"valeu": "x"})
    assert answer.status_code == 400


def test_a_qt_program_tells_and_is_acted_on(client: httpx2.Client, tmp_path: Path) -> None:
    """An editor: its text is set, and is what it then tells."""
    file = tmp_path / "a file.txt"
    file.write_text("before")
    app = App(client, ["featherpad", "--standalone", str(file)], tmp_path / "none")
    editor = app.node(role="text", text="before")
    app.act(editor, "set-value", value="after")
    poll(lambda: client.get(f"/v1/desktop/a11y/nodes/{editor['id']}").json()["text"] == "after", what="the new text")
    app.end()


def test_chromium_tells_its_pages_and_is_acted_on(client: httpx2.Client, tmp_path: Path) -> None:
    """It has found by itself that somebody looks; a page's button is pressed, its field is filled."""
    page = tmp_path / "page.html"
    page.write_text(
        "<title>start</title><button onclick=\"document.title='pressed'\">Go on</button>"
        "<input aria-label=Town value=old oninput=\"document.title='town '+this.value\">"
    )
    options = ["--no-sandbox", "--no-first-run", f"--user-data-dir={tmp_path / 'profile'}", "--disable-gpu"]
    app = App(client, ["chromium", *options, page.as_uri()], tmp_path / "none")

    def titled(title: str) -> None:
        poll(lambda: app.window()["title"].startswith(title), what=f"the title {title}")

    app.act(app.node(role="button", name="go on"), "press")
    titled("pressed")
    app.act(app.node(role="entry", name="town"), "set-value", value="Zürich")
    titled("town Zürich")
    assert app.node(role="entry", name="town")["text"] == "Zürich"
    app.end()


# -- marks ------------------------------------------------------------------------------------------------------------


def test_marks_are_numbered_boxes_over_what_can_be_acted_on(app: App) -> None:
    """In the picture, in its legend, and in a batch's answer; what is disabled has none."""
    app.node(name="victim")
    get(app.client, "wait", until="idle", quietMs=300)
    plain = app.client.get("/v1/desktop/screenshot")
    shot = app.client.get("/v1/desktop/screenshot", params={"marks": "true"})
    name = shot.headers["X-Screenshot-Id"]
    legend = get(app.client, "a11y/marks", screenshotId=name)
    assert (legend["screenshotId"], legend["partial"]) == (name, False)
    assert [one["mark"] for one in legend["marks"]] == list(range(1, int(shot.headers["X-Screenshot-Marks"]) + 1))
    names = {one["node"]["name"] for one in legend["marks"]}
    assert {"Press me", "Check me", "Victim"} <= names
    assert "Off" not in names
    box = next(one["node"]["box"] for one in legend["marks"] if one["node"]["name"] == "Press me")
    with Image.open(io.BytesIO(plain.content)) as before, Image.open(io.BytesIO(shot.content)) as after:
        corner = (box["x"] + box["width"] - 1, box["y"] + box["height"] - 1)
        assert before.convert("RGB").getpixel(corner) != after.convert("RGB").getpixel(corner)
    batch = app.client.post("/v1/desktop/actions", json={"actions": [{"type": "screenshot", "marks": True}]}).json()
    taken = batch["results"][0]["screenshot"]
    assert {one["node"]["name"] for one in taken["marks"]} == names
    assert base64.b64decode(taken["data"]).startswith(b"\x89PNG")


def test_what_other_windows_cover_has_no_mark(client: httpx2.Client, tmp_path: Path) -> None:
    below, above = App.gtk(client, tmp_path, title="Below"), App.gtk(client, tmp_path, title="Above")
    below.node(name="press me")
    above.node(name="press me")
    over = above.window()["id"]
    assert client.post(f"/v1/desktop/windows/{over}/maximize", json={}).status_code == 200

    def marked() -> bool:
        shot = client.get("/v1/desktop/screenshot", params={"marks": "true"}).headers["X-Screenshot-Id"]
        ids = [one["node"]["id"] for one in get(client, "a11y/marks", screenshotId=shot)["marks"]]
        return above.node(name="press me")["id"] in ids and below.node(name="press me")["id"] not in ids

    poll(marked, what="marks of the upper window alone")
    below.end()
    above.end()


def test_clicks_that_make_no_sense_are_refused(app: App) -> None:
    node = app.node(name="press me")
    shot = app.client.get("/v1/desktop/screenshot", params={"marks": "true"}).headers["X-Screenshot-Id"]
    for body, status in (
        ({}, 400),
        ({"x": 1}, 400),
        ({"mark": 1}, 400),
        ({"mark": 9999, "screenshotId": shot}, 400),
        ({"mark": 1, "screenshotId": "shot_unknown"}, 400),
        ({"mark": 1, "screenshotId": shot, "x": 1, "y": 1}, 400),
        ({"nodeId": node["id"], "x": 1, "y": 1}, 400),
        ({"nodeId": "n0"}, 404),
    ):
        answer = app.client.post("/v1/desktop/mouse/click", json=body)
        assert answer.status_code == status, (body, answer.text)
    assert app.client.get("/v1/desktop/a11y/marks", params={"screenshotId": "nope"}).status_code == 400


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 100_000}, {"depth": 0}, {"window": "1"}, {"window": "x"}, {"limit": "x"}]
)
def test_questions_that_make_no_sense_are_refused(client: httpx2.Client, query: dict[str, Any]) -> None:
    answer = client.get("/v1/desktop/a11y/tree", params=query)
    assert answer.status_code == (404 if "window" in query else 400), answer.text


# -- when things break ------------------------------------------------------------------------------------------------


def test_a_program_that_hangs_holds_up_nothing(fresh: httpx2.Client, tmp_path: Path) -> None:
    """The tree comes by its deadline, names who is silent, and has the others; acting on it is a time-out."""
    hung, well = App.gtk(fresh, tmp_path, title="Hung"), App.gtk(fresh, tmp_path, title="Well")
    button = hung.node(name="press me")
    well.node(name="press me")
    os.kill(hung.pid, signal.SIGSTOP)
    try:
        tree = get(fresh, "a11y/tree")
        assert (tree["partial"], [one["pid"] for one in tree["silent"]]) == (True, [hung.pid])
        assert "Well" in {node["name"] for node in nodes(tree)}
        answer = fresh.post(f"/v1/desktop/a11y/nodes/{button['id']}/press")
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (504, "timeout")
    finally:
        os.kill(hung.pid, signal.SIGCONT)
    poll(lambda: not get(fresh, "a11y/tree")["partial"], what="a whole tree")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_is_replaced(fresh: httpx2.Client, tmp_path: Path, number: int) -> None:
    """The next question is answered by a new one, and nodes keep their ids."""
    app = App.gtk(fresh, tmp_path)
    node = app.node(name="press me")
    before = worker(fresh)
    os.kill(before, number)
    poll(lambda: not alive(before), what="the end of the worker")
    assert app.node(name="press me")["id"] == node["id"]
    assert worker(fresh) != before
    app.act(node, "press")
    app.tells("pressed")


def worker(client: httpx2.Client) -> int:
    processes = get(client, "status")["processes"]
    return int(next(part["pid"] for part in processes if part["name"] == "accessibility"))


def test_a_desktop_that_starts_again_has_a_tree_again(fresh: httpx2.Client, tmp_path: Path) -> None:
    """Of its new programs; nodes of the old ones are unknown."""
    old = App.gtk(fresh, tmp_path).node(name="press me")
    fresh.post("/v1/desktop/stop")
    refused = fresh.get("/v1/desktop/a11y/tree")
    assert (refused.status_code, refused.json()["code"]) == (409, "desktop_runtime_inactive")
    begin(fresh, width=1000, height=800)
    new = App.gtk(fresh, tmp_path, title="New").node(name="press me")
    assert new["id"] != old["id"]
    assert fresh.get(f"/v1/desktop/a11y/nodes/{old['id']}").status_code == 404


def test_without_at_spi_it_says_what_to_install(tmp_path: Path) -> None:
    """Everything else of the desktop works."""
    data = tmp_path / "share"
    data.mkdir()
    for entry in Path("/usr/share").iterdir():
        if entry.name != "dbus-1":
            (data / entry.name).symlink_to(entry)
    with serve(tmp_path / "server", env={"XDG_DATA_DIRS": str(data)}) as server, server.client() as client:
        begin(client, width=1000, height=800)
        for path in ("a11y/tree", "a11y/find", "screenshot?marks=true"):
            refused = client.get(f"/v1/desktop/{path}")
            assert refused.status_code == 503
            document = refused.json()
            assert document["code"] == "desktop_dependencies_missing"
            assert document["missingDependencies"] == ["at-spi2-core"]
            assert document["installCommand"] == "sandbox-agent install desktop --yes"
        assert client.get("/v1/desktop/screenshot").status_code == 200
