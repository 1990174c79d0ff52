"""Small durable documents beside the journals, written in the same order through the same queue."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox_agent.journal.memory import select
from sandbox_agent.journal.store import Page, Put, Record, Remove

if TYPE_CHECKING:
    from sandbox_agent.journal.engine import Engine
    from sandbox_agent.journal.store import Operation


class _Put(Put):
    __slots__ = ("_records",)

    def __init__(self, records: Records, record: Record) -> None:
        super().__init__(record)
        self._records = records

    def committed(self) -> None:
        self._records.stored((self.record.kind, self.record.key), self)


class _Remove(Remove):
    __slots__ = ("_records",)

    def __init__(self, records: Records, kind: str, key: str) -> None:
        super().__init__(kind, key)
        self._records = records

    def committed(self) -> None:
        self._records.stored((self.kind, self.key), self)


class Records:
    """Documents by ``kind`` and ``key``; a reader sees its own writes at once, stored or not."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pending: dict[tuple[str, str], _Put | _Remove] = {}

    def put(self, kind: str, key: str, value: bytes, *, scope: str = "", ordinal: int = 0) -> None:
        """Sets the record; never blocks."""
        for text in (kind, key, scope):
            text.encode()  # a lone surrogate would only fail on the writer's thread
        self._submit((kind, key), _Put(self, Record(kind, key, scope, ordinal, value)))

    def delete(self, kind: str, key: str) -> None:
        """Removes the record, if there is one; never blocks."""
        for text in (kind, key):
            text.encode()
        self._submit((kind, key), _Remove(self, kind, key))

    def _submit(self, name: tuple[str, str], operation: _Put | _Remove) -> None:
        self._pending[name] = operation
        self._engine.submit(operation)

    def stored(self, name: tuple[str, str], operation: Operation) -> None:
        """The operation is on disk."""
        if self._pending.get(name) is operation:
            del self._pending[name]

    async def get(self, kind: str, key: str) -> bytes | None:
        """The value, or ``None``."""
        match self._pending.get((kind, key)):
            case _Put(record=record):
                return record.value
            case _Remove():
                return None
        found = await self._engine.call(self._engine.store.record, kind, key)
        return found.value if found else None

    async def list(
        self,
        kind: str,
        *,
        scope: str | None = None,
        after: tuple[int, str] | None = None,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Record]:
        """Records of a kind (of one scope, if given) in the order of (ordinal, key), beyond ``after`` in that order."""
        page = Page(kind, scope, after, limit, descending)
        pending = {name: operation for name, operation in self._pending.items() if name[0] == kind}
        if not pending:
            return await self._engine.call(self._engine.store.records, page)
        wider = page if limit is None else replace(page, limit=limit + len(pending))
        stored = await self._engine.call(self._engine.store.records, wider)
        written = [operation.record for operation in pending.values() if isinstance(operation, _Put)]
        return select([*(r for r in stored if (r.kind, r.key) not in pending), *written], page)

    async def durable(self) -> bool:
        """Waits until everything queued so far is on disk: true; false when it is not persisted."""
        return await self._engine.barrier()
