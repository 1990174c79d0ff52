"""A folder as a tar or zip archive, made piece by piece while it is sent.

Folders are walked by descriptors opened without following links, so nothing outside gets in. Links stay links. Sockets,
pipes and devices are left out, for an archive of them could not be unpacked. A file that shrinks meanwhile is filled up
with zeros, one that grows is cut at the size its header told, one that is gone is left out: an archive of a tree that
is being worked in is whole, and each file as it was read.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import tarfile
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

PIECE = 1 << 18
_BLOCK = 512
_RECORD = 20 * _BLOCK  # POSIX pax: the blocking factor that readers expect
_LOOK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_UTF8 = 1 << 11
_DESCRIPTOR = 1 << 3  # APPNOTE 4.4.4: sizes follow the content
_UNIX_45 = 3 << 8 | 45
_LEVEL = 6
_MAX_DEPTH = 256


@dataclass(frozen=True, slots=True)
class Found:
    """Something to be packed: its name in the archive, what it is, a link's target, a file's open descriptor.

    The descriptor is closed by the walk once the next is asked for.
    """

    name: bytes
    status: os.stat_result
    target: bytes | None = None
    fd: int = -1


def walk(fd: int, name: bytes) -> Iterator[Found]:
    """What the folder or file behind ``fd`` holds, itself first, under ``name``; in the order of the names.

    Raises ``OSError`` where something may not be read.
    """
    status = os.fstat(fd)
    yield Found(name, status, fd=fd if stat.S_ISREG(status.st_mode) else -1)
    if stat.S_ISDIR(status.st_mode):
        yield from _below(fd, name + b"/" if name else b"")


def _below(folder: int, prefix: bytes) -> Iterator[Found]:
    if prefix.count(b"/") > _MAX_DEPTH:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), prefix)
    for name in sorted(map(os.fsencode, os.listdir(folder))):
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                yield Found(prefix + name, status, target=os.readlink(name, dir_fd=folder))
                continue
            if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
                continue
            fd = os.open(name, _LOOK if stat.S_ISDIR(status.st_mode) else _READ, dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError):
            continue  # gone, or replaced, since it was listed
        except OSError as error:
            error.filename = prefix + name
            raise
        try:
            status = os.fstat(fd)
            if stat.S_ISDIR(status.st_mode):
                yield Found(prefix + name, status)
                yield from _below(fd, prefix + name + b"/")
            elif stat.S_ISREG(status.st_mode):
                yield Found(prefix + name, status, fd=fd)
        finally:
            os.close(fd)


def unreadable(fd: int, depth: int = 0) -> bytes | None:
    """The first thing below the folder that may not be read, so that it is told before anything is sent."""
    if depth > _MAX_DEPTH:
        return None
    for name in sorted(map(os.fsencode, os.listdir(fd))):
        try:
            mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                below = os.open(name, _LOOK, dir_fd=fd)
                try:
                    if (inner := unreadable(below, depth + 1)) is not None:
                        return name + b"/" + inner
                finally:
                    os.close(below)
            elif stat.S_ISREG(mode) and not os.access(name, os.R_OK, dir_fd=fd, effective_ids=True):
                return name
        except FileNotFoundError:
            continue
        except PermissionError:
            return name
    return None


def _content(found: Found) -> Iterator[bytes]:
    """Exactly as many bytes as the header said."""
    left = found.status.st_size
    while left:
        data = os.read(found.fd, min(PIECE, left))
        if not data:
            data = bytes(min(PIECE, left))
        left -= len(data)
        yield data


# -- tar ----------------------------------------------------------------------------------------------------------


def tar(entries: Iterable[Found]) -> Generator[bytes, None, None]:
    """A pax archive. A name that is not UTF-8 is marked as binary, which keeps its bytes."""
    total = 0
    for found in entries:
        head = _tar_header(found)
        total += len(head)
        yield head
        if found.fd >= 0:
            yield from _content(found)
            fill = -found.status.st_size % _BLOCK
            total += found.status.st_size + fill
            if fill:
                yield bytes(fill)
    yield bytes(2 * _BLOCK + (-(total + 2 * _BLOCK) % _RECORD))


def _tar_header(found: Found) -> bytes:
    info = tarfile.TarInfo(os.fsdecode(found.name) or ".")
    info.mode = stat.S_IMODE(found.status.st_mode)
    info.mtime = found.status.st_mtime_ns // 10**9
    nanoseconds = found.status.st_mtime_ns % 10**9
    if nanoseconds:
        info.pax_headers = {"mtime": f"{info.mtime}.{nanoseconds:09}"}
    info.uid, info.gid = found.status.st_uid, found.status.st_gid
    if found.target is not None:
        info.type, info.linkname = tarfile.SYMTYPE, os.fsdecode(found.target)
    elif found.fd >= 0:
        info.size = found.status.st_size
    else:
        info.type = tarfile.DIRTYPE
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def gzipped(pieces: Iterable[bytes]) -> Generator[bytes, None, None]:
    """The same, compressed (RFC 1952)."""
    squeeze = zlib.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for piece in pieces:
        if packed := squeeze.compress(piece):
            yield packed
    yield squeeze.flush()


# -- zip ----------------------------------------------------------------------------------------------------------


def zipped(entries: Iterable[Found]) -> Generator[bytes, None, None]:
    """A zip archive in one pass (PKWARE's APPNOTE 6.3.10). Names that are not UTF-8 keep their bytes, unmarked.

    A link is an entry of a link's mode whose content is its target, as Info-ZIP writes it.
    """
    listing: list[bytes] = []
    at = 0
    for found in entries:
        if not found.name:
            continue
        entry = _ZipEntry(found, at)
        for piece in entry.pieces():
            at += len(piece)
            yield piece
        listing.append(entry.listed())
    size = sum(map(len, listing))
    yield from listing
    yield _zip_end(len(listing), size, at)


class _ZipEntry:
    def __init__(self, found: Found, at: int) -> None:
        self._found = found
        self._at = at
        self._folder = stat.S_ISDIR(found.status.st_mode)
        self._name = found.name + b"/" if self._folder else found.name
        self._wide = found.status.st_size >= _FULL32 >> 1  # what does not compress grows a little
        self._method = 8 if found.fd >= 0 else 0
        self._flags = (_DESCRIPTOR if found.fd >= 0 else 0) | (_UTF8 if _is_utf8(found.name) else 0)
        moment = time.localtime(max(found.status.st_mtime, 0))
        year = min(max(moment.tm_year, 1980), 2107)
        self._day = (year - 1980) << 9 | moment.tm_mon << 5 | moment.tm_mday
        self._time = moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2
        self._crc = zlib.crc32(found.target or b"")
        self._packed = self._size = len(found.target or b"")

    def pieces(self) -> Iterator[bytes]:
        extra = struct.pack("<2H2Q", 1, 16, 0, 0) if self._wide else b""
        sizes = (_FULL32, _FULL32) if self._wide else (self._packed, self._size)
        head = (b"PK\3\4", 45, self._flags, self._method, self._time, self._day, self._crc, *sizes)
        lengths = (len(self._name), len(extra))
        yield struct.pack("<4s5H3L2H", *head, *lengths) + self._name + extra + (self._found.target or b"")
        if self._found.fd < 0:
            return
        for piece in self._packed_content():
            self._packed += len(piece)
            yield piece
        form = "<4sL2Q" if self._wide else "<4s3L"
        yield struct.pack(form, b"PK\7\10", self._crc, self._packed, self._size)

    def _packed_content(self) -> Iterator[bytes]:
        squeeze = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        for piece in _content(self._found):
            self._crc = zlib.crc32(piece, self._crc)
            self._size += len(piece)
            if packed := squeeze.compress(piece):
                yield packed
        yield squeeze.flush()

    def listed(self) -> bytes:
        """The entry in the list at the archive's end, which alone tells sizes, mode and time in full."""
        seconds = min(max(int(self._found.status.st_mtime), -(1 << 31)), (1 << 31) - 1)
        extra = struct.pack("<2HBl", 0x5455, 5, 1, seconds)
        sizes: tuple[int, int, int] = (self._packed, self._size, self._at)
        if max(sizes) >= _FULL32:
            extra += struct.pack("<2H3Q", 1, 24, self._size, self._packed, self._at)
            sizes = (_FULL32, _FULL32, _FULL32)
        head = (b"PK\1\2", _UNIX_45, 45, self._flags, self._method, self._time, self._day, self._crc, *sizes[:2])
        mode = self._found.status.st_mode << 16 | (0x10 if self._folder else 0)
        lengths = (len(self._name), len(extra), 0, 0, 0)
        return struct.pack("<4s6H3L5H2L", *head, *lengths, mode, sizes[2]) + self._name + extra


def _zip_end(count: int, size: int, at: int) -> bytes:
    end64 = b""
    if count >= _FULL16 or max(size, at) >= _FULL32:
        end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, _UNIX_45, 45, 0, 0, count, count, size, at)
        end64 += struct.pack("<4sLQL", b"PK\6\7", 0, at + size, 1)
        count, size, at = min(count, _FULL16), min(size, _FULL32), min(at, _FULL32)
    return end64 + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, at, 0)


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
