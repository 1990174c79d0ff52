"""The store in a PostgreSQL database, for hosts whose disks do not last; needs the ``postgres`` extra.

The tables live in the schema ``sandbox_agent``. One server uses them at a time: its writing connection holds an
advisory lock, and an epoch tells it, when that connection broke, whether another server took over meanwhile.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg

from sandbox_agent.journal.store import (
    Create,
    Drop,
    Opened,
    Put,
    Record,
    Remove,
    Store,
    StoredJournal,
    StoredRow,
    StoreFault,
    Sweep,
    Trim,
    Write,
    pack_lengths,
    unpack,
)
from sandbox_agent.problems import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox_agent.journal.segment import Segment
    from sandbox_agent.journal.store import (
        Jotted,
        Operation,
        Page,
    )

VERSION = 1
#: The advisory lock's key, ours by its spelling: "sagent" in ASCII.
LOCK = 0x736167656E74
#: A server killed a moment ago may hold the lock until the database has noticed.
LOCK_PATIENCE_S = 2.0
#: Segments that one Trim or Sweep removes, or one read looks at.
PORTION = 256

SCHEMA = """
CREATE SCHEMA sandbox_agent;
CREATE TABLE sandbox_agent.meta (version integer NOT NULL, epoch bigint NOT NULL);
INSERT INTO sandbox_agent.meta VALUES (1, 0);
CREATE TABLE sandbox_agent.journal (id bigint PRIMARY KEY, name text COLLATE "C" UNIQUE,
  first bigint NOT NULL, head bigint NOT NULL);
CREATE TABLE sandbox_agent.segment (journal bigint, first bigint, last bigint NOT NULL, created_ms bigint NOT NULL,
  steady_ms bigint NOT NULL, total bigint NOT NULL, sender smallint NOT NULL, lengths bytea NOT NULL,
  data bytea NOT NULL, PRIMARY KEY (journal, first));
ALTER TABLE sandbox_agent.segment ALTER data SET STORAGE EXTERNAL;
CREATE TABLE sandbox_agent.record (kind text COLLATE "C", key text COLLATE "C", scope text COLLATE "C" NOT NULL,
  ordinal bigint NOT NULL, value bytea NOT NULL, PRIMARY KEY (kind, key));
CREATE INDEX record_order ON sandbox_agent.record (kind, ordinal, key);
CREATE INDEX record_scope ON sandbox_agent.record (kind, scope, ordinal, key);
"""

# A batch whose outcome a broken connection left unknown is carried out again: each statement may find its work done.
INSERT = """INSERT INTO sandbox_agent.segment VALUES (%b, %b, %b, %b, %b, %b, %b, %b, %b)
ON CONFLICT (journal, first) DO NOTHING"""
CREATE = "INSERT INTO sandbox_agent.journal VALUES (%b, %b, 1, 0) ON CONFLICT (id) DO NOTHING"
PUT = """INSERT INTO sandbox_agent.record (kind, key, scope, ordinal, value) VALUES (%b, %b, %b, %b, %b)
ON CONFLICT (kind, key) DO UPDATE SET scope = excluded.scope, ordinal = excluded.ordinal, value = excluded.value"""
REMOVE = "DELETE FROM sandbox_agent.record WHERE kind = %b AND key = %b"
DROP = "UPDATE sandbox_agent.journal SET name = NULL WHERE id = %b"
OLDEST = """SELECT last, octet_length(data), steady_ms FROM sandbox_agent.segment WHERE journal = %b
ORDER BY first LIMIT %b"""
TRIM = "DELETE FROM sandbox_agent.segment WHERE journal = %b AND first <= %b"
RAISE = "UPDATE sandbox_agent.journal SET first = %b, head = greatest(head, %b) WHERE id = %b"
SWEEP = """DELETE FROM sandbox_agent.segment WHERE journal = %b AND first IN (
  SELECT first FROM sandbox_agent.segment WHERE journal = %b ORDER BY first LIMIT %b)"""
SWEPT = "DELETE FROM sandbox_agent.journal WHERE id = %b"

FIND = """SELECT id, j.first, j.head, oldest.total - octet_length(oldest.data), newest.total, newest.last
FROM sandbox_agent.journal j
LEFT JOIN LATERAL (
  SELECT total, data FROM sandbox_agent.segment WHERE journal = id ORDER BY first LIMIT 1) oldest ON true
LEFT JOIN LATERAL (
  SELECT total, last FROM sandbox_agent.segment WHERE journal = id ORDER BY first DESC LIMIT 1) newest ON true
WHERE name = %b"""
#: The row that holds number ``after + 1`` may begin before it.
SIZES = """SELECT first, octet_length(data) FROM sandbox_agent.segment
WHERE journal = %(journal)b AND first >= coalesce((
  SELECT max(first) FROM sandbox_agent.segment WHERE journal = %(journal)b AND first <= %(wanted)b), 0)
ORDER BY first LIMIT %(limit)b"""
READ = """SELECT first, created_ms, sender, lengths, data FROM sandbox_agent.segment
WHERE journal = %b AND first BETWEEN %b AND %b ORDER BY first"""
RECORDS = "SELECT kind, key, scope, ordinal, value FROM sandbox_agent.record WHERE kind = %b"

Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresStore(Store):
    """Journals and records in the database at ``url``."""

    threaded = True
    persistent = True

    def __init__(self, url: str) -> None:
        self._url = url
        self._writer: Connection | None = None
        self._epoch: int | None = None
        self._local = threading.local()
        self._readers: list[Connection] = []

    def open(self) -> Opened:
        try:
            writer = self._lock(time.monotonic() + LOCK_PATIENCE_S)
            self._migrate(writer)
            epoch = writer.execute("UPDATE sandbox_agent.meta SET epoch = epoch + 1 RETURNING epoch").fetchone()
            highest = writer.execute("SELECT coalesce(max(id), 0) FROM sandbox_agent.journal").fetchone()
            names = writer.execute("SELECT name FROM sandbox_agent.journal WHERE name IS NOT NULL").fetchall()
            dropped = writer.execute("SELECT id FROM sandbox_agent.journal WHERE name IS NULL").fetchall()
        except psycopg.Error as error:
            self.close()
            raise StoreUnavailable(
                f"the PostgreSQL store cannot be opened: {str(error).strip()}",
                hint="check the address, that the server is up, and that the user may create a schema",
            ) from error
        self._writer = writer
        self._epoch = epoch[0] if epoch else 0
        return Opened(highest[0] if highest else 0, [row[0] for row in names], [row[0] for row in dropped])

    def _connect(self) -> Connection:
        return psycopg.connect(self._url, autocommit=True, connect_timeout=10, application_name="sandbox-agent")

    def _lock(self, until: float) -> Connection:
        writer = self._connect()
        while not (row := writer.execute("SELECT pg_try_advisory_lock(%b)", (LOCK,)).fetchone()) or not row[0]:
            if time.monotonic() > until:
                writer.close()
                raise StoreUnavailable(
                    "the PostgreSQL store is in use by another server",
                    hint="stop that server, or give this one a database of its own",
                )
            time.sleep(0.05)
        return writer

    def _migrate(self, writer: Connection) -> None:
        found = writer.execute("SELECT to_regclass('sandbox_agent.meta')").fetchone()
        if not found or found[0] is None:
            with writer.transaction():
                writer.execute(SCHEMA)
        row = writer.execute("SELECT version FROM sandbox_agent.meta").fetchone()
        if row and row[0] > VERSION:
            writer.close()
            raise StoreUnavailable(
                f"the PostgreSQL store was made by a newer version (its schema is {row[0]}, ours {VERSION})",
                hint="upgrade sandbox-agent-jupyter, or choose another database",
            )

    def _writing(self) -> Connection:
        if self._writer is None or self._writer.closed:
            try:
                writer = self._lock(until=0)
            except StoreUnavailable as problem:
                raise StoreFault(problem.detail, hint=problem.hint) from problem
            row = writer.execute("SELECT epoch FROM sandbox_agent.meta").fetchone()
            if row is None or row[0] != self._epoch:
                writer.close()
                raise StoreFault("another server took over the PostgreSQL store", hint="restart this server")
            self._writer = writer
        return self._writer

    def commit(self, batch: Sequence[Operation]) -> None:
        try:
            try:
                self._transact(self._writing(), batch)
            except psycopg.OperationalError:
                # A connection that broke in its sleep is no reason to call the store away.
                self._transact(self._writing(), batch)
        except psycopg.Error as error:
            problem = f"events cannot be written to PostgreSQL: {str(error).strip()}"
            raise StoreFault(problem, hint="check that the PostgreSQL server is up and has space") from error

    def _transact(self, writer: Connection, batch: Sequence[Operation]) -> None:
        with writer.pipeline(), writer.transaction(), writer.cursor() as cursor:
            self._carry_out(cursor, batch)

    def _carry_out(self, cursor: psycopg.Cursor[tuple[Any, ...]], batch: Sequence[Operation]) -> None:
        rows: list[tuple[Any, ...]] = []
        for operation in batch:
            if isinstance(operation, Write):
                rows.append(_row(operation))
                continue
            _insert(cursor, rows)
            match operation:
                case Create(journal=journal, name=name):
                    cursor.execute(CREATE, (journal, name))
                case Put(record=record):
                    cursor.execute(PUT, (record.kind, record.key, record.scope, record.ordinal, record.value))
                case Remove(kind=kind, key=key):
                    cursor.execute(REMOVE, (kind, key))
                case Drop(journal=journal):
                    cursor.execute(DROP, (journal,))
                case Trim():
                    _trim(cursor, operation)
                case Sweep():
                    _sweep(cursor, operation)
                case _:
                    pass
        _insert(cursor, rows)

    def jot(self, operation: Jotted) -> bool:  # noqa: ARG002  the database alone keeps what is shown
        return False

    def clear_jots(self) -> None:
        """There are none."""

    def tidy(self, *, idle: bool) -> bool:  # noqa: ARG002  the database keeps house by itself
        return False

    def close(self) -> None:
        for connection in (self._writer, *self._readers):
            if connection is not None:
                connection.close()
        self._writer = None
        self._readers.clear()

    def _reader(self) -> Connection:
        reader: Connection | None = getattr(self._local, "connection", None)
        if reader is None or reader.closed:
            if reader is not None:
                self._readers.remove(reader)
            reader = self._local.connection = self._connect()
            self._readers.append(reader)
        return reader

    def _query(self, sql: str, values: Any) -> list[tuple[Any, ...]]:
        """All rows. A connection that broke since it was last used is made anew, once."""
        with contextlib.suppress(psycopg.OperationalError):
            return self._reader().execute(sql.encode(), values, binary=True).fetchall()
        try:
            return self._reader().execute(sql.encode(), values, binary=True).fetchall()
        except psycopg.Error as error:
            problem = f"the PostgreSQL store cannot be read: {str(error).strip()}"
            raise StoreFault(problem, hint="check that the PostgreSQL server is up") from error

    def find(self, name: str) -> StoredJournal | None:
        for journal, first, head, start, total, last in self._query(FIND, (name,)):
            if last is None:
                return StoredJournal(journal, first, head)
            return StoredJournal(journal, first, max(head, last), total, total - start)
        return None

    def read(self, journal: int, after: int, max_bytes: int) -> list[Segment]:
        sizes = self._query(SIZES, {"journal": journal, "wanted": after + 1, "limit": PORTION})
        total = until = 0
        for first, size in sizes:
            until = first
            total += size
            if total >= max_bytes:
                break
        if not sizes:
            return []
        rows = self._query(READ, (journal, sizes[0][0], until))
        return [segment for segment in (unpack(*row) for row in rows) if segment.last > after]

    def record(self, kind: str, key: str) -> Record | None:
        rows = self._query(f"{RECORDS} AND key = %b", (kind, key))
        return Record(*rows[0]) if rows else None

    def records(self, page: Page) -> list[Record]:
        sql = RECORDS
        values: list[Any] = [page.kind]
        if page.scope is not None:
            sql += " AND scope = %b"
            values.append(page.scope)
        if page.after is not None:
            sql += f" AND (ordinal, key) {'<' if page.descending else '>'} (%b, %b)"
            values += page.after
        direction = "DESC" if page.descending else "ASC"
        sql += f" ORDER BY ordinal {direction}, key {direction}"
        if page.limit is not None:
            sql += " LIMIT %b"
            values.append(page.limit)
        return [Record(*row) for row in self._query(sql, values)]


def _row(write: Write) -> tuple[Any, ...]:
    segment = write.segment
    payloads = segment.payloads
    data = payloads[0] if len(payloads) == 1 else b"".join(payloads)
    stamps = segment.created_ms, write.steady_ms, write.total
    return write.journal, segment.first, segment.last, *stamps, int(segment.sender), pack_lengths(payloads), data


def _insert(cursor: psycopg.Cursor[tuple[Any, ...]], rows: list[tuple[Any, ...]]) -> None:
    if rows:
        cursor.executemany(INSERT, rows)
        rows.clear()


def _trim(cursor: psycopg.Cursor[tuple[Any, ...]], trim: Trim) -> None:
    found = cursor.execute(OLDEST, (trim.journal, PORTION)).fetchall()
    rows = [StoredRow(*row) for row in found]
    if count := trim.takes(rows, PORTION):
        last = rows[count - 1].last
        cursor.execute(TRIM, (trim.journal, last))
        cursor.execute(RAISE, (last + 1, last, trim.journal))


def _sweep(cursor: psycopg.Cursor[tuple[Any, ...]], sweep: Sweep) -> None:
    removed = cursor.execute(SWEEP, (sweep.journal, sweep.journal, PORTION)).rowcount
    sweep.more = removed == PORTION
    if not sweep.more:
        cursor.execute(SWEPT, (sweep.journal,))
