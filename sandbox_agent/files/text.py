"""Some lines of a file, for agents. Blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.problems import InvalidRequest

if TYPE_CHECKING:
    from sandbox_agent.files.opened import OpenFile

MOST_BYTES = 64 << 20
_STEP = 1 << 20


def read_lines(file: OpenFile, line: int, limit: int | None) -> str:
    """``limit`` lines from ``line`` (the first is 1) on, line ends kept; bytes that are not UTF-8 are replaced.

    Raises ``InvalidRequest`` for more than 64 MiB, and for lines below 1.
    """
    if line < 1 or (limit is not None and limit < 0):
        raise InvalidRequest("lines are counted from 1, and their number is not negative", path=file.path)
    skip, wanted = line - 1, limit
    taken: list[bytes] = []
    size = offset = 0
    while (wanted is None or wanted > 0) and (data := file.read(_STEP, offset)):
        offset += len(data)
        start = 0
        while skip and start < len(data):
            end = data.find(b"\n", start) + 1
            start = end or len(data)
            skip -= bool(end)
        end = len(data)
        if wanted is not None and not skip:
            end = start
            while wanted and end < len(data):
                found = data.find(b"\n", end) + 1
                end = found or len(data)
                wanted -= bool(found)
        taken.append(data[start:end])
        size += end - start
        if size > MOST_BYTES:
            raise InvalidRequest(
                f"more than {MOST_BYTES} bytes of text: {file.path}",
                hint="read it in parts, by `line` and `limit`",
                code="too_much_text",
                path=file.path,
            )
    return b"".join(taken).decode(errors="replace")
