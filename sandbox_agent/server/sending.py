"""Sending large answers: straight to the connection's socket, at the pace of whoever reads, without holding them.

A file goes from the page cache to the socket by sendfile, in a thread, as the disk may be slow; a slow reader is
waited for on the loop, so that it holds no thread. The connection stays the framework's and is kept alive.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import time
from contextlib import aclosing
from http.client import responses
from typing import TYPE_CHECKING

from tornado.iostream import SSLIOStream, StreamClosedError

from sandbox_agent.problems import SandboxAgentError
from sandbox_agent.server import ranges
from sandbox_agent.server.call import Download
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tornado.httputil import HTTPHeaders, HTTPServerRequest
    from tornado.iostream import IOStream

    from sandbox_agent.files.opened import OpenFile
    from sandbox_agent.server.call import ByteStream

log = logging.getLogger(__name__)

SLICE_BYTES = 8 << 20
SLICE_SECONDS = 0.1
_POLL_MS = 5
"""A thread stays with a reader that takes bytes at least this often; it is the loop that waits for others."""
_READ_BYTES = 1 << 20
_PARTIAL = 206
_NOT_MODIFIED = 304

FILE_HEADERS = (
    ("Accept-Ranges", "bytes"),
    ("Cache-Control", "private, no-cache"),
    # A page that an agent wrote must not act as its reader on this origin, which may be a Jupyter server's.
    ("Content-Security-Policy", "default-src 'none'; sandbox"),
)


class Truncated(EOFError):
    """There is less to send than was announced, or more."""


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """The head of a response. A line break in a value raises ``ValueError``."""
    lines = [f"HTTP/1.1 {status} {responses.get(status, '')}", *(f"{name}: {value}" for name, value in headers)]
    if any("\n" in line or "\r" in line for line in lines):
        raise ValueError("a header has a line break in it")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Sender:
    """Sends one answer to one request, with the headers that the host has set. ``status`` is what was answered."""

    def __init__(self, request: HTTPServerRequest, stream: IOStream, headers: HTTPHeaders) -> None:
        self.status = 200
        self._request = request
        self._stream = stream
        self._headers = headers.copy()
        self._out = Output(stream)
        self._task: asyncio.Task[Exception | None] | None = None

    def abort(self) -> None:
        """The client has gone."""
        self._out.abort()
        if self._task is not None:
            self._task.cancel()

    async def send(self, outcome: Download | ByteStream) -> bool:
        """Whether all went out, so that the connection can be used again.

        Raises what the headers ask for in vain, and what a stream raises before its first bytes.
        """
        try:
            if isinstance(outcome, Download):
                with outcome.file as file:
                    await self._download(file, outcome)
            else:
                self._task = spawn_task(self._attempt(outcome), name=f"send {self._request.path}")
                await asyncio.wait({self._task})
                if self._task.cancelled():
                    return False
                if (error := self._task.result()) is not None:
                    raise error
        except StreamClosedError:
            return False
        except (SandboxAgentError, OSError, Truncated) as error:
            if not self._out.begun:
                raise
            log.warning("%s was cut: %s", self._request.path, error)
            return False
        # Without a length or chunks, it is the connection's end that ends the body (RFC 9112, 6.3).
        return isinstance(outcome, Download) or outcome.length is not None or self._request.version == "HTTP/1.1"

    def _head(self) -> bytes:
        """The response's head, with what it must say of the connection (RFC 9112, 9.3)."""
        asked = self._request.headers.get("Connection", "").lower()
        if self._request.version == "HTTP/1.1":
            if asked == "close":
                self._headers["Connection"] = "close"
        else:
            kept = asked == "keep-alive" and ("Content-Length" in self._headers or self.status == _NOT_MODIFIED)
            self._headers["Connection"] = "Keep-Alive" if kept else "close"
        return head(self.status, self._headers.get_all())

    async def _download(self, file: OpenFile, outcome: Download) -> None:
        part = ranges.choose(self._request.headers, size=file.size, etag=file.etag, modified_ns=file.modified_ns)
        self.status = part.status
        for name, value in (*FILE_HEADERS, *outcome.headers):
            self._headers[name] = value
        self._headers["ETag"] = file.etag
        self._headers["Last-Modified"] = ranges.http_date(file.modified_ns)
        if part.status == _NOT_MODIFIED:
            self._headers.pop("Content-Type", None)
            await self._out.write(self._head())
            return
        self._headers["Content-Type"] = file.media
        self._headers["Content-Length"] = str(part.count)
        if part.status == _PARTIAL:
            self._headers["Content-Range"] = f"bytes {part.start}-{part.start + part.count - 1}/{file.size}"
        end = part.start + part.count
        if self._request.method == "HEAD":
            await self._out.write(self._head())
        elif end <= len(file.head):
            await self._out.write(self._head() + file.head[part.start : end])
        else:
            await self._out.write(self._head())
            await self._out.file(file, part.start, part.count)

    async def _attempt(self, outcome: ByteStream) -> Exception | None:
        try:
            await self._bytes(outcome)
        except (SandboxAgentError, OSError, Truncated) as error:
            return error
        return None

    async def _bytes(self, outcome: ByteStream) -> None:
        async with aclosing(outcome.chunks) as source:
            bare = self._request.method == "HEAD"
            chunk = None if bare else await anext(source, None)
            for name, value in (("Content-Type", outcome.media), *outcome.headers):
                self._headers[name] = value
            framed = outcome.length is None and self._request.version == "HTTP/1.1"
            if outcome.length is not None:
                self._headers["Content-Length"] = str(outcome.length)
            elif framed:
                self._headers["Transfer-Encoding"] = "chunked"
            await self._out.write(self._head())
            sent = 0
            while chunk is not None:
                sent += len(chunk)
                if outcome.length is not None and sent > outcome.length:
                    break
                if chunk:
                    await self._out.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if framed else chunk)
                chunk = await anext(source, None)
            if not bare and outcome.length not in (None, sent):
                raise Truncated(f"{sent} bytes came where {outcome.length} were announced")
            if framed and not bare:
                await self._out.write(b"0\r\n\r\n")


class Output:
    """The socket of one stream. ``abort`` ends whatever waits for it."""

    def __init__(self, stream: IOStream) -> None:
        self.begun = False
        self._stream = stream
        self._aborted = False
        self._waiting: asyncio.Future[None] | None = None

    def abort(self) -> None:
        self._aborted = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def write(self, data: bytes) -> None:
        """Returns once it is all with the system. Raises ``StreamClosedError``."""
        self.begun = True
        await self._stream.write(data)

    async def file(self, file: OpenFile, start: int, count: int) -> None:
        """``count`` bytes of a file. Raises ``StreamClosedError``, ``OSError``, and ``Truncated`` when it shrank."""
        if isinstance(self._stream, SSLIOStream) or not await self._by_kernel(file, start, count):
            await self._by_reads(file, start, count)

    async def _by_reads(self, file: OpenFile, start: int, count: int) -> None:
        end = start + count
        while start < end:
            data = await asyncio.to_thread(file.read, min(_READ_BYTES, end - start), start)
            if not data:
                raise Truncated(f"{file.path} ends at {start}, {end} bytes were announced")
            await self.write(data)
            start += len(data)

    async def _by_kernel(self, file: OpenFile, start: int, count: int) -> bool:
        """False when the file's system has no sendfile, and nothing was sent."""
        begun, end = start, start + count
        # A descriptor of our own: the stream may close its own at any time, and the number be given again.
        socket = os.dup(self._stream.socket.fileno())
        try:
            while start < end:
                if self._aborted:
                    raise StreamClosedError
                sent = await asyncio.to_thread(_send_slice, socket, file.fd, start, min(SLICE_BYTES, end - start))
                if sent < 0:
                    raise Truncated(f"{file.path} ends before {end} bytes")
                start += sent
                if not sent:
                    await self._writable(socket)
        except (ConnectionError, TimeoutError) as error:
            raise StreamClosedError(real_error=error) from error
        except OSError:
            if start > begun:
                raise
            return False
        finally:
            os.close(socket)
        return True

    async def _writable(self, socket: int) -> None:
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        loop.add_writer(socket, self._wake)
        try:
            if not self._aborted:
                await self._waiting
        finally:
            loop.remove_writer(socket)
            self._waiting = None


def _send_slice(socket: int, fd: int, start: int, count: int) -> int:
    """Send until the slice or its time is over, or the reader pauses; the bytes sent, -1 at the file's end."""
    poll = select.poll()
    poll.register(socket, select.POLLOUT)
    end = time.monotonic() + SLICE_SECONDS
    sent = 0
    while sent < count:
        try:
            more = os.sendfile(socket, fd, start + sent, count - sent)
        except BlockingIOError:
            if time.monotonic() > end or not poll.poll(_POLL_MS):
                break
            continue
        except OSError:
            if sent:
                break  # what was sent is told first; the next slice meets the fault again
            raise
        if not more:
            return sent or -1
        sent += more
    return sent
