"""What is particular to the SQLite store."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.journal import Limits, open_journals
from sandbox_agent.journal.sqlite import PORTION, VERSION
from sandbox_agent.problems import StoreUnavailable

if TYPE_CHECKING:
    from tests.journal.conftest import Place, Tools


def query(path: str | Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def size(path: Path) -> int:
    return path.stat().st_size


async def test_a_batch_is_a_row(sqlite: Place) -> None:
    """A thousand entries appended at once are one row, not a thousand."""
    journals = await sqlite.start()
    journal = await journals.open("a")
    journal.extend([b"x"] * 1000)
    journal.append(b"y")
    await sqlite.stop()
    assert query(sqlite.where, "SELECT length(lengths) / 4, length(data), total FROM segment ORDER BY id") == [
        (1000, 1000, 1000),
        (1, 1, 1001),
    ]


async def test_a_newer_schema_is_left_alone(sqlite: Place) -> None:
    """A store of a later version is refused with the way out, and not touched."""
    await sqlite.start()
    await sqlite.stop()
    connection = sqlite3.connect(sqlite.where)
    connection.execute(f"PRAGMA user_version={VERSION + 1}")
    connection.close()
    with pytest.raises(StoreUnavailable, match="newer version") as caught:
        await open_journals(sqlite.where).start()
    assert "upgrade" in (caught.value.hint or "")
    assert query(sqlite.where, "PRAGMA user_version") == [(VERSION + 1,)]


async def test_deleting_gives_space_back_to_the_file_system(sqlite: Place, tools: Tools) -> None:
    """A deleted journal's megabytes leave the file in idle moments, without a stop."""
    journals = await sqlite.start(limits=Limits(idle_s=0.01))
    journal = await journals.open("big")
    for _ in range(800):
        journal.append(b"x" * 10_000)
    await journal.durable()
    path = Path(sqlite.where)
    await tools.eventually(lambda: size(path) > 8_000_000)
    await journals.delete("big")
    await tools.eventually(lambda: size(path) < 200_000)


async def test_a_sweep_that_was_cut_short_is_taken_up(sqlite: Place, tools: Tools) -> None:
    """A journal dropped by a server that ended amid the sweep is gone for good after the next start."""
    journals = await sqlite.start()
    journal = await journals.open("a")
    for _ in range(PORTION * 3):
        journal.append(b"x")
    await sqlite.stop()
    connection = sqlite3.connect(sqlite.where)
    connection.execute("UPDATE journal SET name = NULL")
    connection.commit()
    connection.close()
    journals = await sqlite.start()
    assert not await journals.exists("a")
    (await journals.open("b")).append(b"kept")
    left = "SELECT name, (SELECT count(*) FROM segment) FROM journal"
    await tools.eventually(lambda: query(sqlite.where, left) == [("b", 1)])


async def test_the_log_is_copied_off_the_loop_and_stays_small(sqlite: Place, tools: Tools) -> None:
    """Writing far more than a checkpoint's worth leaves a bounded log, and none of it ran on the loop's thread."""
    journals = await sqlite.start(limits=Limits(idle_s=0.01))
    store = journals._engine.store
    threads = set()
    tidy = store.tidy

    def watched(*, idle: bool) -> bool:
        threads.add(threading.current_thread().name)
        return tidy(idle=idle)

    store.tidy = watched  # type: ignore[method-assign]
    journal = await journals.open("a")
    most = 0
    log = Path(f"{sqlite.where}-wal")
    for _ in range(100):
        journal.extend([b"x" * 1000] * 1000)
        await journal.durable()
        most = max(most, size(log))
    assert most < 40 << 20
    await tools.eventually(lambda: size(log) == 0)
    assert threads == {"journal-writer"}


async def test_the_lock_ends_with_its_process(sqlite: Place) -> None:
    """A killed server's lock does not keep the next one out."""
    program = """
import asyncio, os, signal, sys
from pathlib import Path
from sandbox_agent.journal import open_journals
async def main():
    await open_journals(Path(sys.argv[1])).start()
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    path = str(sqlite.where)
    subprocess.run([sys.executable, "-c", program, path], check=False)  # noqa: ASYNC221  nothing else runs here
    journals = await sqlite.start()
    assert (await journals.open("a")).append(b"x") == 1
