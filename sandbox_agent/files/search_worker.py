"""A program that searches the folder it is started in, for where ripgrep is not installed, and for names.

It prints what ripgrep's ``--json`` prints, one object a line, as far as `search` reads it. A process of its own, for
a regular expression may take for ever and only the end of its process ends it. Nothing but the standard library is
imported, so that it starts quickly; ``argv[1]`` is a JSON object of ``kind``, ``query``, ``regex``, ``caseSensitive``,
``glob`` (a regular expression for the path, or null), ``name`` (whether it is for the last name alone), ``maxFile``.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from base64 import b64encode
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAX_DEPTH = 256
MAX_LINE = 4 << 20
MAX_SPANS = 1000
SYSTEM = (b"proc", b"sys")


def told(value: bytes) -> dict[str, str]:
    """Bytes as ripgrep tells them: text where they are UTF-8."""
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"bytes": b64encode(value).decode()}


def tell(kind: str, **data: Any) -> None:
    sys.stdout.write(json.dumps({"type": kind, "data": data}) + "\n")


def entries(folder: int, prefix: bytes, depth: int) -> Iterator[tuple[bytes, bytes, int, os.stat_result]]:
    """Path, name, the folder's descriptor and status of all that is below, links unfollowed."""
    without = SYSTEM if not depth and Path.cwd() == Path("/") else ()
    for name in sorted(map(os.fsencode, os.listdir(folder))):
        path = prefix + name
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            yield path, name, folder, status
            if not stat.S_ISDIR(status.st_mode) or name == b".git" or path in without or depth > MAX_DEPTH:
                continue
            below = os.open(name, FOLDER, dir_fd=folder)
        except OSError:
            continue
        try:
            yield from entries(below, path + b"/", depth + 1)
        finally:
            os.close(below)


def matches(pattern: re.Pattern[str], line: bytes) -> list[dict[str, int]]:
    """Where it is found, in bytes as ripgrep counts; the first of very many."""
    text = line.decode(errors="surrogateescape")
    found = [match.span() for match in islice(pattern.finditer(text), MAX_SPANS) if match.group()]
    if text.isascii():
        return [{"start": start, "end": end} for start, end in found]
    spans: list[dict[str, int]] = []
    at = size = 0
    for start, end in found:
        begin = size + len(os.fsencode(text[at:start]))
        at, size = end, begin + len(os.fsencode(text[start:end]))
        spans.append({"start": begin, "end": size})
    return spans


def search_names(pattern: re.Pattern[str], wanted: Callable[[bytes, bytes], bool]) -> None:
    for path, name, _, status in entries(os.open(".", FOLDER), b"", 0):
        if wanted(path, name) and (found := matches(pattern, name)):
            tell("name", path=told(path), folder=stat.S_ISDIR(status.st_mode), submatches=found)
            sys.stdout.flush()


def search_contents(pattern: re.Pattern[str], wanted: Callable[[bytes, bytes], bool], max_file: int) -> None:
    for path, name, folder, status in entries(os.open(".", FOLDER), b"", 0):
        if stat.S_ISREG(status.st_mode) and status.st_size <= max_file and wanted(path, name):
            try:
                with os.fdopen(os.open(name, FILE, dir_fd=folder), "rb") as file:
                    text = file.read(max_file)
            except OSError:
                continue
            search_file(pattern, path, text)


def search_file(pattern: re.Pattern[str], path: bytes, text: bytes) -> None:
    if b"\0" in text:
        return
    any_told = False
    for number, line in enumerate(text.split(b"\n"), 1):
        if found := matches(pattern, line.removesuffix(b"\r")):
            if len(line) > MAX_LINE:
                tell("long")
                continue
            tell("match", path=told(path), lines=told(line), line_number=number, submatches=found)
            any_told = True
    if any_told:
        tell("end", path=told(path), binary_offset=None)
        sys.stdout.flush()


def main(given: dict[str, Any]) -> None:
    query = given["query"] if given["regex"] else re.escape(given["query"])
    try:
        pattern = re.compile(query, 0 if given["caseSensitive"] else re.IGNORECASE)
    except re.error as error:
        sys.exit(f"regex parse error: {error}")
    glob = None if given["glob"] is None else re.compile(os.fsencode(given["glob"]), re.DOTALL)

    def wanted(path: bytes, name: bytes) -> bool:
        return glob is None or glob.fullmatch(name if given["name"] else path) is not None

    if given["kind"] == "name":
        search_names(pattern, wanted)
    else:
        search_contents(pattern, wanted, given["maxFile"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
