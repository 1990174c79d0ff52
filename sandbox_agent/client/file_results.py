"""What `fs` answers: the wire structs of files, dressed for a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sandbox_agent.client.results import Listing, pretty
from sandbox_agent.wire import files

if TYPE_CHECKING:
    from collections.abc import Sequence


def _when(modified: str | None) -> datetime | None:
    return None if modified is None else datetime.fromisoformat(modified)


class FileEntry(files.FsEntry, frozen=True, kw_only=True):
    """One name in a folder: the link itself where it is one."""

    @property
    def is_dir(self) -> bool:
        return self.entry_type == "directory"

    @property
    def modified_at(self) -> datetime | None:
        return _when(self.modified)

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"<FileEntry {self.path!r}{'/' if self.is_dir else f' {self.size} bytes'}>"

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.file_text(self)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.file_html(self)


class FileInfo(files.FsStat, frozen=True, kw_only=True):
    """What a path leads to, links followed. ``etag`` changes with the content of a file."""

    @property
    def is_dir(self) -> bool:
        return self.entry_type == "directory"

    @property
    def modified_at(self) -> datetime | None:
        return _when(self.modified)

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"<FileInfo {self.path!r}{'/' if self.is_dir else f' {self.size} bytes'}>"

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.file_text(self)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.file_html(self)


class WriteResult(files.FsWriteResponse, frozen=True, kw_only=True):
    """A file as it was written. ``etag`` is what the next write's ``if_match`` can be."""


class EntryList(Listing[FileEntry]):
    """The entries of a folder, in the order of their names."""

    __slots__ = ("path",)

    def __init__(self, items: Sequence[FileEntry], path: str = "") -> None:
        super().__init__(items)
        self.path = path

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.items)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(entry.path for entry in self.items)

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.entries_text(self.items, base=self.path)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.entries_html(self.items, base=self.path)


@dataclass(frozen=True, slots=True)
class Transfer:
    """What was uploaded: ``files`` of them, ``size`` bytes, below ``path`` on the server.

    ``skipped`` are those of this machine that are neither a file nor a folder, and links to folders.
    """

    path: str
    files: int
    size: int
    skipped: tuple[str, ...] = ()
