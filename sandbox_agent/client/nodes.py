"""What programs tell of their windows, from blocking code and from code on an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sandbox_agent.client import desktop_calls, node_calls
from sandbox_agent.client.calls import perform
from sandbox_agent.client.desktop_results import Region
from sandbox_agent.client.results import Listing, pretty

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox_agent.client.async_driver import AsyncDriver
    from sandbox_agent.client.desktop_calls import Button
    from sandbox_agent.client.desktop_results import Position
    from sandbox_agent.client.sync_driver import SyncDriver
    from sandbox_agent.wire.desktop_a11y import (
        DesktopFindResponse,
        DesktopNode,
        DesktopSilentApp,
        DesktopTreeResponse,
    )


class _Noded(Protocol):
    """A node, blocking or awaited."""

    @property
    def info(self) -> DesktopNode: ...


N = TypeVar("N", bound=_Noded)


class NodeList(Listing[N]):
    """Nodes, or the roots of trees of them; it prints as an outline.

    ``partial``: not all was told in time, by the programs that are ``silent`` nothing more; ``truncated``: there is
    more than was asked for.
    """

    __slots__ = ("_told",)

    def __init__(self, items: Sequence[N], told: DesktopTreeResponse | DesktopFindResponse) -> None:
        super().__init__(items)
        self._told = told

    @property
    def partial(self) -> bool:
        return self._told.partial

    @property
    def truncated(self) -> bool:
        return self._told.truncated

    @property
    def silent(self) -> tuple[DesktopSilentApp, ...]:
        return self._told.silent

    def lines(self) -> list[str]:
        """The outline, without what is missing in it."""
        return [line for item in self.items for line in outline(item.info)]

    def __str__(self) -> str:
        lines = self.lines() + [f"({app.name} does not answer)" for app in self.silent]
        return "\n".join([*lines, *(["(there is more)"] if self.truncated else [])]) or "None."

    _repr_pretty_ = pretty


def outline(node: DesktopNode, depth: int = 0) -> Iterator[str]:
    """A node and all in it, a line each: its id, role, name, content, states and place."""
    words = [node.id, node.role]
    if node.name:
        words.append(f'"{node.name}"')
    if node.text:
        words.append(f"= {node.text!r}")
    if node.number is not None:
        words.append(f"= {node.number.now:g} ({node.number.least:g} to {node.number.most:g})")
    states = [state for state in node.states if state not in {"showing", "focusable"}]
    if states:
        words.append(f"[{', '.join(states)}]")
    if node.box is not None:
        words.append(f"{node.box.width}x{node.box.height} at {node.box.x}, {node.box.y}")
    yield "  " * depth + " ".join(words)
    for child in node.children:
        yield from outline(child, depth + 1)


class NodeBase:
    """A part of a program's window, as last heard of."""

    def __init__(self, info: DesktopNode) -> None:
        self._info = info

    @property
    def id(self) -> str:
        return self._info.id

    @property
    def info(self) -> DesktopNode:
        """The node as it was when last heard of; ``refresh()`` asks."""
        return self._info

    @property
    def role(self) -> str:
        return self._info.role

    @property
    def name(self) -> str:
        return self._info.name

    @property
    def states(self) -> tuple[str, ...]:
        return self._info.states

    @property
    def text(self) -> str | None:
        """What is written in it, where it is a field."""
        return self._info.text

    @property
    def region(self) -> Region | None:
        """Where it is on the screen: x, y, width and height."""
        box = self._info.box
        return None if box is None else Region(box.x, box.y, box.width, box.height)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {next(outline(self._info))}>"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))


class Node(NodeBase):
    """A part of a program's window. Its methods raise :class:`NodeNotFound` once it has gone."""

    def __init__(self, driver: SyncDriver, info: DesktopNode) -> None:
        super().__init__(info)
        self._driver = driver

    @property
    def children(self) -> tuple[Node, ...]:
        """What is in it, as far as the tree that it is from goes."""
        return tuple(Node(self._driver, child) for child in self._info.children)

    def walk(self) -> Iterator[Node]:
        """Itself and all that is in it, from top to bottom."""
        yield self
        for child in self.children:
            yield from child.walk()

    def refresh(self) -> DesktopNode:
        """Ask the server how the node is, without what is in it."""
        self._info = self._driver.run(perform(node_calls.node(self.id)))
        return self._info

    def press(self) -> None:
        """Have its program do what a click on it would, without the pointer."""
        self._driver.run(perform(node_calls.press(self.id)))

    def focus(self) -> None:
        """Give it the keyboard."""
        self._driver.run(perform(node_calls.focus(self.id)))

    def set_value(self, value: str | float) -> None:
        """Set the text of a field, or the number of a slider."""
        self._driver.run(perform(node_calls.set_value(self.id, value)))

    def click(self, *, button: Button = "left", count: int = 1) -> Position:
        """Click on its middle, wherever that is now."""
        call = desktop_calls.click(
            None, None, button=button, count=count, modifiers=(), shot=None, mark=None, node_id=self.id
        )
        return self._driver.run(perform(call))


class AsyncNode(NodeBase):
    """A part of a program's window. Its methods raise :class:`NodeNotFound` once it has gone."""

    def __init__(self, driver: AsyncDriver, info: DesktopNode) -> None:
        super().__init__(info)
        self._driver = driver

    @property
    def children(self) -> tuple[AsyncNode, ...]:
        """See :attr:`Node.children`."""
        return tuple(AsyncNode(self._driver, child) for child in self._info.children)

    def walk(self) -> Iterator[AsyncNode]:
        """See :meth:`Node.walk`."""
        yield self
        for child in self.children:
            yield from child.walk()

    async def refresh(self) -> DesktopNode:
        """See :meth:`Node.refresh`."""
        self._info = await self._driver.run(perform(node_calls.node(self.id)))
        return self._info

    async def press(self) -> None:
        """See :meth:`Node.press`."""
        await self._driver.run(perform(node_calls.press(self.id)))

    async def focus(self) -> None:
        """See :meth:`Node.focus`."""
        await self._driver.run(perform(node_calls.focus(self.id)))

    async def set_value(self, value: str | float) -> None:
        """See :meth:`Node.set_value`."""
        await self._driver.run(perform(node_calls.set_value(self.id, value)))

    async def click(self, *, button: Button = "left", count: int = 1) -> Position:
        """See :meth:`Node.click`."""
        call = desktop_calls.click(
            None, None, button=button, count=count, modifiers=(), shot=None, mark=None, node_id=self.id
        )
        return await self._driver.run(perform(call))
