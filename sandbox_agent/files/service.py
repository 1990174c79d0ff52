"""The sandbox's files: what clients, agents and the terminal may do with them, as coroutines.

Each call takes the path as the client wrote it, does its work in a thread, and raises problems that have the path.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sandbox_agent.files import paths
from sandbox_agent.files.faults import is_directory, not_a_directory, not_a_file, problem_of
from sandbox_agent.files.glob import matcher
from sandbox_agent.files.listing import Listing, from_cursor, kind_of
from sandbox_agent.files.move import move
from sandbox_agent.files.opened import OpenFile, etag_of
from sandbox_agent.files.remove import remove
from sandbox_agent.files.root import Root
from sandbox_agent.files.text import read_lines
from sandbox_agent.files.write import Writing
from sandbox_agent.problems import InvalidRequest
from sandbox_agent.wire.files import FsActionResponse, FsMoveResponse, FsStat, FsWriteResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from sandbox_agent.files.listing import EntryPage

T = TypeVar("T")

_LOOK = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
"""For opening what may be anything: a pipe or a terminal must neither hold us nor become ours."""


def _demand_file(fd: int, path: str) -> None:
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        raise is_directory(path)
    if not stat.S_ISREG(mode):
        raise not_a_file(path)


async def _at(path: str, work: Callable[..., T], *given: object) -> T:
    """``work`` in a thread; what the system says against it is a problem with ``path``."""
    try:
        return await asyncio.to_thread(work, *given)
    except OSError as error:
        raise problem_of(error, path) from error


class Files:
    """Files beneath ``root``, or all that this user may touch. Relative paths are from ``home``.

    ``home`` is the user's, or the root where that lies outside of it. Raises a problem where the root is no folder.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None, home: str | os.PathLike[str] | None = None) -> None:
        try:
            self.root = Root(root)
        except OSError as error:
            raise problem_of(error, os.fspath(root or "/")) from error
        self.home = self._home(os.fspath(home or Path.home()))

    def _home(self, home: str) -> str:
        folder = self.root.folder
        real = os.path.realpath(home)
        if folder is None or real == folder or real.startswith(folder.rstrip("/") + "/"):
            return home if folder is None else real
        return folder

    def close(self) -> None:
        self.root.close()

    def absolute(self, path: str) -> str:
        """The absolute path that a client's path stands for. Raises ``InvalidRequest``."""
        return paths.absolute(path, self.home)

    async def run(self, path: str, work: Callable[[str], T]) -> T:
        """``work`` with the absolute path, in a thread; what the system says against it becomes a problem."""
        absolute = self.absolute(path)
        return await _at(absolute, work, absolute)

    # -- looking --------------------------------------------------------------------------------------------------

    async def entries(
        self,
        path: str = ".",
        *,
        recursive: bool = False,
        depth: int | None = None,
        glob: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> EntryPage:
        """A folder's entries in order of their names, each folder's own after it when ``recursive``.

        ``depth`` (from 1) is the levels gone into, and makes it recursive. ``limit`` is the most entries a page may
        have, ``cursor`` that of the page before; both need the same other arguments. Links are not followed.
        """
        matches = None if glob is None else matcher(glob)
        after = from_cursor(cursor)
        levels = depth if depth is not None else (None if recursive else 1)

        def work(absolute: str) -> EntryPage:
            self._demand_folder(absolute)
            return Listing(self.root, absolute, depth=levels, matches=matches, limit=limit, after=after).page()

        return await self.run(path, work)

    def _demand_folder(self, path: str) -> None:
        with self.root.opened(path, os.O_PATH) as fd:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                raise not_a_directory(path)

    async def stat(self, path: str) -> FsStat:
        """What a path leads to, links followed."""

        def work(absolute: str) -> FsStat:
            with self.root.opened(absolute, os.O_PATH) as fd:
                status = os.fstat(fd)
            mode = status.st_mode
            return FsStat(
                path=absolute,
                entry_type="directory" if stat.S_ISDIR(mode) else "file",
                size=status.st_size,
                modified=paths.rfc3339(status.st_mtime_ns),
                mode=stat.S_IMODE(mode),
                kind=kind_of(mode),
                etag=etag_of(status) if stat.S_ISREG(mode) else None,
                encoded_path=paths.encoded(absolute),
            )

        return await self.run(path, work)

    async def read(self, path: str) -> OpenFile:
        """A plain file, opened; the caller closes it."""
        return await self.run(path, self._opened)

    def _opened(self, path: str) -> OpenFile:
        try:
            fd = self.root.open(path, _LOOK)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a socket
                raise not_a_file(path) from error
            raise
        try:
            _demand_file(fd, path)
            return OpenFile.of(fd, path)
        except BaseException:
            os.close(fd)
            raise

    async def read_text(self, path: str, line: int | None = None, limit: int | None = None) -> str:
        """Text from a line on, at most ``limit`` lines; bytes that are not UTF-8 are replaced.

        The first line is 1; as the schema of agents allows 0, that is taken for it too.
        """

        def work(absolute: str) -> str:
            with self._opened(absolute) as file:
                return read_lines(file, line or 1, limit)

        return await self.run(path, work)

    # -- changing -------------------------------------------------------------------------------------------------

    async def write(
        self,
        path: str,
        chunks: AsyncIterable[bytes],
        *,
        holds: Callable[[str | None], bool] | None = None,
    ) -> FsWriteResponse:
        """Write a file as a whole, making the folders above it. A link is written through.

        ``holds`` tells by the entity tag of what is there (``None`` for nothing) whether to write. Whatever ``chunks``
        raises leaves everything as it was.
        """
        absolute = self.absolute(path)
        if path.endswith("/"):
            raise is_directory(absolute)
        writing = Writing(self.root, absolute, holds)
        try:
            await _at(absolute, writing.begin)
            async for chunk in chunks:
                await _at(absolute, writing.write, chunk)
            etag = await _at(absolute, writing.commit)
        finally:
            if not writing.closed:
                await asyncio.to_thread(writing.close)
        return FsWriteResponse(path=absolute, bytes_written=writing.written, etag=etag, created=writing.created)

    async def write_text(self, path: str, text: str) -> FsWriteResponse:
        """Write a file of text, in UTF-8. Raises ``InvalidRequest`` for text that has none."""
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"the text cannot be written as UTF-8: {error.reason}") from error

        async def whole() -> AsyncIterable[bytes]:
            yield data

        return await self.write(path, whole())

    async def mkdir(self, path: str) -> FsActionResponse:
        """Make a folder and all above it; nothing where it is there."""

        def work(absolute: str) -> FsActionResponse:
            os.close(self.root.make_folders(absolute))
            return FsActionResponse(path=absolute)

        return await self.run(path, work)

    async def move(self, source: str, to: str, *, overwrite: bool = False) -> FsMoveResponse:
        """Give a file, a folder or a link another name; see `move.move`."""
        target = self.absolute(to)

        def work(absolute: str) -> FsMoveResponse:
            try:
                move(self.root, absolute, target, overwrite=overwrite)
            except FileExistsError as error:
                raise InvalidRequest(
                    f"destination already exists: {target}", hint="give `overwrite: true`", code="exists", path=target
                ) from error
            return FsMoveResponse(source=absolute, to=target)

        return await self.run(source, work)

    async def delete(self, path: str, *, recursive: bool = False) -> FsActionResponse:
        """Delete a file, a link itself, or a folder: with all that is in it when ``recursive``."""

        def work(absolute: str) -> FsActionResponse:
            with self.root.parent(absolute) as (folder, name):
                remove(folder, name, recursive=recursive)
            return FsActionResponse(path=absolute)

        return await self.run(path, work)
