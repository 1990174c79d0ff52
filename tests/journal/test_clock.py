"""Clocks that jump (R15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.journal import Clock, Reset, Retention

if TYPE_CHECKING:
    from tests.journal.conftest import Place, Tools

DAY_MS = 86_400_000


class Jumping(Clock):
    """The wall clock can be set, and time can pass, by hand."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000_000
        self.passed = 5_000
        super().__init__()

    def now_ms(self) -> int:
        return self.wall

    def passed_ms(self) -> int:
        return self.passed

    def sleep(self, milliseconds: int) -> None:
        self.wall += milliseconds
        self.passed += milliseconds


def test_the_steady_clock_moves_with_time_alone() -> None:
    """It starts at the wall clock, follows time that passes, and ignores being set."""
    clock = Jumping()
    start = clock.steady_ms()
    assert start == clock.wall
    clock.wall += DAY_MS
    assert clock.steady_ms() == start
    clock.sleep(1000)
    assert clock.steady_ms() == start + 1000


def test_the_real_clock_is_near_the_wall() -> None:
    """Both clocks tell today's time."""
    clock = Clock()
    assert abs(clock.now_ms() - clock.steady_ms()) < 5000


async def test_a_day_ahead_removes_nothing_fresh(place: Place, tools: Tools) -> None:
    """R15: with an hour of retention, a jump of a day either way removes nothing; an hour that passes does."""
    clock = Jumping()
    journals = await place.start(clock=clock)
    journal = await journals.open("a", Retention(max_age_s=3600))
    for jump in (0, DAY_MS, -3 * DAY_MS):
        clock.wall += jump
        journal.append(b"%d" % jump)
        journals._age()
        await journals.records.durable()
    assert [payload for _, payload in await tools.read_all(journal)] == [b"0", b"%d" % DAY_MS, b"%d" % (-3 * DAY_MS)]
    clock.sleep(3_599_000)
    journal.append(b"new")
    journals._age()
    await journals.records.durable()
    assert journal.first == 1
    clock.sleep(2000)
    journals._age()
    await tools.eventually(lambda: journal.first == 4)
    assert await journal.read(0) == Reset(0, 4)
    assert await tools.read_all(journal, 3) == [(4, b"new")]


async def test_order_is_by_number_when_time_runs_back(place: Place, tools: Tools) -> None:
    """R15: stamps follow the wall clock, numbers do not, across a restart into the past as well."""
    clock = Jumping()
    journals = await place.start(clock=clock)
    journal = await journals.open("a", Retention(max_age_s=3600))
    journal.append(b"1")
    clock.wall -= DAY_MS
    journal.append(b"2")
    await journals.records.durable()
    if place.survives:
        await place.stop()
        clock = Jumping()
        clock.wall -= 2 * DAY_MS
        journals = await place.start(clock=clock)
        journal = await journals.open("a", Retention(max_age_s=3600))
    journal.append(b"3")
    await journals.records.durable()
    found = await journal.read(0)
    assert not isinstance(found, Reset)
    assert tools.flatten(found) == [(1, b"1"), (2, b"2"), (3, b"3")]
    stamps = [segment.created_ms for segment in found]
    assert stamps[1] == stamps[0] - DAY_MS
