"""Asking programs over the accessibility bus: each question has a deadline, and who is silent once is left alone."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from sandbox_agent.desktop.a11y.messages import Ref

if TYPE_CHECKING:
    from collections.abc import Sequence

CALL_SECONDS = 1.0
"""Seconds that a program has for an answer."""

AT_ONCE = 64
"""Questions to one program that are under way at once."""

ATSPI = "org.a11y.atspi"
ROOT = "/org/a11y/atspi/accessible/root"
PROPERTIES = "org.freedesktop.DBus.Properties"
_DBUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
_STATUS = "org.a11y.Status"
_FLAGS = ("IsEnabled", "ScreenReaderEnabled")
_START_SECONDS = 5.0
_GUID = re.compile(r"guid=([0-9a-f]+)")


class Refused(Exception):
    """A program answered with an error: mostly, that it has no such node any more."""


class Silence(Exception):
    """A program did not answer in time."""


class Bus:
    """The accessibility bus. ``guid`` is what no other bus has."""

    def __init__(self, connection: MessageBus, guid: str) -> None:
        self.guid = guid
        self._connection = connection

    @classmethod
    async def find(cls) -> Bus:
        """By the session bus, which starts it; and have programs know that somebody looks. Raises ``Refused``."""
        session = await MessageBus().connect()
        try:
            async with asyncio.timeout(_START_SECONDS):
                launcher = ("org.a11y.Bus", "/org/a11y/bus")
                (address,) = await _call(session, *launcher, "org.a11y.Bus", "GetAddress", "", [])
                for flag in _FLAGS:
                    body = [_STATUS, flag, Variant("b", True)]
                    await _call(session, *launcher, PROPERTIES, "Set", "ssv", body)
                connection = await MessageBus(bus_address=address).connect()
        finally:
            session.disconnect()
        found = _GUID.search(address)
        return cls(connection, found[1] if found else address)

    async def ended(self) -> None:
        await self._connection.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def pid(self, name: str) -> int | None:
        """The process of a connection; None when it has gone."""
        try:
            (pid,) = await _call(self._connection, *_DBUS, "GetConnectionUnixProcessID", "s", [name])
        except Refused:
            return None
        return int(pid)

    def program(self, name: str) -> Program:
        return Program(self, name)

    async def call(self, ref: Ref, interface: str, member: str, signature: str, body: Sequence[Any]) -> list[Any]:
        """Raises ``Refused`` for an error, ``TimeoutError`` after a second."""
        async with asyncio.timeout(CALL_SECONDS):
            return await _call(self._connection, ref.name, ref.path, interface, member, signature, body)


class Program:
    """One program's end of the bus. After its first silence nothing more is asked.

    ``local``: it knows neither where on the screen its windows are nor what of them is shown, as GTK 4.
    """

    def __init__(self, bus: Bus, name: str) -> None:
        self.name = name
        self.silent = False
        self.local = False
        self._bus = bus
        self._turns = asyncio.Semaphore(AT_ONCE)

    def ref(self, path: str) -> Ref:
        return Ref(self._bus.guid, self.name, path)

    async def learn(self, root: str = ROOT) -> None:
        """Find out what it is made with. Raises ``Silence``."""
        try:
            toolkit = await self.read(root, "Application", "ToolkitName")
            version = await self.read(root, "Application", "Version")
        except Refused:
            return
        self.local = str(toolkit).casefold() == "gtk" and str(version).startswith("4")

    async def ask(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> Any:
        """The first value of an answer, None where it has none. Raises ``Refused`` and ``Silence``."""
        async with self._turns:
            if self.silent:
                raise Silence(self.name)
            try:
                answer = await self._bus.call(self.ref(path), f"{ATSPI}.{interface}", member, signature, body)
            except TimeoutError as error:
                self.silent = True
                raise Silence(self.name) from error
        return answer[0] if answer else None

    async def read(self, path: str, interface: str, name: str) -> Any:
        """A property. Raises ``Refused`` and ``Silence``."""
        return await self._property(path, "Get", "ss", f"{ATSPI}.{interface}", name)

    async def write(self, path: str, interface: str, name: str, value: Variant) -> None:
        """Raises ``Refused`` and ``Silence``."""
        await self._property(path, "Set", "ssv", f"{ATSPI}.{interface}", name, value)

    async def _property(self, path: str, member: str, signature: str, *body: Any) -> Any:
        async with self._turns:
            if self.silent:
                raise Silence(self.name)
            try:
                answer = await self._bus.call(self.ref(path), PROPERTIES, member, signature, body)
            except TimeoutError as error:
                self.silent = True
                raise Silence(self.name) from error
        return answer[0].value if answer else None


async def _call(  # noqa: PLR0917 -- as D-Bus has it
    connection: MessageBus, name: str, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
) -> list[Any]:
    message = Message(
        destination=name, path=path, interface=interface, member=member, signature=signature, body=list(body)
    )
    reply = await connection.call(message)
    if reply is None or reply.message_type is not MessageType.METHOD_RETURN:
        raise Refused(f"{reply.error_name}: {reply.body}" if reply is not None else "no answer")
    return list(reply.body)
