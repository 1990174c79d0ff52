"""The house has floors: a module imports only from lower ones, and only what the project declares to need."""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING

import pytest

from .checkout import PACKAGES, modules, pyproject

if TYPE_CHECKING:
    from pathlib import Path

# From the ground up. Rooms on one floor do not know each other.
FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"sandbox_agent.problems", "sandbox_agent.wire", "sandbox_agent.tasks"}),
    frozenset({"sandbox_agent.render"}),
    frozenset({"sandbox_agent.journal", "sandbox_agent.supervisor"}),
    frozenset({"sandbox_agent.acp", "sandbox_agent.config", "sandbox_agent.files", "sandbox_agent.processes"}),
    frozenset({"sandbox_agent.agents", "sandbox_agent.desktop"}),
    frozenset({"sandbox_agent.sessions"}),
    frozenset({"sandbox_agent.sandbox"}),
    frozenset({"sandbox_agent.server"}),
    frozenset({"sandbox_agent.cli", "sandbox_agent_jupyter"}),
)

# Clients of the server stand beside the house, on these alone.
GROUND = frozenset({"sandbox_agent.problems", "sandbox_agent.wire", "sandbox_agent.render", "sandbox_agent.tasks"})
CLIENT = GROUND | {"sandbox_agent.client"}
BESIDE: dict[str, frozenset[str]] = {
    "sandbox_agent.client": GROUND,
    "sandbox_agent_widgets": CLIENT,
    "sandbox_agent_jupyter.magics": CLIENT | {"sandbox_agent_widgets"},
}

# The doors: what `import sandbox_agent` offers, and `python -m sandbox_agent`.
DOORS: dict[str, frozenset[str]] = {
    "sandbox_agent": CLIENT | {"sandbox_agent_jupyter"},
    "sandbox_agent.__main__": frozenset({"sandbox_agent.cli"}),
}

# Import name to distribution name, where they differ.
DISTRIBUTIONS = {
    "markdown_it": "markdown-it-py",
    "jupyter_server": "jupyter-server",
    "IPython": "ipython",
    "PIL": "pillow",
    "Xlib": "python-xlib",
    "dbus_fast": "dbus-fast",
    "simdjson": "pysimdjson",
}


def within(module: str, room: str) -> bool:
    """Magics may be one module or several (`magics_output`); a room is a module, or a package with all in it."""
    return module == room or module.startswith((f"{room}.", f"{room}_"))


def allowed(module: str) -> frozenset[str] | None:
    """The rooms a module may import from, its own among them; None where it has no place in the house."""
    if module in DOORS:
        return DOORS[module]
    for room, below in BESIDE.items():
        if within(module, room):
            return below | {room}
    for level, rooms in enumerate(FLOORS):
        for room in rooms:
            if within(module, room):
                top = CLIENT | BESIDE.keys() if level == len(FLOORS) - 1 else frozenset()
                return frozenset().union(*FLOORS[:level]) | {room} | top
    return None


def imports(path: Path, module: str) -> list[str]:
    """Every module a file imports, wherever in it and for types too; `from x import y` counts as `x.y`."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, [base, node.module]))
            found += [f"{source}.{alias.name}" for alias in node.names]
    return found


def upward(module: str, names: list[str]) -> list[str]:
    rooms = allowed(module)
    assert rooms is not None, f"{module} stands on no floor: give it one in {__name__}"
    ours = [name for name in names if name.split(".")[0] in PACKAGES]
    return [
        name
        for name in ours
        if not any(within(name, room) for room in rooms)
        # `from sandbox_agent import __version__` reads the door's own name
        and name not in {f"{package}.__version__" for package in PACKAGES}
        and name != module
        and name.rpartition(".")[0] != module
    ]


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_imports_only_from_lower_floors(module: str) -> None:
    assert upward(module, imports(modules()[module], module)) == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sandbox_agent.journal.store", "sandbox_agent.sessions.service"),
        ("sandbox_agent.journal.store", "sandbox_agent.supervisor.Child"),
        ("sandbox_agent.client.core", "sandbox_agent.server.app"),
        ("sandbox_agent.server.app", "sandbox_agent.client.core"),
        ("sandbox_agent_jupyter.magics", "sandbox_agent.server.app"),
        ("sandbox_agent_widgets.session", "sandbox_agent.sessions.transcript"),
    ],
)
def test_an_upward_import_is_found(module: str, name: str) -> None:
    """The reader itself can fail: each of these is refused."""
    assert upward(module, [name]) == [name]


def test_an_unknown_room_is_found() -> None:
    """A new package must be given its floor before anything else."""
    assert allowed("sandbox_agent.attic") is None


def test_relative_imports_are_read(tmp_path: Path) -> None:
    """`from ..x import y` counts like its absolute form."""
    path = tmp_path / "inner.py"
    path.write_text("from . import a\nfrom ..b import c\ndef f():\n    import d.e\n")
    assert imports(path, "pkg.sub.inner") == ["pkg.sub.a", "pkg.b.c", "d.e"]


def declared(*extras: str) -> set[str]:
    project = pyproject()["project"]
    lines = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    return {re.split(r"[\[<>=!~ ;]", line)[0].lower() for line in lines}


def third_party(module: str) -> set[str]:
    tops = {name.split(".")[0] for name in imports(modules()[module], module)}
    return {
        DISTRIBUTIONS.get(top, top.replace("_", "-"))
        for top in tops
        if top not in sys.stdlib_module_names and top not in PACKAGES
    }


# What only the extra brings, by the room that may use it.
EXTRAS = {
    "sandbox_agent.journal": ("postgres",),
    "sandbox_agent.client.desktop_results": ("desktop",),  # screenshots as Pillow images
    "sandbox_agent.client": ("jupyter",),  # finds the Jupyter Server it runs in
    "sandbox_agent.desktop.a11y": ("desktop", "a11y"),
    "sandbox_agent.desktop": ("desktop", "webrtc"),
    "sandbox_agent.files.archive_spool": ("zstd",),
    "sandbox_agent_jupyter": ("jupyter", "widgets"),
    "sandbox_agent_widgets": ("jupyter", "widgets"),
}


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_imports_only_declared_dependencies(module: str) -> None:
    """What a module imports is in `dependencies`, or in the extra that its room stands for."""
    extras = next((extras for room, extras in EXTRAS.items() if within(module, room)), ())
    comes_along = {"jupyter-events", "jupyter-core", "jupyter-client"} if "jupyter" in extras else set()
    assert third_party(module) - declared(*extras) - comes_along == set()
