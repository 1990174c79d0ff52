"""The sandbox's files: the endpoints."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import msgspec

from sandbox_agent.problems import InvalidRequest, UnsupportedMediaType
from sandbox_agent.server.call import Answer, Download, encode_json
from sandbox_agent.server.ranges import matches

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.server.call import Call
    from sandbox_agent.wire.files import FsEntry

CURSOR_HEADER = "Next-Cursor"
RECURSIVE_LIMIT = 100_000
"""Entries of a page that goes into folders, unless asked otherwise: a whole disk has millions."""
_BATCH = 1000
_MOST = 1_000_000


class PathQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``path`` is absolute, or from the home folder."""

    path: str


class EntriesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``recursive`` lists what is in folders too, each after its folder; ``depth`` levels of them, 1 being this one.

    ``glob`` (``*``, ``?``, ``[...]``, ``**``) is held against names or, with a ``/`` in it, against paths below
    ``path``. A page has ``limit`` entries (all; 100,000 of a recursive listing); ``cursor`` is the ``Next-Cursor`` of
    the page before.
    """

    path: str = "."
    recursive: bool = False
    depth: Annotated[int, msgspec.Meta(ge=1, le=_MOST)] | None = None
    glob: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=_MOST)] | None = None
    cursor: str | None = None


class DeleteQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that is not empty is deleted only with ``recursive``."""

    path: str
    recursive: bool | None = None


async def entries(call: Call) -> Answer:
    query: EntriesQuery = call.query
    page = await call.sandbox.files.entries(
        query.path,
        recursive=query.recursive,
        depth=query.depth,
        glob=query.glob,
        limit=query.limit or (RECURSIVE_LIMIT if query.recursive or query.depth else None),
        cursor=query.cursor,
    )
    body = await asyncio.to_thread(_encoded, page.entries)
    return Answer(body=body, headers=((CURSOR_HEADER, page.cursor),) if page.cursor else ())


def _encoded(found: list[FsEntry]) -> bytes:
    """The entries as JSON. In batches, for the loop waits for its turn while one is encoded."""
    batches = (encode_json(found[at : at + _BATCH])[1:-1] for at in range(0, len(found), _BATCH))
    return b"[%b]" % b",".join(batches)


async def stat(call: Call) -> Answer:
    return Answer(body=await call.sandbox.files.stat(call.query.path))


async def read(call: Call) -> Download:
    return Download(await call.sandbox.files.read(call.query.path))


async def write(call: Call) -> Answer:
    if call.upload is None:  # cannot be: the route takes a stream
        raise InvalidRequest("the request has no body")
    coding = call.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in {"", "identity"}:
        raise UnsupportedMediaType(
            f"a file is written as the bytes that come, not decoded from {coding}",
            hint="send it without Content-Encoding",
        )
    written = await call.sandbox.files.write(call.query.path, call.upload, holds=_precondition(call))
    return Answer(body=written, headers=(("ETag", written.etag),) if written.etag else ())


def _precondition(call: Call) -> Callable[[str | None], bool] | None:
    """What ``If-Match`` and ``If-None-Match`` ask of the file that is there (RFC 9110, 13.1)."""
    wanted, unwanted = call.headers.get("If-Match"), call.headers.get("If-None-Match")
    if wanted is None and unwanted is None:
        return None

    def holds(etag: str | None) -> bool:
        if wanted is not None and not matches(wanted, etag, weak=False):
            return False
        return unwanted is None or not matches(unwanted, etag, weak=True)

    return holds


async def mkdir(call: Call) -> Answer:
    return Answer(body=await call.sandbox.files.mkdir(call.query.path))


async def move(call: Call) -> Answer:
    body = call.body
    return Answer(body=await call.sandbox.files.move(body.source, body.to, overwrite=bool(body.overwrite)))


async def delete(call: Call) -> Answer:
    query: DeleteQuery = call.query
    return Answer(body=await call.sandbox.files.delete(query.path, recursive=bool(query.recursive)))
