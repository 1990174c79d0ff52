"""Requests in flight and their ids."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.acp.flights import Flights

if TYPE_CHECKING:
    import random

    from sandbox_agent.acp.flights import Flight


def depart(flights: Flights, raw_id: bytes) -> Flight:
    loop = asyncio.new_event_loop()
    try:
        return flights.depart(raw_id, "m", loop.create_future())
    finally:
        loop.close()


def test_an_id_passes_untouched() -> None:
    flights = Flights()
    flight = depart(flights, b"12345678901234567890123")
    assert flight.sent_as == b"12345678901234567890123"
    assert not flight.renamed
    assert flights.arrive(b"12345678901234567890123") is flight
    assert len(flights) == 0


def test_an_id_in_use_is_replaced_on_the_way_to_the_agent() -> None:
    """R26: two clients both call their request 1."""
    flights = Flights()
    first, second = depart(flights, b"1"), depart(flights, b"1.0")
    assert second.renamed
    assert flights.arrive(second.sent_as) is second
    assert second.asked_as == b"1.0"
    assert flights.arrive(b"1") is first
    assert not depart(flights, b"1").renamed


def test_a_fresh_id_is_never_one_in_flight() -> None:
    flights = Flights()
    theirs = depart(flights, b'"sa-1"')
    assert flights.fresh_id() == b'"sa-2"'
    assert flights.arrive(b'"sa-1"') is theirs


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (b"12345678901234567890123", b"1.2345678901234568e+22"),
        (b"9007199254740993", b"9007199254740992"),
        (b"123456789012345678901234567890", b"123456789012345680000000000000"),
    ],
)
def test_an_agent_that_rounds_large_numbers_still_answers_its_asker(asked: bytes, answered: bytes) -> None:
    """JavaScript keeps numbers as doubles; the asker must get its own digits back."""
    flights = Flights()
    flight = depart(flights, asked)
    assert flights.arrive(answered) is flight


def test_rounding_never_guesses_between_two() -> None:
    flights = Flights()
    depart(flights, b"12345678901234567890123")
    depart(flights, b"12345678901234567890124")
    assert flights.arrive(b"1.2345678901234568e+22") is None


@given(st.lists(st.sampled_from([b"0", b"1", b"1.0", b'"1"', b'"a"', b'"sa-1"', b'"sa-2"']), max_size=30), st.randoms())
def test_every_answer_finds_its_own_request(wanted: list[bytes], order: random.Random) -> None:
    """However many share an id, and in whatever order the agent answers."""
    flights = Flights()
    out = [depart(flights, raw_id) for raw_id in wanted]
    assert [flight.asked_as for flight in out] == wanted
    assert len({flight.sent_as for flight in out}) == len(out)
    order.shuffle(out)
    assert all(flights.arrive(flight.sent_as) is flight for flight in out)
    assert flights.clear() == []
