"""The transcript as readers follow it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.journal import Retention
from sandbox_agent.sessions import SessionOptions
from sandbox_agent.wire.transcript import Transcript, TurnItem

if TYPE_CHECKING:
    from sandbox_agent.wire.transcript import TranscriptItem

    from .conftest import World


class Reader:
    """Follows a transcript as a client does: a snapshot, then upserts by id."""

    def __init__(self, world: World, session_id: str, after: int = 0) -> None:
        self.items: dict[str, TranscriptItem] = {}
        self.header: Transcript | None = None
        self.snapshots = 0
        self.updates = 0
        self.cursor = after
        self.task = asyncio.ensure_future(self._read(world, session_id, after))

    async def _read(self, world: World, session_id: str, after: int) -> None:
        async for told in world.sessions.follow_transcript(session_id, after):
            if isinstance(told, Transcript):
                self.snapshots += 1
                self.items = {}
                self.cursor = told.sequence
            else:
                self.updates += 1
            self.header = (told if isinstance(told, Transcript) else told.header) or self.header
            self.items |= {item.id: item for item in told.items}
            self.cursor = told.sequence

    async def saw(self, world: World, prompt_id: str) -> None:
        async def ended() -> bool:
            turn = self.items.get(f"turn:{prompt_id}")
            return isinstance(turn, TurnItem) and turn.state != "running"

        await world.until(ended)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


def by_id(transcript: Transcript) -> dict[str, TranscriptItem]:
    return {item.id: item for item in transcript.items}


async def test_a_follower_ends_up_with_what_a_snapshot_shows(world: World) -> None:
    session = await world.create(permission_policy="allow_all")
    reader = Reader(world, session.id)
    for text in ("[[think hm]] [[plan a|b]] [[say hello]]", "[[bash echo hi]]", "[[burst count=3000 size=200]]"):
        info = await world.prompt(session.id, text)
    await reader.saw(world, info.id)
    final = await world.sessions.transcript(session.id)
    await world.until(lambda: _caught_up(reader, final))
    assert reader.items == by_id(final)
    assert reader.snapshots == 1
    assert reader.updates < 200, "three thousand chunks are told in a few updates"
    await reader.stop()


async def _caught_up(reader: Reader, final: Transcript) -> bool:
    return reader.items == by_id(final)


async def test_a_follower_that_comes_back_gets_what_changed_meanwhile(world: World) -> None:
    session = await world.create()
    first = await world.prompt(session.id, "[[say one]]")
    reader = Reader(world, session.id)
    await reader.saw(world, first.id)
    await reader.stop()
    known = dict(reader.items)
    await world.prompt(session.id, "[[say two]]")
    final = await world.sessions.transcript(session.id)
    again = Reader(world, session.id, after=reader.cursor)
    again.items = known
    await world.until(lambda: _caught_up(again, final))
    assert again.snapshots == 0
    await again.stop()


@pytest.mark.parametrize("after", [0, 10**9])
async def test_a_cursor_of_nowhere_gets_a_snapshot(world: World, after: int) -> None:
    session = await world.create()
    await world.prompt(session.id, "[[say one]]")
    async for told in world.sessions.follow_transcript(session.id, after):
        assert isinstance(told, Transcript)
        break


@pytest.mark.parametrize("end", ["delete", "stop"])
async def test_following_ends_with_the_session(world: World, end: str) -> None:
    session = await world.create()
    reader = Reader(world, session.id)
    await world.until(lambda: _began(reader))
    await (world.sessions.delete(session.id) if end == "delete" else world.stop())
    async with asyncio.timeout(60):
        await reader.task


async def _began(reader: Reader) -> bool:
    return reader.snapshots == 1


async def test_retention_removes_only_what_a_checkpoint_holds(stopped: World) -> None:
    await stopped.start(options=SessionOptions(retention=Retention(max_bytes=64 << 10)))
    session = await stopped.create()
    journal = await stopped.sessions.journal(session.id)
    await stopped.prompt(session.id, "[[burst count=2000 size=200]]")
    assert journal.first == 1, "nothing is folded yet, so nothing may go"
    await stopped.prompt(session.id, "[[burst count=6000 size=200]]")
    await stopped.prompt(session.id, "[[say after]]")
    before = await stopped.sessions.transcript(session.id)
    await stopped.until(lambda: _trimmed(journal))
    await stopped.restart(options=SessionOptions(retention=Retention(max_bytes=64 << 10)))
    after = await stopped.sessions.transcript(session.id)
    assert by_id(before).items() <= by_id(after).items()


async def _trimmed(journal: Any) -> bool:
    return bool(journal.first > 1)


async def test_a_turn_that_goes_on_and_on_is_saved_while_it_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox_agent.sessions.view.CHECKPOINT_BYTES", 10_000)
    session = await world.create()
    journal = await world.sessions.journal(session.id)
    await world.send(session.id, "[[burst count=4000 size=200]] [[sleep 60]]")
    await world.until(lambda: _retained(journal))
    assert world.sessions.busy


async def _retained(journal: Any) -> bool:
    return (journal.retain_after or 0) > 0


async def test_many_readers_share_one_fold(world: World) -> None:
    session = await world.create()
    readers = [Reader(world, session.id) for _ in range(20)]
    info = await world.prompt(session.id, "[[burst count=500 size=200]]")
    for reader in readers:
        await reader.saw(world, info.id)
    final = await world.sessions.transcript(session.id)
    for reader in readers:
        await world.until(lambda reader=reader: _caught_up(reader, final))
        await reader.stop()
    assert world.sessions._live[session.id].view.readers == 0
