"""The accessibility tree of the desktop: looked at, searched, acted on, and marked on screenshots."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from sandbox_agent.desktop.a11y import launcher, marks, tree
from sandbox_agent.desktop.a11y.link import Link
from sandbox_agent.desktop.a11y.messages import Act, Acted, Failed, Look, Looked, Walk, Walked
from sandbox_agent.desktop.a11y.names import Names
from sandbox_agent.desktop.x11.geometry import Region
from sandbox_agent.problems import (
    DesktopInputFailed,
    DesktopInvalidAction,
    DesktopRuntimeFailed,
    NodeNotFound,
    Timeout,
)
from sandbox_agent.wire.desktop_a11y import (
    DesktopFindResponse,
    DesktopSilentApp,
    DesktopTreeResponse,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox_agent.desktop.a11y.messages import Node, Ref, Reply, Request, Verb
    from sandbox_agent.desktop.service import Desktop
    from sandbox_agent.problems import Problem
    from sandbox_agent.wire.desktop import DesktopWindowInfo
    from sandbox_agent.wire.desktop_a11y import DesktopFindQuery, DesktopMarksResponse, DesktopNode, DesktopTreeQuery

TREE_SECONDS = 2.8
"""Seconds that programs have to tell a tree, so that it is answered within 3."""

MOST_NODES = 10_000
KEPT_LEGENDS = 64
"""Marked screenshots whose marks are known."""


class Accessibility:
    """Each method raises the problems of a desktop that is not active, and ``DesktopDependenciesMissing`` where
    AT-SPI is not installed.
    """  # noqa: D205

    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop
        self._names = Names()
        self._link: Link | None = None
        self._legends: OrderedDict[str, DesktopMarksResponse] = OrderedDict()

    # -- looking --------------------------------------------------------------------------------------------------

    async def tree(self, query: DesktopTreeQuery) -> DesktopTreeResponse:
        """Raises ``DesktopInvalidAction``, ``WindowNotFound``."""
        _bounded("limit", query.limit, MOST_NODES)
        if query.depth is not None:
            _bounded("depth", query.depth, MOST_NODES)
        began = time.monotonic()
        walked, _ = await self._walk(query.window, query.app, hidden=not query.interesting_only)
        if query.interesting_only:
            for app in walked.apps:
                app.children = [kept for child in app.children for kept in tree.interesting(child)]
        cut = tree.Cut(query.limit, query.depth)
        apps = cut.of(walked.apps, self._names.name)
        return DesktopTreeResponse(
            apps=apps,
            partial=walked.partial,
            truncated=cut.truncated,
            silent=_silent(walked),
            elapsed_ms=_since(began),
        )

    async def find(self, query: DesktopFindQuery) -> DesktopFindResponse:
        """Raises ``DesktopInvalidAction``, ``WindowNotFound``."""
        _bounded("limit", query.limit, MOST_NODES)
        began = time.monotonic()
        walked, _ = await self._walk(query.window, query.app)
        found = list(tree.matching(walked.apps, query))
        return DesktopFindResponse(
            nodes=tuple(tree.wire(node, self._names.name) for node in found[: query.limit]),
            partial=walked.partial,
            truncated=len(found) > query.limit,
            silent=_silent(walked),
            elapsed_ms=_since(began),
        )

    async def node(self, name: str) -> DesktopNode:
        """One node as it is now. Raises ``NodeNotFound``, ``Timeout``."""
        return tree.wire(await self._look(self._names.ref(name)), self._names.name)

    async def _walk(
        self, window: str | None, app: str | None, *, hidden: bool = False
    ) -> tuple[Walked, Sequence[DesktopWindowInfo]]:
        windows = self._desktop.x11.windows
        wanted = await windows.get(window) if window is not None else None
        listed = await windows.stacked()
        asked = Walk(seconds=TREE_SECONDS, pid=wanted.pid if wanted else None, app=app, hidden=hidden)
        walked = await self._ask(asked)
        if not isinstance(walked, Walked):
            raise _unexpected(walked)
        if wanted is not None:
            tree.only_window(walked.apps, listed, wanted)
        for one in walked.apps:
            tree.placed(one, listed)
        return walked, listed

    async def _look(self, ref: Ref) -> Node:
        """A node with its place on the screen."""
        seen = await self._ask(Look(ref=ref))
        if not isinstance(seen, Looked):
            raise _unexpected(seen)
        window = await self._window(seen.node)
        if seen.node.local and window is not None:
            tree.shift(seen.node, window.x, window.y)
        return seen.node

    async def _window(self, node: Node) -> DesktopWindowInfo | None:
        """The window of its program that a node is likely in."""
        own = [window for window in await self._desktop.x11.windows.stacked() if window.pid == node.pid]
        if node.box is not None and not node.local:
            x, y = marks.middle(node.box)
            own = [window for window in own if marks.holds(window, x, y)]
        return next((window for window in own if window.is_active), own[-1] if own else None)

    # -- acting ---------------------------------------------------------------------------------------------------

    async def act(self, name: str, verb: Verb, value: str | float | None = None) -> None:
        """Press a node, give it the focus, or change what it holds.

        Raises ``NodeNotFound``, ``DesktopInvalidAction`` for what cannot be done with it, ``DesktopInputFailed`` where
        its program does not do it, and ``Timeout`` where that does not answer: then it may yet do it.
        """
        ref = self._names.ref(name)
        if verb == "focus":
            await self._activate(ref)
        done = await self._ask(Act(ref=ref, verb=verb, value=value))
        if not isinstance(done, Acted):
            raise _unexpected(done)
        if done.typed:
            await self._type(ref, str(value))

    async def _activate(self, ref: Ref) -> None:
        """A window gets the keys before a node in it can."""
        window = await self._window(await self._look(ref))
        if window is not None and not window.is_active:
            await self._desktop.x11.windows.focus(window.id)

    async def _type(self, ref: Ref, text: str) -> None:
        """Change a text where a program offers no other way than a person has."""
        await self._activate(ref)
        done = await self._ask(Act(ref=ref, verb="focus"))
        if not isinstance(done, Acted):
            raise _unexpected(done)
        keyboard = self._desktop.x11.keyboard
        await keyboard.press("ctrl+a")
        await (keyboard.type(text) if text else keyboard.press("Delete"))

    # -- places and marks -----------------------------------------------------------------------------------------

    async def spot(self, name: str) -> tuple[int, int]:
        """The pixel of the screen in the middle of a node. Raises as `node`, and ``DesktopInvalidAction``."""
        node = await self._look(self._names.ref(name))
        screen = self._desktop.x11.size
        seen = marks.on_screen(node.box, screen) if "showing" in node.states or node.local else None
        if seen is None:
            raise DesktopInvalidAction(f"this {node.role} is not on the screen now", hint="scroll to it, or press it")
        return marks.middle((seen.x, seen.y, seen.width, seen.height))

    async def mark(self, screenshot_id: str, mark: int) -> tuple[int, int]:
        """The pixel of the screen in the middle of what has a mark on a screenshot. Raises as `spot`."""
        legend = self.legend(screenshot_id)
        found = next((one.node for one in legend.marks if one.mark == mark), None)
        if found is None:
            raise DesktopInvalidAction(f"screenshot {screenshot_id} has no mark {mark}")
        return await self.spot(found.id)

    def legend(self, screenshot_id: str) -> DesktopMarksResponse:
        """What the marks of a screenshot stand for. Raises ``DesktopInvalidAction`` for one without."""
        legend = self._legends.get(screenshot_id)
        if legend is None:
            hint = "take one with marks=true"
            raise DesktopInvalidAction(f"no marks of a screenshot {screenshot_id[:100]} are known", hint=hint)
        return legend

    async def marking(self, region: Region | None) -> marks.Marking:
        """What is to be marked on a screenshot taken now."""
        walked, windows = await self._walk(None, None)
        nodes = marks.chosen(walked.apps, windows, region or Region(0, 0, *self._desktop.x11.size))
        told = tuple(tree.wire(node, self._names.name) for node, _ in nodes)
        return marks.Marking(told, tuple(place for _, place in nodes), walked.partial)

    def keep(self, screenshot_id: str, marking: marks.Marking) -> None:
        """Have the marks of a screenshot known."""
        self._legends[screenshot_id] = marking.legend(screenshot_id)
        self._legends.move_to_end(screenshot_id)
        while len(self._legends) > KEPT_LEGENDS:
            self._legends.popitem(last=False)

    # -- the worker -----------------------------------------------------------------------------------------------

    async def _ask(self, request: Request) -> Reply:
        runtime = self._desktop.runtime
        launcher.check(runtime.a11y_launcher, with_bus=runtime.with_bus)
        if self._link is None or self._link.runtime is not runtime:
            self._link = Link(runtime)
        return await self._link.ask(request)


def _unexpected(reply: Reply) -> Problem:
    if not isinstance(reply, Failed):
        return DesktopRuntimeFailed("the accessibility worker gave another answer than was asked for")
    match reply.why:
        case "gone":
            return NodeNotFound(reply.detail, hint="ask for the tree again")
        case "refused":
            return DesktopInvalidAction(reply.detail)
        case "failed":
            return DesktopInputFailed(reply.detail)
        case "slow":
            return Timeout(reply.detail)


def _bounded(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise DesktopInvalidAction(f"{name} must be from 1 to {most}, not {value}")


def _silent(walked: Walked) -> tuple[DesktopSilentApp, ...]:
    return tuple(DesktopSilentApp(name=one.name, pid=one.pid) for one in walked.silent)


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
