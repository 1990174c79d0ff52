"""Large segments, in files beside the database, which keeps where they are.

SQLite copies what it is given into its pages, its log and its file, four kilobytes at a time: 700 us of processor time
for 200 KB, where one ``write`` takes 60 (https://www.sqlite.org/intern-v-extern-blob.html puts the border at 100 KB).

A journal has a folder, of files that are only appended to, named by the first number in them; so those whose numbers
were all trimmed can be told, and go.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
from bisect import bisect_right
from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

#: Segments of at least so many bytes are kept here.
LEAST = 16 << 10
#: A file that holds as much gets no more.
FILE_BYTES = 16 << 20
_MOST_OPEN = 8
_MOST_FULL = 32
_MOST_BUFFERS = 64
_PLACE = struct.Struct("<QQ")  # the file's name, and where in it


class _File:
    """A file being appended to."""

    __slots__ = ("fd", "name", "size", "synced")

    def __init__(self, folder: Path, name: int) -> None:
        self.name = name
        self.fd = os.open(folder / str(name), os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.size = os.fstat(self.fd).st_size
        self.synced = True

    def append(self, payloads: Sequence[bytes]) -> int:
        """Where they begin. Raises OSError, and then holds nothing of them."""
        buffers = payloads if len(payloads) <= _MOST_BUFFERS else [b"".join(payloads)]
        size = sum(map(len, buffers))
        try:
            written = os.writev(self.fd, buffers)
            if written < size:  # as much as there was room for, or as one call takes
                rest = memoryview(b"".join(buffers))
                while written < size:
                    written += os.write(self.fd, rest[written:])
        except OSError:
            os.ftruncate(self.fd, self.size)
            raise
        at, self.size = self.size, self.size + size
        self.synced = False
        return at

    def sync(self) -> None:
        if not self.synced:
            self.synced = True  # first: what is added meanwhile may not be
            try:
                os.fdatasync(self.fd)
            except OSError:
                self.synced = False
                raise

    def close(self) -> None:
        self.sync()
        os.close(self.fd)


class Bulk:
    """Methods raise OSError. All threads may read, one at a time may `add`; the others are the writer's thread's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[int, _File] = {}
        self._full: deque[_File] = deque()  # not synchronised yet

    def keep(self, journals: Collection[int]) -> None:
        """Removes the folders of all other journals."""
        if self._folder.exists():
            for folder in self._folder.iterdir():
                if not (folder.name.isdigit() and int(folder.name) in journals):
                    shutil.rmtree(folder, ignore_errors=True)

    def add(self, journal: int, first: int, payloads: Sequence[bytes]) -> bytes:
        """Keeps the payloads of a segment that begins with number ``first``; the place they are at.

        The disk is not waited for, unless the kernel does.
        """
        file = self._open.pop(journal, None)
        if file is not None and file.size >= FILE_BYTES:
            self._full.append(file)
            file = None
        if file is None:
            folder = self._folder / str(journal)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            file = _File(folder, first)
        self._open[journal] = file  # as the one used last
        if len(self._open) > _MOST_OPEN and (least := self._open.pop(next(iter(self._open)), None)) is not None:
            self._full.append(least)
        return _PLACE.pack(file.name, file.append(payloads))

    @property
    def crowded(self) -> bool:
        """Whether so many files wait for the disk that it is time to `relieve`."""
        return len(self._full) > _MOST_FULL

    def relieve(self) -> None:
        """Waits for the disk where it is far behind; else that is for an idle moment, the kernel writes by itself."""
        while self.crowded:
            self._full.popleft().close()

    def read(self, journal: int, place: bytes, size: int) -> bytes:
        """What is there: less than ``size`` bytes if a power cut took some, or if it was trimmed meanwhile."""
        name, at = _PLACE.unpack(place)
        try:
            fd = os.open(self._folder / str(journal) / str(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            return os.pread(fd, size, at)
        finally:
            os.close(fd)

    def trim(self, journal: int, first: int) -> None:
        """Removes the files that hold nothing from ``first`` on."""
        with contextlib.suppress(FileNotFoundError):
            files = sorted((int(file.name), file) for file in (self._folder / str(journal)).iterdir())
            # the one that holds ``first`` is the last that begins at or before it
            for _, file in files[: max(0, bisect_right(files, first, key=itemgetter(0)) - 1)]:
                file.unlink()

    def drop(self, journal: int) -> None:
        """Removes a journal's folder."""
        if (file := self._open.pop(journal, None)) is not None:
            os.close(file.fd)
        shutil.rmtree(self._folder / str(journal), ignore_errors=True)

    def sync(self) -> bool:
        """Has the disk hold all of one file that was added to; true while there are more."""
        if self._full:
            self._full.popleft().close()
        elif (file := next((file for file in list(self._open.values()) if not file.synced), None)) is not None:
            file.sync()
        return self.unsynced

    @property
    def unsynced(self) -> bool:
        """Whether the disk may not hold all yet."""
        return bool(self._full) or not all(file.synced for file in list(self._open.values()))

    def close(self) -> None:
        while self.sync():
            pass
        while self._open:
            self._open.popitem()[1].close()
