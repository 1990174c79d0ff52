"""The tree of what programs tell, asked for node by node, as many at once as a program takes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox_agent.desktop.a11y import atspi
from sandbox_agent.desktop.a11y.bus import ROOT, Refused, Silence
from sandbox_agent.desktop.a11y.messages import Node, Number, Silent, Walked

if TYPE_CHECKING:
    from sandbox_agent.desktop.a11y.bus import Bus, Program
    from sandbox_agent.desktop.a11y.messages import Ref, Walk

MOST_NODES = 20_000
"""Nodes of one walk."""

DEEPEST = 200
LONGEST_TEXT = 10_000
"""Characters of a text that are read."""

SCREEN = 0  # coordinates are those of the screen (ATSPI_COORD_TYPE_SCREEN)
NOTHING = "/org/a11y/atspi/null"
_REGISTRY = "org.a11y.atspi.Registry"
_AWAKE = 0.05  # s between two looks at a program that has just been told to build its tree
_WAKING = 1.0  # s for that
_SECRET = "password text"  # noqa: S105 -- a role


class Walker:
    """One walk: what it has found so far is there whenever it is cut."""

    def __init__(self, bus: Bus, wanted: Walk) -> None:
        self._bus = bus
        self._wanted = wanted
        self._left = MOST_NODES
        self._cut = False
        self._apps: list[Node] = []
        self._silent: list[Silent] = []
        self._until = 0.0

    async def walk(self) -> Walked:
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self._wanted.seconds
        try:
            async with asyncio.timeout_at(self._until):
                registry = self._bus.program(_REGISTRY)
                names = dict(await registry.ask(ROOT, "Accessible", "GetChildren"))
                async with asyncio.TaskGroup() as group:
                    for name, path in names.items():
                        group.create_task(self._app(name, path))
        except (TimeoutError, Silence):
            self._cut = True
        apps = sorted(self._apps, key=lambda app: _serial(app.ref))
        return Walked(apps=apps, partial=self._cut or bool(self._silent), silent=self._silent)

    async def _app(self, name: str, path: str) -> None:
        pid = await self._bus.pid(name)
        if self._wanted.pid not in {None, pid}:
            return
        program = self._bus.program(name)
        node = Node(ref=program.ref(path), role="application", pid=pid)
        try:
            node.name = str(await program.read(path, "Accessible", "Name"))
            await program.learn(path)
            node.local = program.local
            if (self._wanted.app or "").casefold() not in node.name.casefold():
                return
            self._apps.append(node)
            windows = await _children(program, path)
            async with asyncio.TaskGroup() as group:
                for window in windows:
                    group.create_task(self._top(program, node, window))
        except Silence:
            self._silent.append(Silent(name=node.name or command(pid), pid=pid))
        except Refused:  # it has just ended
            return
        except ExceptionGroup as group_error:
            if group_error.split(Silence)[1] is not None:
                raise
            self._silent.append(Silent(name=node.name or command(pid), pid=pid))

    async def _top(self, program: Program, parent: Node, path: str) -> None:
        """A window. Chromium and what is made with it builds its tree once it is asked for more than names."""
        try:
            await program.ask(path, "Accessible", "GetAttributes")
            loop = asyncio.get_running_loop()
            give_up = min(loop.time() + _WAKING, self._until)
            while NOTHING in await _children(program, path, hollow=True) and loop.time() < give_up:  # noqa: ASYNC110
                await asyncio.sleep(_AWAKE)
        except Refused:
            return
        await self._node(program, parent, path, 1)

    async def _node(self, program: Program, parent: Node, path: str, level: int) -> None:
        """A node and all below it, added to its parent when it is known, in its place."""
        if self._left <= 0 or level > DEEPEST:
            self._cut = True
            return
        self._left -= 1
        node = await look(program, path, hidden=self._wanted.hidden or level == 1)
        if node is None:
            return
        parent.children.append(node)
        if self._wanted.depth is not None and level >= self._wanted.depth:
            return
        try:
            below = await _children(program, path)
        except Refused:
            return
        await self._below(program, node, below, level + 1)

    async def _below(self, program: Program, node: Node, below: list[str], level: int) -> None:
        places = {path: number for number, path in enumerate(below)}
        try:
            async with asyncio.TaskGroup() as group:
                for path in below:
                    group.create_task(self._node(program, node, path, level))
        except ExceptionGroup as group_error:
            if group_error.split(Silence)[1] is not None:
                raise
            raise Silence(program.name) from group_error
        finally:
            node.children.sort(key=lambda child: places[child.ref.path])


async def look(program: Program, path: str, *, hidden: bool) -> Node | None:
    """One node; None where it has gone, or is not shown and not ``hidden`` ones too are wanted.

    Raises ``Silence``.
    """
    try:
        states = atspi.states(await program.ask(path, "Accessible", "GetState"))
        if "defunct" in states or not (hidden or ("visible" if program.local else "showing") in states):
            return None
        role, name, interfaces = await asyncio.gather(
            program.ask(path, "Accessible", "GetRole"),
            program.read(path, "Accessible", "Name"),
            program.ask(path, "Accessible", "GetInterfaces"),
        )
    except Refused:
        return None
    able = tuple(interface.rpartition(".")[2] for interface in interfaces)
    node = Node(ref=program.ref(path), role=atspi.role(int(role)), name=str(name or ""), states=states, interfaces=able)
    await asyncio.gather(_box(program, node), _text(program, node), _number(program, node))
    return node


async def _box(program: Program, node: Node) -> None:
    if "Component" not in node.interfaces:
        return
    try:
        x, y, width, height = await program.ask(node.ref.path, "Component", "GetExtents", "u", SCREEN)
    except Refused:
        return
    if width > 0 and height > 0:
        node.box = (x, y, width, height)


async def _text(program: Program, node: Node) -> None:
    """What is written in it, where that is not its name: of fields, and never of one for a password."""
    if "Text" not in node.interfaces or node.role == _SECRET or not ({"editable", "multi-line"} & node.states):
        return
    try:
        length = int(await program.read(node.ref.path, "Text", "CharacterCount"))
        text = await program.ask(node.ref.path, "Text", "GetText", "ii", 0, min(length, LONGEST_TEXT))
    except Refused:
        return
    node.text = str(text)


async def _number(program: Program, node: Node) -> None:
    if "Value" not in node.interfaces:
        return
    try:
        now, least, most = await asyncio.gather(
            *(program.read(node.ref.path, "Value", name) for name in ("CurrentValue", "MinimumValue", "MaximumValue"))
        )
    except Refused:
        return
    node.number = Number(now=float(now), least=float(least), most=float(most))


async def _children(program: Program, path: str, *, hollow: bool = False) -> list[str]:
    """The paths of what is in a node; with those that are not there yet, if ``hollow``."""
    found: list[Any] = await program.ask(path, "Accessible", "GetChildren") or []
    return [child for name, child in found if name == program.name and (hollow or child != NOTHING)]


def _serial(ref: Ref) -> tuple[int, ...]:
    """Connections in the order they were made: ``:1.12`` after ``:1.9``."""
    return tuple(int(part) for part in ref.name.lstrip(":").split(".") if part.isdigit())


def command(pid: int | None) -> str:
    """What the kernel calls a process."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "unknown"
