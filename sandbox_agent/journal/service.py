"""The journals of one store: opening them by name, deleting them, and the store's health."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sandbox_agent.journal.engine import Engine
from sandbox_agent.journal.log import Journal
from sandbox_agent.journal.memory import MemoryStore
from sandbox_agent.journal.records import Records
from sandbox_agent.journal.sqlite import SqliteStore
from sandbox_agent.journal.store import Create, Drop, StoredJournal, Sweep
from sandbox_agent.problems import InvalidRequest, StoreUnavailable

if TYPE_CHECKING:
    from sandbox_agent.journal.clock import Clock
    from sandbox_agent.journal.engine import Limits
    from sandbox_agent.journal.segment import Retention, StoreHealth
    from sandbox_agent.journal.store import Store

#: How often ages are looked at, at most; a quarter of a shorter age.
AGE_TICK_S = 30.0


class _Create(Create):
    __slots__ = ("_new",)

    def __init__(self, journal: int, name: str, new: dict[str, Create]) -> None:
        super().__init__(journal, name)
        self._new = new

    def committed(self) -> None:
        if self._new.get(self.name) is self:
            del self._new[self.name]


class _Drop(Drop):
    __slots__ = ("_engine",)

    def __init__(self, journal: int, engine: Engine) -> None:
        super().__init__(journal)
        self._engine = engine

    def committed(self) -> None:
        _Sweep(self.journal, self._engine).go()


class _Sweep(Sweep):
    __slots__ = ("_engine",)

    def __init__(self, journal: int, engine: Engine) -> None:
        super().__init__(journal)
        self._engine = engine

    def go(self) -> None:
        if not self._engine.stopped:  # else it is taken up again at the next start
            self._engine.submit(self)

    def committed(self) -> None:
        if self.more:
            _Sweep(self.journal, self._engine).go()


class Journals:
    """The store service: journals by name, and records."""

    def __init__(self, store: Store, *, clock: Clock | None = None, limits: Limits | None = None) -> None:
        self._engine = Engine(store, clock=clock, limits=limits)
        self.records = Records(self._engine)
        self._journals: dict[str, Journal] = {}
        self._names: set[str] = set()  # of all there are: about 100 bytes each, and no look-up for a new one
        self._new: dict[str, Create] = {}  # those that the store does not know yet
        self._highest = 0
        self._changes = 0
        self._ticker: asyncio.TimerHandle | None = None
        self._tick_s = AGE_TICK_S

    @property
    def health(self) -> StoreHealth:
        """Whether what is appended reaches the disk."""
        return self._engine.health

    async def start(self) -> None:
        """Raises ``StoreUnavailable`` when the store cannot be opened, in use by another server for one."""
        opened = await self._engine.start()
        self._highest = opened.highest
        self._names.update(opened.names)
        for journal in opened.dropped:
            _Sweep(journal, self._engine).go()

    async def stop(self) -> None:
        """Closes every journal, writes what is queued, closes the store."""
        if self._ticker is not None:
            self._ticker.cancel()
        for journal in list(self._journals.values()):
            journal.close()
        await self._engine.stop()

    async def open(self, name: str, retention: Retention | None = None) -> Journal:
        """The journal, made when there is none; the same object as long as it is open. Numbers go on.

        ``retention`` takes effect from now on; without it nothing changes (all is kept, at first).
        """
        journal, found = await self._look(name)
        if journal is None:
            journal = Journal(name, self._engine, found or self._create(name), self._forget)
            self._journals[name] = journal
        journal.reopen()
        if retention is not None:
            journal.retention = retention
            if retention.max_age_s is not None:
                self._tick(retention.max_age_s / 4)
        return journal

    async def exists(self, name: str) -> bool:
        """Whether there is such a journal, open or stored."""
        return await self._look(name) != (None, None)

    async def delete(self, name: str) -> None:
        """Ends the journal and removes all of it; returns once that is on disk. Nothing happens if there is none."""
        journal, found = await self._look(name)
        if journal is not None:
            number = journal.number
            journal.discard()
        elif found is not None:
            number = found.journal
        else:
            return
        self._changes += 1
        self._names.discard(name)
        self._new.pop(name, None)
        self._engine.submit(_Drop(number, self._engine))
        await self._engine.barrier()

    async def _look(self, name: str) -> tuple[Journal | None, StoredJournal | None]:
        """The journal as it is in memory (open, or closed and not all stored yet), else as it is in the store."""
        while True:
            if journal := self._journals.get(name):
                return journal, None
            if name not in self._names:
                return None, None
            if new := self._new.get(name):
                return None, StoredJournal(new.journal)
            changes = self._changes
            found = await self._engine.call(self._engine.store.find, name)
            if changes == self._changes and name not in self._journals:
                return None, found
            # Opened, written to, closed or deleted meanwhile: what was found may be out of date.

    def _create(self, name: str) -> StoredJournal:
        self._highest += 1
        self._names.add(name)
        self._new[name] = create = _Create(self._highest, name, self._new)
        self._engine.submit(create)
        return StoredJournal(self._highest)

    def _forget(self, journal: Journal) -> None:
        if self._journals.get(journal.name) is journal:
            self._changes += 1
            del self._journals[journal.name]
        if not journal.followed:
            journal.evict(0)
            self._engine.cached(journal)

    def _tick(self, within_s: float) -> None:
        if self._ticker is not None and within_s >= self._tick_s:
            return
        if self._ticker is not None:
            self._ticker.cancel()
        self._tick_s = min(AGE_TICK_S, max(0.05, within_s))
        self._ticker = asyncio.get_running_loop().call_later(self._tick_s, self._age)

    def _age(self) -> None:
        self._ticker = None
        journals = [journal for journal in self._journals.values() if journal.retention.max_age_s is not None]
        for journal in journals:
            journal.age()
        if journals:
            self._tick(min(journal.retention.max_age_s or AGE_TICK_S for journal in journals) / 4)


def open_journals(where: str | Path, *, clock: Clock | None = None, limits: Limits | None = None) -> Journals:
    """Journals on ``memory:``, ``sqlite:///path`` (or a path), or ``postgresql://...``; not started yet."""
    return Journals(_store(where), clock=clock, limits=limits)


def _store(where: str | Path) -> Store:
    if isinstance(where, Path):
        return SqliteStore(where)
    if where == "memory:":
        return MemoryStore()
    url = urlsplit(where)
    if url.scheme == "sqlite" and not url.netloc:
        return SqliteStore(Path(unquote(url.path)))
    if url.scheme in {"postgres", "postgresql"}:
        return _postgres(where)
    if not url.scheme:
        return SqliteStore(Path(where))
    raise InvalidRequest(
        f"no store is known for {url.scheme}:", hint="use memory:, sqlite:///path/to/file or postgresql://..."
    )


def _postgres(url: str) -> Store:
    try:
        from sandbox_agent.journal.postgres import PostgresStore  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise StoreUnavailable(
            f"PostgreSQL cannot be used: {error}", hint='pip install "sandbox-agent-jupyter[postgres]"'
        ) from error
    return PostgresStore(url)
