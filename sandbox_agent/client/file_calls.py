"""The routes of files, as calls (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

import msgspec

from sandbox_agent.client.asking import ACCEPT_JSON, get, path, query, send, stream
from sandbox_agent.client.calls import Call, decoder, ignore
from sandbox_agent.client.effects import Request
from sandbox_agent.client.file_results import FileEntry, FileInfo, FoundMatches, WriteResult
from sandbox_agent.wire.files import FsActionResponse, FsMoveRequest, FsMoveResponse, FsUploadBatchResponse

if TYPE_CHECKING:
    from sandbox_agent.client.effects import Body, Reply

OCTETS = ("Content-Type", "application/octet-stream")
TAR = ("Content-Type", "application/x-tar")
CURSOR = "next-cursor"

PAGE = 10_000
"""Entries in a page of a listing."""


SearchKind: TypeAlias = Literal["content", "name"]


class ListQuery(TypedDict, total=False):
    """What a listing can be asked for beside its path."""

    recursive: bool
    depth: int | None
    glob: str | None


class EntryPage(msgspec.Struct, frozen=True):
    entries: tuple[FileEntry, ...]
    cursor: str | None


_entries = decoder(tuple[FileEntry, ...])


def entries(folder: str, asked: ListQuery, cursor: str | None) -> Call[EntryPage]:
    """One page; the cursor of the next is in a header, for the body is a plain array."""

    def decode(reply: Reply) -> EntryPage:
        return EntryPage(_entries(reply), reply.headers.get(CURSOR))

    asked_for = query(path=folder, **asked, limit=PAGE, cursor=cursor)
    return Call(Request("GET", path("fs", "entries"), asked_for, (ACCEPT_JSON,)), decode)


def stat(name: str) -> Call[FileInfo]:
    return get(FileInfo, "fs", "stat", query=query(path=name))


def mkdir(name: str) -> Call[FsActionResponse]:
    return send(FsActionResponse, "POST", "fs", "mkdir", query=query(path=name))


def move(source: str, to: str, *, overwrite: bool) -> Call[FsMoveResponse]:
    body = FsMoveRequest(source=source, to=to, overwrite=overwrite or None)
    return send(FsMoveResponse, "POST", "fs", "move", body=body, repeatable=False)


def delete(name: str, *, recursive: bool) -> Call[None]:
    asked = query(path=name, recursive=recursive)
    return Call(Request("DELETE", path("fs", "entry"), asked, (ACCEPT_JSON,)), ignore)


def put(
    name: str, body: Body, *, if_match: str | None = None, overwrite: bool = True, repeatable: bool = True
) -> Call[WriteResult]:
    """No read timeout: the server answers once all of it is on its disk."""
    match = () if if_match is None else (("If-Match", if_match),)
    fresh = () if overwrite else (("If-None-Match", "*"),)
    headers = (ACCEPT_JSON, OCTETS, *match, *fresh)
    # With a condition, a second try would find what the first one wrote.
    repeatable = repeatable and if_match is None and overwrite
    request = Request("PUT", path("fs", "file"), query(path=name), headers, body, read_timeout=None)
    return Call(request, decoder(WriteResult), repeatable)


def content(name: str, first: int, end: int | None, etag: str | None) -> Request:
    """A file's bytes from ``first`` to before ``end``; all from the start where it is no longer the one of ``etag``."""
    headers = [("Accept", "*/*")]
    if first or end is not None:
        headers.append(("Range", f"bytes={first}-{'' if end is None else end - 1}"))
        if etag is not None:
            headers.append(("If-Range", etag))
    return Request("GET", path("fs", "file"), query(path=name), tuple(headers))


def upload_batch(folder: str, body: Body) -> Call[FsUploadBatchResponse]:
    request = Request(
        "POST", path("fs", "upload-batch"), query(path=folder), (ACCEPT_JSON, TAR), body, read_timeout=None
    )
    return Call(request, decoder(FsUploadBatchResponse))


def archive(name: str) -> Request:
    """A folder as a tar archive."""
    return Request("GET", path("fs", "download"), query(path=name), (("Accept", "application/x-tar"),))


def search(
    text: str,
    *,
    folder: str,
    kind: SearchKind,
    glob: str | None,
    regex: bool,
    case_sensitive: bool,
    limit: int | None,
) -> Call[FoundMatches]:
    asked = query(query=text, path=folder, kind=kind, glob=glob, regex=regex, caseSensitive=case_sensitive, limit=limit)
    return get(FoundMatches, "fs", "search", query=asked)


def watch(name: str, *, recursive: bool) -> Request:
    return stream("fs", "watch", after=None, query=query(path=name, recursive=recursive))
