"""What an archive would write, as a tree, and everything in it that must not be written. Pure: no file is touched.

Every member is added before the first is written, and each that is not plain and below the destination is refused by
its name: absolute names, ``..``, links, devices, what is there twice, files where folders go.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.problems import InvalidRequest, PayloadTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME_MAX = 255  # limits.h, and of every file system in use
PATH_MAX = 4096
_EXTRACTED = frozenset({"file", "folder"})
_SLASH = ord("/")
_ODD = frozenset({b"", b".", b".."})
_LONG_PART = f"a part of its name is longer than {NAME_MAX} bytes"
_LONG_NAME = f"its name is longer than {PATH_MAX - 1} bytes"
SHOWN = 100
"""So many paths and refusals are told at most; the rest is counted."""


class ArchiveError(Exception):
    """The archive is not one, is damaged, or has more than it may; ``member`` is where that showed."""

    def __init__(self, reason: str, member: bytes | None = None, *, limit: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.member = member
        self.limit = limit

    def problem(self) -> InvalidRequest:
        """As the API tells it: 413 where a limit is passed, else 400."""
        members = None if self.member is None else [_told(self.member, self.reason)]
        where = "" if members is None else f" (at {members[0]['name']!r})"
        kind = InvalidRequest if self.limit is None else PayloadTooLarge
        return kind(f"the archive is refused: {self.reason}{where}", members=members, limit=self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """Beyond these an archive is refused.

    ``expanded_bytes`` and ``ratio`` are against bombs: the ratio of expanded to sent bytes counts once more than
    ``ratio_from`` bytes have been expanded.
    """

    members: int = 250_000
    depth: int = 200
    expanded_bytes: int = 64 << 30
    ratio: int = 200
    ratio_from: int = 64 << 20

    def check_expanded(self, sent: int, expanded: int, member: bytes | None = None) -> None:
        """Raises ``ArchiveError`` when ``expanded`` bytes are too many, or too many for ``sent``."""
        if expanded > self.expanded_bytes:
            raise ArchiveError(
                f"it expands to more than {self.expanded_bytes} bytes", member, limit=self.expanded_bytes
            )
        if expanded > self.ratio_from and expanded > sent * self.ratio:
            raise ArchiveError(f"it expands to more than {self.ratio} times its size", member, limit=self.ratio)


class Member(msgspec.Struct, frozen=True, gc=False):
    """One entry of an archive. ``name`` as it is written there, without interpretation.

    ``kind`` is ``file``, ``folder``, or the word for what is refused. The content of a file is ``size`` bytes at
    ``offset`` of the file that the archive was spooled to. ``mode`` and ``mtime_ns``, which fits 64 bits, are ``None``
    where the archive does not say.
    """

    name: bytes
    kind: str
    size: int = 0
    offset: int = 0
    mode: int | None = None
    mtime_ns: int | None = None


@dataclass(slots=True)
class Folder:
    """A folder to be, with what goes into it. ``member`` is ``None`` where no entry names the folder itself.

    ``there`` says whether it is in the destination already; ``staging``, ``waiting`` and ``direct`` are the notes of
    whoever writes: the folder in which new content waits, what waits there, and the files that are in place already.
    """

    member: Member | None = None
    files: dict[bytes, Member] = field(default_factory=dict)
    folders: dict[bytes, Folder] = field(default_factory=dict)
    there: bool = False
    replaced: set[bytes] = field(default_factory=set)
    staging: bytes | None = None
    waiting: list[bytes] = field(default_factory=list)
    direct: list[bytes] = field(default_factory=list)


class Plan:
    """The tree that the members added so far make, and those of them that are refused."""

    def __init__(self, limits: ArchiveLimits | None = None) -> None:
        self.root = Folder()
        self.names: list[bytes] = []
        self.placed = 0
        self.count = 0
        self._limits = limits or ArchiveLimits()
        self._refused: list[dict[str, str]] = []
        self._refusals = 0
        self._known: dict[bytes, Folder] = {b"": self.root}

    def take(self, members: Iterable[Member], keep: int = 1024) -> None:
        """`add` each of them; a plain file in a folder that is known costs a fraction of a call of it."""
        known, names = self._known, self.names
        folder: Folder | None = None
        here = None
        for member in members:
            name = member.name
            above, _, last = name.rpartition(b"/")
            if above != here:
                folder, here = known.get(above), above
            if (
                folder is None
                or member.kind != "file"
                or last in _ODD
                or last in folder.files
                or last in folder.folders
                or len(name) > NAME_MAX
                or 0 in name
                or (not above and name[0] == _SLASH)
                or self.count >= self._limits.members
            ):
                self.add(member, keep)
                here = None
                continue
            folder.files[last] = member
            self.count += 1
            self.placed += 1
            if len(names) < keep:
                names.append(name)

    def add(self, member: Member, keep: int = 1024) -> None:
        """Take a member in, or note why not; the first ``keep`` names are kept in their order.

        Raises ``ArchiveError`` when there are too many.
        """
        self.count += 1
        if self.count > self._limits.members:
            limit = self._limits.members
            raise ArchiveError(f"it has more than {limit} members", member.name, limit=limit)
        if member.kind not in _EXTRACTED:
            self.refuse(member.name, f"{member.kind} members are not extracted")
            return
        parts = _parts(member.name)
        if isinstance(parts, str):
            self.refuse(member.name, parts)
            return
        if len(parts) > self._limits.depth:
            self.refuse(member.name, f"it lies more than {self._limits.depth} folders deep")
            return
        if self._place(member, parts) and parts:
            self.placed += 1
            if len(self.names) < keep:
                self.names.append(b"/".join(parts))

    def _place(self, member: Member, parts: list[bytes]) -> bool:
        if member.kind == "folder":
            return self._place_folder(member, parts)
        if not parts:
            self.refuse(member.name, "it is the destination itself, which is a folder")
            return False
        name = parts.pop()
        folder = self._folder(member, parts)
        if folder is None:
            return False
        parts.append(name)
        if name in folder.files:
            self.refuse(member.name, "the archive has it twice")
        elif name in folder.folders:
            self.refuse(member.name, "the archive has a folder of that name")
        else:
            folder.files[name] = member
            return True
        return False

    def _place_folder(self, member: Member, parts: list[bytes]) -> bool:
        folder = self._folder(member, parts)
        if folder is None:
            return False
        if parts:  # what an archive says of its own top does not change the destination
            folder.member = member
        return True

    def _folder(self, member: Member, parts: list[bytes]) -> Folder | None:
        """The folder of these names below the root, made when it is new; ``None`` where a file is in the way."""
        above = b"/".join(parts)
        if (known := self._known.get(above)) is not None:
            return known
        folder = self.root
        for part in parts:
            inner = folder.folders.get(part)
            if inner is None:
                if part in folder.files:
                    self.refuse(member.name, "the archive has a file where its folder would be")
                    return None
                inner = folder.folders[part] = Folder()
            folder = inner
        if len(parts) < self._limits.depth:
            self._known[above] = folder  # by the only name that `take` needs no second look at
        return folder

    def refuse(self, name: bytes, reason: str) -> None:
        """Note that the member of this name is not to be written."""
        self._refusals += 1
        if len(self._refused) < SHOWN:
            self._refused.append(_told(name, reason))

    def nest(self, parts: list[bytes]) -> None:
        """Put the whole tree into these folders, the outermost first."""
        for part in reversed(parts):
            self.root = Folder(folders={part: self.root})

    def check(self) -> None:
        """Raises ``InvalidRequest`` when a member was refused; its ``members`` tell each by name."""
        if not self._refused:
            return
        first = self._refused[0]
        more = f" and {self._refusals - 1} more" if self._refusals > 1 else ""
        raise InvalidRequest(
            f"the archive is refused, nothing was written: {first['name']!r}: {first['reason']}{more}",
            members=self._refused,
        )


def _told(name: bytes, reason: str) -> dict[str, str]:
    r"""A name is shown with ``\xff`` for bytes that are not UTF-8, and cut when it is very long."""
    return {"name": name[:PATH_MAX].decode("utf-8", "backslashreplace"), "reason": reason}


def _parts(name: bytes) -> list[bytes] | str:
    """The components of a member's name; or why it cannot be written."""
    parts = name.split(b"/")
    if _ODD.isdisjoint(parts) and len(name) <= NAME_MAX and 0 not in name:
        return parts
    if b"" in parts or b"." in parts:
        parts = [part for part in parts if part not in {b"", b"."}]
    faults = (
        (not name, "it has no name"),
        (name.startswith(b"/"), "its name is absolute"),
        (0 in name, "its name has a NUL"),
        (b".." in parts, "its name leads out of the destination by '..'"),
        (len(name) >= PATH_MAX, _LONG_NAME),
        (len(name) > NAME_MAX and max(map(len, parts), default=0) > NAME_MAX, _LONG_PART),
    )
    return next((reason for is_so, reason in faults if is_so), parts)


def shown(names: list[bytes]) -> list[str]:
    """Names, none with a NUL, as the API shows them: bytes that are not UTF-8 as surrogate escapes."""
    return os.fsdecode(b"\0".join(names)).split("\0") if names else []
