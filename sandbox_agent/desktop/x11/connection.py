"""One connection to an X server, for one thread, with deadlines.

python-xlib's own reading and writing waits for ever, cannot watch descriptors above 1023, and keeps extension numbers
for all servers in one place. The protocol itself (requests, replies, events) is its work.
"""

from __future__ import annotations

import logging
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

from Xlib import xauth
from Xlib.display import _BaseDisplay
from Xlib.error import ConnectionClosedError, DisplayConnectionError, DisplayNameError, XError
from Xlib.ext import damage, xfixes
from Xlib.protocol import display as protocol_display
from Xlib.protocol import request as requests

from sandbox_agent.problems import DesktopRuntimeFailed, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from Xlib.protocol import rq

ReplyT = TypeVar("ReplyT", bound="rq.ReplyRequest")

COOKIE_NAME = "MIT-MAGIC-COOKIE-1"
READ_BYTES = 1 << 20

logger = logging.getLogger(__name__)


class _Packed:
    """What the library's queue needs of a request."""

    __slots__ = ("_binary", "_serial")

    def __init__(self, binary: bytes) -> None:
        self._binary = binary
        self._serial: int | None = None


class Connection(_BaseDisplay):
    """Resources are plain ids here. A reply that is not there by ``limit`` (monotonic) raises `Timeout`.

    Requests are made with ``display=connection``; those with ``defer=True`` go out together.
    """

    def __init__(self, name: str, cookie: bytes | None, limit: float) -> None:
        self.limit = limit
        self.resource_classes = {}  # type: ignore[assignment]  # without classes the library leaves ids as numbers
        self.extension_major_opcodes = {}
        self.event_classes = dict(protocol_display.Display.event_classes)
        self.error_classes = dict(protocol_display.Display.error_classes)
        self.first_events: dict[str, int] = {}
        self._atom_cache: dict[str, int] = {}
        self._cookie = cookie
        self._poll = select.poll()
        try:
            protocol_display.Display.__init__(self, name)  # not the next class: it would make resources objects
        except (DisplayConnectionError, ConnectionClosedError, Timeout):
            if "socket" in vars(self):  # refused after all
                self.socket.close()
            raise
        self.set_error_handler(_unasked)
        self.root: int = self.screen.root
        for extension in ("XTEST", "XFIXES", "DAMAGE", "MIT-SHM"):
            self._enable(extension)

    @property
    def screen(self) -> Any:
        """What the server said of its screen: ``root``, ``width_in_pixels``, ``root_depth``, ..."""
        return self.info.roots[self.default_screen]

    def _enable(self, name: str) -> None:
        found = requests.QueryExtension(display=self, name=name)
        if not found.present:
            raise DesktopRuntimeFailed(f"the X server has no {name} extension")
        self.extension_major_opcodes[name] = found.major_opcode
        self.first_events[name] = found.first_event
        if name == "DAMAGE":
            self.event_classes[found.first_event] = damage.DamageNotify
            damage.QueryVersion(display=self, opcode=found.major_opcode, major_version=1, minor_version=1)
        elif name == "XFIXES":
            self.event_classes[found.first_event] = xfixes.SelectionNotify
            self.event_classes[found.first_event + 1] = xfixes.DisplayCursorNotify
            xfixes.QueryVersion(display=self, opcode=found.major_opcode, major_version=4, minor_version=0)

    def opcode(self, extension: str) -> int:
        return self.extension_major_opcodes[extension]

    def atom(self, name: str) -> int:
        """The number of an atom, which the server keeps for as long as it runs."""
        return self.atoms([name])[name]

    def atoms(self, names: Iterable[str]) -> dict[str, int]:
        """The numbers of many atoms at the price of one."""
        wanted = list(names)
        asked = {
            name: requests.InternAtom(display=self, defer=True, name=name, only_if_exists=False)
            for name in wanted
            if name not in self._atom_cache
        }
        for name, request in asked.items():
            request.reply()
            self._atom_cache[name] = request.atom
        return {name: self._atom_cache[name] for name in wanted}

    def put(self, binary: bytes) -> None:
        """Queue a request without a reply that is packed already."""
        self.send_request(cast("rq.Request", _Packed(binary)), False)

    def sync(self) -> int:
        """Until the server has done all that was asked, and its events are here; the window with the focus."""
        return int(requests.GetInputFocus(display=self).focus)

    def allocate(self) -> int:
        """A new resource id."""
        return int(self.allocate_resource_id())

    def send_and_recv(
        self,
        flush: bool = False,
        event: bool = False,  # noqa: ARG002 -- the library's way to wait for an event, which nobody here takes
        request: int | None = None,
        recv: bool = False,
    ) -> None:
        """The library's one way to the socket; it comes with ``send_recv_lock`` held and leaves it free."""
        self.send_recv_lock.release()
        if request == -1 and self._cookie is not None:
            self._introduce(self._cookie)
        out = self._outgoing()
        answered = False
        while True:
            idle = not out and (flush or recv)
            readable, writable = self._ready(bool(out), idle)
            if writable:
                out = out[self._send(out) :]
            if readable:
                self._receive()
                answered = bool(self.parse_response(request)) or answered  # type: ignore[arg-type]
            if not out and (answered or ((flush or recv) and (idle or not readable))):
                return

    def _introduce(self, cookie: bytes) -> None:
        """Put the cookie into the setup request, which the library reads from a file of its own choice."""
        setup: Any = self.request_queue[0][0]
        setup._binary = setup._request.to_binary(  # noqa: SLF001 -- a subclass of the library's class
            byte_order=0x42 if self.big_endian else 0x6C,
            protocol_major=11,
            protocol_minor=0,
            auth_prot_name=COOKIE_NAME,
            auth_prot_data=cookie,
        )

    def _outgoing(self) -> memoryview:
        queued: list[tuple[Any, int]] = list(self.request_queue)
        self.request_queue.clear()
        self.sent_requests += [request for request, wait in queued if wait]
        self.data_send = b"".join([self.data_send, *(request._binary for request, _ in queued)])  # noqa: SLF001
        return memoryview(self.data_send)

    def _ready(self, sending: bool, now: bool) -> tuple[bool, bool]:
        self._poll.register(self.socket, select.POLLIN | (select.POLLOUT if sending else 0))
        wait = 0.0 if now else self.limit - time.monotonic()
        found = self._poll.poll(max(0.0, wait) * 1000)
        if not found and not now:
            raise Timeout("the X server does not answer")
        bits = found[0][1] if found else 0
        return bool(bits & ~select.POLLOUT), bool(bits & select.POLLOUT)

    def _send(self, out: memoryview) -> int:
        try:
            sent = self.socket.send(out, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._lost(str(error))
        self.data_send = bytes(out[sent:])  # what a time-out leaves goes first the next time
        return sent

    def _receive(self) -> None:
        try:
            data = self.socket.recv(max(READ_BYTES, self.recv_packet_len), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(str(error))
        if not data:
            self._lost("it closed the connection")
        self.data_recv = b"".join([bytes(self.data_recv), data])

    def _lost(self, why: str) -> Any:
        self.close_internal(f"server: {why}")
        raise ConnectionClosedError(f"server: {why}")


def _unasked(error: XError, _request: rq.Request | None) -> None:
    """Errors of requests without a reply: a window that has gone meanwhile, mostly."""
    logger.debug("X error", extra={"error": str(error)})


def settled(request: ReplyT) -> ReplyT | None:
    """A deferred request with its reply, or None where the server answered with an error (the window has gone)."""
    try:
        request.reply()
    except XError:
        return None
    return request


def cookie_of(authority: Path, number: int) -> bytes | None:
    """The cookie for display ``number`` in an authority file (Xau: big-endian, counted strings)."""
    data = authority.read_bytes()
    found: bytes | None = None
    at = 0
    while at + 2 <= len(data):
        (family,) = struct.unpack_from(">H", data, at)
        at += 2
        fields = []
        for _ in range(4):
            (length,) = struct.unpack_from(">H", data, at)
            fields.append(data[at + 2 : at + 2 + length])
            at += 2 + length
        _address, display, name, value = fields
        if family in {xauth.FamilyLocal, 65535} and display in {b"", b"%d" % number} and name == COOKIE_NAME.encode():
            found = value
    return found


def _knock(number: str, deadline: float) -> None:
    """Raise unless a server listens: the library, refused, would leave its socket open and try the network next."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(deadline)
        probe.connect(f"/tmp/.X11-unix/X{int(number)}")  # noqa: S108 -- where X servers listen


def connect(name: str, authority: Path | None, deadline: float) -> Connection:
    """A connection to display ``name`` (``":99"``), let in by the cookie in ``authority``.

    Raises `DesktopRuntimeFailed` where no server answers or it lets us not in, `Timeout` after ``deadline`` seconds.
    """
    number = name.rpartition(":")[2].partition(".")[0]
    try:
        cookie = cookie_of(authority, int(number)) if authority else None
        _knock(number, deadline)
        return Connection(name, cookie, time.monotonic() + deadline)
    except (
        OSError,
        struct.error,
        ValueError,
        DisplayConnectionError,
        DisplayNameError,
        ConnectionClosedError,
    ) as error:
        raise DesktopRuntimeFailed(f"cannot connect to display {name}: {error}") from error
