r"""`/v1/fs/*`: the sandbox's files.

Paths are absolute. A name that is not UTF-8 is shown with Python's surrogate escapes (byte ``ff`` as ``\udcff`` in
JSON), which strict JSON readers refuse; ``encodedPath`` then holds the same path percent-encoded, ready to be put into
a query as it is.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from sandbox_agent.wire.base import Wire

EntryType: TypeAlias = Literal["file", "directory"]
"""Whatever is no folder counts as a file, as in 0.4.2: links (in a listing), sockets, devices."""

Size: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class FsEntry(Wire, frozen=True, kw_only=True, gc=False):
    """One name in a folder, the link itself where it is one. ``size`` in bytes, ``modified`` as RFC 3339 in UTC.

    ``link_target`` is what a symbolic link holds, ``mode`` the permission bits, ``kind`` is given for what is neither
    a plain file nor a folder nor a link: ``fifo``, ``socket``, ``device``.
    """

    name: str
    path: str
    entry_type: EntryType
    size: Size
    modified: str | None = None
    mode: int | None = None
    link_target: str | None = None
    kind: str | None = None
    encoded_path: str | None = None


class FsStat(Wire, frozen=True, kw_only=True):
    """What a path leads to, links followed. ``etag`` (plain files only) is the one of `GET /v1/fs/file`."""

    path: str
    entry_type: EntryType
    size: Size
    modified: str | None = None
    mode: int | None = None
    kind: str | None = None
    etag: str | None = None
    encoded_path: str | None = None


class FsWriteResponse(Wire, frozen=True, kw_only=True):
    """``etag`` is that of the file as written: the next ``If-Match``."""

    path: str
    bytes_written: Size
    etag: str | None = None
    created: bool = False


class FsActionResponse(Wire, frozen=True, kw_only=True):
    path: str


class FsMoveRequest(Wire, rename={"source": "from"}, frozen=True, kw_only=True):
    """``overwrite`` lets ``to`` be replaced, whatever it is."""

    source: str
    to: str
    overwrite: bool | None = None


class FsMoveResponse(Wire, rename={"source": "from"}, frozen=True, kw_only=True):
    source: str
    to: str


class FsUploadBatchResponse(Wire, frozen=True, kw_only=True):
    """``paths`` holds the first 1,024 that were written; ``truncated`` says whether there were more."""

    paths: tuple[str, ...]
    truncated: bool


class FsChange(Wire, frozen=True, kw_only=True):
    """One change of a watched folder. ``created`` also tells what was renamed onto something else's place."""

    change: Literal["created", "modified", "deleted"]
    path: str
    entry_type: EntryType
    encoded_path: str | None = None


class FsMatchRange(Wire, frozen=True, kw_only=True):
    """A match, from ``start`` to before ``end``, in characters (Unicode code points) of the text."""

    start: Size
    end: Size


class FsSearchMatch(Wire, frozen=True, kw_only=True):
    """A line with matches, counted from 1, or a name, without ``line``.

    Of a long line ``text`` is a part, which begins after ``text_start`` characters.
    """

    path: str
    entry_type: EntryType
    text: str
    ranges: tuple[FsMatchRange, ...]
    line: int | None = None
    text_start: Size = 0
    encoded_path: str | None = None


class FsSearchResponse(Wire, frozen=True, kw_only=True):
    """``truncated`` when not all was found: more than ``limit``, out of ``time``, or lines of too great a ``size``."""

    matches: tuple[FsSearchMatch, ...]
    truncated: bool
    reason: Literal["limit", "time", "size"] | None = None
