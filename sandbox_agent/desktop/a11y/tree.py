"""From what programs tell to what is answered: placed on the screen, without what nobody needs, cut. Values only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox_agent.desktop.a11y import atspi
from sandbox_agent.wire.desktop_a11y import DesktopBox, DesktopNode, DesktopNodeNumber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sandbox_agent.desktop.a11y.messages import Node, Ref
    from sandbox_agent.wire.desktop import DesktopWindowInfo
    from sandbox_agent.wire.desktop_a11y import DesktopFindQuery

_TELLING = frozenset({"alert", "dialog", "frame", "window", "document web", "image"})
"""Roles that say something without a name."""

_NEAR = 64  # pixels by which a program may be wrong about the place of its window, for a frame or a shadow


def placed(app: Node, windows: Sequence[DesktopWindowInfo]) -> None:
    """Put what a program that knows no places told on the screen, by where its windows are."""
    if not app.local:
        return
    for top in app.children:
        window = window_of(app, top, windows)
        if window is not None:
            shift(top, window.x, window.y)


def window_of(app: Node, top: Node, windows: Sequence[DesktopWindowInfo]) -> DesktopWindowInfo | None:
    """The window of a program that ``top`` tells of: by title, then by place."""
    own = [window for window in windows if window.pid == app.pid]
    titled = [window for window in own if window.title == top.name]
    fit = titled or own
    if len(fit) > 1 and top.box is not None and not app.local:
        x, y = top.box[:2]
        fit = sorted(fit, key=lambda window: abs(window.x - x) + abs(window.y - y))
        return fit[0] if titled or abs(fit[0].x - x) + abs(fit[0].y - y) <= _NEAR else None
    return fit[0] if fit else None


def shift(node: Node, x: int, y: int) -> None:
    """Move a node with all in it."""
    for one in _all(node):
        if one.box is not None:
            one.box = (one.box[0] + x, one.box[1] + y, one.box[2], one.box[3])


def _all(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _all(child)


def only_window(apps: Sequence[Node], windows: Sequence[DesktopWindowInfo], wanted: DesktopWindowInfo) -> None:
    """Leave of each program what is of the window ``wanted``."""
    for app in apps:
        app.children = [
            top for top in app.children if (found := window_of(app, top, windows)) is not None and found.id == wanted.id
        ]


def interesting(node: Node) -> list[Node]:
    """What is worth telling of a node: itself, with such of what is in it, or those alone."""
    below = [kept for child in node.children for kept in interesting(child)]
    if len(below) == 1 and below[0].role in {"label", "static"} and below[0].name == node.name:
        below = []  # the letters on a button, which its name says already
    node.children = below
    return [node] if _tells(node) else below


def _tells(node: Node) -> bool:
    if node.name or node.text or node.number is not None or node.role in _TELLING:
        return True
    return bool(set(told_actions(node)) - {"focus"})


def told_actions(node: Node) -> tuple[str, ...]:
    return atspi.actions(node.role, node.states, node.interfaces)


def wire(node: Node, name: Callable[[Ref], str], children: Iterable[DesktopNode] = (), more: int = 0) -> DesktopNode:
    """A node as it is answered; ``name`` gives ids."""
    number = node.number
    return DesktopNode(
        id=name(node.ref),
        role=node.role,
        name=node.name,
        states=atspi.told(node.states) if node.role != "application" else (),
        actions=told_actions(node),  # type: ignore[arg-type]
        text=node.text,
        number=DesktopNodeNumber(now=number.now, least=number.least, most=number.most) if number else None,
        box=DesktopBox(x=node.box[0], y=node.box[1], width=node.box[2], height=node.box[3]) if node.box else None,
        pid=node.pid,
        more=more,
        children=tuple(children),
    )


@dataclass(slots=True)
class Cut:
    """A tree of at most ``limit`` nodes and ``depth`` levels, the upper ones first; ``truncated`` if it had more."""

    limit: int
    depth: int | None
    truncated: bool = False

    def of(self, roots: Sequence[Node], name: Callable[[Ref], str]) -> tuple[DesktopNode, ...]:
        kept: set[Ref] = set()
        queue = deque((root, 1) for root in roots)
        while queue:
            node, level = queue.popleft()
            if len(kept) >= self.limit or (self.depth is not None and level > self.depth):
                self.truncated = True
                continue
            kept.add(node.ref)
            name(node.ref)  # here, so that names go from top to bottom
            queue.extend((child, level + 1) for child in node.children)

        def told(node: Node) -> DesktopNode:
            below = [told(child) for child in node.children if child.ref in kept]
            return wire(node, name, below, len(node.children) - len(below))

        return tuple(told(root) for root in roots if root.ref in kept)


def matching(roots: Iterable[Node], wanted: DesktopFindQuery) -> Iterator[Node]:
    """The nodes that are as wanted, in the order of the tree; programs themselves are none."""
    role = _plain(wanted.role)
    states = {_plain(state) for state in (wanted.states or "").split(",") if state.strip()}
    for root in roots:
        for node in _all(root):
            if node.role == "application" or (role and role != _plain(node.role)):
                continue
            if not states <= {_plain(state) for state in atspi.told(node.states)}:
                continue
            if _holds(node.name, wanted.name) and _holds(f"{node.name}\n{node.text or ''}", wanted.text):
                yield node


def _plain(word: str | None) -> str:
    return (word or "").strip().casefold().replace("-", " ").replace("_", " ")


def _holds(text: str, part: str | None) -> bool:
    return not part or part.casefold() in text.casefold()
