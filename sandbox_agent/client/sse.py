"""Server-sent events: bytes in, events out, no I/O (WHATWG HTML, 9.2.6 "Interpreting an event stream")."""

from __future__ import annotations

from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One dispatched event. ``id`` is the last event id in force, ``None`` when the stream never gave one."""

    name: str
    data: bytes
    id: str | None


class SseParser:
    """Feed it the stream in any pieces; it gives each event when its blank line is there.

    Costs are linear in the bytes, however small the pieces of one large event are. What is unfinished when the
    stream ends is discarded, as the specification says: a reconnection brings it whole.
    """

    __slots__ = ("_after_cr", "_buffer", "_last_id", "_searched", "_started", "retry_ms")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._started = False
        self._after_cr = False
        self._last_id: str | None = None
        self.retry_ms: int | None = None

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that ``chunk`` completes."""
        self._take(self._with_line_feeds(chunk))
        events: list[SseEvent] = []
        buffer, start = self._buffer, 0
        while (end := buffer.find(b"\n\n", max(start, self._searched))) >= 0:
            event = self._block(bytes(buffer[start:end]))
            if event is not None:
                events.append(event)
            start = end + 2
            self._searched = start
        if start:
            del buffer[:start]
        self._searched = max(0, len(buffer) - 1)
        return events

    def _take(self, chunk: bytes) -> None:
        self._buffer += chunk
        if not self._started and (len(self._buffer) >= len(_BOM) or not _BOM.startswith(self._buffer)):
            self._started = True
            if self._buffer.startswith(_BOM):
                del self._buffer[: len(_BOM)]

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """CR LF and CR end lines too; a CR at the end of a chunk counts at once, and swallows an LF that follows."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" not in chunk:
            return chunk
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _block(self, block: bytes) -> SseEvent | None:
        name, data = "message", []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value.decode("utf-8", "replace") or "message"
            elif field == b"id" and b"\0" not in value:
                self._last_id = value.decode("utf-8", "replace")
            elif field == b"retry" and value.isdigit():
                self.retry_ms = int(value)
        return SseEvent(name, b"\n".join(data), self._last_id) if data else None
