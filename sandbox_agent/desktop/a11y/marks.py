"""Which nodes get a mark on a screenshot, and where. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox_agent.desktop.a11y import tree
from sandbox_agent.desktop.x11.geometry import Region
from sandbox_agent.wire.desktop_a11y import DesktopMark, DesktopMarksResponse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox_agent.desktop.a11y.messages import Node
    from sandbox_agent.wire.desktop import DesktopWindowInfo
    from sandbox_agent.wire.desktop_a11y import DesktopNode

MOST_MARKS = 500
SMALLEST = 4
"""Pixels of a side; what is smaller cannot be hit."""


@dataclass(frozen=True, slots=True)
class Marking:
    """What is marked, and the part of the screen each is seen in; the first has number 1."""

    nodes: tuple[DesktopNode, ...]
    places: tuple[Region, ...]
    partial: bool

    def legend(self, screenshot_id: str) -> DesktopMarksResponse:
        marks = tuple(DesktopMark(mark=number, node=node) for number, node in enumerate(self.nodes, 1))
        return DesktopMarksResponse(screenshot_id=screenshot_id, marks=marks, partial=self.partial)


def middle(box: tuple[int, int, int, int]) -> tuple[int, int]:
    return box[0] + box[2] // 2, box[1] + box[3] // 2


def holds(window: DesktopWindowInfo, x: int, y: int) -> bool:
    return window.x <= x < window.x + window.width and window.y <= y < window.y + window.height


def on_screen(box: tuple[int, int, int, int] | None, size: tuple[int, int]) -> Region | None:
    """The part of a box that the screen shows."""
    return Region(*box).overlap(Region(0, 0, *size)) if box is not None else None


def chosen(apps: Sequence[Node], windows: Sequence[DesktopWindowInfo], region: Region) -> list[tuple[Node, Region]]:
    """The nodes that something can be done with and whose middle is seen within ``region``, with what is seen of each.

    ``windows`` are from the lowest to the highest.
    """
    found: list[tuple[Node, Region]] = []
    for app in apps:
        for top in app.children:
            window = tree.window_of(app, top, windows)
            above = () if window is None else windows[windows.index(window) + 1 :]
            if window is not None and window.is_minimized:
                continue
            for node in _inside(top):
                place = _seen(node, region)
                covered = place is not None and any(_covers(one, node) for one in above)
                if place is not None and not covered:
                    found.append((node, place))
    return found[:MOST_MARKS]


def _inside(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _inside(child)


def _seen(node: Node, region: Region) -> Region | None:
    if node.box is None or not {"press", "set-value"} & set(tree.told_actions(node)):
        return None
    seen = Region(*node.box).overlap(region)
    if seen is None or seen.width < SMALLEST or seen.height < SMALLEST:
        return None
    x, y = middle(node.box)
    return seen if Region(x, y, 1, 1).overlap(region) else None


def _covers(window: DesktopWindowInfo, node: Node) -> bool:
    return node.box is not None and not window.is_minimized and holds(window, *middle(node.box))
