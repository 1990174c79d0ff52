"""Random histories of one journal, held against a list."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox_agent.journal import Limits, Reset, Retention, open_journals

if TYPE_CHECKING:
    from sandbox_agent.journal import Journal, Journals
    from tests.journal.conftest import Tools

payload = st.binary(max_size=40)
step = st.one_of(
    st.tuples(st.just("append"), payload),
    st.tuples(st.just("extend"), st.lists(payload, max_size=6)),
    st.tuples(st.just("read"), st.floats(0, 1), st.integers(1, 200)),
    st.tuples(st.just("cut"), st.integers(0, 200)),
    st.tuples(st.just("spare"), st.none() | st.floats(0, 1)),
    st.tuples(st.sampled_from(["durable", "reopen", "restart", "delete", "pause"])),
)
history = st.lists(step, max_size=40)
names = itertools.count()


class Model:
    """A journal, and the list it should equal."""

    def __init__(self, where: str | Path, tools: Tools, window: int) -> None:
        self.where = where
        self.tools = tools
        self.limits = Limits(window_bytes=window, cache_bytes=window * 2, batch_operations=5)
        self.entries: list[bytes] = []
        self.first = 1
        self.name = f"model/{next(names)}"
        self.journals: Journals
        self.journal: Journal

    async def start(self) -> None:
        self.journals = open_journals(self.where, limits=self.limits)
        await self.journals.start()
        self.journal = await self.journals.open(self.name)

    async def run(self, steps: list[tuple[Any, ...]]) -> None:
        await self.start()
        for verb, *values in steps:
            await getattr(self, verb)(*values)
            assert self.journal.head == len(self.entries)
            assert self.first <= self.journal.first <= self.journal.head + 1
        await self.check()
        await self.journals.stop()

    async def append(self, value: bytes) -> None:
        assert self.journal.append(value) == len(self.entries) + 1
        self.entries.append(value)

    async def extend(self, values: list[bytes]) -> None:
        assert self.journal.extend(list(values)) == len(self.entries) + len(values)
        self.entries += values

    async def read(self, where: float, size: int) -> None:
        after = int(where * len(self.entries))
        first = self.journal.first
        found = await self.journal.read(after, max_bytes=size)
        if isinstance(found, Reset):
            assert found.after == after
            assert after + 1 < found.first
            assert found.first >= first
            return
        got = self.tools.flatten(found)
        assert got == list(enumerate(self.entries[after : after + len(got)], after + 1))

    async def check(self) -> None:
        await self.journals.records.durable()
        first = self.journal.first
        got = await self.tools.read_all(self.journal, first - 1)
        assert got == list(enumerate(self.entries[first - 1 :], first))

    async def cut(self, size: int) -> None:
        """Retention by bytes: afterwards what is left is within it, or may not go."""
        self.journal.retention = Retention(max_bytes=size)
        await self.journals.records.durable()
        await self.journals.records.durable()
        self.first = self.journal.first
        self.journal.retention = Retention()

    async def spare(self, where: float | None) -> None:
        self.journal.retain_after = None if where is None else int(where * len(self.entries))

    async def durable(self) -> None:
        assert await self.journal.durable() is self.journals.health.persisted
        assert self.journal.visible == self.journal.head

    async def pause(self) -> None:
        await asyncio.sleep(0)

    async def reopen(self) -> None:
        self.journal.close()
        self.journal = await self.journals.open(self.name)

    async def restart(self) -> None:
        if self.where == "memory:":
            return
        await self.journals.stop()
        await self.start()
        assert self.journal.visible == len(self.entries)

    async def delete(self) -> None:
        await self.journals.delete(self.name)
        self.entries = []
        self.first = 1
        self.journal = await self.journals.open(self.name)


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
def test_any_history_equals_a_list(kind: str, tools: Tools, request: pytest.FixtureRequest, scale: float) -> None:
    """Appends, reads, cuts, restarts and deletions in any order: the journal is the list, without its head."""
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else None
    examples = int({"memory": 150, "sqlite": 80, "postgres": 25}[kind] * scale)

    @settings(max_examples=max(1, examples), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(history, st.sampled_from([1, 100, 1 << 20]))
    def run(steps: list[tuple[Any, ...]], window: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            where = url or ("memory:" if kind == "memory" else Path(folder, "store.db"))
            asyncio.run(Model(where, tools, window).run(steps))

    run()
