"""What `fs` answers: the wire structs of files, dressed for a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from sandbox_agent.client.results import Listing, pretty
from sandbox_agent.wire import files
from sandbox_agent.wire.base import Wire


def _when(modified: str | None) -> datetime | None:
    return None if modified is None else datetime.fromisoformat(modified)


class _Shown:
    """What a path is, for people: the same for an entry of a listing and for what `stat` tells."""

    __slots__ = ()

    path: str
    entry_type: files.EntryType
    size: int
    modified: str | None

    @property
    def is_dir(self) -> bool:
        return self.entry_type == "directory"

    @property
    def modified_at(self) -> datetime | None:
        return _when(self.modified)

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r}{'/' if self.is_dir else f' {self.size} bytes'}>"

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.file_text(cast("files.FsEntry | files.FsStat", self))

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.file_html(cast("files.FsEntry | files.FsStat", self))


class FileEntry(_Shown, files.FsEntry, frozen=True, kw_only=True):
    """One name in a folder: the link itself where it is one."""


class FileInfo(_Shown, files.FsStat, frozen=True, kw_only=True):
    """What a path leads to, links followed. ``etag`` changes with the content of a file."""


class WriteResult(files.FsWriteResponse, frozen=True, kw_only=True):
    """A file as it was written. ``etag`` is what the next write's ``if_match`` can be."""


class EntryList(Listing[FileEntry]):
    """The entries of a folder, in the order of their names, what is in a folder right after it."""

    __slots__ = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.items)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(entry.path for entry in self.items)

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.entries_text(self.items)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.entries_html(self.items)


class FileMatch(files.FsSearchMatch, frozen=True, kw_only=True):
    """A line of a file, or a name, with what was looked for in ``ranges`` of its ``text``."""

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}: {self.text}"


class MatchList(Listing[FileMatch]):
    """What was found, by path and line; ``truncated`` when there is more, for the ``reason`` told."""

    __slots__ = ("reason", "truncated")

    def __init__(self, found: FoundMatches) -> None:
        super().__init__(found.matches)
        self.truncated = found.truncated
        self.reason = found.reason

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.matches_text(self.items, truncated=self.truncated)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.matches_html(self.items, truncated=self.truncated)


class FoundMatches(Wire, frozen=True, kw_only=True):
    matches: tuple[FileMatch, ...]
    truncated: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class FileChange:
    """A change of a watched file or folder.

    ``change`` is ``created``, ``modified``, ``deleted``, or ``missed``: then there were others that are not known, for
    there were too many at once or the connection was cut; look again. ``path`` is then empty.
    """

    change: Literal["created", "modified", "deleted", "missed"]
    path: str = ""
    is_dir: bool = False

    def __fspath__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class Transfer:
    """What was uploaded: ``files`` of them, ``size`` bytes, below ``path`` on the server.

    ``skipped`` are those of this machine that are neither a file nor a folder, and links to folders.
    """

    path: str
    files: int
    size: int
    skipped: tuple[str, ...] = ()
