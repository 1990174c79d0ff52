"""Watching real folders: what happens is told, whatever happens, and watchers cost nobody anything."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import aclosing, asynccontextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.files import inotify
from sandbox_agent.files import watch as watching
from sandbox_agent.files.archives import Archives
from sandbox_agent.files.root import Root
from sandbox_agent.files.watch import Watches

from ..support.archives import Entry, in_chunks, tar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from sandbox_agent.files.watch import Batch

DEADLINE = 60.0


class Reader:
    """Puts together what a watcher was told: the newest kind of change of each path."""

    def __init__(self, batches: AsyncGenerator[Batch, None], base: Path) -> None:
        self._batches = batches
        self._base = base
        self.lost = False
        self.told: dict[str, str] = {}

    async def next(self) -> None:
        batch = await asyncio.wait_for(anext(self._batches), DEADLINE)
        self.lost |= batch.lost
        for change in batch.changes:
            self.told[str(PurePath(os.fsdecode(change.path)).relative_to(self._base))] = change.kind

    async def until(self, **wanted: str) -> None:
        """Until each of these paths (``__`` for a slash) was last told to have changed like this."""
        names = {name.replace("__", "/"): kind for name, kind in wanted.items()}
        while not names.items() <= self.told.items():
            await self.next()


@asynccontextmanager
async def reading(
    watches: Watches, path: Path, base: Path | None = None, *, recursive: bool = False
) -> AsyncIterator[Reader]:
    async with aclosing(watches.watch(str(path), recursive=recursive)) as batches:
        reader = Reader(batches, base or path)
        await reader.next()
        yield reader


@pytest.fixture
def watches() -> Watches:
    return Watches(Root())


async def test_files_created_modified_and_deleted_are_told(watches: Watches, tmp_path: Path) -> None:
    file = tmp_path / "file"
    async with reading(watches, tmp_path) as reader:
        file.write_bytes(b"1")
        await reader.until(file="created")
        with file.open("ab") as stream:
            stream.write(b"2")
        await reader.until(file="modified")
        file.chmod(0o600)
        file.rename(tmp_path / "other")
        await reader.until(file="deleted", other="created")
        (tmp_path / "other").unlink()
        await reader.until(other="deleted")


async def test_what_follows_at_once_is_told_together(watches: Watches, tmp_path: Path) -> None:
    async with reading(watches, tmp_path) as reader:
        for _ in range(100):
            (tmp_path / "file").write_bytes(b"x" * 1000)
        (tmp_path / "end").write_bytes(b"")
        batches = 0
        while "end" not in reader.told:
            await reader.next()
            batches += 1
        assert "file" in reader.told
        assert batches < 100


async def test_below_a_folder_is_told_only_if_wanted(watches: Watches, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    async with reading(watches, tmp_path) as flat, reading(watches, tmp_path, recursive=True) as deep:
        (tmp_path / "below" / "file").write_bytes(b"")
        await deep.until(below__file="created")
        (tmp_path / "end").write_bytes(b"")
        await flat.until(end="created")
        assert flat.told.keys() == {"end"}


async def test_folders_that_come_to_be_are_watched_with_all_that_is_in_them(watches: Watches, tmp_path: Path) -> None:
    """Also what was put there before they could be watched, and what is put there afterwards."""
    async with reading(watches, tmp_path, recursive=True) as reader:
        (tmp_path / "a" / "b" / "c").mkdir(parents=True)
        (tmp_path / "a" / "b" / "c" / "early").write_bytes(b"")
        await reader.until(a="created", a__b="created", a__b__c="created", a__b__c__early="created")
        (tmp_path / "a" / "b" / "c" / "late").write_bytes(b"")
        await reader.until(a__b__c__late="created")


async def test_a_folder_that_moves_is_told_by_its_new_name_and_one_that_moves_out_no_more(
    watches: Watches, tmp_path: Path
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "old").mkdir(parents=True)
    outside.mkdir()
    async with reading(watches, inside, recursive=True) as reader:
        (inside / "old").rename(inside / "new")
        await reader.until(old="deleted", new="created")
        (inside / "new" / "file").write_bytes(b"")
        await reader.until(new__file="created")
        (inside / "new").rename(outside / "gone")
        await reader.until(new="deleted")
        (inside / "next").write_bytes(b"")
        await reader.until(next="created")
        reader.told.clear()
        (outside / "gone" / "unseen").write_bytes(b"")
        (inside / "end").write_bytes(b"")
        await reader.until(end="created")
        assert reader.told.keys() == {"end"}


async def test_a_single_file_is_watched_through_replacement(watches: Watches, tmp_path: Path) -> None:
    """As editors save: a new file renamed onto the old one. Its neighbours are not told."""
    file = tmp_path / "file"
    file.write_bytes(b"1")
    async with reading(watches, file, tmp_path) as reader:
        (tmp_path / "neighbour").write_bytes(b"2")
        (tmp_path / "neighbour").rename(file)
        await reader.until(file="created")
        file.write_bytes(b"3")
        await reader.until(file="modified")
        file.unlink()
        await reader.until(file="deleted")
        assert reader.told.keys() == {"file"}


async def test_the_end_of_the_folder_itself_is_told_and_ends_the_watch(watches: Watches, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    async with reading(watches, tmp_path / "folder", tmp_path) as reader:
        (tmp_path / "folder").rmdir()
        await reader.until(folder="deleted")
        with pytest.raises(StopAsyncIteration):
            await reader.next()


async def test_names_that_are_not_utf8_are_told_as_bytes(watches: Watches, tmp_path: Path) -> None:
    async with reading(watches, tmp_path) as reader:
        (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"")
        while os.fsdecode(b"\xff") not in reader.told:
            await reader.next()


async def test_an_uploaded_archive_is_told_by_its_files_not_by_where_they_waited(
    watches: Watches, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    async with reading(watches, tmp_path, recursive=True) as reader:
        data = tar(Entry("new/file", b"x"), Entry("there/large", bytes(1 << 20)))
        await Archives(Root()).unpack(str(tmp_path), "application/x-tar", in_chunks(data))
        await reader.until(new="created", new__file="created", there__large="created")
        assert reader.told.keys() <= {"new", "new/file", "there", "there/large"}


async def test_nothing_there_cannot_be_watched_nor_what_lies_outside_of_the_root(
    watches: Watches, tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    for service, path in ((watches, "none"), (Watches(Root(tmp_path / "root")), "")):
        with pytest.raises(OSError, match=r"No such|leads out"):
            async with reading(service, tmp_path / path):
                pass
        assert len(service) == 0


async def test_what_the_kernel_dropped_is_said_and_all_is_watched_anew(watches: Watches, tmp_path: Path) -> None:
    async with reading(watches, tmp_path, recursive=True) as reader:
        # folders that appeared among what was dropped: the kernel's own record of it is given by hand
        with watches._lock:
            fd, watches._table = watches._table, {}
            for watch in fd:
                inotify.remove(watches._fd, watch)
            (tmp_path / "missed").mkdir()
            watches._sort(inotify.Record(-1, inotify.Q_OVERFLOW, b""))
        while not reader.lost:
            await reader.next()
        (tmp_path / "missed" / "file").write_bytes(b"")
        await reader.until(missed__file="created")


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


async def test_hundreds_of_watchers_take_no_threads_and_share_one_descriptor(watches: Watches, tmp_path: Path) -> None:
    """As many as would exhaust the instances that a user may have, and any pool of threads."""
    (tmp_path / "below").mkdir()
    open_before = open_files()
    generators = [watches.watch(str(tmp_path), recursive=True) for _ in range(300)]
    await asyncio.gather(*map(anext, generators))
    threads = threading.active_count()
    waiting = [asyncio.ensure_future(anext(generator)) for generator in generators]
    assert len(open_files() - open_before) <= 2
    (tmp_path / "below" / "file").write_bytes(b"")
    batches = await asyncio.wait_for(asyncio.gather(*waiting), DEADLINE)
    assert all(batch.changes[0].path == os.fsencode(tmp_path / "below" / "file") for batch in batches)
    assert threading.active_count() < threads + 100, "fewer than watchers: those of the pool at most"
    await asyncio.gather(*(generator.aclose() for generator in generators))
    assert (len(watches), watches._fd, watches._table) == (0, -1, {})


async def test_a_watcher_that_leaves_while_folders_are_walked_leaves_nothing(watches: Watches, tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / str(number)).mkdir()
    for _ in range(10):
        generator = watches.watch(str(tmp_path), recursive=True)
        task = asyncio.ensure_future(anext(generator))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await generator.aclose()
        assert (len(watches), watches._fd, watches._table) == (0, -1, {})


def test_what_has_no_end_is_not_walked() -> None:
    assert {b"/proc", b"/sys"} <= watching._NEVER
    assert Path("/proc").exists()
