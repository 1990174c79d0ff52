"""Where a viewer reaches us by WebRTC: the addresses of this machine, and ports of a range where one was asked for.

The library that does this takes any port, and offers no loopback address; a viewer on a machine without a network,
or in another container of the same network namespace, has nothing else.
"""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from typing import TYPE_CHECKING

from aioice import Candidate
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol

from sandbox_agent.problems import StreamError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aioice import Connection
    from aiortc import RTCIceGatherer

LOOPBACK = "127.0.0.1"
_LAST_CHOICE = 0  # RFC 8445, 5.1.2.1: local preference, of 65535


def choose_ways(gatherer: RTCIceGatherer, ports: tuple[int, int] | None) -> None:
    """Have a gatherer that has not begun find candidates as they are here; ``ports`` are first and last.

    Its `gather` then raises ``StreamError`` when all of them are taken.
    """
    connection: Connection = gatherer._connection  # noqa: SLF001 - it has no other door
    connection.get_component_candidates = partial(_candidates, connection, ports)  # type: ignore[method-assign]


async def _candidates(
    connection: Connection,
    ports: tuple[int, int] | None,
    component: int,
    addresses: list[str],
    timeout: int = 5,  # noqa: ARG001, ASYNC109 - the library's signature
) -> list[Candidate]:
    found = [await _candidate(connection, ports, component, address) for address in addresses or [LOOPBACK]]
    if ports is not None and not any(found):
        hint = "start the desktop with another webrtcPortRange"
        raise StreamError(f"the ports {ports[0]}-{ports[1]} are taken", hint=hint)
    if addresses:
        found.append(await _candidate(connection, ports, component, LOOPBACK))
    return [candidate for candidate in found if candidate is not None]


async def _candidate(
    connection: Connection, ports: tuple[int, int] | None, component: int, address: str
) -> Candidate | None:
    """A way by one address; None where no port of it is to be had."""
    loop = asyncio.get_running_loop()
    for port in _tried(ports):
        try:
            transport, protocol = await loop.create_datagram_endpoint(
                lambda: StunProtocol(connection), local_addr=(address, port)
            )
        except OSError:
            continue
        host, bound = transport.get_extra_info("sockname")[:2]
        preference = {"local_pref": _LAST_CHOICE} if address == LOOPBACK else {}
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", host),
            component=component,
            transport="udp",
            priority=candidate_priority(component, "host", **preference),
            host=host,
            port=bound,
            type="host",
        )
        connection._protocols.append(protocol)  # noqa: SLF001 - as the method does that this stands for
        return protocol.local_candidate
    return None


def _tried(ports: tuple[int, int] | None) -> Iterator[int]:
    """From anywhere in the range on, so that viewers that come at once seldom try the same; 0 is any."""
    if ports is None:
        yield 0
        return
    first, last = ports
    count = last - first + 1
    start = secrets.randbelow(count)
    for number in range(count):
        yield first + (start + number) % count
