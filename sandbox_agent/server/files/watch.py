"""`GET /v1/fs/watch`: changes of files as server-sent events."""

from __future__ import annotations

import errno
import os
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.files.faults import problem_of
from sandbox_agent.files.paths import encoded
from sandbox_agent.problems import FileFault, NotAcceptable
from sandbox_agent.server import negotiate
from sandbox_agent.server.call import EventStream, encode_json
from sandbox_agent.server.sse import event
from sandbox_agent.wire.files import FsChange

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sandbox_agent.files.changes import Change
    from sandbox_agent.files.watch import Watches
    from sandbox_agent.problems import Problem
    from sandbox_agent.server.call import Call


class WatchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``recursive`` watches the folders below as well, and those that come to be there."""

    path: str = "."
    recursive: bool = False


async def watch(call: Call) -> EventStream:
    if not call.accepts(negotiate.EVENT_STREAM):
        raise NotAcceptable("changes are sent as text/event-stream, which Accept does not allow")
    files = call.sandbox.files
    await files.stat(call.query.path)  # what is not there is told by the status
    path = files.absolute(call.query.path)
    return EventStream(_events(call.sandbox.watches, path, recursive=call.query.recursive))


async def _events(watches: Watches, path: str, *, recursive: bool) -> AsyncGenerator[bytes, None]:
    """``ready`` when nothing more can be missed; ``change`` for each change; ``overflow`` when some are not known.

    ``failed`` with a problem is the last where the path cannot be watched. Ends when the folder itself is gone.
    """
    ready = False
    async with aclosing(watches.watch(path, recursive=recursive)) as batches:
        try:
            async for batch in batches:
                told = [] if ready else [event("ready", b"{}")]
                ready = True
                if batch.lost:
                    told.append(event("overflow", b"{}"))
                yield b"".join([*told, *map(_told, batch.changes)])
        except OSError as error:
            yield event("failed", _problem(error, path).encode())


def _told(change: Change) -> bytes:
    path = os.fsdecode(change.path)
    body = FsChange(
        change=change.kind,
        path=path,
        entry_type="directory" if change.folder else "file",
        encoded_path=encoded(path),
    )
    return event("change", encode_json(body))


def _problem(error: OSError, path: str) -> Problem:
    if error.errno == errno.ENOSPC:  # inotify_add_watch(2)
        return FileFault(
            "this user watches as many folders as the system allows",
            hint="raise it with `sysctl fs.inotify.max_user_watches`, or watch fewer folders",
            code="too_many_watches",
            path=path,
        )
    return problem_of(error, path)
