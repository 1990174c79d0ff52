"""Requests on their way to an agent, by id; ids of several clients are kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox_agent.acp.envelope import id_key

if TYPE_CHECKING:
    import asyncio

_EXACT = 1 << 53  # beyond it a number loses digits in an agent that keeps numbers as IEEE doubles


@dataclass(slots=True, eq=False)
class Flight:
    """One request. ``asked_as`` is its sender's id, ``sent_as`` what the agent knows it by; both raw JSON.

    ``answer`` is where its sender waits for the raw response. A request of ``ours`` has no client on the stream.
    """

    asked_as: bytes
    sent_as: bytes
    method: str
    answer: asyncio.Future[bytes]
    ours: bool = False

    @property
    def renamed(self) -> bool:
        return self.asked_as != self.sent_as


class Flights:
    """All requests an agent has not answered yet."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}
        self._numbered = 0

    def __len__(self) -> int:
        return len(self._flights)

    def fresh_id(self) -> bytes:
        """An id of the server's own, which no request in flight has."""
        while True:
            self._numbered += 1
            raw = b'"sa-%d"' % self._numbered
            if raw not in self._flights:
                return raw

    def depart(self, asked_as: bytes, method: str, answer: asyncio.Future[bytes]) -> Flight:
        """A client's request: under its own id, or under a fresh one while another request in flight has that."""
        sent_as = self.fresh_id() if id_key(asked_as) in self._flights else asked_as
        return self._add(Flight(asked_as, sent_as, method, answer))

    def depart_ours(self, method: str, answer: asyncio.Future[bytes]) -> Flight:
        raw = self.fresh_id()
        return self._add(Flight(raw, raw, method, answer, ours=True))

    def arrive(self, raw_id: bytes) -> Flight | None:
        """The request that a response with this id answers, no longer in flight."""
        key = id_key(raw_id)
        flight = self._flights.pop(key, None)
        if flight is None and (rounded := self._rounded(key)) is not None:
            flight = self._flights.pop(rounded)
        return flight

    def clear(self) -> list[Flight]:
        """All that are still in flight, oldest first; none is afterwards."""
        flights = list(self._flights.values())
        self._flights.clear()
        return flights

    def _add(self, flight: Flight) -> Flight:
        self._flights[id_key(flight.sent_as)] = flight
        return flight

    def _rounded(self, key: bytes) -> bytes | None:
        """The one large number in flight that an agent's doubles made this of."""
        if key[:1] not in b"-0123456789" or abs(float(key)) < _EXACT:
            return None
        alike = [other for other in self._flights if other[:1] != b'"' and float(other) == float(key)]
        return alike[0] if len(alike) == 1 else None
