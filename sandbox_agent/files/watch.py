"""Watching folders for changes: one inotify descriptor on the event loop for all watchers.

A library with a thread and an inotify instance for each watcher would end at the 128 instances that a user may have,
and its threads would be taken from others. Here a watcher costs a table entry for each folder, which the kernel shares
among watchers of the same folder, and no thread while nothing happens; only walking through folders takes one.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from typing import TYPE_CHECKING, NamedTuple

from sandbox_agent.files import inotify, threads
from sandbox_agent.files.archive_extract import STAGING
from sandbox_agent.files.changes import Changes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sandbox_agent.files.changes import Change
    from sandbox_agent.files.root import Root

SETTLE_SECONDS = 0.05
"""Changes that follow one another this closely are told together."""
_READS = 16
_MAX_DEPTH = 256
_NEVER = frozenset({b"/proc", b"/sys"})  # what is there changes without telling, and has no end
_MASK = (
    inotify.MODIFY | inotify.ATTRIB | inotify.CREATE | inotify.DELETE | inotify.MOVED_FROM | inotify.MOVED_TO
    | inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.ONLYDIR | inotify.EXCL_UNLINK
)  # fmt: skip
_APPEARED = inotify.CREATE | inotify.MOVED_TO
_VANISHED = inotify.DELETE | inotify.MOVED_FROM
_SELF = inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BELOW = _FOLDER | os.O_NOFOLLOW


class Batch(NamedTuple):
    """Changes to tell. ``lost`` says that there were others before them which are not known."""

    changes: list[Change]
    lost: bool


class _Watcher:
    """One reader: what it watches, and what it has not been told yet."""

    def __init__(self, path: str, *, recursive: bool) -> None:
        self.path = os.fsencode(path)
        self.recursive = recursive
        self.only: bytes | None = None
        self.folders: dict[int, bytes] = {}
        self.changes = Changes()
        self.work: list[tuple[bytes, bool]] = []
        self.news = asyncio.Event()
        self.open = True
        self.over = False

    def note(self, record: inotify.Record, folder: bytes) -> None:
        """Something happened in one of the folders."""
        mask, name = record.mask, record.name
        if not name:
            if mask & _SELF and folder == self.path and self.only is None:
                self.changes.note("deleted", folder, folder=True)
                self.over = True
                self.news.set()
            return
        if name.startswith(STAGING) or (self.only is not None and name != self.only):
            return
        path = self.path if self.only is not None else folder.rstrip(b"/") + b"/" + name
        is_folder = bool(mask & inotify.ISDIR)
        if mask & _APPEARED:
            self.changes.note("created", path, folder=is_folder)
        elif mask & _VANISHED:
            self.changes.note("deleted", path, folder=is_folder)
        else:
            self.changes.note("modified", path, folder=is_folder)
        if self.recursive and is_folder and mask & (_APPEARED | inotify.MOVED_FROM):
            self.work.append((path, bool(mask & _APPEARED)))
        self.news.set()

    def lose(self) -> None:
        self.changes.lose()
        if self.recursive:
            self.work.append((self.path, True))
        self.news.set()


class Watches:
    """All watchers of a sandbox."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._fd = -1
        self._watchers: set[_Watcher] = set()
        self._table: dict[int, dict[_Watcher, bytes]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._watchers)

    async def watch(self, path: str, *, recursive: bool = False) -> AsyncGenerator[Batch, None]:
        """Changes in a folder, or of a file; an empty batch first, once nothing more can be missed.

        Ends when the folder itself is gone. Raises ``OSError`` when ``path`` cannot be watched, ``ENOSPC`` also when
        the user has no watches left.
        """
        watcher = _Watcher(path, recursive=recursive)
        self._enter(watcher)
        try:
            await threads.run(self._begin, watcher, path)
            yield Batch([], lost=False)
            while not watcher.over:
                await watcher.news.wait()
                await asyncio.sleep(SETTLE_SECONDS)
                watcher.news.clear()
                work, watcher.work = watcher.work, []
                if work:
                    for found, is_folder in await threads.run(self._follow, watcher, work):
                        watcher.changes.note("created", found, folder=is_folder)
                if watcher.changes:
                    yield Batch(*watcher.changes.take())
        finally:
            try:
                await threads.run(self._forget, watcher)
            finally:
                self._leave(watcher)

    # -- on the loop ----------------------------------------------------------------------------------------------

    def _enter(self, watcher: _Watcher) -> None:
        if self._fd < 0:
            self._fd = inotify.create()
            asyncio.get_running_loop().add_reader(self._fd, self._read)
        self._watchers.add(watcher)

    def _leave(self, watcher: _Watcher) -> None:
        self._watchers.discard(watcher)
        if not self._watchers:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._table.clear()

    def _read(self) -> None:
        for _ in range(_READS):
            records = inotify.read(self._fd)
            if not records:
                return
            with self._lock:
                for record in records:
                    self._sort(record)

    def _sort(self, record: inotify.Record) -> None:
        if record.mask & inotify.Q_OVERFLOW:
            for watcher in self._watchers:
                watcher.lose()
            return
        for watcher, folder in self._table.get(record.watch, {}).items():
            watcher.note(record, folder)
        if record.mask & inotify.IGNORED:
            for watcher in self._table.pop(record.watch, {}):
                watcher.folders.pop(record.watch, None)

    # -- in threads -----------------------------------------------------------------------------------------------

    def _begin(self, watcher: _Watcher, path: str) -> None:
        try:
            fd = self._root.open(path, _FOLDER)
        except NotADirectoryError:
            with self._root.target(path) as (folder, name):
                os.stat(name, dir_fd=folder, follow_symlinks=False)
                watcher.only = os.fsencode(name)
                self._add(watcher, folder, watcher.path)
            return
        self._walk(watcher, fd, watcher.path, [])

    def _follow(self, watcher: _Watcher, work: list[tuple[bytes, bool]]) -> list[tuple[bytes, bool]]:
        """Take up folders that appeared, drop those moved away; what new ones held before they were watched."""
        found: list[tuple[bytes, bool]] = []
        for path, appeared in work:
            if not appeared:
                self._drop(watcher, path)
                continue
            try:
                fd = self._root.open(os.fsdecode(path), _FOLDER if path == watcher.path else _BELOW)
            except OSError:
                continue  # gone again, or not for us to read
            # after a loss the whole is walked again, and told by that, not name by name
            self._walk(watcher, fd, path, found if path != watcher.path else [])
        return found

    def _walk(self, watcher: _Watcher, fd: int, path: bytes, found: list[tuple[bytes, bool]], depth: int = 0) -> None:
        """Watch a folder and, if wanted, all below it; then what is in it is listed, so that nothing is missed."""
        try:
            if not self._add(watcher, fd, path) or not watcher.recursive or depth > _MAX_DEPTH:
                return
            for name in map(os.fsencode, os.listdir(fd)):
                inner = path.rstrip(b"/") + b"/" + name
                if name.startswith(STAGING) or inner in _NEVER:
                    continue
                try:
                    is_folder = stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
                    found.append((inner, is_folder))
                    below = os.open(name, _BELOW, dir_fd=fd) if is_folder else -1
                except OSError:
                    continue
                if below >= 0:
                    self._walk(watcher, below, inner, found, depth + 1)
        finally:
            os.close(fd)

    def _add(self, watcher: _Watcher, fd: int, path: bytes) -> bool:
        """Whether the watcher is still there to be told. What happens from here on, it is told."""
        with self._lock:
            if not watcher.open:
                return False
            watch = inotify.add(self._fd, fd, _MASK)
            self._table.setdefault(watch, {})[watcher] = path
            watcher.folders[watch] = path
            return True

    def _drop(self, watcher: _Watcher, path: bytes) -> None:
        """Watch a folder, and what is below it, no more."""
        inside = path.rstrip(b"/") + b"/"
        gone = [watch for watch, at in list(watcher.folders.items()) if at == path or at.startswith(inside)]
        for watch in gone:
            with self._lock:
                self._remove(watcher, watch)

    def _forget(self, watcher: _Watcher) -> None:
        with self._lock:
            watcher.open = False
        for watch in list(watcher.folders):
            with self._lock:
                self._remove(watcher, watch)

    def _remove(self, watcher: _Watcher, watch: int) -> None:
        watcher.folders.pop(watch, None)
        readers = self._table.get(watch)
        if readers is None:
            return
        readers.pop(watcher, None)
        if not readers:
            del self._table[watch]
            inotify.remove(self._fd, watch)
