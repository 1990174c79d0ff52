"""The default store: one SQLite file in WAL mode.

One connection writes, on the writer's thread, which also checkpoints; readers have a connection a thread. With
``synchronous=NORMAL`` a commit survives the death of the process (``kill -9``); a power cut may take the last commits,
never the consistency of the file (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from sandbox_agent.journal import bulk
from sandbox_agent.journal.jots import Jots, pack
from sandbox_agent.journal.store import (
    OVERHEAD,
    Create,
    Drop,
    Opened,
    Put,
    Record,
    Remove,
    Row,
    Settled,
    Store,
    StoredJournal,
    StoredRow,
    StoreFault,
    Sweep,
    Trim,
    Write,
    pack_lengths,
    unpack,
    unpack_lengths,
)
from sandbox_agent.problems import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sandbox_agent.journal.segment import Segment
    from sandbox_agent.journal.store import (
        Jotted,
        Operation,
        Page,
    )

logger = logging.getLogger(__name__)

VERSION = 1
#: A segment's row id holds its journal and its first number, so that one B-tree serves both, in order.
SHIFT = 40
#: A server that is restarted finds the lock of the one before for as long as that takes to end.
LOCK_PATIENCE_S = 1.0
#: Rows in one INSERT. Up to so many a batch is one statement, its own transaction: one trip out of the interpreter.
ROWS = 32
#: Segments that one Trim or Sweep removes, so that writes never wait long for them.
PORTION = 256
#: Bytes of write-ahead log after which it is copied into the file, and those an idle moment is enough for.
CHECKPOINT_BYTES = 16 << 20
IDLE_CHECKPOINT_BYTES = 64 << 10
#: Free pages given back to the file system in one idle moment.
VACUUM_PAGES = 1024
#: What is larger is kept by the writer's thread: it would hold the loop up.
JOT_BYTES = 2 << 20
#: Beyond any number of an entry.
NEVER = 1 << SHIFT
#: What a transaction adds to the log beside its data: at least a page or two.
TRANSACTION_BYTES = 8 << 10

SCHEMA = """
CREATE TABLE journal (id INTEGER PRIMARY KEY, name TEXT UNIQUE, first INTEGER NOT NULL, head INTEGER NOT NULL) STRICT;
CREATE TABLE segment (id INTEGER PRIMARY KEY, created_ms INTEGER NOT NULL, steady_ms INTEGER NOT NULL,
  total INTEGER NOT NULL, sender INTEGER NOT NULL, lengths BLOB NOT NULL, data BLOB NOT NULL) STRICT;
CREATE TABLE record (kind TEXT NOT NULL, key TEXT NOT NULL, scope TEXT NOT NULL, ordinal INTEGER NOT NULL,
  value BLOB NOT NULL, PRIMARY KEY (kind, key)) STRICT;
CREATE INDEX record_order ON record (kind, ordinal, key);
CREATE INDEX record_scope ON record (kind, scope, ordinal, key);
"""

#: The row that holds number ``after + 1`` may begin before it.
READ = """SELECT id, created_ms, sender, lengths, data FROM segment
WHERE id >= coalesce((SELECT max(id) FROM segment WHERE id BETWEEN :low AND :wanted), :low) AND id < :high
ORDER BY id"""
FIND = """SELECT journal.id, first, head, oldest.total, oldest.lengths, newest.total, newest.id,
  length(newest.lengths) / 4
FROM journal
LEFT JOIN segment oldest ON oldest.id = (
  SELECT min(id) FROM segment WHERE id BETWEEN journal.id << 40 AND ((journal.id + 1) << 40) - 1)
LEFT JOIN segment newest ON newest.id = (
  SELECT max(id) FROM segment WHERE id BETWEEN journal.id << 40 AND ((journal.id + 1) << 40) - 1)
WHERE name = ?"""
OLDEST = """SELECT id, lengths, steady_ms FROM segment WHERE id BETWEEN ? AND ?
ORDER BY id LIMIT ?"""
#: After a server that could not write was killed, numbers go on far beyond any that it may have shown.
SKIP = """UPDATE journal SET head = (1 << 20) + max(head, coalesce((
  SELECT (id & (1 << 40) - 1) + length(lengths) / 4 - 1 FROM segment
  WHERE segment.id BETWEEN journal.id << 40 AND ((journal.id + 1) << 40) - 1 ORDER BY id DESC LIMIT 1), 0))"""
PUT = """INSERT INTO record (kind, key, scope, ordinal, value) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (kind, key) DO UPDATE SET scope = excluded.scope, ordinal = excluded.ordinal, value = excluded.value"""
SWEEP = """DELETE FROM segment WHERE id IN (SELECT id FROM segment WHERE id BETWEEN ? AND ? LIMIT ?)"""


@cache
def _insert(rows: int) -> str:
    # REPLACE makes a batch repeatable after a fault that left its outcome unknown; a number has one content only.
    return f"INSERT OR REPLACE INTO segment VALUES {', '.join(['(?, ?, ?, ?, ?, ?, ?)'] * rows)}"  # noqa: S608  no input


def _bounds(journal: int) -> tuple[int, int]:
    return journal << SHIFT, ((journal + 1) << SHIFT) - 1


def _locked(lock: int, until: float) -> bool:
    """Take the lock, waiting for one who is just letting go of it."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        else:
            return True


def _fault(error: sqlite3.Error | OSError) -> StoreFault:
    code = getattr(error, "sqlite_errorcode", None)
    if (
        isinstance(error, OSError)
        or code == sqlite3.SQLITE_FULL
        or (code is not None and code & 0xFF == sqlite3.SQLITE_IOERR)
    ):
        hint = "free space on the disk of the data directory"
        return StoreFault(f"events cannot be written to disk: {error}", hint=hint)
    return StoreFault(f"events cannot be written to the store: {error}")


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        hint = "check the disk of the data directory"
        raise StoreFault(f"the store cannot be read: {error}", hint=hint) from error


class SqliteStore(Store):
    """Journals and records in the file at ``path``; its folder is made with mode 0700, the file with 0600."""

    threaded = True
    persistent = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: sqlite3.Connection
        self._lock: int | None = None
        self._doubtful = False
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._log_bytes = 0
        self._freed = False
        self._jots: Jots
        self._bulk = bulk.Bulk(path.with_name(f"{path.name}-bulk"))
        self._spent: list[tuple[int, int | None]] = []  # journals, and which numbers' files are to go: all, or to one

    def open(self) -> Opened:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._jots = Jots(self.path.with_name(f"{self.path.name}-jots"))
        except OSError as error:
            raise StoreUnavailable(
                f"the store {self.path} cannot be opened: {error.strerror}",
                hint="give the user that runs the server the right to write there, or choose another data directory",
            ) from error
        try:
            return self._open()
        except sqlite3.Error as error:
            self.close()
            raise StoreUnavailable(
                f"the store {self.path} cannot be opened: {error}",
                hint="free space on its disk; or, if the file is damaged, move it away and start again",
            ) from error

    def _take_lock(self) -> None:
        # A file of its own: closing any descriptor of the database would release SQLite's own POSIX locks on it.
        lock = os.open(f"{self.path}-lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        if not _locked(lock, time.monotonic() + LOCK_PATIENCE_S):
            owner = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise StoreUnavailable(
                f"the store {self.path} is in use by another server (process {owner})",
                hint="stop that server, or give this one a data directory of its own",
            )
        self._lock = lock
        # Two lines, each of one length always, so that they can be written even when the disk is full.
        self._doubtful = os.pread(lock, 32, 32).strip() == b"1"
        os.pwrite(lock, b"%-31d\n%-31d\n" % (os.getpid(), self._doubtful), 0)

    def _doubt(self, doubtful: bool) -> None:
        """Notes beside the store whether readers may have seen numbers that it does not hold."""
        if self._lock is not None and doubtful != self._doubtful:
            self._doubtful = doubtful
            os.pwrite(self._lock, b"%-31d\n" % doubtful, 32)

    def _open(self) -> Opened:
        self._writer = writer = self._connect()
        version = writer.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            self.close()
            raise StoreUnavailable(
                f"the store {self.path} was made by a newer version (its schema is {version}, ours {VERSION})",
                hint="upgrade sandbox-agent-jupyter, or choose another data directory",
            )
        if version == 0:
            writer.executescript(f"PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; BEGIN; {SCHEMA}")
            writer.execute(f"PRAGMA user_version={VERSION}")
            writer.execute("COMMIT")
        for pragma in ("journal_mode=WAL", "wal_autocheckpoint=0", f"journal_size_limit={CHECKPOINT_BYTES}"):
            writer.execute(f"PRAGMA {pragma}").fetchall()
        self._commit_jots()
        self._bulk.keep([row[0] for row in writer.execute("SELECT id FROM journal")])
        if self._doubtful:
            writer.execute(SKIP)
            self._doubt(False)
        names = [row[0] for row in writer.execute("SELECT name FROM journal WHERE name IS NOT NULL")]
        dropped = [row[0] for row in writer.execute("SELECT id FROM journal WHERE name IS NULL")]
        return Opened(self._highest(), names, dropped)

    def _highest(self) -> int:
        highest: int = self._writer.execute("SELECT coalesce(max(id), 0) FROM journal").fetchone()[0]
        return highest

    def _commit_jots(self) -> None:
        """Takes up what a killed server had shown and not committed; what it had trimmed or dropped stays away."""
        found = self._jots.read()
        highest = self._highest()
        kept = dict(self._writer.execute("SELECT id, first FROM journal WHERE name IS NOT NULL"))
        rows: list[Row] = []
        self._writer.execute("BEGIN IMMEDIATE")
        for jot in found:
            if isinstance(jot, Row):
                if jot.first + len(jot.lengths) // 4 > kept.get(jot.journal, NEVER):
                    rows.append(jot)
            elif jot.journal > highest:  # journals are made in the order of their numbers
                self._apply(jot)
                kept[jot.journal] = 1
        for start in range(0, len(rows), ROWS):
            self._insert(rows[start : start + ROWS])
        self._writer.execute("COMMIT")
        self._jots.clear()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=256)
        for pragma in ("synchronous=NORMAL", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def commit(self, batch: Sequence[Operation]) -> None:
        writes = [operation for operation in batch if isinstance(operation, Write)]
        try:
            self._bulk.relieve()
            if len(writes) == len(batch) <= ROWS:
                self._insert([self._row(write) for write in writes])
            else:
                self._transact(batch)
        except (sqlite3.Error, OSError) as error:
            self._doubt(True)
            self._spent.clear()
            with contextlib.suppress(sqlite3.Error):
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
            raise _fault(error) from error
        if self._doubtful and any(isinstance(operation, Settled) for operation in batch):
            self._doubt(False)
        self._log_bytes += TRANSACTION_BYTES + sum(OVERHEAD if isinstance(o, Write) else o.weight for o in batch)
        self._remove_spent()

    def _remove_spent(self) -> None:
        """Files of what the transaction removed; those that stay by mistake go with the next ones, or at the start."""
        for journal, first in self._spent:
            try:
                if first is None:
                    self._bulk.drop(journal)
                else:
                    self._bulk.trim(journal, first)
            except OSError as error:
                logger.warning("a file was not removed", extra={"store": str(self.path), "error": str(error)})
        self._spent.clear()

    def jot(self, operation: Jotted) -> bool:
        begun = time.monotonic()
        large = operation.weight >= bulk.LEAST
        if not self._jots.ready(begun) or (large and (operation.weight > JOT_BYTES or self._bulk.crowded)):
            return False
        try:
            return self._jots.add(pack(self._row(operation) if isinstance(operation, Write) else operation))
        except OSError:
            return False
        finally:
            self._jots.took(begun)

    def clear_jots(self) -> None:
        self._jots.clear()

    def _transact(self, batch: Sequence[Operation]) -> None:
        execute = self._writer.execute
        rows: list[Row] = []
        execute("BEGIN IMMEDIATE")
        for operation in batch:
            if isinstance(operation, Write):
                rows.append(self._row(operation))
                if len(rows) < ROWS:
                    continue
            self._insert(rows)
            rows.clear()
            self._apply(operation)
        self._insert(rows)
        execute("COMMIT")

    def _insert(self, rows: Sequence[Row]) -> None:
        if rows:
            values: list[int | bytes] = []
            for row in rows:
                values += row.journal << SHIFT | row.first, *row[2:]
                self._log_bytes += len(row.data)
            self._writer.execute(_insert(len(rows)), values)

    def _row(self, write: Write) -> Row:
        """What is to be kept of a write; what is large is in its place then."""
        if write.row is None:
            segment = write.segment
            payloads = segment.payloads
            if segment.size >= bulk.LEAST:
                data = self._bulk.add(write.journal, segment.first, payloads)
            else:
                data = payloads[0] if len(payloads) == 1 else b"".join(payloads)
            stamps = segment.created_ms, write.steady_ms, write.total
            write.row = Row(write.journal, segment.first, *stamps, int(segment.sender), pack_lengths(payloads), data)
        return write.row

    def _apply(self, operation: Operation) -> None:
        execute = self._writer.execute
        match operation:
            case Create(journal=journal, name=name):
                execute("INSERT OR REPLACE INTO journal VALUES (?, ?, 1, 0)", (journal, name))
            case Put(record=record):
                execute(PUT, (record.kind, record.key, record.scope, record.ordinal, record.value))
            case Remove(kind=kind, key=key):
                execute("DELETE FROM record WHERE kind = ? AND key = ?", (kind, key))
            case Drop(journal=journal):
                execute("UPDATE journal SET name = NULL WHERE id = ?", (journal,))
            case Trim():
                self._trim(operation)
            case Sweep():
                self._sweep(operation)
            case _:
                pass

    def _trim(self, trim: Trim) -> None:
        low, high = _bounds(trim.journal)
        found = self._writer.execute(OLDEST, (low, high, PORTION)).fetchall()
        rows = []
        for key, lengths, steady_ms in found:
            sizes = unpack_lengths(lengths)
            rows.append(StoredRow((key & (1 << SHIFT) - 1) + len(sizes) - 1, sum(sizes), steady_ms))
        if count := trim.takes(rows, PORTION):
            last = rows[count - 1].last
            self._writer.execute("DELETE FROM segment WHERE id BETWEEN ? AND ?", (low, low + last))
            self._writer.execute(
                "UPDATE journal SET first = ?, head = max(head, ?) WHERE id = ?", (last + 1, last, trim.journal)
            )
            self._freed = True
            self._spent.append((trim.journal, last + 1))

    def _sweep(self, sweep: Sweep) -> None:
        removed = self._writer.execute(SWEEP, (*_bounds(sweep.journal), PORTION)).rowcount
        sweep.more = removed == PORTION
        if not sweep.more:
            # The highest number stays, so that a jot tells a journal not made yet from one that was made and dropped.
            self._writer.execute(
                "DELETE FROM journal WHERE id = ? AND id < (SELECT max(id) FROM journal)", (sweep.journal,)
            )
            self._spent.append((sweep.journal, None))
        self._freed = True

    def tidy(self, *, idle: bool) -> bool:
        """Copies the log into the file: a full log at once, a small one when idle. Nothing is lost if that fails."""
        if not idle and self._log_bytes < CHECKPOINT_BYTES:
            return self._freed or self._log_bytes >= IDLE_CHECKPOINT_BYTES or self._bulk.unsynced
        more = False
        try:
            if idle:
                more = self._bulk.sync()  # a file at a time: whoever comes next waits no longer
            if idle and self._freed:
                # It frees a page a step and gives no rows: only a script is stepped to its end.
                self._writer.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
                self._freed = self._writer.execute("PRAGMA freelist_count").fetchone()[0] > 0
            self._writer.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if idle else 'PASSIVE'})").fetchall()
        except (sqlite3.Error, OSError) as error:
            logger.warning("checkpoint failed", extra={"store": str(self.path), "error": str(error)})
        self._log_bytes = 0
        return self._freed or more

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        self._readers.clear()
        with contextlib.suppress(AttributeError):
            self._writer.close()
        with contextlib.suppress(OSError):
            self._bulk.close()
        with contextlib.suppress(AttributeError):
            self._jots.close()
            del self._jots
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _reader(self) -> sqlite3.Connection:
        reader: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if reader is None:
            reader = self._local.connection = self._connect()
            reader.execute("PRAGMA query_only=ON")
            self._readers.append(reader)
        return reader

    @_reading()
    def find(self, name: str) -> StoredJournal | None:
        row = self._reader().execute(FIND, (name,)).fetchone()
        if row is None:
            return None
        journal, first, head, start, lengths, total, key, count = row
        if key is None:
            return StoredJournal(journal, first, head)
        head = max(head, (key & (1 << SHIFT) - 1) + count - 1)
        return StoredJournal(journal, first, head, total, total - start + sum(unpack_lengths(lengths)))

    @_reading()
    def read(self, journal: int, after: int, max_bytes: int) -> list[Segment]:
        low, high = _bounds(journal)
        rows = self._reader().execute(READ, {"low": low, "wanted": low + after + 1, "high": high})
        segments: list[Segment] = []
        size = 0
        for key, created_ms, sender, lengths, data in rows:
            wanted = sum(unpack_lengths(lengths))
            if len(data) != wanted:
                data = self._bulk.read(journal, data, wanted)  # noqa: PLW2901  it was but the place
                if len(data) != wanted:
                    logger.warning(
                        "a segment is gone: trimmed just now, or a power cut took it",
                        extra={"store": str(self.path), "segment": key},
                    )
                    continue
            segment = unpack(key & (1 << SHIFT) - 1, created_ms, sender, lengths, data)
            if segment.last > after:
                segments.append(segment)
                size += segment.size
            if size >= max_bytes:
                break
        rows.close()
        return segments

    @_reading()
    def record(self, kind: str, key: str) -> Record | None:
        sql = "SELECT kind, key, scope, ordinal, value FROM record WHERE kind = ? AND key = ?"
        row = self._reader().execute(sql, (kind, key)).fetchone()
        return Record(*row) if row else None

    @_reading()
    def records(self, page: Page) -> list[Record]:
        sql = "SELECT kind, key, scope, ordinal, value FROM record WHERE kind = ?"
        values: list[Any] = [page.kind]
        if page.scope is not None:
            sql += " AND scope = ?"
            values.append(page.scope)
        if page.after is not None:
            sql += f" AND (ordinal, key) {'<' if page.descending else '>'} (?, ?)"
            values += page.after
        direction = "DESC" if page.descending else "ASC"
        sql += f" ORDER BY ordinal {direction}, key {direction}"
        if page.limit is not None:
            sql += " LIMIT ?"
            values.append(page.limit)
        return [Record(*row) for row in self._reader().execute(sql, values)]
