"""Reading zip archives (PKWARE's APPNOTE 6.3.10; section numbers below are its own).

What is listed, what lies in front of each content, and the content must agree, and no two contents may overlap: an
archive that two readers could see differently is refused, as are those that expand to more than they say.
"""

from __future__ import annotations

import itertools
import stat
import struct
import time
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from sandbox_agent.files.archive_plan import ArchiveError, Member
from sandbox_agent.files.archive_window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox_agent.files.archive_plan import ArchiveLimits
    from sandbox_agent.files.archive_window import Block

STORED, DEFLATED = 0, 8  # 4.4.5
UTF8 = 1 << 11  # 4.4.4
UNIX = 3  # 4.4.2
_ENCRYPTED = 1 | 1 << 6 | 1 << 13  # 4.4.4
_END = struct.Struct("<4s4H2LH")  # 4.3.16
_END64_AT = struct.Struct("<4sLQL")  # 4.3.15
_END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
_LISTED = struct.Struct("<4s4B4H3L5H2L")  # 4.3.12
_LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class _Listed:
    name: bytes
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    at: int
    mode: int | None
    mtime_ns: int


def read_zip(sent: int | Block, into: IO[bytes], limits: ArchiveLimits) -> list[Member]:
    """The members of a zip archive, whose contents are expanded into another file, each checked against its CRC.

    Raises ``ArchiveError`` where it is damaged, contradicts itself, or expands beyond the limits.
    """
    window = Window(sent)
    listed = list(_listing(window, limits))
    packed = size = 0
    for entry in listed:
        packed += entry.packed
        size += entry.size
        limits.check_expanded(window.size, size, entry.name)
        if entry.size > limits.ratio_from:
            limits.check_expanded(entry.packed, entry.size, entry.name)
    starts = _starts(window, listed)
    members = [_expanded(window, entry, start, into) for entry, start in zip(listed, starts, strict=True)]
    into.flush()
    return members


def _listing(window: Window, limits: ArchiveLimits) -> Iterator[_Listed]:
    count, length, start = _directory(window)
    if count > limits.members:
        raise ArchiveError(f"it has more than {limits.members} members", limit=limits.members)
    at, end = start, start + length
    for _ in range(count):
        head = window.get(at, _LISTED.size)
        if len(head) < _LISTED.size or head[:4] != b"PK\1\2" or at + len(head) > end:
            raise ArchiveError("its list of members is damaged")
        fields = _LISTED.unpack(head)
        name_size, extra_size, note_size = fields[12:15]
        tail = window.get(at + _LISTED.size, name_size + extra_size)
        yield _entry(fields, tail[:name_size], tail[name_size:])
        at += _LISTED.size + name_size + extra_size + note_size
    if at != end:
        raise ArchiveError("its list of members is longer or shorter than it says")


def _directory(window: Window) -> tuple[int, int, int]:
    """How many members are listed, the list's length, and where it starts."""
    size = window.size
    tail_size = min(size, _END.size + _FULL16)
    tail = window.get(size - tail_size, tail_size)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise ArchiveError("it is no zip archive, or ends early")
    _, disk, first_disk, here, count, length, start, note = _END.unpack_from(tail, at)
    end = size - tail_size + at
    if end + _END.size + note != size:
        raise ArchiveError("something follows its end")
    if _FULL16 in (here, count) or _FULL32 in (length, start):
        head = window.get(max(end - _END64_AT.size, 0), _END64_AT.size)
        if len(head) == _END64_AT.size and head[:4] == b"PK\6\7":
            end = _END64_AT.unpack(head)[2]
            head = window.get(min(end, size), _END64.size)
            if len(head) < _END64.size or head[:4] != b"PK\6\6":
                raise ArchiveError("its end is damaged")
            _, _, _, _, disk, first_disk, here, count, length, start = _END64.unpack(head)
    if disk or first_disk or here != count:
        raise ArchiveError("it is one of several volumes")
    if start + length != end:
        raise ArchiveError("its list of members is not where it says, or something precedes the archive")
    return count, length, start


def _entry(fields: tuple[int, ...], raw: bytes, extra: bytes) -> _Listed:
    flags, method, moment, day, crc, packed, size = fields[5:12]
    at = fields[18]
    name = raw
    if not flags & UTF8 and fields[2] != UNIX:
        name = raw.decode("cp437").encode()  # D.1; programs of Unix write the bytes of their own names
    found = dict(_extras(extra, name))
    wide = found.get(1, b"")  # 4.5.3
    values = [packed, size, at]
    for index in (1, 0, 2):
        if values[index] == _FULL32:
            if len(wide) < 8:  # noqa: PLR2004 - one number of 64 bits
                raise ArchiveError("a size is missing", name)
            values[index], wide = int.from_bytes(wide[:8], "little"), wide[8:]
    stamp = found.get(0x5455, b"")  # Info-ZIP's extended timestamp
    if len(stamp) >= 5 and stamp[0] & 1:  # noqa: PLR2004 - flags and 32 bits
        mtime = int.from_bytes(stamp[1:5], "little", signed=True)
    else:
        mtime = _dos_time(day, moment)
    mode = fields[17] >> 16 if fields[2] == UNIX else 0
    return _Listed(name, raw, flags, method, crc, values[0], values[1], values[2], mode or None, mtime * 10**9)


def _extras(extra: bytes, name: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if at + 4 + length > len(extra):
            raise ArchiveError("an extra field is longer than there is room for", name)
        yield kind, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _dos_time(day: int, moment: int) -> int:
    """Seconds since 1970 of a time without zone (4.4.6), taken for the server's own; 0 where it is none."""
    year, month, date = 1980 + (day >> 9), day >> 5 & 15, day & 31
    try:
        return int(time.mktime((year, month, date, moment >> 11, moment >> 5 & 63, (moment & 31) * 2, 0, 1, -1)))
    except (OverflowError, ValueError):
        return 0


def _starts(window: Window, listed: list[_Listed]) -> list[int]:
    """Where each content starts; no two may overlap, which is how a small archive becomes a large bomb."""
    starts: list[int] = []
    for entry in listed:
        head = window.get(entry.at, _LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != b"PK\3\4":
            raise ArchiveError("it is not where the list of members says", entry.name)
        _, _, flags, method, _, _, _, _, _, name_size, extra_size = _LOCAL.unpack(head)
        name = window.get(entry.at + _LOCAL.size, name_size)
        if (name, method, flags & _ENCRYPTED) != (entry.raw_name, entry.method, entry.flags & _ENCRYPTED):
            raise ArchiveError("the list of members says otherwise than the member", entry.name)
        starts.append(entry.at + _LOCAL.size + name_size + extra_size)
    ends = sorted((entry.at, start + entry.packed, entry.name) for entry, start in zip(listed, starts, strict=True))
    for (_, end, _), (following, _, name) in itertools.pairwise(ends):
        if end > following:
            raise ArchiveError("it overlaps with another member", name)
    if ends and ends[-1][1] > window.size:
        raise ArchiveError("it ends in the middle of a member", ends[-1][2])
    return starts


def _kind(entry: _Listed) -> str:
    if entry.flags & _ENCRYPTED:
        return "encrypted"
    if entry.method not in {STORED, DEFLATED}:
        return f"compressed (method {entry.method})"
    form = stat.S_IFMT(entry.mode or 0)
    if entry.name.endswith(b"/"):
        return "folder" if form in {0, stat.S_IFDIR} else "contradictory"
    kinds = {0: "file", stat.S_IFREG: "file", stat.S_IFLNK: "symbolic link", stat.S_IFIFO: "fifo"}
    return kinds.get(form, "device or socket" if form != stat.S_IFDIR else "contradictory")


def _expanded(window: Window, entry: _Listed, start: int, into: IO[bytes]) -> Member:
    kind = _kind(entry)
    mode = None if entry.mode is None else stat.S_IMODE(entry.mode)
    if kind != "file":
        return Member(entry.name, kind, 0, 0, mode, entry.mtime_ns)
    offset = into.tell()
    size = crc = 0
    for piece in _content(window, entry, start):
        size += len(piece)
        if size > entry.size:
            raise ArchiveError("it expands to more than it says", entry.name, limit=entry.size)
        crc = zlib.crc32(piece, crc)
        into.write(piece)
    if size != entry.size or crc != entry.crc:
        raise ArchiveError("its content is damaged", entry.name)
    return Member(entry.name, kind, size, offset, mode, entry.mtime_ns)


def _content(window: Window, entry: _Listed, start: int) -> Iterator[bytes]:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == DEFLATED else None
    end = start + entry.packed
    while start < end:
        data = window.get(start, min(_STEP, end - start))
        start += len(data)
        if inflate is None:
            yield data
            continue
        piece = data
        while data or len(piece) == _STEP:  # a full piece may not be all that the input stands for
            try:
                piece = inflate.decompress(data, _STEP)
            except zlib.error as error:
                raise ArchiveError("its content is damaged", entry.name) from error
            data = inflate.unconsumed_tail
            yield piece
    if inflate is not None and (not inflate.eof or inflate.unused_data):
        raise ArchiveError("its content ends early, or goes on after its end", entry.name)
