"""Pressing, focusing and changing a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbus_fast import Variant

from sandbox_agent.desktop.a11y.bus import Refused, Silence
from sandbox_agent.desktop.a11y.messages import Acted, Failed, Looked
from sandbox_agent.desktop.a11y.walk import NOTHING, look

if TYPE_CHECKING:
    from sandbox_agent.desktop.a11y.bus import Bus, Program
    from sandbox_agent.desktop.a11y.messages import Act, Node, Ref, Reply

_PRESSES = ("click", "press", "activate", "toggle", "jump", "open", "select", "do default")
"""What toolkits call the action that a person's click does, the likeliest first."""


async def see(bus: Bus, ref: Ref) -> Reply:
    program = bus.program(ref.name)
    try:
        node = await _found(bus, program, ref)
    except Silence:
        return _slow(ref)
    return Looked(node=node) if node is not None else _gone()


async def act(bus: Bus, wanted: Act) -> Reply:
    program = bus.program(wanted.ref.name)
    try:
        node = await _found(bus, program, wanted.ref)
        if node is None:
            return _gone()
        match wanted.verb:
            case "press":
                return await _press(program, node)
            case "focus":
                return await _focus(program, node)
            case "set-value":
                return await _change(program, node, wanted.value)
    except Silence:
        return _slow(wanted.ref)
    except Refused as refused:
        return Failed(why="failed", detail=f"the program answered {refused}")


async def _found(bus: Bus, program: Program, ref: Ref) -> Node | None:
    if ref.guid != bus.guid:  # of a bus that has gone, with all its programs
        return None
    node = await look(program, ref.path, hidden=True)
    if node is not None and await _loose(program, ref):
        return None
    if node is not None:
        await program.learn()
        node.local = program.local
        node.pid = await bus.pid(ref.name)
    return node


async def _loose(program: Program, ref: Ref) -> bool:
    """Whether a node is in nothing any more: GTK 3 keeps what was seen of a widget for a while after its end."""
    try:
        _, parent = await program.read(ref.path, "Accessible", "Parent")
    except Refused:
        return False
    return bool(parent == NOTHING)


async def _press(program: Program, node: Node) -> Reply:
    if "Action" not in node.interfaces:
        return Failed(why="refused", detail=f"a {node.role} cannot be pressed")
    found = await program.ask(node.ref.path, "Action", "GetActions") or []
    names = [str(action[0]).casefold() for action in found]
    if not names:
        return Failed(why="refused", detail=f"this {node.role} has no action")
    index = next((names.index(name) for name in _PRESSES if name in names), 0)
    return _answer(
        await program.ask(node.ref.path, "Action", "DoAction", "i", index), "it did not let itself be pressed"
    )


async def _focus(program: Program, node: Node) -> Reply:
    if "focusable" not in node.states or "Component" not in node.interfaces:
        return Failed(why="refused", detail=f"this {node.role} does not take the focus")
    return _answer(await program.ask(node.ref.path, "Component", "GrabFocus"), "it did not take the focus")


async def _change(program: Program, node: Node, value: str | float | None) -> Reply:
    path = node.ref.path
    if "EditableText" in node.interfaces and "editable" in node.states:
        return _answer(await program.ask(path, "EditableText", "SetTextContents", "s", str(value)), "it kept its text")
    if "Value" in node.interfaces and node.number is not None:
        try:
            number = float(value or 0)
        except ValueError:
            return Failed(why="refused", detail=f"the value of a {node.role} is a number")
        if not node.number.least <= number <= node.number.most:
            bounds = f"from {node.number.least:g} to {node.number.most:g}"
            return Failed(why="refused", detail=f"the value of this {node.role} is {bounds}")
        await program.write(path, "Value", "CurrentValue", Variant("d", number))
        return Acted()
    if "editable" in node.states:
        return Acted(typed=True)
    return Failed(why="refused", detail=f"the value of this {node.role} cannot be set")


def _answer(done: object, otherwise: str) -> Reply:
    return Acted() if done else Failed(why="failed", detail=otherwise)


def _gone() -> Failed:
    return Failed(why="gone", detail="the node has gone")


def _slow(ref: Ref) -> Failed:
    return Failed(why="slow", detail=f"the program of the node ({ref.name}) did not answer within a second")
