"""Files of the sandbox, from blocking code and from code on an event loop.

Paths are the server's: absolute, or from its home folder. A name that is not UTF-8 has its bytes as surrogate escapes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sandbox_agent.client import file_calls, transfers, watching
from sandbox_agent.client.calls import gone, perform
from sandbox_agent.client.file_results import MatchList
from sandbox_agent.client.progress import Meter

if TYPE_CHECKING:
    from sandbox_agent.client.async_driver import AsyncDriver, AsyncStream
    from sandbox_agent.client.bodies import Content
    from sandbox_agent.client.file_calls import SearchKind
    from sandbox_agent.client.file_results import EntryList, FileChange, FileEntry, FileInfo, Transfer, WriteResult
    from sandbox_agent.client.progress import Progress
    from sandbox_agent.client.sync_driver import Stream, SyncDriver

Remote: TypeAlias = str | os.PathLike[str]
"""A path on the server."""


class FileSystem:
    """The files of the server: ``sdk.fs``."""

    def __init__(self, driver: SyncDriver) -> None:
        self._driver = driver

    def list(
        self, path: Remote = ".", *, recursive: bool = False, depth: int | None = None, glob: str | None = None
    ) -> EntryList:
        """The entries of a folder, by name; it shows itself as a table in a notebook.

        ``recursive`` goes into its folders, at most ``depth`` levels. ``glob`` chooses, such as ``*.py`` or
        ``src/**/*.ts``. Raises :class:`NotFound`, and :class:`InvalidRequest` where the path is no folder.

        >>> from sandbox_agent import SandboxAgent
        >>> with SandboxAgent.start() as agent:
        ...     written = agent.fs.write("notes/today.md", "# Today")
        ...     agent.fs.list("notes").names
        ('today.md',)
        """
        return self._driver.run(transfers.listing(os.fspath(path), _asked(recursive, depth, glob)))

    def scan(
        self, path: Remote = ".", *, recursive: bool = False, depth: int | None = None, glob: str | None = None
    ) -> Stream[FileEntry]:
        """The same, one after the other as pages come, for folders with very many."""
        return self._driver.iterate(transfers.pages(os.fspath(path), _asked(recursive, depth, glob)))

    def stat(self, path: Remote) -> FileInfo:
        """What a path leads to, links followed. Raises :class:`NotFound`."""
        return self._driver.run(perform(file_calls.stat(os.fspath(path))))

    def exists(self, path: Remote) -> bool:
        """Whether a path leads to something."""
        return self._driver.run(transfers.exists(os.fspath(path)))

    def read(self, path: Remote, *, offset: int = 0, length: int | None = None) -> bytes:
        """A file's content, or ``length`` bytes of it from ``offset`` on. Raises :class:`NotFound`."""
        return self._driver.run(transfers.content(os.fspath(path), offset=offset, length=length))

    def read_text(self, path: Remote, *, encoding: str = "utf-8", errors: str = "strict") -> str:
        """A file's content as text."""
        return self.read(path).decode(encoding, errors)

    def stream(self, path: Remote, *, offset: int = 0, length: int | None = None) -> Stream[bytes]:
        """A file's content as it comes, whatever its size; a cut connection goes on where it was.

        Raises :class:`FileChanged` when the file was changed meanwhile.
        """
        return self._driver.iterate(transfers.fetch(os.fspath(path), offset=offset, length=length))

    def write(
        self,
        path: Remote,
        data: Content,
        *,
        overwrite: bool = True,
        if_match: str | None = None,
        progress: Progress = None,
    ) -> WriteResult:
        """Replace a file's content, or make it and its folders; whoever reads meanwhile sees the old or the new.

        ``data`` is text (as UTF-8), bytes, a file of this machine by its ``Path``, an open file, or pieces of bytes.
        It raises :class:`PreconditionFailed` without ``overwrite`` when there is such a file, and with ``if_match``,
        the etag of the content to be replaced, when somebody else was faster. ``progress`` is as for :meth:`upload`.
        """
        meter = Meter(progress, os.fspath(path))
        return self._driver.run(transfers.write(os.fspath(path), data, meter, if_match=if_match, overwrite=overwrite))

    def mkdir(self, path: Remote) -> None:
        """Make a folder and those above it; one that is there is left as it is."""
        self._driver.run(perform(file_calls.mkdir(os.fspath(path))))

    def move(self, source: Remote, to: Remote, *, overwrite: bool = False) -> None:
        """Rename or move a file or a folder. Onto something else only with ``overwrite``."""
        self._driver.run(perform(file_calls.move(os.fspath(source), os.fspath(to), overwrite=overwrite)))

    def delete(self, path: Remote, *, recursive: bool = False) -> None:
        """Remove a file, a link or an empty folder; with ``recursive`` a folder with all in it."""
        self._driver.run(gone(file_calls.delete(os.fspath(path), recursive=recursive)))

    def upload(self, local: Remote, remote: Remote | None = None, *, progress: Progress = None) -> Transfer:
        """Copy a file or a folder of this machine to the server, of any size, without holding it in memory.

        A file becomes ``remote``, or goes into it where that is a folder or ends with a slash. What is in a folder
        goes into the folder ``remote``, all of it or nothing. Without ``remote`` it is the name in the server's home.
        Links to files are followed; what cannot be copied is told in ``skipped``.

        ``progress`` is true for a bar, false for none; by default there is one when it takes over a second, somebody
        looks, and tqdm is installed. Or a function that is called with the bytes sent so far and in all (or None).
        """
        meter = Meter(progress, Path(local).name)
        return self._driver.run(transfers.upload(Path(local), _name(remote), meter))

    def download(self, remote: Remote, local: Remote | None = None, *, progress: Progress = None) -> Path:
        """Copy a file or a folder of the server to this machine, of any size; where it is now.

        A file becomes ``local``, or goes into it where that is a folder; it is there once it is whole. What is in a
        folder goes into the folder ``local``. Without ``local`` it is the name in this process's own folder. Links
        that lead out of the folder are left out. ``progress`` is as for :meth:`upload`.
        """
        meter = Meter(progress, os.fspath(remote))
        return self._driver.run(transfers.download(os.fspath(remote), None if local is None else Path(local), meter))

    def search(
        self,
        query: str,
        path: Remote = ".",
        *,
        kind: SearchKind = "content",
        glob: str | None = None,
        regex: bool = False,
        case_sensitive: bool = False,
        limit: int | None = None,
    ) -> MatchList:
        """Find files by what is in them, or with ``kind="name"`` by their names.

        ``query`` is text, or with ``regex`` a regular expression; ``glob`` chooses the paths that are looked at. Case
        is ignored unless ``case_sensitive``. What is in ``.git`` and in binary files is not looked at.
        """
        call = file_calls.search(
            query,
            folder=os.fspath(path),
            kind=kind,
            glob=glob,
            regex=regex,
            case_sensitive=case_sensitive,
            limit=limit,
        )
        return MatchList(self._driver.run(perform(call)))

    def watch(self, path: Remote = ".", *, recursive: bool = False) -> Stream[FileChange]:
        """The changes of a folder or file, as they come; ``recursive`` for all that is in a folder.

        It begins with the first that is asked for, or with ``ready()``, and ends when the path itself is gone.
        """
        return self._driver.iterate(watching.changes(os.fspath(path), recursive=recursive))


class AsyncFileSystem:
    """The files of the server: ``sdk.fs``."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    async def list(
        self, path: Remote = ".", *, recursive: bool = False, depth: int | None = None, glob: str | None = None
    ) -> EntryList:
        """See :meth:`FileSystem.list`."""
        return await self._driver.run(transfers.listing(os.fspath(path), _asked(recursive, depth, glob)))

    def scan(
        self, path: Remote = ".", *, recursive: bool = False, depth: int | None = None, glob: str | None = None
    ) -> AsyncStream[FileEntry]:
        """See :meth:`FileSystem.scan`."""
        return self._driver.iterate(transfers.pages(os.fspath(path), _asked(recursive, depth, glob)))

    async def stat(self, path: Remote) -> FileInfo:
        """See :meth:`FileSystem.stat`."""
        return await self._driver.run(perform(file_calls.stat(os.fspath(path))))

    async def exists(self, path: Remote) -> bool:
        """See :meth:`FileSystem.exists`."""
        return await self._driver.run(transfers.exists(os.fspath(path)))

    async def read(self, path: Remote, *, offset: int = 0, length: int | None = None) -> bytes:
        """See :meth:`FileSystem.read`."""
        return await self._driver.run(transfers.content(os.fspath(path), offset=offset, length=length))

    async def read_text(self, path: Remote, *, encoding: str = "utf-8", errors: str = "strict") -> str:
        """See :meth:`FileSystem.read_text`."""
        return (await self.read(path)).decode(encoding, errors)

    def stream(self, path: Remote, *, offset: int = 0, length: int | None = None) -> AsyncStream[bytes]:
        """See :meth:`FileSystem.stream`."""
        return self._driver.iterate(transfers.fetch(os.fspath(path), offset=offset, length=length))

    async def write(
        self,
        path: Remote,
        data: Content,
        *,
        overwrite: bool = True,
        if_match: str | None = None,
        progress: Progress = None,
    ) -> WriteResult:
        """See :meth:`FileSystem.write`."""
        meter = Meter(progress, os.fspath(path))
        return await self._driver.run(
            transfers.write(os.fspath(path), data, meter, if_match=if_match, overwrite=overwrite)
        )

    async def mkdir(self, path: Remote) -> None:
        """See :meth:`FileSystem.mkdir`."""
        await self._driver.run(perform(file_calls.mkdir(os.fspath(path))))

    async def move(self, source: Remote, to: Remote, *, overwrite: bool = False) -> None:
        """See :meth:`FileSystem.move`."""
        await self._driver.run(perform(file_calls.move(os.fspath(source), os.fspath(to), overwrite=overwrite)))

    async def delete(self, path: Remote, *, recursive: bool = False) -> None:
        """See :meth:`FileSystem.delete`."""
        await self._driver.run(gone(file_calls.delete(os.fspath(path), recursive=recursive)))

    async def upload(self, local: Remote, remote: Remote | None = None, *, progress: Progress = None) -> Transfer:
        """See :meth:`FileSystem.upload`."""
        meter = Meter(progress, Path(local).name)
        return await self._driver.run(transfers.upload(Path(local), _name(remote), meter))

    async def download(self, remote: Remote, local: Remote | None = None, *, progress: Progress = None) -> Path:
        """See :meth:`FileSystem.download`."""
        meter = Meter(progress, os.fspath(remote))
        target = None if local is None else Path(local)
        return await self._driver.run(transfers.download(os.fspath(remote), target, meter))

    async def search(
        self,
        query: str,
        path: Remote = ".",
        *,
        kind: SearchKind = "content",
        glob: str | None = None,
        regex: bool = False,
        case_sensitive: bool = False,
        limit: int | None = None,
    ) -> MatchList:
        """See :meth:`FileSystem.search`."""
        call = file_calls.search(
            query,
            folder=os.fspath(path),
            kind=kind,
            glob=glob,
            regex=regex,
            case_sensitive=case_sensitive,
            limit=limit,
        )
        return MatchList(await self._driver.run(perform(call)))

    def watch(self, path: Remote = ".", *, recursive: bool = False) -> AsyncStream[FileChange]:
        """See :meth:`FileSystem.watch`."""
        return self._driver.iterate(watching.changes(os.fspath(path), recursive=recursive))


def _asked(recursive: bool, depth: int | None, glob: str | None) -> file_calls.ListQuery:
    return {"recursive": recursive, "depth": depth, "glob": glob}


def _name(path: Remote | None) -> str | None:
    return None if path is None else os.fspath(path)
