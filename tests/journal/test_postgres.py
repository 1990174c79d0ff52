"""What is particular to the PostgreSQL store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from sandbox_agent.journal import Limits, open_journals
from sandbox_agent.problems import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.journal.conftest import Tools


@pytest.fixture
def admin(postgres_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection beside the store's own."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def hang_up(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    """The database breaks every connection of the server."""
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sandbox-agent'")


async def test_broken_connections_are_made_anew(
    postgres_url: str, admin: psycopg.Connection[tuple[object, ...]], tools: Tools
) -> None:
    """The database restarts amid writes: what could not be written is written later, once, and reads go on."""
    place = tools.Place(postgres_url)
    journals = await place.start(limits=Limits(retry_s=0.02, window_bytes=1, cache_bytes=1))
    journal = await journals.open("a")
    for turn in range(5):
        for n in range(100):
            journal.append(b"%d" % (turn * 100 + n + 1))
        await journals.records.durable()
        await tools.read_all(journal)
        hang_up(admin)
    journal.append(b"501")
    await tools.eventually(lambda: journal.visible == 501)
    await tools.eventually(lambda: journals.health.persisted)
    assert await journal.durable()
    expected = [(n, b"%d" % n) for n in range(1, 502)]
    assert await tools.read_all(journal) == expected
    journals = await place.restart()
    assert await tools.read_all(await journals.open("a")) == expected
    await place.stop()


async def test_a_server_that_was_replaced_writes_no_more(
    postgres_url: str, admin: psycopg.Connection[tuple[object, ...]], tools: Tools
) -> None:
    """One that lost its connection, and its place to another server, says so and leaves the other's numbers alone."""
    old, new = tools.Place(postgres_url), tools.Place(postgres_url)
    replaced = await old.start(limits=Limits(retry_s=0.02))
    stale = await replaced.open("a")
    stale.append(b"1")
    assert await stale.durable()
    hang_up(admin)
    journals = await new.start()
    journal = await journals.open("a")
    assert journal.append(b"2 of the new") == 2
    assert await journal.durable()
    stale.append(b"2 of the old")
    assert not await stale.durable()
    await tools.eventually(lambda: "in use by another server" in (replaced.health.problem or ""))
    await new.stop()
    await tools.eventually(lambda: "took over" in (replaced.health.problem or ""))
    await old.stop()
    journals = await new.start()
    assert await tools.read_all(await journals.open("a")) == [(1, b"1"), (2, b"2 of the new")]
    await new.stop()


async def test_a_database_that_is_away_is_told() -> None:
    """Starting without the database gives the reason and a hint."""
    with pytest.raises(StoreUnavailable) as caught:
        await open_journals("postgresql://nobody@/none?host=/nowhere").start()
    assert caught.value.hint


async def test_a_newer_schema_is_left_alone(
    postgres_url: str, admin: psycopg.Connection[tuple[object, ...]], tools: Tools
) -> None:
    """A store of a later version is refused with the way out."""
    place = tools.Place(postgres_url)
    await place.start()
    await place.stop()
    admin.execute("UPDATE sandbox_agent.meta SET version = 99")
    with pytest.raises(StoreUnavailable, match="newer version"):
        await place.start()
