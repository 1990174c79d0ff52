"""`api desktop tree`, `find` and `node` from a shell: a GTK program on a real Xvfb behind the real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ...support.desktop import some_display
from ...support.server import poll

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...support.command import Command

DESKTOP = ("api", "desktop")
GTK_APP = Path(__file__).parents[2] / "support" / "gtk_app.py"
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that Debian's bindings of GTK are for


@pytest.fixture
def desktop(command: Command) -> Iterator[Command]:
    """The command, with a desktop; it is stopped in the end, with all that runs on it."""
    command(*DESKTOP, "start", "--width", "640", "--height", "480", "--display", str(some_display()))
    yield command
    command(*DESKTOP, "stop")


def nodes(command: Command) -> dict[str, dict[str, Any]]:
    """All nodes of the GTK program by their names, once the last of them has its place."""

    def all_of_them() -> Any:
        left = list(command.json(*DESKTOP, "tree", "--json")["apps"])
        for node in left:
            left.extend(node.get("children", ()))
        by_name = {node["name"]: node for node in left}
        return by_name if by_name.get("Victim", {}).get("box") else None

    found: dict[str, dict[str, Any]] = poll(all_of_them, what="the nodes of the program")
    return found


def test_nodes_are_told_found_and_acted_on(desktop: Command, tmp_path: Path) -> None:
    """And a mark of a screenshot is clicked."""
    file = tmp_path / "told"
    desktop(*DESKTOP, "launch", "--wait", SYSTEM_PYTHON, str(GTK_APP), "3.0", str(file), "Nodes")
    button = nodes(desktop)["Press me"]

    def told(*what: Any) -> None:
        poll(lambda: file.exists() and json.dumps(what) in file.read_text().splitlines(), what=f"{what}")

    outline = desktop(*DESKTOP, "tree").stdout.splitlines()
    assert any(line.strip().startswith(f'{button["id"]} button "Press me" ') for line in outline)
    line = desktop(*DESKTOP, "find", "--role", "button", "--name", "press").stdout
    assert line.startswith(f'{button["id"]} button "Press me" ')
    assert desktop(*DESKTOP, "find", "--name", "no such name", status=1).stdout == ""
    short = desktop(*DESKTOP, "tree", "--limit", "1")
    assert (len(short.stdout.splitlines()), "there is more" in short.stderr) == (1, True)
    desktop(*DESKTOP, "node", "press", button["id"])
    told("pressed")
    desktop(*DESKTOP, "node", "click", nodes(desktop)["Check me"]["id"])
    told("check", True)
    (entry,) = desktop.json(*DESKTOP, "find", "--role", "text", "--state", "editable", "--json")["nodes"]
    desktop(*DESKTOP, "node", "focus", entry["id"])
    desktop(*DESKTOP, "node", "set", entry["id"], "from a shell")
    told("entry", "from a shell")
    desktop(*DESKTOP, "node", "press", "n0", status=1)
    desktop(*DESKTOP, "node", "press", button["id"], "a value", status=2)
    shot = desktop.json(*DESKTOP, "screenshot", "--marks", "--json")
    mark = next(one["mark"] for one in shot["marks"] if one["node"]["name"] == "Remove")
    desktop(*DESKTOP, "click", "--mark", str(mark), "--screenshot", shot["id"])
    poll(lambda: "Victim" not in desktop(*DESKTOP, "tree").stdout, what="the end of a button")
