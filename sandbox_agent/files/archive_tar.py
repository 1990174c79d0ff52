"""Reading tar archives: ustar, pax and GNU's long names (POSIX.1-2024 pax, "ustar Interchange Format").

Strict where leniency would let two readers see different archives, and about ten times as fast as the standard library
on small files, whose objects for each member cost more than writing them.
"""

from __future__ import annotations

import functools
import struct
import zlib
from typing import TYPE_CHECKING

from sandbox_agent.files.archive_plan import ArchiveError, Member
from sandbox_agent.files.archive_window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox_agent.files.archive_window import Block

BLOCK = 512
_HEADER = struct.Struct("100s8s16x12s12s8sB188xB166x")  # name mode size mtime chksum typeflag, first of prefix
_PREFIX = struct.Struct("257x6s82x155s12x")  # magic prefix
_ZEROS = bytes(BLOCK)
_ADLER = 65521  # RFC 1950, 2.2
_EXTENDED_MAX = 1 << 20
_SECOND = 1_000_000_000
_TIME_MAX = (1 << 63) - 1
_FAR = _TIME_MAX // _SECOND
_PLAIN = 0x30
_KINDS = {
    0x30: "file",
    0x00: "file",
    0x37: "file",
    0x35: "folder",
    0x31: "hard link",
    0x32: "symbolic link",
    0x33: "character device",
    0x34: "block device",
    0x36: "fifo",
    0x53: "sparse file",
}
_WITHOUT_CONTENT = frozenset({0x31, 0x32, 0x33, 0x34, 0x35, 0x36})
_ABOUT_THE_NEXT = frozenset(b"xgLK")
_SPARSE = b"GNU.sparse."


def read_tar(source: int | Block) -> Iterator[Member]:
    """The members of the tar archive in a file or in memory, in order; what is to be refused among them.

    Raises ``ArchiveError`` where it is damaged or ends early.
    """
    return _Reader(Window(source)).members()


class _Reader:
    def __init__(self, window: Window) -> None:
        self._window = window
        self._pax: dict[bytes, bytes] = {}
        self._long_name: bytes | None = None
        self._announced = False
        """Whether an extended header about the next member has come."""

    def members(self) -> Iterator[Member]:  # noqa: C901 - one loop: a call for each of thousands of files would show
        """Plain files are all but made here; what is about others, or is odd, is looked at in calls."""
        size, at, begin = self._window.size, 0, 0
        block: Block = b""
        while at < size:
            start = at - begin
            if start + BLOCK > len(block):
                block, start = self._window.reach(at, BLOCK)
                begin = at - start
            header = block[start : start + BLOCK]
            if len(header) < BLOCK:
                raise ArchiveError("it ends in the middle of a member's header" if at else "it is no tar archive")
            name, mode_field, size_field, time_field, sum_field, kind, prefix = _HEADER.unpack(header)
            if not name[0] and header == _ZEROS:
                break
            if _adler(sum_field) != zlib.adler32(header) & 0xFFFF:
                raise ArchiveError("a header's checksum is wrong" if at else "it is no tar archive")
            name = name.partition(b"\0")[0]
            if prefix:
                name = _prefix(header) + name
            try:
                mode, length, seconds = _number(mode_field) & 0o7777, _number(size_field), _number(time_field)
            except ValueError as error:
                raise ArchiveError("a number of its header is malformed", name) from error
            at += BLOCK
            if kind in _ABOUT_THE_NEXT:
                self._extended(kind, name, at, length)
            else:
                member = Member(name, "file", length, at, mode, seconds * _SECOND)
                if kind != _PLAIN or self._announced or seconds > _FAR or name[-1:] == b"/":
                    member = self._odd(member, kind)
                    length = member.size
                if at + length > size:
                    raise ArchiveError("it ends in the middle of a member", member.name)
                yield member
            at += length + (-length % BLOCK)
        if self._announced:
            raise ArchiveError("it ends before the member that an extended header is about")

    def _odd(self, member: Member, kind: int) -> Member:
        """A member that is no plain file, or that an extended header is about, as it is meant."""
        word = _KINDS.get(kind) or f"unknown ({chr(kind)!r})"
        name, length, mtime_ns = member.name, member.size, clamped(member.mtime_ns or 0)
        if self._long_name is not None:
            name, self._long_name = self._long_name, None
        if self._pax:
            name, length, mtime_ns = self._overridden(name, length, mtime_ns)
            if any(key.startswith(_SPARSE) for key in self._pax):
                word = "sparse file"
            self._pax = {}
        self._announced = False
        if kind in _WITHOUT_CONTENT:
            length = 0
        if word == "file" and name.endswith(b"/"):
            word = "folder"  # as written before there was a type for it
        return Member(name, word, length, member.offset, member.mode, mtime_ns)

    def _overridden(self, name: bytes, length: int, mtime_ns: int) -> tuple[bytes, int, int]:
        """Name, size and time, as the pax header before this one corrects them."""
        name = self._pax.get(b"path", name)
        if (told := self._pax.get(b"size")) is not None:
            if not told.isdigit():
                raise ArchiveError("a size is not a number", name)
            length = int(told[:20])
        if (told := self._pax.get(b"mtime")) is not None:
            mtime_ns = clamped(_nanoseconds(told, name))
        return name, length, mtime_ns

    def _extended(self, kind: int, name: bytes, content: int, length: int) -> None:
        if length > _EXTENDED_MAX:
            raise ArchiveError(f"an extended header is longer than {_EXTENDED_MAX} bytes", name)
        data = self._window.get(content, length)
        if len(data) < length:
            raise ArchiveError("it ends in the middle of an extended header", name)
        if kind == ord("L"):
            self._long_name = data.partition(b"\0")[0]
            self._announced = True
        elif kind == ord("x"):
            self._pax = _records(data, name)
            self._announced = bool(self._pax) or self._long_name is not None
        elif kind == ord("g"):
            about = _records(data, name).keys() & {b"path", b"size", b"linkpath"}
            if about:
                raise ArchiveError("a global header gives every member the same name or size", name)


def _prefix(header: Block) -> bytes:
    """What goes before the name of a member; GNU's own format has other things in its place."""
    magic, prefix = _PREFIX.unpack(header)
    return prefix.partition(b"\0")[0] + b"/" if magic == b"ustar\0" else b""


@functools.lru_cache(maxsize=4096)
def _adler(field: bytes) -> int:
    """What a checksum says the lower half of Adler-32 is: one more than the sum of all bytes, modulo a prime.

    The sum counts the field itself as spaces. Adler-32 takes a twentieth of the time of `sum`.
    """
    try:
        return (int(field.strip(b"\0 "), 8) - 8 * 0x20 + sum(field) + 1) % _ADLER
    except ValueError:
        return -1


@functools.lru_cache(maxsize=4096)  # modes and times, which hardly differ, are most of what there is to read
def _number(field: bytes) -> int:
    """An octal field; or, where it does not fit, GNU's binary one. Raises ``ValueError``."""
    if field[0] & 0x80:
        if field[0] != 0x80:  # noqa: PLR2004 - the mark alone: the number is not negative
            raise ValueError("negative")
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    if not digits:
        return 0
    if not digits.isdigit():  # `int` would take signs and underscores
        raise ValueError("no digits")
    return int(digits, 8)


def _nanoseconds(told: bytes, name: bytes) -> int:
    """Decimal seconds, perhaps with a fraction, perhaps before 1970."""
    whole, _, fraction = told[:40].partition(b".")
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or (fraction and not fraction.isdigit()):
        raise ArchiveError("a time is not a number", name)
    moment = int(digits) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))
    return -moment if whole.startswith(b"-") else moment


def _records(data: bytes, name: bytes) -> dict[bytes, bytes]:
    """The records of a pax header: ``length key=value`` and a line break each."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data) and data[at]:
        digits, space, _ = data[at : at + 12].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record = data[at + len(digits) + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if length <= len(digits) + 1 or at + length > len(data) or not equals or not value.endswith(b"\n"):
            raise ArchiveError("an extended header is malformed", name)
        found[key] = value[:-1]
        at += length
    return found


def clamped(mtime_ns: int) -> int:
    """A time that the system can hold."""
    return min(max(mtime_ns, -_TIME_MAX), _TIME_MAX)
