"""Copying trees by descriptors, for moves from one file system to another. Blocks."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

_DEPTH = 200
"""Folders below each other that are copied: each takes two descriptors."""
_STEP = 1 << 26
_FALLBACK = 1 << 20
_ELSEWHERE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM})


def copy(source: tuple[int, str], target: tuple[int, str], *, depth: int = 0) -> None:
    """Copy what a name is, links as links, to a name that must be free.

    Modes and times are kept, owners where the rights allow it. Raises ``OSError``: sockets and devices are not copied.
    """
    if depth > _DEPTH:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), source[1])
    status = os.stat(source[1], dir_fd=source[0], follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        _copy_folder(source, target, status, depth)
    elif stat.S_ISREG(status.st_mode):
        _copy_file(source, target, status)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source[1], dir_fd=source[0]), target[1], dir_fd=target[0])
        _own(target, status)
        os.utime(target[1], ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target[0], follow_symlinks=False)
    elif stat.S_ISFIFO(status.st_mode):
        os.mkfifo(target[1], stat.S_IMODE(status.st_mode), dir_fd=target[0])
    else:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), source[1])


def _own(target: tuple[int, str], status: os.stat_result) -> None:
    with contextlib.suppress(PermissionError):
        os.chown(target[1], status.st_uid, status.st_gid, dir_fd=target[0], follow_symlinks=False)


def _finish(fd: int, status: os.stat_result) -> None:
    with contextlib.suppress(PermissionError):
        os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_folder(source: tuple[int, str], target: tuple[int, str], status: os.stat_result, depth: int) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    os.mkdir(target[1], 0o700, dir_fd=target[0])
    there = os.open(source[1], flags, dir_fd=source[0])
    try:
        here = os.open(target[1], flags, dir_fd=target[0])
        try:
            with os.scandir(there) as listed:
                for item in listed:
                    copy((there, item.name), (here, item.name), depth=depth + 1)
            _finish(here, status)
            os.fsync(here)
        finally:
            os.close(here)
    finally:
        os.close(there)


def _copy_file(source: tuple[int, str], target: tuple[int, str], status: os.stat_result) -> None:
    reading = os.open(source[1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source[0])
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        writing = os.open(target[1], flags, 0o600, dir_fd=target[0])
        try:
            copy_bytes(reading, writing)
            _finish(writing, status)
            os.fsync(writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def copy_bytes(reading: int, writing: int) -> None:
    """All bytes from one descriptor's place to another's: by the kernel where it can."""
    try:
        while os.copy_file_range(reading, writing, _STEP):
            pass
    except OSError as error:
        if error.errno not in _ELSEWHERE:
            raise
    # Also what files of no size, as /proc has them, hold: copy_file_range finds nothing there.
    while data := os.read(reading, _FALLBACK):
        view = memoryview(data)
        while view:
            view = view[os.write(writing, view) :]
