"""What a process writes: followed without loss, and cut into lines (pure)."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final

import msgspec

from sandbox_agent.client import process_calls
from sandbox_agent.client.calls import perform
from sandbox_agent.client.effects import Emit
from sandbox_agent.client.process_results import LogEntry
from sandbox_agent.client.programs import each
from sandbox_agent.client.stream import follow
from sandbox_agent.wire.base import Wire
from sandbox_agent.wire.processes import ProcessLogEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.client.effects import Program, Request, Source
    from sandbox_agent.client.sse import SseEvent
    from sandbox_agent.wire.processes import ProcessLogsStream


class _Reset(Wire, frozen=True, kw_only=True):
    """The server's word that entries before ``first`` are gone."""

    first: int


_entry_decoder: Final = msgspec.json.Decoder(ProcessLogEntry)
_reset_decoder: Final = msgspec.json.Decoder(_Reset)


class LogState:
    """A process's log from some point on, each entry once and in order; done when the process has ended."""

    def __init__(
        self, process_id: str, which: ProcessLogsStream | None, *, tail: int | None = None, since: int | None = None
    ) -> None:
        self.process_id = process_id
        self.which = which
        self.done = False
        self._tail = tail
        self._since = since
        self._cursor: int | None = None

    def request(self) -> Request:
        """``tail`` counts from the end, so it is of use once only."""
        tail = self._tail if self._cursor is None else None
        return process_calls.logs_stream(
            self.process_id, which=self.which, tail=tail, since=self._since, after=self._cursor
        )

    def accept(self, event: SseEvent) -> Iterable[LogEntry]:
        if event.name == "log":
            entry = LogEntry.of(_entry_decoder.decode(event.data))
            if self._cursor is not None and entry.sequence <= self._cursor:
                return ()
            self._cursor = entry.sequence
            return (entry,)
        if event.name == "reset":
            return self._reset(_reset_decoder.decode(event.data).first)
        self.done = event.name == "exit"
        return ()

    def _reset(self, first: int) -> Iterable[LogEntry]:
        """A gap is shown as an entry of its own, numbered as the last of those that are gone."""
        if self._cursor is not None and first - 1 <= self._cursor:
            return ()
        self._cursor = first - 1
        return (LogEntry(first - 1, self.which or "combined", 0, b"", is_reset=True),)


class Lines:
    """Cuts what several streams wrote into lines, each stream's its own; characters are joined over entries."""

    def __init__(self) -> None:
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._begun: dict[str, list[str]] = {}

    def feed(self, entry: LogEntry) -> list[str]:
        """The lines that ``entry`` completes, without their ends."""
        decoder = self._decoders.setdefault(entry.stream, codecs.getincrementaldecoder("utf-8")("replace"))
        return self._split(entry.stream, decoder.decode(entry.data))

    def rest(self) -> list[str]:
        """What was begun and never ended."""
        ends = ((name, decoder.decode(b"", final=True)) for name, decoder in self._decoders.items())
        begun = (line for name, end in ends for line in ("".join([*self._begun.get(name, ()), end]),))
        return [line.removesuffix("\r") for line in begun if line]

    def _split(self, stream: str, text: str) -> list[str]:
        first, *others = text.split("\n")
        begun = self._begun.setdefault(stream, [])
        begun.append(first)
        if not others:
            return []
        lines = ["".join(begun), *others[:-1]]
        self._begun[stream] = [others[-1]]
        return [line.removesuffix("\r") for line in lines]


def entries(
    process_id: str, which: ProcessLogsStream | None, *, follow_on: bool, tail: int | None, since: int | None
) -> Source:
    """Emit log entries; with ``follow_on`` as they come, until the process has ended and the last is there."""
    if follow_on:
        yield from follow(LogState(process_id, which, tail=tail, since=since))
        return
    page = yield from perform(process_calls.logs(process_id, which=which, tail=tail, since=since))
    found = tuple(map(LogEntry.of, page.entries))
    if page.reset:
        last_gone = found[0].sequence - 1 if found else (since or 0)
        found = (LogEntry(last_gone, page.stream, 0, b"", is_reset=True), *found)
    if found:
        yield Emit(found)


def lines(source: Source) -> Source:
    """Emit the lines of the entries that ``source`` emits."""
    cut = Lines()

    def visit(entry: LogEntry) -> Program[bool]:
        if found := cut.feed(entry):
            yield Emit(tuple(found))
        return False

    yield from each(source, visit)
    if rest := cut.rest():
        yield Emit(tuple(rest))


def output(process_id: str, which: ProcessLogsStream | None) -> Program[str]:
    """What is kept of it now, as text."""
    page = yield from perform(process_calls.logs(process_id, which=which, tail=None, since=None))
    return b"".join(LogEntry.of(entry).data for entry in page.entries).decode("utf-8", "replace")
