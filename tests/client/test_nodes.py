"""What programs tell of their windows, through both SDKs: a real GTK program on a real Xvfb behind the real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent import DesktopInvalidAction, NodeNotFound

from ..support.desktop import some_display
from ..support.server import poll

if TYPE_CHECKING:
    from collections.abc import Iterator

GTK_APP = Path(__file__).parents[1] / "support" / "gtk_app.py"
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that Debian's bindings of GTK are for


class App:
    """The GTK program, once its button is told of."""

    def __init__(self, desktop: Any, file: Path) -> None:
        self.desktop = desktop
        self.file = file
        self.launched = desktop.launch(SYSTEM_PYTHON, [str(GTK_APP), "3.0", str(file), "Nodes"], wait=True)
        self.window = desktop.wait_for_window("Nodes", timeout=60).id

    def node(self, role: str, name: str | None = None) -> Any:
        def found() -> Any:
            nodes = self.desktop.find(role, name, window=self.window)
            return list(nodes) if len(nodes) == 1 and nodes[0].region else []

        return poll(found, what=f"one {role} {name}")[0]

    def tells(self, *what: Any) -> None:
        def told() -> bool:
            lines = self.file.read_text().splitlines(keepends=True) if self.file.exists() else []
            return list(what) in [json.loads(line) for line in lines if line.endswith("\n")]

        poll(told, what=f"{what}")


@pytest.fixture
def app(agent: Any, tmp_path: Path) -> Iterator[App]:
    desktop = agent.desktop
    if not desktop.status().active:
        desktop.start(width=800, height=600, display_num=some_display())
    app = App(desktop, tmp_path / "told")
    yield app
    agent.processes.get(app.launched.process_id).kill(wait=60)
    agent.processes.get(app.launched.process_id).delete()
    poll(lambda: not desktop.windows(), what="an empty screen")


def test_the_tree_is_an_outline_of_nodes_that_can_be_acted_on(app: App) -> None:
    button = app.node("button", "press me")
    tree = app.desktop.tree(window=app.window)
    assert (tree.partial, tree.truncated, tree.silent) == (False, False, ())
    (program,) = tree
    assert program.role == "application"
    (frame,) = program.children
    assert (frame.role, frame.name) == ("frame", "Nodes")
    nodes = {node.name: node for node in program.walk()}
    assert nodes["Press me"].id == button.id
    lines = str(tree).splitlines()
    assert lines[0].startswith(f"{program.id} application ")
    assert any(line.startswith(f'    {button.id} button "Press me" ') for line in lines)
    assert [line for line in lines if "[disabled]" in line]
    assert app.desktop.tree(window=app.window, limit=2).truncated
    assert "(there is more)" in str(app.desktop.tree(window=app.window, depth=1))
    assert str(app.desktop.tree(app="no such program")) == "None."


def test_nodes_are_pressed_clicked_set_and_focused(app: App) -> None:
    app.node("button", "press me").press()
    app.tells("pressed")
    app.node("check box").click()
    app.tells("check", True)
    entry = app.node("text")
    entry.set_value("größer 世界")
    app.tells("entry", "größer 世界")
    assert entry.refresh().text == entry.text == "größer 世界"
    app.node("slider").set_value(7)
    app.tells("slider", 7.0)
    entry.focus()
    poll(lambda: "focused" in entry.refresh().states, what="the focus")
    assert [node.id for node in app.desktop.find(states=["focused"], text="世界")] == [entry.id]


def test_a_mark_of_a_screenshot_is_clicked(app: App) -> None:
    button = app.node("button", "press me")
    shot = app.desktop.screenshot(marks=True, scale=0.5)
    mark = next(one.mark for one in shot.marks if one.node.id == button.id)
    app.desktop.click(mark=mark, screenshot=shot)
    app.tells("pressed")
    assert app.desktop.screenshot().marks == ()
    taken = app.desktop.actions([{"type": "screenshot", "marks": True}]).screenshots[0]
    assert button.id in {one.node.id for one in taken.marks}
    with pytest.raises(DesktopInvalidAction):
        app.desktop.click(mark=9999, screenshot=shot)


def test_a_node_that_has_gone_is_not_found(app: App) -> None:
    victim = app.node("button", "victim")
    app.node("button", "remove").press()

    def gone() -> bool:
        try:
            victim.refresh()
        except NodeNotFound:
            return True
        return False

    poll(gone, what="the end of the node")
    with pytest.raises(NodeNotFound):
        victim.press()
    with pytest.raises(DesktopInvalidAction):
        app.node("slider").press()
