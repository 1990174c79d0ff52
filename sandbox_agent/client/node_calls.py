"""The routes of the accessibility tree, as calls, and what needs two of them (pure)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.client import desktop_calls
from sandbox_agent.client.asking import get, query, send
from sandbox_agent.client.calls import perform
from sandbox_agent.wire import desktop_a11y as wire
from sandbox_agent.wire.desktop import DesktopActionResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.client.calls import Call
    from sandbox_agent.client.desktop_calls import View
    from sandbox_agent.client.desktop_results import Screenshot
    from sandbox_agent.client.effects import Program


def tree(
    window: str | None, app: str | None, depth: int | None, limit: int, *, interesting_only: bool
) -> Call[wire.DesktopTreeResponse]:
    asked = query(window=window, app=app, depth=depth, limit=limit, interestingOnly=interesting_only)
    return get(wire.DesktopTreeResponse, "desktop", "a11y", "tree", query=asked)


def find(wanted: wire.DesktopFindQuery) -> Call[wire.DesktopFindResponse]:
    asked = query(**msgspec.to_builtins(wanted))
    return get(wire.DesktopFindResponse, "desktop", "a11y", "find", query=asked)


def states(given: str | Iterable[str] | None) -> str | None:
    """States as the route takes them."""
    return given if given is None or isinstance(given, str) else ",".join(given)


def node(node_id: str) -> Call[wire.DesktopNode]:
    return get(wire.DesktopNode, "desktop", "a11y", "nodes", node_id)


def press(node_id: str) -> Call[DesktopActionResponse]:
    return send(DesktopActionResponse, "POST", "desktop", "a11y", "nodes", node_id, "press", repeatable=False)


def focus(node_id: str) -> Call[DesktopActionResponse]:
    return send(DesktopActionResponse, "POST", "desktop", "a11y", "nodes", node_id, "focus")


def set_value(node_id: str, value: str | float) -> Call[DesktopActionResponse]:
    body = wire.DesktopNodeValue(value=value)
    return send(DesktopActionResponse, "POST", "desktop", "a11y", "nodes", node_id, "set-value", body=body)


def marks(screenshot_id: str) -> Call[wire.DesktopMarksResponse]:
    return get(wire.DesktopMarksResponse, "desktop", "a11y", "marks", query=query(screenshotId=screenshot_id))


def screenshot(view: View) -> Program[Screenshot]:
    """A screenshot, with what its marks stand for where it has some."""
    shot = yield from perform(desktop_calls.screenshot(view))
    if not view.marks:
        return shot
    legend = yield from perform(marks(shot.id))
    return dataclasses.replace(shot, marks=legend.marks)
