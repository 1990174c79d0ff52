"""A child's pipes on the event loop: large reads with pause and drain, and writes of whole messages in order."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALLEST_READ = 1 << 16
_LARGEST_READ = 1 << 20  # what a large pipe holds: the fewer lines are cut, the fewer are copied twice
_MOST_BUFFERS = 64  # well below IOV_MAX, enough to make a burst of small messages one call


class PipeReader:
    """Reads a non-blocking pipe and hands what came to ``on_data``, then calls ``on_eof`` once.

    The descriptor stays its owner's; `close` only stops reading.
    """

    def __init__(self, fd: int, on_data: Callable[[bytes], None], on_eof: Callable[[], None] | None = None) -> None:
        self._fd = fd
        self._on_data = on_data
        self._on_eof = on_eof
        self._loop = asyncio.get_running_loop()
        self._size = _SMALLEST_READ
        self._reading = False
        self.taken = 0  # bytes
        self.eof = False
        self.resume()

    def resume(self) -> None:
        if not self._reading and not self.eof:
            self._loop.add_reader(self._fd, self._read)
            self._reading = True

    def pause(self) -> None:
        """Stop reading: the pipe fills and the child waits."""
        if self._reading:
            self._loop.remove_reader(self._fd)
            self._reading = False

    def drain(self, most: int | None = None) -> bool:
        """Take what is in the pipe now, without waiting, paused or not. True at its end.

        ``most`` is about how many bytes, where somebody may go on writing without end.
        """
        stop = None if most is None else self.taken + most
        while not self.eof and self._read() and (stop is None or self.taken < stop):
            pass
        return self.eof

    def close(self) -> None:
        self.pause()
        self.eof = True

    def _read(self) -> bool:
        """One read; False when there was nothing."""
        try:
            data = os.read(self._fd, self._size)
        except BlockingIOError:
            return False
        if not data:
            self.close()
            if self._on_eof is not None:
                self._on_eof()
            return False
        # the buffer is allocated before it is known what came: large only while the child writes in bulk
        if len(data) == self._size:
            self._size = min(self._size * 2, _LARGEST_READ)
        elif len(data) * 4 < self._size:
            self._size = max(self._size // 2, _SMALLEST_READ)
        self.taken += len(data)
        self._on_data(data)
        return True


class PipeWriter:
    """Writes messages to a non-blocking pipe: each is queued whole at once, so no caller can leave half of one.

    `has_room` clears while more than ``limit`` bytes wait; who may wait should, before the next `write`.
    ``on_broken`` is called when the child has closed its side.
    """

    def __init__(self, fd: int, *, limit: int = 1 << 20, on_broken: Callable[[], None] | None = None) -> None:
        self._fd = fd
        self._limit = limit
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes | memoryview] = deque()
        self._writing = False
        self.queued = 0
        self.closed = False
        self.has_room = asyncio.Event()
        self.has_room.set()
        self._loop.add_reader(fd, self._broken)  # a pipe's write end is "readable" when nobody reads it any more

    def write(self, message: bytes) -> None:
        """Queue one message; dropped when the other side is gone, which the child's exit tells."""
        if self.closed:
            return
        self._queue.append(message)
        self.queued += len(message)
        if not self._writing:
            self._flush()
        if self.queued > self._limit:
            self.has_room.clear()

    def close(self) -> None:
        """Drop what waits and stop. The descriptor stays its owner's."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._fd)
        self._queue.clear()
        self.queued = 0
        self._watch(wanted=False)
        self.has_room.set()

    def _broken(self) -> None:
        self.close()
        if self._on_broken is not None:
            self._on_broken()

    def _flush(self) -> None:
        while self._queue:
            batch = [self._queue[i] for i in range(min(len(self._queue), _MOST_BUFFERS))]
            try:
                written = os.writev(self._fd, batch)
            except BlockingIOError:
                break
            except BrokenPipeError:
                self._broken()
                return
            self._advance(written)
        self._watch(wanted=bool(self._queue))
        if self.queued <= self._limit:
            self.has_room.set()

    def _advance(self, written: int) -> None:
        self.queued -= written
        while written:
            head = self._queue.popleft()
            if len(head) > written:
                self._queue.appendleft(memoryview(head)[written:])
                return
            written -= len(head)

    def _watch(self, *, wanted: bool) -> None:
        if wanted and not self._writing:
            self._loop.add_writer(self._fd, self._flush)
        elif self._writing and not wanted:
            self._loop.remove_writer(self._fd)
        self._writing = wanted
