"""Servers killed while they write (R11)."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.journal.conftest import Tools

NAMES = ("a", "b", "c")

# Appends to three journals as fast as it may, and says which numbers a reader has seen. An entry holds its journal's
# name and its own number; a record follows each batch, where records are asked for.
WRITER = """
    import asyncio, os, sys
    from pathlib import Path
    from sandbox_agent.journal import Limits, open_journals

    async def tell(name, journal):
        async for found in journal.follow(journal.visible):
            os.write(1, b"".join(b"%s %d\\n" % (name.encode(), segment.last) for segment in found))

    async def main():
        journals = open_journals(Path(sys.argv[1]), limits=Limits(window_bytes=1 << 16))
        await journals.start()
        opened = {name: await journals.open(name) for name in "abc"}
        tellers = [asyncio.ensure_future(tell(*item)) for item in opened.items()]
        filling = b"." * int(sys.argv[3])
        for turn in range(1 << 30):
            for name, journal in opened.items():
                first = journal.head + 1
                journal.extend([b"%s %d " % (name.encode(), first + n) + filling for n in range(1 + turn % 9)])
                if sys.argv[2] == "records":
                    journals.records.put("mark", name, b"%d" % journal.head)
            await asyncio.sleep(0)
            await journal.writable.wait()

    asyncio.run(main())
"""


def killed_after(path: Path, lines: int, beside: str = "records", size: int = 200) -> dict[str, int]:
    """Runs a writer until it has said ``lines`` lines, kills it, and gives what it had acknowledged."""
    acknowledged: dict[str, int] = {}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), path, beside, str(size)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for count, line in enumerate(writer.stdout, 1):
            if count == lines:
                writer.send_signal(signal.SIGKILL)
            if line.endswith("\n"):
                name, number = line.split()
                acknowledged[name] = int(number)
    assert writer.returncode == -signal.SIGKILL
    return acknowledged


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("beside", "size"), [("records", 200), ("no records", 200), ("no records", 20_000)])
async def test_kill_9_loses_nothing_acknowledged(
    tmp_path: Path, tools: Tools, scale: float, beside: str, size: int
) -> None:
    """R11: 20 kills (200 at scale 10) amid writes to one store: all that was seen is there, unmoved; it opens clean.

    Without records between them, segments are shown before they are committed, the large ones out of files.
    """
    path = tmp_path / "store.db"
    choice = random.Random(11)  # noqa: S311  no secret
    known = dict.fromkeys(NAMES, 0)
    for _ in range(max(1, int(20 * scale))):
        acknowledged = known | killed_after(path, choice.randrange(1, 400), beside, size)
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
        place = tools.Place(path)
        journals = await place.start()
        for name in NAMES:
            journal = await journals.open(name)
            assert journal.head >= acknowledged[name] >= known[name]
            recent = max(0, known[name] - 50)
            entries = await tools.read_all(journal, recent)
            assert [number for number, _ in entries] == list(range(recent + 1, journal.head + 1))
            assert all(payload == b"%s %d " % (name.encode(), n) + b"." * size for n, payload in entries)
            mark = int(await journals.records.get("mark", name) or b"0")
            assert mark <= journal.head, "a record reached the disk before the entries it tells of"
            known[name] = journal.head
        await place.stop()
    assert all(known.values())
