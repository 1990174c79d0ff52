"""inotify(7) as it is: a descriptor, watches by number, records. Nothing here waits."""

from __future__ import annotations

import ctypes
import functools
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# <sys/inotify.h>
MODIFY = 0x2
ATTRIB = 0x4
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
Q_OVERFLOW = 0x4000
IGNORED = 0x8000
ONLYDIR = 0x1000000
EXCL_UNLINK = 0x4000000
ISDIR = 0x40000000

_HEAD = struct.Struct("iIII")
_BUFFER = 1 << 16


class Record(NamedTuple):
    """What happened to ``name`` in the folder of watch ``watch``, or to that folder when there is no name."""

    watch: int
    mask: int
    name: bytes


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def create() -> int:
    """A new descriptor, which does not block. Raises ``OSError``."""
    return _checked(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def add(fd: int, folder: int, mask: int) -> int:
    """Watch the folder that ``folder`` is a descriptor of; the watch's number, the same for the same folder.

    Raises ``OSError``: ``ENOSPC`` when the user has as many watches as the system allows.
    """
    return _checked(_libc().inotify_add_watch(fd, b"/proc/self/fd/%d" % folder, ctypes.c_uint32(mask)))


def remove(fd: int, watch: int) -> None:
    """End a watch; nothing happens when it has ended."""
    _libc().inotify_rm_watch(fd, watch)


def read(fd: int) -> list[Record]:
    """What has happened since, as far as one read brings it; empty when nothing has."""
    try:
        return list(parse(os.read(fd, _BUFFER)))
    except BlockingIOError:
        return []


def parse(data: bytes) -> Iterator[Record]:
    at = 0
    while at < len(data):
        watch, mask, _, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield Record(watch, mask, data[at : at + length].rstrip(b"\0"))
        at += length
