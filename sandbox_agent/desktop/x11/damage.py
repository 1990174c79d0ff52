"""What changed on the screen, from the DAMAGE extension: a counter for all, rectangles for those who listen.

The server tells once that there is damage, and again only after it was taken (subtracted); so a busy screen that
nobody looks at costs nothing. Whoever looks takes first, then looks: what the counter stood at is then no newer than
what was seen.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from Xlib.ext import damage as damage_ext
from Xlib.protocol import request as requests
from Xlib.protocol import rq, structs

from sandbox_agent.desktop.x11.geometry import Region
from sandbox_agent.problems import DesktopRuntimeFailed, Timeout
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.display import Display

    Listener = Callable[[Sequence[Region]], None]

THROTTLE = 0.008
"""Seconds between two times that the listeners are told."""

SERIALS = 1 << 16  # requests are numbered by so many


class _CreateRegion(rq.Request):
    _request = rq.Struct(
        rq.Card8("opcode"),
        rq.Opcode(5),
        rq.RequestLength(),
        rq.Card32("region"),
        rq.List("rectangles", structs.Rectangle),
    )


class _FetchRegion(rq.ReplyRequest):
    _request = rq.Struct(rq.Card8("opcode"), rq.Opcode(19), rq.RequestLength(), rq.Card32("region"))
    _reply = rq.Struct(
        rq.ReplyCode(),
        rq.Pad(1),
        rq.Card16("sequence_number"),
        rq.ReplyLength(),
        rq.Object("extents", structs.Rectangle),
        rq.Pad(16),
        rq.List("rectangles", structs.Rectangle),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A taking of damage that the server was asked for, or soon is: by request ``serial``, with its answer."""

    serial: int
    fetched: _FetchRegion | None
    done: requests.GetInputFocus | None


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken: where the counter stood then, and the rectangles, if they were wanted."""

    counter: int
    regions: list[Region]


class Damage:
    """The screen's changes. ``counter`` grows with them; equal counters mean an equal screen.

    ``dirty`` says, in the owner thread, whether there is damage that nobody has taken yet, as far as is known here.
    """

    def __init__(self, display: Display) -> None:
        self.counter = 0
        self.dirty = False
        self._display = display
        self._listeners: tuple[Listener, ...] = ()
        self._noticed_at = 0
        self._telling: asyncio.TimerHandle | None = None
        self._damage = 0
        self._region = 0
        display.on_event(damage_ext.DamageNotify, self._noticed)

    async def start(self) -> None:
        """Begin to watch the screen."""
        await self._display.call(self._create)

    def _create(self, connection: Connection) -> None:
        self._damage, self._region = connection.allocate(), connection.allocate()
        damage_ext.DamageCreate(
            display=connection,
            opcode=connection.opcode("DAMAGE"),
            damage=self._damage,
            drawable=connection.root,
            level=damage_ext.DamageReportNonEmpty,
        )
        _CreateRegion(display=connection, opcode=connection.opcode("XFIXES"), region=self._region, rectangles=[])

    async def listen(self, listener: Listener) -> Callable[[], None]:
        """Have ``listener`` told, on the event loop, the rectangles that change from now on; the answer ends that.

        News come at most every 8 ms, what happened meanwhile together.
        """
        await self._display.call(self.take)
        self._listeners = (*self._listeners, listener)
        self._schedule()
        return lambda: self._forget(listener)

    def _forget(self, listener: Listener) -> None:
        self._listeners = tuple(other for other in self._listeners if other != listener)

    # -- on the event loop ----------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if self._listeners and self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(THROTTLE, self._collect)

    def _collect(self) -> None:
        self._telling = None
        if self._display.failure is None:
            spawn_task(self._ask(), name="x11 damage")

    async def _ask(self) -> None:
        try:
            await self._display.call(self.take)
        except Timeout:  # a stopped server; it may go on
            self._schedule()
        except DesktopRuntimeFailed:
            return

    def _tell(self, regions: Sequence[Region]) -> None:
        for listener in self._listeners:
            listener(regions)

    # -- in the owner thread --------------------------------------------------------------------------------------

    def _noticed(self, event: Any) -> None:
        self.dirty = True
        self._noticed_at = event.sequence_number
        self.counter += 1
        if self._listeners:
            self._display.tell(self._schedule)

    def take(self, connection: Connection) -> int:
        """Take what damage there is and tell the listeners of it; the counter for a look that is taken now."""
        return self.tell(self.ask(connection, wanted=bool(self._listeners)))

    def ask(self, connection: Connection, *, wanted: bool | None = None) -> Asked:
        """Ask for what damage there is, in one message with the requests that follow; `settle` waits for it.

        Its rectangles come if they are ``wanted``, by default if there are listeners.
        """
        wanted = bool(self._listeners) if wanted is None else wanted
        serial = connection.request_serial
        damage_ext.DamageSubtract(
            display=connection,
            opcode=connection.opcode("DAMAGE"),
            damage=self._damage,
            repair=0,
            parts=self._region if wanted else 0,
        )
        if not wanted:
            return Asked(serial, None, requests.GetInputFocus(display=connection, defer=True))
        opcode = connection.opcode("XFIXES")
        return Asked(serial, _FetchRegion(display=connection, defer=True, opcode=opcode, region=self._region), None)

    def settle(self, asked: Asked) -> Taken:
        """Wait for what was asked for. Listeners are not told."""
        for request in (asked.fetched, asked.done):
            if request is not None:
                request.reply()
        self._display.handle_events()
        # The server tells of damage once until it is taken, so at most one event is of what came after the taking.
        late = self.dirty and (self._noticed_at - asked.serial) % SERIALS < SERIALS // 2
        self.dirty = late
        rectangles = asked.fetched.rectangles if asked.fetched is not None else ()
        return Taken(self.counter - late, [Region(r.x, r.y, r.width, r.height) for r in rectangles])

    def tell(self, asked: Asked) -> int:
        """`settle`, and tell the listeners; the counter as it was when the damage was taken."""
        taken = self.settle(asked)
        if taken.regions:
            self._display.tell(self._tell, taken.regions)
        return taken.counter
