"""Windows, by what the window manager says and takes (EWMH, the Extended Window Manager Hints)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from Xlib import X
from Xlib.error import XError
from Xlib.protocol import event as events
from Xlib.protocol import request as requests

from sandbox_agent.desktop.x11.connection import settled
from sandbox_agent.desktop.x11.properties import ask_property, cardinals, get_property, raw, text
from sandbox_agent.problems import DesktopInvalidAction, NoFocusedWindow, WindowNotFound
from sandbox_agent.wire.desktop import DesktopWindowInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.display import Display

T = TypeVar("T")

SMALLEST = (120, 80)
"""Windows smaller than this are not listed, unless active."""

LARGEST = 32_767
OWN_NAMES = ("openbox",)
STATE_REMOVE, STATE_ADD = 0, 1
FROM_PAGER = 2
"""EWMH's source indication for a user's own will, which window managers do not second-guess."""

STATIC_GRAVITY = 10
"""Positions mean the content, whatever frame is around it (ICCCM 4.1.2.3)."""

BORDER = 2
"""Pixels by which a window manager may place a window beside, for a border that the program asked for."""

STEP = 64
"""Pixels by which a program's size may differ, for the steps it comes in."""

MOVE_BITS, RESIZE_BITS = 0x300, 0xC00
SETTLE_STEPS = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15)
"""Seconds between two looks at whether the window manager has done what was asked."""

PROPERTIES = ("_NET_WM_NAME", "WM_NAME", "WM_CLASS", "_NET_WM_PID", "_NET_WM_STATE")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The requests that tell of one window, sent and not yet answered."""

    window: int
    geometry: Any
    place: Any
    properties: dict[str, Any]


class Windows:
    """Sees and changes windows. Ids are X ids in decimal; positions and sizes are those of a window's content.

    All raise `WindowNotFound` for unknown ids, `DesktopInvalidAction` for impossible values, and as `Display.call`.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._watched: frozenset[int] = frozenset()
        display.on_event(events.PropertyNotify, self._changed)

    async def start(self) -> None:
        """Ask to be told of windows, and of messages to the root window."""
        mask = X.PropertyChangeMask | X.SubstructureNotifyMask | X.StructureNotifyMask

        def select(connection: Connection) -> None:
            requests.ChangeWindowAttributes(display=connection, window=connection.root, event_mask=mask)
            self._watch(connection)

        await self._display.call(select)

    async def list(self) -> tuple[DesktopWindowInfo, ...]:
        """All windows that a person would call so, oldest first; see the module of the contract for the rule."""
        return await self._display.call(lambda c: tuple(w for w in _describe(c, _clients(c)) if _listed(w)))

    async def stacked(self) -> tuple[DesktopWindowInfo, ...]:
        """All windows, listed or not, the lowest first."""
        return await self._display.call(lambda c: tuple(_describe(c, _stack(c))))

    async def focused(self) -> DesktopWindowInfo:
        """The active window; raises `NoFocusedWindow`."""
        found = await self._display.call(lambda c: _describe(c, [window] if (window := _active(c)) else []))
        if not found:
            raise NoFocusedWindow("no window has the focus")
        return found[0]

    async def get(self, window_id: str) -> DesktopWindowInfo:
        """One window, listed or not."""
        return await self._display.call(lambda c: _known(c, _number(window_id)))

    async def find(
        self, *, title: str | None = None, window_class: str | None = None, pid: int | None = None
    ) -> DesktopWindowInfo | None:
        """The newest window whose title holds ``title`` and whose class is ``window_class``, in any case of letters,
        and which is of process ``pid``; conditions that are None are none.
        """  # noqa: D205
        for window in reversed(await self._display.call(lambda c: _describe(c, _clients(c)))):
            if matches(window, title=title, window_class=window_class, pid=pid):
                return window
        return None

    async def focus(self, window_id: str) -> DesktopWindowInfo:
        """Raise a window and give it the focus, from wherever it is."""
        values = [FROM_PAGER, X.CurrentTime, 0]
        return await self._ask(window_id, "_NET_ACTIVE_WINDOW", values, lambda w: w.is_active)

    async def move(self, window_id: str, x: int, y: int) -> DesktopWindowInfo:
        """Have the content's upper left corner at ``x``, ``y``."""
        if not (0 <= x <= LARGEST and 0 <= y <= LARGEST):
            raise DesktopInvalidAction(f"{x}, {y} is no position of a window")
        values = [STATIC_GRAVITY | MOVE_BITS | FROM_PAGER << 12, x, y, 0, 0]
        return await self._ask(window_id, "_NET_MOVERESIZE_WINDOW", values, lambda w: _near((w.x, w.y), (x, y), BORDER))

    async def resize(self, window_id: str, width: int, height: int) -> DesktopWindowInfo:
        """Have the content ``width`` by ``height``; programs with steps of their own (terminals) round it."""
        if not (0 < width <= LARGEST and 0 < height <= LARGEST):
            raise DesktopInvalidAction(f"{width}x{height} is no size of a window")
        values = [STATIC_GRAVITY | RESIZE_BITS | FROM_PAGER << 12, 0, 0, width, height]
        wanted, old = (width, height), await self.get(window_id)

        def done(now: DesktopWindowInfo) -> bool:
            size = (now.width, now.height)
            return size == wanted or (size != (old.width, old.height) and _near(size, wanted, STEP))

        return await self._ask(window_id, "_NET_MOVERESIZE_WINDOW", values, done)

    async def close(self, window_id: str) -> None:
        """Ask the program to close a window; it may ask back, so this does not wait for it to go."""
        await self._send(window_id, "_NET_CLOSE_WINDOW", [X.CurrentTime, FROM_PAGER])

    async def minimize(self, window_id: str) -> DesktopWindowInfo:
        return await self._ask(window_id, "WM_CHANGE_STATE", [3], lambda w: w.is_minimized)  # IconicState

    async def maximize(self, window_id: str, on: bool = True) -> DesktopWindowInfo:
        """Maximize a window both ways, or undo it."""
        both = ("_NET_WM_STATE_MAXIMIZED_VERT", "_NET_WM_STATE_MAXIMIZED_HORZ")
        return await self._state(window_id, both, on, lambda w: w.is_maximized == on)

    async def fullscreen(self, window_id: str, on: bool = True) -> DesktopWindowInfo:
        """Have a window cover the whole screen, or undo it."""
        return await self._state(window_id, ("_NET_WM_STATE_FULLSCREEN",), on, lambda w: w.is_fullscreen == on)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have ``listener`` called, on the event loop, when windows come, go, or change title, state or focus."""
        self._listeners = (*self._listeners, listener)

        def forget() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

        return forget

    # -- inside -----------------------------------------------------------------------------------------------------

    def _changed(self, event: Any) -> None:
        connection = self._display.connection
        if event.window == self._display.root and event.atom == connection.atom("_NET_CLIENT_LIST"):
            self._watch(connection)
        if self._listeners and (event.window == self._display.root or event.window in self._watched):
            self._display.tell(self._tell)

    def _watch(self, connection: Connection) -> None:
        """Ask to be told of changes of each window that there is; a title may come after the window."""
        clients = frozenset(_clients(connection))
        for window in clients - self._watched:
            requests.ChangeWindowAttributes(display=connection, window=window, event_mask=X.PropertyChangeMask)
        self._watched = clients

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    async def _state(
        self, window_id: str, names: Sequence[str], on: bool, done: Callable[[DesktopWindowInfo], bool]
    ) -> DesktopWindowInfo:
        atoms = await self._display.call(lambda c: c.atoms(names))
        values = [STATE_ADD if on else STATE_REMOVE, *atoms.values(), *[0] * (2 - len(names)), FROM_PAGER]
        return await self._ask(window_id, "_NET_WM_STATE", values, done)

    async def _ask(
        self, window_id: str, name: str, values: Sequence[int], done: Callable[[DesktopWindowInfo], bool]
    ) -> DesktopWindowInfo:
        """Ask the window manager for something, and look until it is done, or 0.3 s have gone.

        A program or the window manager may refuse or alter it, so what came of it is the answer.
        """
        await self._send(window_id, name, values)
        before, window = None, await self.get(window_id)
        for pause in SETTLE_STEPS:
            if done(window) and window == before:  # states are told before the geometry that goes with them
                break
            await asyncio.sleep(pause)
            before, window = window, await self.get(window_id)
        return window

    async def _send(self, window_id: str, name: str, values: Sequence[int]) -> None:
        number = _number(window_id)

        def send(connection: Connection) -> None:
            _known(connection, number)
            message = events.ClientMessage(
                window=number, client_type=connection.atom(name), data=(32, [*values, *[0] * (5 - len(values))])
            )
            requests.SendEvent(
                display=connection,
                propagate=False,
                destination=connection.root,
                event_mask=X.SubstructureNotifyMask | X.SubstructureRedirectMask,
                event=message,
            )
            connection.sync()

        await self._display.call(send)


def _near(one: tuple[int, int], other: tuple[int, int], by: int) -> bool:
    return all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


def matches(
    window: DesktopWindowInfo, *, title: str | None = None, window_class: str | None = None, pid: int | None = None
) -> bool:
    """Whether a window's title holds ``title``, its class is ``window_class`` and its process ``pid``."""
    return (
        (title is None or title.lower() in window.title.lower())
        and (window_class is None or window_class.lower() == (window.window_class or "").lower())
        and (pid is None or pid == window.pid)
    )


def client_of(connection: Connection, window: int) -> int | None:
    """The client window below the pointer, from the root's child that it is in."""
    clients = set(_clients(connection))
    while window and window not in clients:
        try:
            window = requests.QueryPointer(display=connection, window=window).child
        except XError:
            return None
    return window or None


def _number(window_id: str) -> int:
    number = int(window_id) if window_id.isascii() and window_id.isdigit() else 0
    if not 0 < number <= 0x1FFF_FFFF:  # noqa: PLR2004 -- X ids have 29 bits (X11 protocol, 2)
        raise WindowNotFound(f"no window has the id {window_id!r}")
    return number


def _clients(connection: Connection) -> list[int]:
    return cardinals(get_property(connection, connection.root, "_NET_CLIENT_LIST"))


def _stack(connection: Connection) -> list[int]:
    return cardinals(get_property(connection, connection.root, "_NET_CLIENT_LIST_STACKING"))


def _active(connection: Connection) -> int | None:
    found = cardinals(get_property(connection, connection.root, "_NET_ACTIVE_WINDOW"))
    return found[0] if found and found[0] else None


def _known(connection: Connection, number: int) -> DesktopWindowInfo:
    found = _describe(connection, [number] if number in _clients(connection) else [])
    if not found:
        raise WindowNotFound(f"no window has the id {str(number)!r}")
    return found[0]


def _describe(connection: Connection, windows: Sequence[int]) -> list[DesktopWindowInfo]:
    """What there is to say of windows, all asked at once; those that have gone are left out."""
    connection.atoms(PROPERTIES)
    asked = [
        _Asked(
            window=window,
            geometry=requests.GetGeometry(display=connection, defer=True, drawable=window),
            place=requests.TranslateCoords(
                display=connection, defer=True, src_wid=window, dst_wid=connection.root, src_x=0, src_y=0
            ),
            properties={name: ask_property(connection, window, name) for name in PROPERTIES},
        )
        for window in windows
    ]
    active = _active(connection)
    found = [_info(connection, one, active) for one in asked]
    return [window for window in found if window is not None]


def _info(connection: Connection, asked: _Asked, active: int | None) -> DesktopWindowInfo | None:
    geometry, place = settled(asked.geometry), settled(asked.place)
    replies = {name: settled(request) for name, request in asked.properties.items()}
    if geometry is None or place is None:
        return None
    states = connection.atoms(
        f"_NET_WM_STATE_{state}" for state in ("HIDDEN", "MAXIMIZED_VERT", "MAXIMIZED_HORZ", "FULLSCREEN")
    )
    has = set(cardinals(replies["_NET_WM_STATE"]))
    hidden, vertical, horizontal, full = (atom in has for atom in states.values())
    pid = cardinals(replies["_NET_WM_PID"])
    classes = raw(replies["WM_CLASS"]).split(b"\0")
    return DesktopWindowInfo(
        id=str(asked.window),
        title=text(connection, replies["_NET_WM_NAME"]) or text(connection, replies["WM_NAME"]) or "",
        x=place.x,
        y=place.y,
        width=geometry.width,
        height=geometry.height,
        is_active=asked.window == active,
        window_class=classes[1].decode("utf-8", "replace") if len(classes) > 1 else None,
        pid=pid[0] if pid else None,
        is_minimized=hidden,
        is_maximized=vertical and horizontal,
        is_fullscreen=full,
    )


def _listed(window: DesktopWindowInfo) -> bool:
    if window.is_active:
        return True
    big = window.width >= SMALLEST[0] and window.height >= SMALLEST[1]
    return big and bool(window.title.strip()) and (window.window_class or "").lower() not in OWN_NAMES
