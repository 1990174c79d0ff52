"""`/v1/desktop/a11y`: what programs tell of their windows, and marks on screenshots (ours, beyond the contract)."""

from __future__ import annotations

from typing import Literal, TypeAlias

from sandbox_agent.wire.base import StrictRequest, Wire

DesktopNodeAction: TypeAlias = Literal["press", "focus", "set-value"]


class DesktopBox(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """A rectangle in pixels of the screen."""

    x: int
    y: int
    width: int
    height: int


class DesktopNodeNumber(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """What a slider or a progress bar shows, between its bounds."""

    now: float
    least: float
    most: float


class DesktopNode(Wire, frozen=True, kw_only=True):
    """A part of a program's window. ``id`` is its own as long as it lives, and no other's after that.

    ``role`` is AT-SPI's (``button``, ``check box``, ``entry``, ``menu item``), so are ``states`` (``focused``,
    ``checked``, ``disabled``). ``actions`` can be done with it. ``text`` is what is written in a field, ``pid`` is told
    of programs. ``more`` children were left out, for ``depth`` or ``limit``.
    """

    id: str
    role: str
    name: str
    states: tuple[str, ...] = ()
    actions: tuple[DesktopNodeAction, ...] = ()
    text: str | None = None
    number: DesktopNodeNumber | None = None
    box: DesktopBox | None = None
    pid: int | None = None
    more: int = 0
    children: tuple[DesktopNode, ...] = ()


class DesktopSilentApp(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """A program that did not answer within a second."""

    name: str
    pid: int | None = None


class DesktopTreeQuery(Wire, frozen=True, kw_only=True):
    """``window`` is the id of a window, ``app`` a part of a program's name in any case of letters.

    ``interesting_only``: what is on the screen and has a name, a text or an action, and what holds several such.
    ``limit`` is of nodes, 1 to 10,000; ``depth`` of levels, from 1, programs being the first.
    """

    window: str | None = None
    app: str | None = None
    depth: int | None = None
    limit: int = 1000
    interesting_only: bool = True


class DesktopTreeResponse(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """``partial``: not all was told in time, ``silent`` programs nothing more. ``truncated``: there is more."""

    apps: tuple[DesktopNode, ...]
    partial: bool
    truncated: bool
    silent: tuple[DesktopSilentApp, ...]
    elapsed_ms: int


class DesktopFindQuery(Wire, frozen=True, kw_only=True):
    """All that are given must be so: the ``role``; a part of the ``name``; a part of name or ``text``; each of the
    ``states``, which are separated by commas. Letters may be of any case.
    """  # noqa: D205

    role: str | None = None
    name: str | None = None
    text: str | None = None
    states: str | None = None
    window: str | None = None
    app: str | None = None
    limit: int = 100


class DesktopFindResponse(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """The nodes that were found, without what is in them."""

    nodes: tuple[DesktopNode, ...]
    partial: bool
    truncated: bool
    silent: tuple[DesktopSilentApp, ...]
    elapsed_ms: int


class DesktopNodeValue(StrictRequest, frozen=True, kw_only=True):
    """A text for a field, a number for a slider."""

    value: str | int | float


class DesktopMark(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """The number that is drawn on a screenshot, and the node it stands for."""

    mark: int
    node: DesktopNode


class DesktopMarksResponse(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """The marks of one screenshot. ``partial``: a program did not answer in time, so some are missing."""

    screenshot_id: str
    marks: tuple[DesktopMark, ...]
    partial: bool


class DesktopMarksQuery(Wire, frozen=True, kw_only=True):
    """``screenshot_id`` is that of a screenshot with marks."""

    screenshot_id: str
