"""A store that keeps nothing: journals and records live as long as the process."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

from sandbox_agent.journal.store import (
    Create,
    Drop,
    Opened,
    Put,
    Remove,
    Store,
    StoredJournal,
    StoredRow,
    Trim,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandbox_agent.journal.segment import Segment
    from sandbox_agent.journal.store import (
        Jotted,
        Operation,
        Page,
        Record,
    )


@dataclass(slots=True)
class _Kept:
    name: str
    first: int = 1
    head: int = 0
    size: int = 0
    segments: list[Segment] = field(default_factory=list)
    steady: list[int] = field(default_factory=list)


def select(records: Iterable[Record], page: Page) -> list[Record]:
    """The records of ``page``, in its order."""
    found = [r for r in records if r.kind == page.kind and page.scope in {None, r.scope}]
    found.sort(key=attrgetter("ordinal", "key"), reverse=page.descending)
    if page.after is not None:
        start = page.after
        found = [r for r in found if ((r.ordinal, r.key) < start if page.descending else (r.ordinal, r.key) > start)]
    return found[: page.limit]


class MemoryStore(Store):
    """Carried out at once, on the loop; nothing survives the process."""

    threaded = False
    persistent = False

    def __init__(self) -> None:
        self._journals: dict[int, _Kept] = {}
        self._names: dict[str, int] = {}
        self._records: dict[tuple[str, str], Record] = {}

    def open(self) -> Opened:
        return Opened(highest=0, names=[], dropped=[])

    def commit(self, batch: Sequence[Operation]) -> None:
        for operation in batch:
            match operation:
                case Write(journal=journal, segment=segment):
                    kept = self._journals[journal]
                    kept.segments.append(segment)
                    kept.steady.append(operation.steady_ms)
                    kept.head = segment.last
                    kept.size += segment.size
                case Create(journal=journal, name=name):
                    self._journals[journal] = _Kept(name)
                    self._names[name] = journal
                case Trim():
                    self._trim(operation)
                case Drop(journal=journal):
                    self._names.pop(self._journals.pop(journal).name, None)
                case Put(record=record):
                    self._records[record.kind, record.key] = record
                case Remove(kind=kind, key=key):
                    self._records.pop((kind, key), None)
                case _:
                    pass

    def jot(self, operation: Jotted) -> bool:  # noqa: ARG002  everything is carried out at once
        return False

    def clear_jots(self) -> None:
        """There are none."""

    def _trim(self, trim: Trim) -> None:
        kept = self._journals.get(trim.journal)
        if kept is None:
            return
        pairs = zip(kept.segments, kept.steady, strict=True)
        rows = [StoredRow(segment.last, segment.size, steady) for segment, steady in pairs]
        if count := trim.takes(rows, len(rows) + 1):
            kept.first = rows[count - 1].last + 1
            kept.size -= trim.removed
            del kept.segments[:count], kept.steady[:count]

    def tidy(self, *, idle: bool) -> bool:  # noqa: ARG002  there is nothing to do at any time
        return False

    def close(self) -> None:
        """Nothing is open."""

    def find(self, name: str) -> StoredJournal | None:
        journal = self._names.get(name)
        if journal is None:
            return None
        kept = self._journals[journal]
        return StoredJournal(journal, kept.first, kept.head, kept.size, kept.size)

    def read(self, journal: int, after: int, max_bytes: int) -> list[Segment]:
        kept = self._journals.get(journal)
        if kept is None:
            return []
        start = bisect_left(kept.segments, after + 1, key=attrgetter("last"))
        size = 0
        for stop in range(start, len(kept.segments)):
            size += kept.segments[stop].size
            if size >= max_bytes:
                return kept.segments[start : stop + 1]
        return kept.segments[start:]

    def record(self, kind: str, key: str) -> Record | None:
        return self._records.get((kind, key))

    def records(self, page: Page) -> list[Record]:
        return select(self._records.values(), page)
