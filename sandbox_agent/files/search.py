"""Searching a folder's names and contents: by ripgrep where it is installed, else by a program of our own.

Either runs as a process below the supervisor: it takes no time from the event loop, and ends at its deadline and when
nobody waits for it any more, whatever the regular expression makes it do. Both skip binary files, large files and what
is in ``.git``, and follow no links.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import time
from base64 import b64decode
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import msgspec

from sandbox_agent.files import search_worker, threads
from sandbox_agent.files.faults import not_a_directory, problem_of
from sandbox_agent.files.glob import matcher, regular_expression
from sandbox_agent.files.paths import encoded
from sandbox_agent.problems import FileFault, InvalidRequest
from sandbox_agent.supervisor import Command, PipeReader, SpawnFailed
from sandbox_agent.wire.files import FsMatchRange, FsSearchMatch, FsSearchResponse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from sandbox_agent.files.root import Root
    from sandbox_agent.supervisor import Child, Supervisor

Kind: TypeAlias = Literal["name", "content"]

DEADLINE = 30.0
MAX_FILE = 64 << 20
MAX_LIMIT = 10_000
MAX_QUERY = 4096
SHOWN_TEXT = 1000
"""Characters of a longer line that are told, from a little before its first match on."""
_BEFORE = 100
_MAX_LINE = 4 << 20
_MAX_BUFFER = 1 << 20
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_WORKER = str(Path(search_worker.__file__))
_PLAIN_GLOB = re.compile(r"[\w.*?/-]+", re.ASCII)


class FileSearch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What to look for in the folder ``path``. ``query`` is text, or with ``regex`` a regular expression.

    The dialect is that of ripgrep's default engine or, without ripgrep and for names, of Python's `re`: the two agree
    on all that is common. ``glob`` limits which paths are looked at, as in listings.
    """

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_QUERY)]
    path: str = "."
    kind: Kind = "content"
    glob: str | None = None
    regex: bool = False
    case_sensitive: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = 1000


class _Text(msgspec.Struct, frozen=True, rename={"base64": "bytes"}):
    text: str | None = None
    base64: str | None = None

    def raw(self) -> bytes:
        return self.text.encode() if self.text is not None else b64decode(self.base64 or "")


class _Span(msgspec.Struct, frozen=True):
    start: int
    end: int


class _Data(msgspec.Struct, frozen=True):
    path: _Text = _Text(text="")
    lines: _Text | None = None
    line_number: int | None = None
    submatches: tuple[_Span, ...] = ()
    binary_offset: int | None = None
    folder: bool = False


class _Message(msgspec.Struct, frozen=True):
    type: str
    data: _Data


class Search:
    """Searches below folders. ``ripgrep`` is the program, ``None`` for our own; ``deadline`` is in seconds."""

    def __init__(
        self, root: Root, supervisor: Supervisor, *, ripgrep: str | None = "rg", deadline: float = DEADLINE
    ) -> None:
        self._root = root
        self._supervisor = supervisor
        self._ripgrep = ripgrep
        self._deadline = deadline

    async def run(self, path: str, wanted: FileSearch) -> FsSearchResponse:
        """All that is found, by path and line; ``truncated`` when there is more, or may be.

        Raises ``InvalidRequest`` for a malformed pattern, and the problems of ``path``.
        """
        if "\n" in wanted.query or "\0" in wanted.query:
            raise InvalidRequest("a query is one line, without NUL")
        fits = matcher(wanted.glob) if wanted.glob else None
        try:
            folder = await threads.opened(self._root.open, path, _FOLDER)
        except NotADirectoryError as error:
            raise not_a_directory(path) from error
        except OSError as error:
            raise problem_of(error, path) from error
        try:
            run = _Run(self._supervisor, self._command(path, wanted, folder), self._deadline)
            return await self._collected(run, path, wanted, fits)
        finally:
            os.close(folder)

    async def _collected(
        self, run: _Run, path: str, wanted: FileSearch, fits: Callable[[str], bool] | None
    ) -> FsSearchResponse:
        found: list[FsSearchMatch] = []
        held: dict[bytes, list[FsSearchMatch]] = {}
        reason: Literal["limit", "time", "size"] | None = None
        base = path.rstrip("/")
        async with aclosing(run.messages()) as messages:
            async for message in messages:
                data = message.data
                raw = data.path.raw().removeprefix(b"./")
                if message.type == "long":
                    run.cut = "size"
                elif message.type == "end":
                    whole = held.pop(raw, [])
                    found.extend(whole if data.binary_offset is None else [])
                elif message.type in {"match", "name"} and (fits is None or fits(os.fsdecode(raw))):
                    match = _match(f"{base}/{os.fsdecode(raw)}", message)
                    if match is not None:
                        (found if message.type == "name" else held.setdefault(raw, [])).append(match)
                if len(found) > wanted.limit or len(held.get(raw, ())) > wanted.limit:
                    reason = "limit"
                    break
        reason = reason or run.cut
        if reason is None and run.complaint and not found:
            _raise_complaint(run.complaint, wanted)
        for rest in held.values():
            found.extend(rest)
        found = found[: wanted.limit]
        found.sort(key=lambda match: (match.path, match.line or 0))
        return FsSearchResponse(matches=tuple(found), truncated=reason is not None, reason=reason)

    def _command(self, path: str, wanted: FileSearch, folder: int) -> Command:
        program = shutil.which(self._ripgrep) if self._ripgrep and wanted.kind == "content" else None
        argv = _worker(wanted) if program is None else _ripgrep(program, path, wanted)
        return Command(argv=argv, cwd=f"/proc/{os.getpid()}/fd/{folder}")


def _ripgrep(program: str, path: str, wanted: FileSearch) -> tuple[str, ...]:
    globs = ["!.git/", *(["!/proc/", "!/sys/"] if path == "/" else [])]
    if wanted.glob and _PLAIN_GLOB.fullmatch(wanted.glob):  # what both read alike; all is held against our own too
        globs.insert(0, wanted.glob)
    return (
        program,
        "--json",
        "--no-config",
        "--no-messages",
        "--hidden",
        "--no-ignore",
        f"--max-filesize={MAX_FILE}",
        "--case-sensitive" if wanted.case_sensitive else "--ignore-case",
        *(() if wanted.regex else ("--fixed-strings",)),
        *(f"--glob={glob}" for glob in globs),
        f"--regexp={wanted.query}",
        "--",
        ".",
    )


def _worker(wanted: FileSearch) -> tuple[str, ...]:
    given = {
        "kind": wanted.kind,
        "query": wanted.query,
        "regex": wanted.regex,
        "caseSensitive": wanted.case_sensitive,
        "glob": regular_expression(wanted.glob) if wanted.glob else None,
        "name": "/" not in (wanted.glob or "/"),
        "maxFile": MAX_FILE,
    }
    return (sys.executable, "-I", "-S", _WORKER, msgspec.json.encode(given).decode())


def _raise_complaint(complaint: str, wanted: FileSearch) -> None:
    if wanted.regex:
        raise InvalidRequest(f"the regular expression is malformed: {complaint.strip()}", code="invalid_regex")
    raise FileFault(f"the search failed: {complaint.strip()}")


def _match(path: str, message: _Message) -> FsSearchMatch | None:
    data = message.data
    raw = data.lines.raw().rstrip(b"\r\n") if data.lines is not None else os.fsencode(path.rpartition("/")[2])
    spans = [(span.start, min(span.end, len(raw))) for span in data.submatches if span.start < min(span.end, len(raw))]
    if not spans:
        return None
    text, ranges, skipped = _excerpt(raw, spans)
    return FsSearchMatch(
        path=path,
        entry_type="directory" if data.folder else "file",
        line=data.line_number,
        text=text,
        text_start=skipped,
        ranges=tuple(FsMatchRange(start=start, end=end) for start, end in ranges),
        encoded_path=encoded(path),
    )


def _excerpt(raw: bytes, spans: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]], int]:
    """The text to show, the matches in it, and how many characters of the line are left out before it.

    Positions are in characters (Unicode code points); bytes that are not UTF-8 are one replacement character each.
    """
    ranges: list[tuple[int, int]] = []
    at = characters = 0
    for start, end in spans:
        begin = characters + len(_text(raw[at:start]))
        characters = begin + len(_text(raw[start:end]))
        ranges.append((begin, characters))
        at = end
    whole = _text(raw)
    if len(whole) <= SHOWN_TEXT:
        return whole, ranges, 0
    skipped = min(max(0, ranges[0][0] - _BEFORE), len(whole) - SHOWN_TEXT)
    shown = whole[skipped : skipped + SHOWN_TEXT]
    inside = [(begin - skipped, min(end - skipped, SHOWN_TEXT)) for begin, end in ranges]
    return shown, [(begin, end) for begin, end in inside if begin < SHOWN_TEXT], skipped


def _text(raw: bytes) -> str:
    return re.sub("[\udc80-\udcff]", "\ufffd", raw.decode(errors="surrogateescape"))


class _Run:
    """One process and what it prints. ``cut`` says why it was not heard out; ``complaint`` what it had against it."""

    def __init__(self, supervisor: Supervisor, command: Command, deadline: float) -> None:
        self.cut: Literal["time", "size"] | None = None
        self.complaint = ""
        self._supervisor = supervisor
        self._command = command
        self._deadline = deadline
        self._buffer = bytearray()
        self._errors = bytearray()
        self._news = asyncio.Event()
        self._scanned = 0

    async def messages(self) -> AsyncGenerator[_Message, None]:
        """Each object it prints. The process and all it started are gone when this ends, however it does."""
        try:
            child = await self._supervisor.spawn(self._command, owner="search", stdin=False)
        except SpawnFailed as error:
            raise FileFault(f"the search cannot start: {error}") from error
        output = PipeReader(child.stdout_fd, self._take, self._news.set)
        errors = PipeReader(child.stderr_fd, self._complain)
        try:
            async for message in self._until(child, output):
                yield message
        finally:
            errors.drain(1 << 16)
            self.complaint = self._errors[:2000].decode(errors="replace")
            output.close()
            errors.close()
            await child.end(grace=0)
            child.close_fds()

    async def _until(self, child: Child, output: PipeReader) -> AsyncGenerator[_Message, None]:
        give_up = time.monotonic() + self._deadline
        while True:
            ended = output.eof
            for line in self._lines():
                yield msgspec.json.decode(line, type=_Message)
            self._news.clear()
            output.resume()
            try:  # an output may be closed by who goes on
                async with asyncio.timeout(give_up - time.monotonic()):
                    await (child.wait() if ended else self._news.wait())
            except TimeoutError:
                self.cut = "time"
                return
            if ended:
                return
            if len(self._buffer) > _MAX_BUFFER:
                output.pause()

    def _take(self, data: bytes) -> None:
        self._buffer += data
        self._news.set()

    def _complain(self, data: bytes) -> None:
        if len(self._errors) < 1 << 16:
            self._errors += data

    def _lines(self) -> Iterator[bytes]:
        """Whole lines that have come. One that is too long is left out."""
        *whole, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        if len(rest) > _MAX_LINE:
            self.cut = "size"
            self._buffer.clear()
        for line in whole:
            if line.startswith(b'{"type"'):
                yield line
