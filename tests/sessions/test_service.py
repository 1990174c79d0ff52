"""Sessions end to end: the mock agent as a process, journals in SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import World


async def test_a_prompt_is_answered_and_told_in_the_transcript(world: World) -> None:
    session = await world.create()
    info = await world.prompt(session.id, "hello [[say world]]")
    assert (info.state, info.stop_reason) == ("completed", "end_turn")
    assert await world.texts(session.id) == [("user", "hello [[say world]]"), ("agent", "world")]
