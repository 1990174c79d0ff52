"""What the client does with files beyond one request: reading through cuts, uploads, downloads (pure but for `Do`)."""

from __future__ import annotations

import posixpath
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandbox_agent.client import bodies, file_calls, sinks
from sandbox_agent.client.backoff import Backoff
from sandbox_agent.client.calls import is_away, perform, problem_of, unreachable
from sandbox_agent.client.effects import Emit, Shut, Sleep, TransportFault, do, now, open_stream, read
from sandbox_agent.client.errors import FileChanged
from sandbox_agent.client.file_results import EntryList, Transfer
from sandbox_agent.client.programs import each
from sandbox_agent.problems import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.client.bodies import Content
    from sandbox_agent.client.effects import Program, Reply, Source
    from sandbox_agent.client.file_calls import ListQuery
    from sandbox_agent.client.file_results import FileEntry, WriteResult
    from sandbox_agent.client.progress import Meter
    from sandbox_agent.client.sinks import Sink

PATIENCE: Final = 30.0
"""Seconds without a byte after which a transfer is given up."""


def pages(path: str, query: ListQuery) -> Source:
    """Emit a listing's entries, page by page."""
    cursor: str | None = None
    while True:
        page = yield from perform(file_calls.entries(path, query, cursor))
        if page.entries:
            yield Emit(page.entries)
        if page.cursor is None or page.cursor == cursor:
            return
        cursor = page.cursor


def listing(path: str, query: ListQuery) -> Program[EntryList]:
    """All entries of a listing."""
    found: list[FileEntry] = []

    def keep(entry: FileEntry) -> Program[bool]:
        found.append(entry)
        return False
        yield  # a program that asks for nothing

    yield from each(pages(path, query), keep)
    return EntryList(found)


def exists(path: str) -> Program[bool]:
    """Whether a path leads to something."""
    try:
        yield from perform(file_calls.stat(path))
    except NotFound:
        return False
    return True


PIECES: Final = 16
"""Pieces of a download that are written at once: a piece is 64 KiB as a rule."""


class _Position:
    """How far a file was read, and of which content."""

    def __init__(self, path: str, offset: int, length: int | None) -> None:
        self.path = path
        self.at = offset
        self.end = None if length is None else offset + length
        self.etag: str | None = None

    @property
    def done(self) -> bool:
        return self.end is not None and self.at >= self.end

    def accept(self, reply: Reply) -> bool:
        """Whether there is something to read. Raises what is final."""
        if reply.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return False
        if reply.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            raise problem_of(reply)
        etag = reply.headers.get("etag")
        if self.etag is not None and (etag != self.etag or (self.at and reply.status == HTTPStatus.OK)):
            raise FileChanged(self.path)
        self.etag = etag
        return True


def fetch(path: str, *, offset: int = 0, length: int | None = None) -> Source:
    """Emit a file's bytes from ``offset`` on, as they come; after a cut it goes on where it was.

    Raises :class:`FileChanged` when the file is another one by then.
    """
    position, backoff = _Position(path, offset, length), Backoff()
    heard, known = (yield from now()), position.at
    while not position.done:
        try:
            reply = yield from open_stream(file_calls.content(path, position.at, position.end, position.etag))
            if not is_away(reply):
                if position.accept(reply):
                    yield from _drain(position)
                yield Shut()
                return
            error: Exception = problem_of(reply)
        except TransportFault as fault:
            error = unreachable(fault)
        at = yield from now()
        if position.at > known:
            if position.etag is None:
                raise error  # it cannot be known whether what comes next is of the same content
            heard, known = at, position.at
            backoff.reset()
        pause = backoff.delay()
        if at + pause - heard > PATIENCE:
            raise error
        yield Sleep(pause)


def _drain(position: _Position) -> Program[None]:
    while (chunk := (yield from read())) is not None:
        position.at += len(chunk)
        yield Emit((chunk,))


def content(path: str, *, offset: int, length: int | None) -> Program[bytes]:
    """A file's bytes, or some of them."""
    found: list[bytes] = []

    def keep(chunk: bytes) -> Program[bool]:
        found.append(chunk)
        return False
        yield  # a program that asks for nothing

    yield from each(fetch(path, offset=offset, length=length), keep)
    return b"".join(found)


def write(path: str, data: Content, meter: Meter, *, if_match: str | None, overwrite: bool) -> Program[WriteResult]:
    """Replace a file's content at once, or make it."""
    body = yield from do(lambda: bodies.body_of(data, meter))
    with meter:
        call = file_calls.put(path, body, if_match=if_match, overwrite=overwrite, repeatable=body.repeatable)
        return (yield from perform(call))


def upload(local: Path, remote: str | None, meter: Meter) -> Program[Transfer]:
    """Copy a file or a folder of this machine to the server."""
    local = local.expanduser().absolute()
    with meter:
        if not (yield from do(local.is_dir)):
            path = yield from _place(remote, local.name)
            body = yield from do(lambda: bodies.FileBody(local, meter))
            written = yield from perform(file_calls.put(path, body))
            return Transfer(written.path, 1, written.bytes_written)
        folder = bodies.FolderBody(local, meter)
        path = remote or local.name
        yield from perform(file_calls.upload_batch(path, folder))
        info = yield from perform(file_calls.stat(path))
        return Transfer(info.path, folder.files, folder.bytes, tuple(folder.skipped))


def _place(remote: str | None, name: str) -> Program[str]:
    """Where a file goes: into ``remote`` where that is a folder, else it becomes it."""
    if remote is None or remote.endswith("/"):
        return posixpath.join(remote or "", name)
    try:
        info = yield from perform(file_calls.stat(remote))
    except NotFound:
        return remote
    return posixpath.join(remote, name) if info.is_dir else remote


def download(remote: str, local: Path | None, meter: Meter) -> Program[Path]:
    """Copy a file or a folder of the server to this machine."""
    info = yield from perform(file_calls.stat(remote))
    name = posixpath.basename(info.path) or "root"
    target = (local or Path(name)).expanduser().absolute()
    if info.is_dir:
        return (yield from _into(sinks.FolderSink, target, archive(remote), meter))
    if local is not None and (yield from do(target.is_dir)):
        target /= name
    meter.total = info.size
    return (yield from _into(sinks.FileSink, target, fetch(remote), meter))


def archive(path: str) -> Source:
    """Emit a folder as a tar archive, as it comes. It is made anew for each request, so a cut is the end."""
    try:
        reply = yield from open_stream(file_calls.archive(path))
        if reply.status != HTTPStatus.OK:
            raise problem_of(reply)
        while (chunk := (yield from read())) is not None:
            yield Emit((chunk,))
    except TransportFault as fault:
        raise unreachable(fault) from fault
    yield Shut()


def save(target: Path, source: Source, meter: Meter) -> Program[Path]:
    """Write what ``source`` emits to a file, which is there once it is whole."""
    return (yield from _into(sinks.FileSink, target, source, meter))


def _into(kind: Callable[[Path], Sink], target: Path, source: Source, meter: Meter) -> Program[Path]:
    """Write what ``source`` emits; nothing half done is left of a file."""
    sink = yield from do(lambda: kind(target))
    pending: list[bytes] = []

    def flush() -> Program[None]:
        data = b"".join(pending)
        pending.clear()
        yield from do(lambda: sink.write(data))
        meter.add(len(data))

    def take(chunk: bytes) -> Program[bool]:
        pending.append(chunk)
        if len(pending) >= PIECES:
            yield from flush()
        return False

    with meter:
        try:
            yield from each(source, take)
            yield from flush()
            return (yield from do(sink.finish))
        except BaseException:
            sink.discard()
            raise
