"""Reads all outputs of a child until they have ended."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from typing import TYPE_CHECKING

from sandbox_agent.supervisor import PipeReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Pump:
    """``outputs`` are descriptors and who gets what comes from them. ``ended`` is set when all are at their end."""

    def __init__(self, outputs: Mapping[int, Callable[[bytes], None]], reader: type[PipeReader] = PipeReader) -> None:
        self.ended = asyncio.Event()
        self._open = len(outputs)
        self._readers = {fd: reader(fd, take, self._end) for fd, take in outputs.items()}

    def _end(self) -> None:
        self._open -= 1
        if not self._open:
            self.ended.set()

    def drain(self) -> None:
        """Take what is there at this moment, and no more: somebody may go on writing without end."""
        for fd, reader in self._readers.items():
            if not reader.eof:
                (waiting,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))
                reader.drain(waiting)

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self.ended.set()
