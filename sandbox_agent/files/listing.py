"""Listing folders: in order of names, a folder's content right after it, page by page where asked. Blocks."""

from __future__ import annotations

import base64
import binascii
import operator
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox_agent.files.paths import encoded, rfc3339
from sandbox_agent.problems import InvalidRequest
from sandbox_agent.wire.files import FsEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox_agent.files.root import Root

_NAME = operator.attrgetter("name")
_KIND = 0o170000
_PERMISSIONS = 0o7777
_KINDS = {stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}


def kind_of(mode: int) -> str | None:
    """What is neither a plain file, nor a folder, nor a link."""
    return _KINDS.get(stat.S_IFMT(mode))


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPage:
    """``cursor`` is where the next page goes on; ``None`` when there is no more."""

    entries: list[FsEntry]
    cursor: str | None = None


def to_cursor(relative: str) -> str:
    return base64.urlsafe_b64encode(os.fsencode(relative)).decode().rstrip("=")


def from_cursor(cursor: str | None) -> list[str]:
    """The components of the last entry of the page before. Raises ``InvalidRequest``."""
    if cursor is None:
        return []
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("the cursor is not one of ours", code="invalid_cursor") from error
    parts = os.fsdecode(raw).split("/")
    if not all(parts) or b"\0" in raw:
        raise InvalidRequest("the cursor is not one of ours", code="invalid_cursor")
    return parts


@dataclass(slots=True)
class _Folder:
    """A folder that is being gone through: what is left of it. ``prefix`` is its path below the listed one."""

    rest: Iterator[FsEntry]
    prefix: str
    after: list[str]


class Listing:
    """One listing. ``depth`` is the levels of folders gone into: 1 is the folder alone, ``None`` all."""

    def __init__(
        self,
        root: Root,
        path: str,
        *,
        depth: int | None = 1,
        matches: Callable[[str], bool] | None = None,
        limit: int | None = None,
        after: list[str] | None = None,
    ) -> None:
        self._root = root
        self._path = path.rstrip("/") or "/"
        self._depth = depth
        self._matches = matches
        self._limit = limit
        self._after = after or []

    def page(self) -> EntryPage:
        """Raises ``OSError`` for the folder itself; those below that cannot be read are shown and left closed."""
        if self._depth == 1 and self._limit is None and self._matches is None and not self._after:
            return EntryPage(entries=self._scan(self._path, []))
        found: list[FsEntry] = []
        last = ""
        for relative, entry in self._walk():
            if self._limit is not None and len(found) == self._limit:
                return EntryPage(entries=found, cursor=to_cursor(last))
            found.append(entry)
            last = relative
        return EntryPage(entries=found)

    def _walk(self) -> Iterator[tuple[str, FsEntry]]:
        way = [_Folder(iter(self._scan(self._path, self._after)), "", self._after)]
        while way:
            folder = way[-1]
            entry = next(folder.rest, None)
            if entry is None:
                way.pop()
                continue
            relative = folder.prefix + entry.name
            passed = bool(folder.after) and entry.name == folder.after[0]
            if not passed and (self._matches is None or self._matches(relative)):
                yield relative, entry
            if entry.entry_type == "directory" and (self._depth is None or len(way) < self._depth):
                after = folder.after[1:] if passed else []
                way.append(_Folder(iter(self._below(entry.path, after)), relative + "/", after))

    def _below(self, path: str, after: list[str]) -> list[FsEntry]:
        try:
            return self._scan(path, after)
        except OSError:
            return []

    def _scan(self, path: str, after: list[str]) -> list[FsEntry]:
        """The entries of one folder from a name on."""
        base = path.rstrip("/") + "/"
        with self._root.opened(path, os.O_RDONLY | os.O_DIRECTORY) as fd:
            with os.scandir(fd) as listed:
                names = sorted(listed, key=_NAME)
            if after:
                names = [item for item in names if item.name >= after[0]]
            if self._limit is not None and self._matches is None:
                names = names[: self._limit + 2]
            return list(_entries(fd, base, names))


def _entries(fd: int, base: str, names: list[os.DirEntry[str]]) -> Iterator[FsEntry]:
    """What is still there of ``names``. Ten thousand are common, so there is one plain loop."""
    odd = not base.isascii()
    for item in names:
        name = item.name
        path = base + name
        try:
            status = item.stat(follow_symlinks=False)
            mode = status.st_mode
            yield FsEntry(
                name=name,
                path=path,
                entry_type="directory" if stat.S_ISDIR(mode) else "file",
                size=status.st_size,
                modified=rfc3339(status.st_mtime_ns),
                mode=mode & _PERMISSIONS,
                link_target=os.readlink(name, dir_fd=fd) if item.is_symlink() else None,
                kind=_KINDS.get(mode & _KIND),
                encoded_path=encoded(path) if odd or not name.isascii() else None,
            )
        except OSError:  # gone meanwhile
            continue
