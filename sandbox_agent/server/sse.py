"""Server-sent events over a connection taken from the HTTP machinery.

The body has neither length nor chunks: it ends when the connection does (RFC 9112, 6.3), so a batch goes to the
socket as it is, in one write, and a stream cut by a restart reads as an end, not as an error.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

import msgspec
from tornado.iostream import SSLIOStream, StreamClosedError

from sandbox_agent.journal import Reset
from sandbox_agent.journal.segment import UNCOPIED
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence

    from tornado.iostream import IOStream

    from sandbox_agent.journal import Journal, Segment

HEARTBEAT_SECONDS = 15.0
STOP_GRACE = 0.3
MOST_PIECES = 512  # of one write; the system takes 1,024 (IOV_MAX)
HEARTBEAT = b"event: heartbeat\ndata: {}\n\n"

Events = bytes | list[bytes]
"""One or more whole events, in one piece or in several that follow each other."""

# X-Accel-Buffering and no-transform keep proxies from holding back or recoding events.
STREAM_HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store, no-transform"),
    ("X-Accel-Buffering", "no"),
    ("Connection", "close"),
)


def event(name: str, data: bytes, *, sequence: int | None = None) -> bytes:
    """One event; ``data`` is JSON without line breaks."""
    identity = b"" if sequence is None else b"id: %d\n" % sequence
    return b"%sevent: %s\ndata: %s\n\n" % (identity, name.encode(), data)


def reset_event(after: int, first: int, **extra: Any) -> bytes:
    """Says that events between the reader's cursor and ``first`` are gone; reading goes on at ``first``."""
    return event("reset", msgspec.json.encode({"after": after, "first": first, **extra}), sequence=first - 1)


def joined(pieces: list[bytes]) -> list[bytes]:
    """Small pieces as one; large ones as they are, uncopied."""
    found: list[bytes] = []
    for large, group in groupby(pieces, key=lambda piece: len(piece) >= UNCOPIED):
        run = list(group)
        found += run if large else [b"".join(run)]
    return found


def unsent(pieces: list[bytes], sent: int) -> list[bytes | memoryview]:
    """What is left of ``pieces`` beyond the first ``sent`` bytes."""
    for at, piece in enumerate(pieces):
        if sent < len(piece):
            return [memoryview(piece)[sent:], *pieces[at + 1 :]]
        sent -= len(piece)
    return []


def head(headers: Iterable[tuple[str, str]]) -> bytes:
    """The head of the response."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode("latin-1")


class Outlet:
    """A short cut to the connection, past the stream's task: open while the stream is served and nothing waits."""

    def __init__(self) -> None:
        self.offer: Callable[[Events], bool] = _closed


def _closed(_events: Events) -> bool:
    return False


async def follow(
    journal: Journal, after: int | None, *, take: Callable[[Segment], bool] | None = None
) -> AsyncIterator[list[Segment] | Reset]:
    """The journal from a client's cursor on: everything kept without one.

    A cursor beyond the head is from another life of the store; waiting for the numbers to catch up with it would
    hide what is there, so it counts as too old.
    """
    start = journal.first - 1 if after is None else after
    if start > journal.head:
        yield Reset(after=start, first=journal.first)
        start = journal.first - 1
    batches = cast("AsyncGenerator[list[Segment] | Reset, None]", journal.follow(start, take=take))
    async with aclosing(batches):
        async for batch in batches:
            yield batch


class Streams:
    """The open event streams of one server, so that they can be ended with it."""

    def __init__(self, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self.heartbeat = heartbeat
        self._open: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._open)

    async def serve(
        self,
        stream: IOStream,
        headers: Iterable[tuple[str, str]],
        batches: AsyncIterator[Events],
        outlet: Outlet | None = None,
    ) -> None:
        """Send ``batches`` until they end or the client goes, and what is offered to ``outlet``."""
        sending = _Sending(stream, self.heartbeat)
        if outlet is not None:
            outlet.offer = sending.offer
        task = spawn_task(sending.run(head(headers), batches), name="event stream")
        self._open.add(task)

        def client_gone() -> None:
            task.cancel()

        stream.set_close_callback(client_gone)
        try:
            await asyncio.wait({task})
        finally:
            self._open.discard(task)
            stream.set_close_callback(None)
            stream.close()

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """End all streams, once they have sent what is left; clients come back with their cursor.

        Those whose readers do not take it within ``grace`` seconds are cut.
        """
        if not self._open:
            return
        _, late = await asyncio.wait(set(self._open), timeout=grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)


class _Sending:
    """One stream being sent: a batch at a time, heartbeats while nothing is to be sent."""

    def __init__(self, stream: IOStream, heartbeat: float) -> None:
        self._stream = stream
        self._heartbeat = heartbeat
        self._last = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, first: bytes, batches: AsyncIterator[Events]) -> None:
        self._stream.set_nodelay(True)
        try:
            await self._write(first)
            self._arm(self._heartbeat)
            async with aclosing(cast("AsyncGenerator[Events, None]", batches)) as source:
                async for batch in source:
                    await self._write(batch)
            if self._stream.writing():  # of what was offered last
                await self._stream.write(b"")
        except StreamClosedError:
            return
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def offer(self, data: Events) -> bool:
        """Send it now, unless something waits to be sent or the client has gone."""
        if self._stream.writing():
            return False
        try:
            self._put(data)
        except StreamClosedError:
            return False
        return True

    async def _write(self, data: Events) -> None:
        sent = self._put(data)
        if sent is not None:
            await sent
            self._last = time.monotonic()

    def _put(self, data: Events) -> asyncio.Future[None] | None:
        """Send what the socket takes, queue the rest; what tells that this is sent as well, where there is a rest."""
        pieces = [data] if isinstance(data, bytes) else data
        busy = self._stream.writing() or self._stream.closed()
        rest: Sequence[bytes | memoryview] = pieces if busy else self._send(pieces)
        self._last = time.monotonic()
        sent = None
        for piece in rest:
            sent = self._stream.write(piece)
        return sent

    def _send(self, pieces: list[bytes]) -> Sequence[bytes | memoryview]:
        """Straight to the socket, which mostly takes all; what it did not take.

        The stream's buffer and future cost 40 us of processor time for an event that comes alone.
        """
        try:
            if len(pieces) == 1 or isinstance(self._stream, SSLIOStream):
                sent = self._stream.write_to_fd(memoryview(pieces[0]))
            else:
                sent = self._stream.socket.sendmsg(pieces[:MOST_PIECES])
        except BlockingIOError:
            return pieces
        except OSError as error:
            self._stream.close(exc_info=error)
            raise StreamClosedError(real_error=error) from error
        return unsent(pieces, sent)

    def _arm(self, delay: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay, self._beat)

    def _beat(self) -> None:
        idle = time.monotonic() - self._last
        if idle < self._heartbeat:
            self._arm(self._heartbeat - idle)
            return
        if not self._stream.writing() and not self._stream.closed():  # a reader that is behind needs no sign of life
            self._stream.write(HEARTBEAT)
            self._last = time.monotonic()
        self._arm(self._heartbeat)
